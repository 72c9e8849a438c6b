/*
 * SPDX-License-Identifier: Apache-2.0
 * The rules of NOR flash in port/common/flash.c, on this computer: its flash is memory at the address that the manifest names.
 * The board's two functions do as they are told, or fail where `broken` says so. Prints the line of each check that fails.
 */
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "build_config.h"
#include "port/common/flash.h"
#include "port/port.h"

#define CHECK(condition) check((condition), __LINE__)

static unsigned failures;
static unsigned calls; /* of the board's functions */
static bool broken;

static void check(bool condition, int line)
{
    if (!condition) {
        failures++;
        printf("main.c:%d\n", line);
    }
}

void board_flash_erase(uint32_t address)
{
    calls++;
    memset((void *)(uintptr_t)address, broken ? 0xfe : 0xff, FLASH_PAGE_SIZE);
}

void board_flash_program(uint32_t address, const uint32_t *words, uint32_t count)
{
    calls++;
    if (count > 0u) {
        memcpy((void *)(uintptr_t)address, words, (count - (broken ? 1u : 0u)) * 4u);
    }
}

static uint32_t word(uint32_t offset)
{
    uint32_t value;
    memcpy(&value, port_flash_at(offset), sizeof value);
    return value;
}

static bool program(uint32_t offset, uint32_t a, uint32_t b)
{
    const uint32_t words[2] = {a, b};
    return port_flash_program(offset, words, 2u);
}

/* Refused, and not a single access made. */
static bool untouched(bool result)
{
    const bool nothing = (calls == 0u);
    calls = 0u;
    return !result && nothing;
}

static void test_program(void)
{
    const uint32_t at = CONFIG_OFFSET;
    CHECK(port_flash_erase(at) && port_flash_blank(at, FLASH_PAGE_SIZE));
    CHECK(program(at, 0x12345678u, 0xffff0000u));
    CHECK(word(at) == 0x12345678u && word(at + 4u) == 0xffff0000u);
    CHECK(program(at, 0x12345678u, 0xffff0000u)); /* the same again */
    CHECK(program(at, 0x12345078u, 0x00000000u)); /* bits cleared */
    calls = 0u;
    CHECK(untouched(program(at, 0x12345078u, 0x00000001u))); /* the second word would set one */
    CHECK(untouched(program(at, 0x12345678u, 0x00000000u))); /* the first one */
    CHECK(word(at) == 0x12345078u && word(at + 4u) == 0u);
    CHECK(!port_flash_blank(at, 4u) && port_flash_blank(at + 8u, FLASH_PAGE_SIZE - 8u));
    CHECK(port_flash_program(at, NULL, 0u));
}

static void test_places(void)
{
    calls = 0u;
    CHECK(untouched(program(CONFIG_OFFSET + 2u, 0u, 0u)));
    CHECK(untouched(program(CONFIG_OFFSET + FLASH_PAGE_SIZE - 4u, 0u, 0u))); /* over the page's edge */
    CHECK(untouched(program(FLASH_SIZE - 4u, 0u, 0u)));
    CHECK(untouched(program(FLASH_SIZE, 0u, 0u)));
    CHECK(untouched(program(0xfffffffcu, 0u, 0u)));
    CHECK(untouched(program(BOOTLOADER_OFFSET, 0u, 0u)));
    CHECK(untouched(program(BOOTLOADER_OFFSET + BOOTLOADER_SIZE - 8u, 0u, 0u)));
    CHECK(untouched(port_flash_program(CONFIG_OFFSET, NULL, 0x40000001u))); /* times 4 it would be 4 */
    CHECK(untouched(port_flash_erase(CONFIG_OFFSET + 4u)));
    CHECK(untouched(port_flash_erase(FLASH_SIZE)));
    CHECK(untouched(port_flash_erase(0u - FLASH_PAGE_SIZE)));
    CHECK(untouched(port_flash_erase(BOOTLOADER_OFFSET)));
    CHECK(untouched(port_flash_erase(BOOTLOADER_OFFSET + BOOTLOADER_SIZE - FLASH_PAGE_SIZE)));
    CHECK(port_flash_erase(BOOTLOADER_OFFSET + BOOTLOADER_SIZE));
    CHECK(port_flash_erase(FLASH_SIZE - FLASH_PAGE_SIZE));
}

static void test_blank(void)
{
    CHECK(port_flash_erase(LOG_OFFSET));
    CHECK(program(LOG_OFFSET + 8u, 0xffffff00u, 0xffffffffu));
    CHECK(port_flash_blank(LOG_OFFSET + 1u, 7u));
    CHECK(!port_flash_blank(LOG_OFFSET + 1u, 8u));
    CHECK(!port_flash_blank(LOG_OFFSET + 8u, 1u));
    CHECK(port_flash_blank(LOG_OFFSET + 9u, 30u));
    CHECK(port_flash_blank(LOG_OFFSET + 8u, 0u));
    CHECK(!port_flash_blank(FLASH_SIZE - 4u, 8u));
    CHECK(!port_flash_blank(0xfffffff0u, 0x20u));
}

static void test_flash_that_fails(void)
{
    CHECK(port_flash_erase(CONFIG_OFFSET));
    broken = true;
    CHECK(!program(CONFIG_OFFSET, 0u, 0u));
    CHECK(!port_flash_erase(CONFIG_OFFSET));
    broken = false;
}

int main(void)
{
    void *const at = (void *)(uintptr_t)FLASH_BASE;
    const int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE;
    if (mmap(at, FLASH_SIZE, PROT_READ | PROT_WRITE, flags, -1, 0) != at) {
        printf("no memory at the flash's address\n");
        return 2;
    }
    CHECK(port_flash_page() == FLASH_PAGE_SIZE);
    test_program();
    test_places();
    test_blank();
    test_flash_that_fails();
    return (failures == 0u) ? 0 : 1;
}
