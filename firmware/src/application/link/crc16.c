/*
 * SPDX-License-Identifier: Apache-2.0
 * CRC-16/XMODEM. See crc16.h.
 * @realises DSG-017
 */
#include "application/link/crc16.h"

#define POLYNOMIAL 0x1021u
#define TOP_BIT 0x8000u

uint16_t crc16_add(uint16_t crc, const uint8_t *bytes, size_t length)
{
    uint32_t rest = crc;
    for (size_t i = 0u; i < length; i++) {
        rest ^= (uint32_t)bytes[i] << 8;
        for (uint32_t bit = 0u; bit < 8u; bit++) {
            rest = ((rest & TOP_BIT) != 0u) ? ((rest << 1) ^ POLYNOMIAL) : (rest << 1);
        }
    }
    return (uint16_t)rest;
}
