/*
 * SPDX-License-Identifier: Apache-2.0
 * MCUboot-format images for host tests, signed by a key that only tests know.
 */
#ifndef SIM_SIGNER_H
#define SIM_SIGNER_H

#include <stddef.h>
#include <stdint.h>

#include "core/ed25519.h"
#include "core/image.h"

/* The public key that belongs to the signer. */
const uint8_t *signer_key(void);

/* Has the device trust that key, as a bootloader does that was built with it. */
void signer_trust(void);

/* What image to make; fields left 0 mean: a program, unsigned defects none. */
struct signer_image {
    struct image_version version;
    uint32_t header_size;
    uint32_t payload_size; /* filled from seed, with an erased stretch in it; the first 8 bytes as signer_program() wants */
    uint32_t seed;
    const uint8_t *payload; /* instead, if not NULL: taken as it is */
    uint32_t counter;
    enum image_kind kind;
    uint32_t dependency_count;
    struct image_dependency dependencies[IMAGE_DEPENDENCIES_MAX + 1u];
    uint32_t run_address; /* where the payload is to run; for programs */
    bool bad_signature;
};

/* Writes the image; its size. The buffer must have room for header, payload and 256 bytes. */
uint32_t signer_make(const struct signer_image *wanted, uint8_t *buffer);

/* Signs any 32-byte digest as Ed25519 does. */
void signer_sign(const uint8_t digest[SHA256_SIZE], uint8_t signature[ED25519_SIGNATURE_SIZE]);

#endif
