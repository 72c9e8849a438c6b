/*
 * SPDX-License-Identifier: Apache-2.0
 * Base64. See base64.h.
 * @realises DSG-017
 */
#include "application/link/base64.h"

#include <stdbool.h>

#define NONE 64u
#define PADDING ((uint8_t)'=')

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/* The value of a character; NONE if it is not in the alphabet. */
static uint32_t value_of(uint8_t character)
{
    uint32_t value = 0u;
    while ((value < NONE) && ((uint8_t)alphabet[value] != character)) {
        value++;
    }
    return value;
}

void base64_encode(const uint8_t *bytes, uint32_t count, char characters[BASE64_CHARACTERS])
{
    const uint32_t second = (count > 1u) ? bytes[1] : 0u;
    const uint32_t third = (count > 2u) ? bytes[2] : 0u;
    const uint32_t bits = ((uint32_t)bytes[0] << 16) | (second << 8) | third;
    characters[0] = alphabet[bits >> 18];
    characters[1] = alphabet[(bits >> 12) & 63u];
    characters[2] = (count > 1u) ? alphabet[(bits >> 6) & 63u] : (char)PADDING;
    characters[3] = (count > 2u) ? alphabet[bits & 63u] : (char)PADDING;
}

uint32_t base64_decode(const uint8_t characters[BASE64_CHARACTERS], uint8_t bytes[BASE64_BYTES])
{
    uint32_t count = BASE64_BYTES;
    uint32_t bits = 0u;
    bool known = true;
    if (characters[3] == PADDING) {
        count = (characters[2] == PADDING) ? 1u : 2u;
    }
    for (uint32_t i = 0u; i < BASE64_CHARACTERS; i++) {
        const uint32_t value = (i <= count) ? value_of(characters[i]) : 0u;
        bits = (bits << 6) | (value & 63u);
        known = known && (value < NONE);
    }
    /* The bits that no byte takes must be 0: otherwise two texts would be the same bytes. */
    const uint32_t unused = (UINT32_C(1) << (8u * (BASE64_BYTES - count))) - 1u;
    bytes[0] = (uint8_t)(bits >> 16);
    bytes[1] = (uint8_t)(bits >> 8);
    bytes[2] = (uint8_t)bits;
    return (known && ((bits & unused) == 0u)) ? count : 0u;
}
