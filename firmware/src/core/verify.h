/*
 * SPDX-License-Identifier: Apache-2.0
 * The decision whether a parsed image is ours: digest, key, signature, presence of a security counter, in that order.
 */
#ifndef CORE_VERIFY_H
#define CORE_VERIFY_H

#include <stdint.h>

#include "core/ed25519.h"
#include "core/image.h"

/* KEYHASH of a key: SHA-256 of its DER SubjectPublicKeyInfo (RFC 8410, section 4). */
void verify_key_hash(const uint8_t key[ED25519_KEY_SIZE], uint8_t hash[SHA256_SIZE]);

/* digest is image_digest() of the image. IMAGE_OK only if every check holds. */
enum image_result verify_image(const struct image *image, const uint8_t digest[SHA256_SIZE],
                               const uint8_t key[ED25519_KEY_SIZE]);

#endif
