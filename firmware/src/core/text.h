/*
 * SPDX-License-Identifier: Apache-2.0
 * One line of text, built piece by piece in a fixed buffer. What does not fit is cut off, never written elsewhere.
 */
#ifndef CORE_TEXT_H
#define CORE_TEXT_H

#include <stddef.h>
#include <stdint.h>

#define TEXT_CAPACITY 256u

struct text {
    char line[TEXT_CAPACITY];
    size_t length;
};

void text_start(struct text *text);
void text_string(struct text *text, const char *string);
void text_unsigned(struct text *text, uint32_t value);      /* decimal */
void text_word(struct text *text, uint32_t value);          /* 0x and 8 hexadecimal digits */
void text_bytes(struct text *text, const uint8_t *bytes, size_t count); /* 2 hexadecimal digits each */

#endif
