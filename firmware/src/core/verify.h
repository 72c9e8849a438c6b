/*
 * SPDX-License-Identifier: Apache-2.0
 * The decision whether a parsed image is ours: digest, key, signature, presence of a security counter, in that order. And which key
 * that is: only the bootloader is built with one, so that the same application is signed for the bench and for the field, and
 * trusts what the bootloader trusts that started it.
 */
#ifndef CORE_VERIFY_H
#define CORE_VERIFY_H

#include <stdint.h>

#include "core/ed25519.h"
#include "core/image.h"

#define TRUST_SIZE 64u      /* the last bytes of the bootloader's region, as link.ld has it */
#define TRUST_KIND_SIZE 12u

/* What lies there: the key, and its kind ("development" or "production"), filled up with zeros so that no other byte moves with it. */
struct trust {
    uint8_t key[ED25519_KEY_SIZE];
    char kind[TRUST_KIND_SIZE];
};

/* The key that the device trusts. */
const uint8_t *verify_trusted_key(void);

/* Its kind; "unknown" where no bootloader says. */
const char *verify_trusted_kind(void);

/* KEYHASH of a key: SHA-256 of its DER SubjectPublicKeyInfo (RFC 8410, section 4). */
void verify_key_hash(const uint8_t key[ED25519_KEY_SIZE], uint8_t hash[SHA256_SIZE]);

/* digest is image_digest() of the image. IMAGE_OK only if every check holds. */
enum image_result verify_image(const struct image *image, const uint8_t digest[SHA256_SIZE],
                               const uint8_t key[ED25519_KEY_SIZE]);

#endif
