/*
 * SPDX-License-Identifier: Apache-2.0
 * What a board gives for port.h's five flash functions. The rules of those are kept by flash.c, the same on every board: a
 * board's functions are called only with whole pages, and with words that clear bits only.
 */
#ifndef PORT_COMMON_FLASH_H
#define PORT_COMMON_FLASH_H

#include <stdint.h>

/* By address. What they did is checked by the caller. */
void board_flash_erase(uint32_t address);
void board_flash_program(uint32_t address, const uint32_t *words, uint32_t count);

#endif
