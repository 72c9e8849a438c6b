/*
 * SPDX-License-Identifier: Apache-2.0
 * Ed25519 signature verification (RFC 8032, section 5.1.7): Monocypher's curve arithmetic with our SHA-512.
 * Verification only; no secret is handled, so nothing here needs constant time.
 */
#ifndef CORE_ED25519_H
#define CORE_ED25519_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ED25519_KEY_SIZE 32u
#define ED25519_SIGNATURE_SIZE 64u

bool ed25519_verify(const uint8_t signature[ED25519_SIGNATURE_SIZE], const uint8_t key[ED25519_KEY_SIZE],
                    const uint8_t *message, size_t length);

#endif
