/*
 * SPDX-License-Identifier: Apache-2.0
 * The nRF51's flash through its NVMC: pages of FLASH_PAGE_SIZE, whole words. See port.h.
 */
#include "build_config.h"
#include "port/microbit/nrf51.h"
#include "port/port.h"

static void set_mode(uint32_t mode)
{
    NVMC_CONFIG = mode;
    while (NVMC_READY == 0u) {
    }
}

bool port_flash_erase(const uint32_t *start, uint32_t size)
{
    bool erased = true;
    set_mode(NVMC_ERASE);
    for (uint32_t at = 0u; at < size; at += FLASH_PAGE_SIZE) {
        NVMC_ERASEPAGE = (uint32_t)(uintptr_t)start + at;
        while (NVMC_READY == 0u) {
        }
    }
    set_mode(NVMC_READ_ONLY);
    for (uint32_t i = 0u; i < (size / sizeof(uint32_t)); i++) {
        erased = erased && (REGISTER(&start[i]) == 0xffffffffu);
    }
    return erased;
}

bool port_flash_program(const uint32_t *start, const uint32_t *words, uint32_t count)
{
    bool programmed = true;
    set_mode(NVMC_WRITE);
    for (uint32_t i = 0u; i < count; i++) {
        REGISTER(&start[i]) = words[i];
        while (NVMC_READY == 0u) {
        }
    }
    set_mode(NVMC_READ_ONLY);
    for (uint32_t i = 0u; i < count; i++) {
        programmed = programmed && (REGISTER(&start[i]) == words[i]);
    }
    return programmed;
}
