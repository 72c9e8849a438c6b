/*
 * SPDX-License-Identifier: Apache-2.0
 * Building one line of text. See text.h.
 */
#include "core/text.h"

#include "core/bytes.h"

static void put(struct text *text, char c)
{
    if (text->length < TEXT_CAPACITY) {
        text->line[text->length] = c;
        text->length++;
    }
}

void text_start(struct text *text)
{
    text->length = 0u;
}

void text_string(struct text *text, const char *string)
{
    for (size_t i = 0u; string[i] != '\0'; i++) {
        put(text, string[i]);
    }
}

void text_unsigned(struct text *text, uint32_t value)
{
    static const char digit[] = "0123456789";
    char digits[10];
    size_t count = 0u;
    uint32_t rest = value;
    do {
        digits[count] = digit[rest % 10u];
        rest /= 10u;
        count++;
    } while (rest != 0u);
    while (count > 0u) {
        count--;
        put(text, digits[count]);
    }
}

void text_word(struct text *text, uint32_t value)
{
    uint8_t bytes[4];
    bytes_put_be32(bytes, value);
    text_string(text, "0x");
    text_bytes(text, bytes, sizeof bytes);
}

void text_bytes(struct text *text, const uint8_t *bytes, size_t count)
{
    static const char digit[] = "0123456789abcdef";
    for (size_t i = 0u; i < count; i++) {
        put(text, digit[bytes[i] >> 4]);
        put(text, digit[bytes[i] & 15u]);
    }
}
