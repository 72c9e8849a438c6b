/*
 * SPDX-License-Identifier: Apache-2.0
 * The nRF51's flash through its NVMC, which halts the processor meanwhile. See common/flash.h.
 */
#include "port/common/flash.h"

#include "port/microbit/nrf51.h"

static void set_mode(uint32_t mode)
{
    NVMC_CONFIG = mode;
    while (NVMC_READY == 0u) {
    }
}

void board_flash_erase(uint32_t address)
{
    set_mode(NVMC_ERASE);
    NVMC_ERASEPAGE = address;
    while (NVMC_READY == 0u) {
    }
    set_mode(NVMC_READ_ONLY);
}

void board_flash_program(uint32_t address, const uint32_t *words, uint32_t count)
{
    set_mode(NVMC_WRITE);
    for (uint32_t i = 0u; i < count; i++) {
        REGISTER(address + (4u * i)) = words[i];
        while (NVMC_READY == 0u) {
        }
    }
    set_mode(NVMC_READ_ONLY);
}
