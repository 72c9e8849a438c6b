/*
 * SPDX-License-Identifier: Apache-2.0
 * The flash of QEMU's RISC-V `virt`: Intel command set, buffered writes. See common/flash.h.
 *
 * While a command runs, the whole bank answers with its status and nothing can be executed or read from it. So the two functions
 * in .ramcode run in RAM, call nothing, and interrupts are held off until the bank is memory again. That flash lets a program set
 * bits: common/flash.c does not.
 */
#include "port/common/flash.h"

#include "port/common/cpu.h"
#include "port/virt_rv32/virt.h"

#define CHUNK_WORDS 64u /* within the chips' write buffer, and never over the edge of one: a power of two */

__attribute__((section(".ramcode"), noinline)) static void erase(uint32_t address)
{
    REGISTER(address) = FLASH_CLEAR_STATUS;
    REGISTER(address) = FLASH_ERASE;
    REGISTER(address) = FLASH_CONFIRM;
    while ((REGISTER(address) & FLASH_READY) != FLASH_READY) {
    }
    REGISTER(address) = FLASH_READ;
}

__attribute__((section(".ramcode"), noinline)) static void program(uint32_t address, const uint32_t *words, uint32_t count)
{
    REGISTER(address) = FLASH_CLEAR_STATUS;
    REGISTER(address) = FLASH_BUFFERED;
    while ((REGISTER(address) & FLASH_READY) != FLASH_READY) {
    }
    REGISTER(address) = BOTH(count - 1u);
    for (uint32_t i = 0u; i < count; i++) {
        REGISTER(address + (4u * i)) = words[i];
    }
    REGISTER(address) = FLASH_CONFIRM;
    while ((REGISTER(address) & FLASH_READY) != FLASH_READY) {
    }
    REGISTER(address) = FLASH_READ;
}

void board_flash_erase(uint32_t address)
{
    const uint32_t before = cpu_mask();
    erase(address);
    cpu_restore(before);
}

void board_flash_program(uint32_t address, const uint32_t *words, uint32_t count)
{
    uint32_t chunk[CHUNK_WORDS]; /* the words may lie in the flash itself */
    uint32_t done = 0u;
    while (done < count) {
        const uint32_t at = address + (4u * done);
        const uint32_t room = CHUNK_WORDS - ((at / 4u) % CHUNK_WORDS);
        const uint32_t part = ((count - done) < room) ? (count - done) : room;
        for (uint32_t i = 0u; i < part; i++) {
            chunk[i] = words[done + i];
        }
        const uint32_t before = cpu_mask();
        program(at, chunk, part);
        cpu_restore(before);
        done += part;
    }
}
