/*
 * SPDX-License-Identifier: Apache-2.0
 * SHA-256 (FIPS 180-4, section 6.2) for messages shorter than 2^32 bytes, which is more than any flash here holds.
 */
#ifndef CORE_SHA256_H
#define CORE_SHA256_H

#include <stddef.h>
#include <stdint.h>

#define SHA256_SIZE 32u
#define SHA256_BLOCK 64u

struct sha256 {
    uint32_t state[8];
    uint8_t block[SHA256_BLOCK];
    uint32_t length; /* bytes taken so far */
};

void sha256_init(struct sha256 *ctx);
void sha256_update(struct sha256 *ctx, const uint8_t *data, size_t length);
void sha256_final(struct sha256 *ctx, uint8_t digest[SHA256_SIZE]);

/* Digest of one range of bytes. */
void sha256_digest(const uint8_t *data, size_t length, uint8_t digest[SHA256_SIZE]);

#endif
