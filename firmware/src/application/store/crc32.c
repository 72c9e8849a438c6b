/*
 * SPDX-License-Identifier: Apache-2.0
 * CRC-32. See crc32.h.
 */
#include "application/store/crc32.h"

#define POLYNOMIAL 0xedb88320u

uint32_t crc32_of(const void *bytes, size_t length)
{
    const uint8_t *const p = bytes;
    uint32_t crc = 0xffffffffu;
    for (size_t i = 0u; i < length; i++) {
        crc ^= p[i];
        for (uint32_t bit = 0u; bit < 8u; bit++) {
            crc = ((crc & 1u) != 0u) ? ((crc >> 1) ^ POLYNOMIAL) : (crc >> 1);
        }
    }
    return crc ^ 0xffffffffu;
}
