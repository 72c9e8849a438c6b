/*
 * SPDX-License-Identifier: Apache-2.0
 * SMP packets for host tests. See cbor.h.
 */
#include "sim/cbor.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void cbor_raw(struct cbor *cbor, const void *bytes, size_t length)
{
    if (length > (sizeof cbor->bytes - cbor->length)) {
        (void)fprintf(stderr, "cbor: packet too long\n");
        abort();
    }
    memcpy(&cbor->bytes[cbor->length], bytes, length);
    cbor->length += length;
}

static void head(struct cbor *cbor, unsigned major, uint64_t value)
{
    uint8_t bytes[9];
    size_t extra = 0u;
    if (value >= 24u) {
        extra = (value <= 0xffu) ? 1u : (value <= 0xffffu) ? 2u : (value <= 0xffffffffu) ? 4u : 8u;
    }
    const unsigned code = (extra == 0u) ? (unsigned)value : (extra == 1u) ? 24u : (extra == 2u) ? 25u : (extra == 4u) ? 26u : 27u;
    bytes[0] = (uint8_t)((major << 5) | code);
    for (size_t i = 0u; i < extra; i++) {
        bytes[1u + i] = (uint8_t)(value >> (8u * (extra - 1u - i)));
    }
    cbor_raw(cbor, bytes, 1u + extra);
}

void cbor_begin(struct cbor *cbor, unsigned op, unsigned version, unsigned group, unsigned sequence, unsigned command)
{
    const uint8_t header[8] = {(uint8_t)((version << 3) | op), 0u, 0u, 0u, (uint8_t)(group >> 8), (uint8_t)group,
                               (uint8_t)sequence,              (uint8_t)command};
    cbor->length = 0u;
    cbor_raw(cbor, header, sizeof header);
}

void cbor_end(struct cbor *cbor)
{
    cbor->bytes[2] = (uint8_t)((cbor->length - 8u) >> 8);
    cbor->bytes[3] = (uint8_t)(cbor->length - 8u);
}

void cbor_map(struct cbor *cbor, unsigned pairs)
{
    head(cbor, 5u, pairs);
}

void cbor_text(struct cbor *cbor, const char *text)
{
    head(cbor, 3u, strlen(text));
    cbor_raw(cbor, text, strlen(text));
}

void cbor_bytes(struct cbor *cbor, const void *bytes, size_t length)
{
    head(cbor, 2u, length);
    cbor_raw(cbor, bytes, length);
}

void cbor_number(struct cbor *cbor, uint64_t value)
{
    head(cbor, 0u, value);
}

void cbor_truth(struct cbor *cbor, int value)
{
    cbor_raw(cbor, (value != 0) ? "\xf5" : "\xf4", 1u);
}
