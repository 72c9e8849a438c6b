/*
 * SPDX-License-Identifier: Apache-2.0
 * Ed25519 verification. See ed25519.h.
 * @realises DSG-032
 */
#include "core/ed25519.h"

#include <monocypher.h>

#include "core/sha512.h"

bool ed25519_verify(const uint8_t signature[ED25519_SIGNATURE_SIZE], const uint8_t key[ED25519_KEY_SIZE],
                    const uint8_t *message, size_t length)
{
    struct sha512 ctx;
    uint8_t hash[SHA512_SIZE];
    uint8_t scalar[32];

    /* k = SHA-512(R || A || M) mod L, then check that [S]B = R + [k]A and that S < L. */
    sha512_init(&ctx);
    sha512_update(&ctx, signature, 32u);
    sha512_update(&ctx, key, ED25519_KEY_SIZE);
    sha512_update(&ctx, message, length);
    sha512_final(&ctx, hash);
    crypto_eddsa_reduce(scalar, hash);
    return crypto_eddsa_check_equation(signature, key, scalar) == 0;
}
