/*
 * SPDX-License-Identifier: Apache-2.0
 * Images for host tests. See signer.h. Layout: MCUboot, docs/design.md, "Image format".
 */
#include "sim/signer.h"

#include <string.h>

#include <monocypher.h>

#include "build_config.h"
#include "core/sha512.h"
#include "core/verify.h"
#include "sim/flash.h"

/* RFC 8032, 7.1, TEST 1: a published key, so that nobody takes it for a secret. */
static const uint8_t secret[32] = {
    0x9d, 0x61, 0xb1, 0x9d, 0xef, 0xfd, 0x5a, 0x60, 0xba, 0x84, 0x4a, 0xf4, 0x92, 0xec, 0x2c, 0xc4,
    0x44, 0x49, 0xc5, 0x69, 0x7b, 0x32, 0x69, 0x19, 0x70, 0x3b, 0xac, 0x03, 0x1c, 0xae, 0x7f, 0x60,
};
static const uint8_t public[32] = {
    0xd7, 0x5a, 0x98, 0x01, 0x82, 0xb1, 0x0a, 0xb7, 0xd5, 0x4b, 0xfe, 0xd3, 0xc9, 0x64, 0x07, 0x3a,
    0x0e, 0xe1, 0x72, 0xf3, 0xda, 0xa6, 0x23, 0x25, 0xaf, 0x02, 0x1a, 0x68, 0xf7, 0x07, 0x51, 0x1a,
};

const uint8_t *signer_key(void)
{
    return public;
}

void signer_trust(void)
{
    struct trust trust = {.kind = "development"};
    uint8_t bytes[TRUST_SIZE];
    memcpy(trust.key, public, sizeof trust.key);
    memset(bytes, 0xff, sizeof bytes);
    memcpy(bytes, &trust, sizeof trust);
    sim_flash_load(BOOTLOADER_OFFSET + BOOTLOADER_SIZE - TRUST_SIZE, bytes, sizeof bytes);
}

/* RFC 8032, 5.1.6. */
static void sign(const uint8_t *message, size_t length, uint8_t signature[64])
{
    uint8_t hash[64];
    uint8_t scalar[32];
    uint8_t nonce[32];
    uint8_t challenge[32];
    struct sha512 ctx;

    sha512_init(&ctx);
    sha512_update(&ctx, secret, 32u);
    sha512_final(&ctx, hash);
    crypto_eddsa_trim_scalar(scalar, hash);

    uint8_t prefix[32];
    memcpy(prefix, &hash[32], 32u);
    sha512_init(&ctx);
    sha512_update(&ctx, prefix, 32u);
    sha512_update(&ctx, message, length);
    sha512_final(&ctx, hash);
    crypto_eddsa_reduce(nonce, hash);
    crypto_eddsa_scalarbase(signature, nonce);

    sha512_init(&ctx);
    sha512_update(&ctx, signature, 32u);
    sha512_update(&ctx, public, 32u);
    sha512_update(&ctx, message, length);
    sha512_final(&ctx, hash);
    crypto_eddsa_reduce(challenge, hash);
    crypto_eddsa_mul_add(&signature[32], challenge, scalar, nonce);
}

void signer_sign(const uint8_t digest[SHA256_SIZE], uint8_t signature[ED25519_SIGNATURE_SIZE])
{
    sign(digest, SHA256_SIZE, signature);
}

static uint8_t *put16(uint8_t *at, uint32_t value)
{
    at[0] = (uint8_t)value;
    at[1] = (uint8_t)(value >> 8);
    return at + 2;
}

static uint8_t *put32(uint8_t *at, uint32_t value)
{
    return put16(put16(at, value & 0xffffu), value >> 16);
}

static uint8_t *put_version(uint8_t *at, const struct image_version *version)
{
    at[0] = version->major;
    at[1] = version->minor;
    return put32(put16(at + 2, version->revision), version->build);
}

static uint8_t *put_tlv(uint8_t *at, uint32_t type, const uint8_t *value, uint32_t length)
{
    at = put16(put16(at, type), length);
    memcpy(at, value, length);
    return at + length;
}

static void fill_payload(const struct signer_image *wanted, uint8_t *payload)
{
    uint32_t random = wanted->seed + 1u;
    for (uint32_t i = 0u; i < wanted->payload_size; i++) {
        payload[i] = (uint8_t)sim_random(&random);
    }
    const uint32_t hole = wanted->payload_size / 4u;
    memset(&payload[wanted->payload_size / 2u], 0xff, hole);
    if (wanted->kind == IMAGE_PROGRAM) {
        (void)put32(payload, wanted->seed);
        (void)put32(&payload[4], wanted->run_address);
    }
}

uint32_t signer_make(const struct signer_image *wanted, uint8_t *buffer)
{
    const uint32_t protected_size = 4u + 8u + (wanted->dependency_count * 16u);
    uint8_t digest[SHA256_SIZE];
    uint8_t hash[SHA256_SIZE];
    uint8_t signature[64];

    memset(buffer, 0, wanted->header_size);
    (void)put32(buffer, 0x96f3b83du);
    (void)put16(&buffer[8], wanted->header_size);
    (void)put16(&buffer[10], protected_size);
    (void)put32(&buffer[12], wanted->payload_size);
    (void)put32(&buffer[16], (wanted->kind == IMAGE_DATA) ? 0x10u : 0u);
    (void)put_version(&buffer[20], &wanted->version);
    uint8_t *at = &buffer[wanted->header_size];
    if (wanted->payload != NULL) {
        memcpy(at, wanted->payload, wanted->payload_size);
    } else {
        fill_payload(wanted, at);
    }
    at += wanted->payload_size;

    uint8_t counter[4];
    (void)put32(counter, wanted->counter);
    at = put16(put16(at, 0x6908u), protected_size);
    for (uint32_t i = 0u; i < wanted->dependency_count; i++) {
        uint8_t dependency[12] = {wanted->dependencies[i].image};
        (void)put_version(&dependency[4], &wanted->dependencies[i].version);
        at = put_tlv(at, 0x40u, dependency, sizeof dependency);
    }
    at = put_tlv(at, 0x50u, counter, 4u);

    sha256_digest(buffer, (size_t)(at - buffer), digest);
    verify_key_hash(public, hash);
    signer_sign(digest, signature);
    signature[5] ^= wanted->bad_signature ? 1u : 0u;
    at = put16(put16(at, 0x6907u), 4u + 36u + 36u + 68u);
    at = put_tlv(at, 0x10u, digest, sizeof digest);
    at = put_tlv(at, 0x01u, hash, sizeof hash);
    at = put_tlv(at, 0x24u, signature, sizeof signature);
    return (uint32_t)(at - buffer);
}
