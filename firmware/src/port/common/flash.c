/*
 * SPDX-License-Identifier: Apache-2.0
 * Flash in five functions, with the rules of NOR flash kept on every board. See port.h.
 *
 * What always holds: nothing is written outside the flash, nor into the bootloader's region; a program that would have to set a
 * bit writes nothing; true means that the flash was read back and holds what was asked for.
 */
#include "port/common/flash.h"

#include "build_config.h"
#include "port/common/registers.h"
#include "port/port.h"

#define WORD 4u
#define ERASED_WORD 0xffffffffu

static bool inside(uint32_t offset, uint32_t size)
{
    return (offset <= FLASH_SIZE) && (size <= (FLASH_SIZE - offset));
}

/* Nothing but a programmer changes the bootloader. */
static bool writable(uint32_t offset, uint32_t size)
{
    const bool before = (size <= BOOTLOADER_OFFSET) && (offset <= (BOOTLOADER_OFFSET - size));
    const bool after = offset >= (BOOTLOADER_OFFSET + BOOTLOADER_SIZE);
    return inside(offset, size) && (before || after);
}

static uint32_t word_at(uint32_t offset)
{
    return REGISTER(FLASH_BASE + offset);
}

uint32_t port_flash_page(void)
{
    return FLASH_PAGE_SIZE;
}

const uint8_t *port_flash_at(uint32_t offset)
{
    return (const uint8_t *)(uintptr_t)(FLASH_BASE + offset);
}

bool port_flash_blank(uint32_t offset, uint32_t size)
{
    bool blank = inside(offset, size);
    if (blank) {
        uint32_t at = offset;
        const uint32_t end = offset + size;
        while (blank && (at < end)) {
            if (((at % WORD) == 0u) && ((end - at) >= WORD)) {
                blank = (word_at(at) == ERASED_WORD);
                at += WORD;
            } else {
                blank = (*port_flash_at(at) == 0xffu);
                at++;
            }
        }
    }
    return blank;
}

bool port_flash_erase(uint32_t offset)
{
    const bool allowed = ((offset % FLASH_PAGE_SIZE) == 0u) && writable(offset, FLASH_PAGE_SIZE);
    if (allowed) {
        board_flash_erase(FLASH_BASE + offset);
    }
    return allowed && port_flash_blank(offset, FLASH_PAGE_SIZE);
}

bool port_flash_program(uint32_t offset, const uint32_t *words, uint32_t count)
{
    const bool aligned = ((offset % WORD) == 0u) && (count <= (FLASH_PAGE_SIZE / WORD));
    bool good = aligned && writable(offset, count * WORD) &&
                (((offset % FLASH_PAGE_SIZE) + (count * WORD)) <= FLASH_PAGE_SIZE);
    for (uint32_t i = 0u; good && (i < count); i++) {
        good = ((words[i] & ~word_at(offset + (i * WORD))) == 0u);
    }
    if (good) {
        board_flash_program(FLASH_BASE + offset, words, count);
        for (uint32_t i = 0u; good && (i < count); i++) {
            good = (word_at(offset + (i * WORD)) == words[i]);
        }
    }
    return good;
}
