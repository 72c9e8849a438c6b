/*
 * SPDX-License-Identifier: Apache-2.0
 * SHA-512 (FIPS 180-4, section 6.4) for messages shorter than 2^32 bytes; Ed25519 needs it.
 */
#ifndef CORE_SHA512_H
#define CORE_SHA512_H

#include <stddef.h>
#include <stdint.h>

#define SHA512_SIZE 64u
#define SHA512_BLOCK 128u

struct sha512 {
    uint64_t state[8];
    uint8_t block[SHA512_BLOCK];
    uint32_t length; /* bytes taken so far */
};

void sha512_init(struct sha512 *ctx);
void sha512_update(struct sha512 *ctx, const uint8_t *data, size_t length);
void sha512_final(struct sha512 *ctx, uint8_t digest[SHA512_SIZE]);

#endif
