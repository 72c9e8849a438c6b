/*
 * SPDX-License-Identifier: Apache-2.0
 * Base64 (RFC 4648, section 4) of four characters, the unit that frames are made of.
 */
#ifndef APPLICATION_LINK_BASE64_H
#define APPLICATION_LINK_BASE64_H

#include <stdint.h>

#define BASE64_CHARACTERS 4u
#define BASE64_BYTES 3u

/* 1 to 3 bytes become four characters, padded with '='. */
void base64_encode(const uint8_t *bytes, uint32_t count, char characters[BASE64_CHARACTERS]);

/* How many bytes (1 to 3) the four characters are; 0 if they are not as base64_encode() makes them. */
uint32_t base64_decode(const uint8_t characters[BASE64_CHARACTERS], uint8_t bytes[BASE64_BYTES]);

#endif
