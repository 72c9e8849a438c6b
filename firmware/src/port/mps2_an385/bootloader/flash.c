/*
 * SPDX-License-Identifier: Apache-2.0
 * The AN385 has no flash but RAM at its place. This driver gives it NOR behaviour, so that what works here works on
 * flash: erasing sets whole pages to ones, programming can only clear bits. See port.h.
 */
#include "build_config.h"
#include "port/cortexm/scs.h"
#include "port/port.h"

bool port_flash_erase(const uint32_t *start, uint32_t size)
{
    const bool whole_pages = (((uintptr_t)start % FLASH_PAGE_SIZE) == 0u) && ((size % FLASH_PAGE_SIZE) == 0u);
    if (whole_pages) {
        for (uint32_t i = 0u; i < (size / sizeof(uint32_t)); i++) {
            REGISTER(&start[i]) = 0xffffffffu;
        }
    }
    return whole_pages;
}

bool port_flash_program(const uint32_t *start, const uint32_t *words, uint32_t count)
{
    bool programmed = true;
    for (uint32_t i = 0u; i < count; i++) {
        REGISTER(&start[i]) &= words[i];
        programmed = programmed && (REGISTER(&start[i]) == words[i]);
    }
    return programmed;
}
