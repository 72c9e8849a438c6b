/*
 * SPDX-License-Identifier: Apache-2.0
 * CRC-16/XMODEM (polynomial 0x1021, initial value 0, neither reflected nor inverted), of plant-link and SMP frames.
 */
#ifndef APPLICATION_LINK_CRC16_H
#define APPLICATION_LINK_CRC16_H

#include <stddef.h>
#include <stdint.h>

/* Goes on from `crc`, 0 at the beginning. Over bytes followed by their own CRC (high byte first) the result is 0. */
uint16_t crc16_add(uint16_t crc, const uint8_t *bytes, size_t length);

#endif
