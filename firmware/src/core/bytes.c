/*
 * SPDX-License-Identifier: Apache-2.0
 * Comparison of byte ranges. See bytes.h.
 */
#include "core/bytes.h"

bool bytes_equal(const uint8_t *a, const uint8_t *b, size_t length)
{
    uint32_t difference = 0u;
    for (size_t i = 0u; i < length; i++) {
        difference |= (uint32_t)a[i] ^ (uint32_t)b[i];
    }
    return difference == 0u;
}

bool bytes_all(const uint8_t *p, size_t length, uint8_t value)
{
    size_t i = 0u;
    while ((i < length) && (p[i] == value)) {
        i++;
    }
    return i == length;
}
