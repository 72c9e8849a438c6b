/*
 * SPDX-License-Identifier: Apache-2.0
 * The decision whether a parsed image is ours. See verify.h.
 * @realises DSG-032
 */
#include "core/verify.h"

#include "build_config.h"
#include "core/bytes.h"
#include "port/port.h"

#define TRUST_OFFSET (BOOTLOADER_OFFSET + BOOTLOADER_SIZE - TRUST_SIZE)

const uint8_t *verify_trusted_key(void)
{
    return port_flash_at(TRUST_OFFSET);
}

const char *verify_trusted_kind(void)
{
    const uint8_t *const kind = port_flash_at(TRUST_OFFSET + ED25519_KEY_SIZE);
    return (kind[TRUST_KIND_SIZE - 1u] == 0u) ? (const char *)kind : "unknown";
}

void verify_key_hash(const uint8_t key[ED25519_KEY_SIZE], uint8_t hash[SHA256_SIZE])
{
    static const uint8_t spki_prefix[12] = {
        0x30u, 0x2au, 0x30u, 0x05u, 0x06u, 0x03u, 0x2bu, 0x65u, 0x70u, 0x03u, 0x21u, 0x00u,
    };
    struct sha256 ctx;
    sha256_init(&ctx);
    sha256_update(&ctx, spki_prefix, sizeof spki_prefix);
    sha256_update(&ctx, key, ED25519_KEY_SIZE);
    sha256_final(&ctx, hash);
}

enum image_result verify_image(const struct image *image, const uint8_t digest[SHA256_SIZE],
                               const uint8_t key[ED25519_KEY_SIZE])
{
    uint8_t key_hash[SHA256_SIZE];

    if (image->digest == NULL) {
        return IMAGE_NO_DIGEST;
    }
    if (!bytes_equal(image->digest, digest, SHA256_SIZE)) {
        return IMAGE_BAD_DIGEST;
    }
    if ((image->signature == NULL) && (image->key_hash == NULL)) {
        return IMAGE_NO_SIGNATURE;
    }
    verify_key_hash(key, key_hash);
    if ((image->key_hash == NULL) || !bytes_equal(image->key_hash, key_hash, SHA256_SIZE)) {
        return IMAGE_UNKNOWN_KEY;
    }
    if (image->signature == NULL) {
        return IMAGE_NO_SIGNATURE;
    }
    if (!ed25519_verify(image->signature, key, digest, SHA256_SIZE)) {
        return IMAGE_BAD_SIGNATURE;
    }
    if (!image->has_counter) {
        return IMAGE_NO_SECURITY_COUNTER;
    }
    return IMAGE_OK;
}
