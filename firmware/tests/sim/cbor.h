/*
 * SPDX-License-Identifier: Apache-2.0
 * SMP packets for host tests, written byte by byte (RFC 8949): an encoder of its own, so that zcbor is not checked by itself.
 */
#ifndef SIM_CBOR_H
#define SIM_CBOR_H

#include <stddef.h>
#include <stdint.h>

struct cbor {
    uint8_t bytes[2048];
    size_t length;
};

/* The 8 bytes of a header; cbor_end() sets its length. */
void cbor_begin(struct cbor *cbor, unsigned op, unsigned version, unsigned group, unsigned sequence, unsigned command);
void cbor_end(struct cbor *cbor);

void cbor_map(struct cbor *cbor, unsigned pairs);
void cbor_text(struct cbor *cbor, const char *text);
void cbor_bytes(struct cbor *cbor, const void *bytes, size_t length);
void cbor_number(struct cbor *cbor, uint64_t value);
void cbor_truth(struct cbor *cbor, int value);
void cbor_raw(struct cbor *cbor, const void *bytes, size_t length);

#endif
