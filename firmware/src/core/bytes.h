/*
 * SPDX-License-Identifier: Apache-2.0
 * Byte-wise reading of integers of either byte order, and comparison in constant time.
 * Needs no alignment. Portable.
 */
#ifndef CORE_BYTES_H
#define CORE_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

static inline uint16_t bytes_le16(const uint8_t *p)
{
    return (uint16_t)(p[0] | ((uint32_t)p[1] << 8));
}

static inline uint32_t bytes_le32(const uint8_t *p)
{
    return p[0] | ((uint32_t)p[1] << 8) | ((uint32_t)p[2] << 16) | ((uint32_t)p[3] << 24);
}

static inline uint32_t bytes_be32(const uint8_t *p)
{
    return p[3] | ((uint32_t)p[2] << 8) | ((uint32_t)p[1] << 16) | ((uint32_t)p[0] << 24);
}

static inline void bytes_put_be32(uint8_t *p, uint32_t value)
{
    p[0] = (uint8_t)(value >> 24);
    p[1] = (uint8_t)(value >> 16);
    p[2] = (uint8_t)(value >> 8);
    p[3] = (uint8_t)value;
}

/* True when both ranges hold the same bytes. The time taken does not depend on where they differ. */
bool bytes_equal(const uint8_t *a, const uint8_t *b, size_t length);

/* True when every byte of the range equals value. */
bool bytes_all(const uint8_t *p, size_t length, uint8_t value);

#endif
