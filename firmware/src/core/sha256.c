/*
 * SPDX-License-Identifier: Apache-2.0
 * SHA-256 as FIPS 180-4 writes it; names follow the standard. See sha256.h.
 * @realises DSG-032
 */
#include "core/sha256.h"

#include "core/bytes.h"

/* FIPS 180-4, 4.2.2 */
static const uint32_t K[64] = {
    0x428a2f98u, 0x71374491u, 0xb5c0fbcfu, 0xe9b5dba5u, 0x3956c25bu, 0x59f111f1u, 0x923f82a4u, 0xab1c5ed5u,
    0xd807aa98u, 0x12835b01u, 0x243185beu, 0x550c7dc3u, 0x72be5d74u, 0x80deb1feu, 0x9bdc06a7u, 0xc19bf174u,
    0xe49b69c1u, 0xefbe4786u, 0x0fc19dc6u, 0x240ca1ccu, 0x2de92c6fu, 0x4a7484aau, 0x5cb0a9dcu, 0x76f988dau,
    0x983e5152u, 0xa831c66du, 0xb00327c8u, 0xbf597fc7u, 0xc6e00bf3u, 0xd5a79147u, 0x06ca6351u, 0x14292967u,
    0x27b70a85u, 0x2e1b2138u, 0x4d2c6dfcu, 0x53380d13u, 0x650a7354u, 0x766a0abbu, 0x81c2c92eu, 0x92722c85u,
    0xa2bfe8a1u, 0xa81a664bu, 0xc24b8b70u, 0xc76c51a3u, 0xd192e819u, 0xd6990624u, 0xf40e3585u, 0x106aa070u,
    0x19a4c116u, 0x1e376c08u, 0x2748774cu, 0x34b0bcb5u, 0x391c0cb3u, 0x4ed8aa4au, 0x5b9cca4fu, 0x682e6ff3u,
    0x748f82eeu, 0x78a5636fu, 0x84c87814u, 0x8cc70208u, 0x90befffau, 0xa4506cebu, 0xbef9a3f7u, 0xc67178f2u,
};

static uint32_t rotr(uint32_t x, uint32_t n)
{
    return (x >> n) | (x << (32u - n));
}

/* FIPS 180-4, 6.2.2. The message schedule is kept as a ring of 16 words. */
static void compress(uint32_t state[8], const uint8_t block[SHA256_BLOCK])
{
    uint32_t w[16];
    uint32_t a = state[0];
    uint32_t b = state[1];
    uint32_t c = state[2];
    uint32_t d = state[3];
    uint32_t e = state[4];
    uint32_t f = state[5];
    uint32_t g = state[6];
    uint32_t h = state[7];

    for (uint32_t t = 0u; t < 64u; t++) {
        uint32_t *const wt = &w[t & 15u];
        if (t < 16u) {
            *wt = bytes_be32(&block[4u * t]);
        } else {
            const uint32_t w2 = w[(t - 2u) & 15u];
            const uint32_t w15 = w[(t - 15u) & 15u];
            const uint32_t sigma1 = rotr(w2, 17u) ^ rotr(w2, 19u) ^ (w2 >> 10);
            const uint32_t sigma0 = rotr(w15, 7u) ^ rotr(w15, 18u) ^ (w15 >> 3);
            *wt += sigma1 + w[(t - 7u) & 15u] + sigma0;
        }
        const uint32_t sum1 = rotr(e, 6u) ^ rotr(e, 11u) ^ rotr(e, 25u);
        const uint32_t ch = (e & f) ^ (~e & g);
        const uint32_t t1 = h + sum1 + ch + K[t] + *wt;
        const uint32_t sum0 = rotr(a, 2u) ^ rotr(a, 13u) ^ rotr(a, 22u);
        const uint32_t maj = (a & b) ^ (a & c) ^ (b & c);
        h = g;
        g = f;
        f = e;
        e = d + t1;
        d = c;
        c = b;
        b = a;
        a = t1 + sum0 + maj;
    }
    state[0] += a;
    state[1] += b;
    state[2] += c;
    state[3] += d;
    state[4] += e;
    state[5] += f;
    state[6] += g;
    state[7] += h;
}

void sha256_init(struct sha256 *ctx)
{
    /* FIPS 180-4, 5.3.3 */
    static const uint32_t initial[8] = {
        0x6a09e667u, 0xbb67ae85u, 0x3c6ef372u, 0xa54ff53au, 0x510e527fu, 0x9b05688cu, 0x1f83d9abu, 0x5be0cd19u,
    };
    for (size_t i = 0u; i < 8u; i++) {
        ctx->state[i] = initial[i];
    }
    ctx->length = 0u;
}

void sha256_update(struct sha256 *ctx, const uint8_t *data, size_t length)
{
    for (size_t i = 0u; i < length; i++) {
        const uint32_t used = ctx->length % SHA256_BLOCK;
        ctx->block[used] = data[i];
        ctx->length++;
        if (used == (SHA256_BLOCK - 1u)) {
            compress(ctx->state, ctx->block);
        }
    }
}

void sha256_final(struct sha256 *ctx, uint8_t digest[SHA256_SIZE])
{
    static const uint8_t mark = 0x80u;
    static const uint8_t zero = 0x00u;
    const uint32_t length = ctx->length;
    uint8_t bits[8];

    /* FIPS 180-4, 5.1.1 */
    sha256_update(ctx, &mark, 1u);
    while ((ctx->length % SHA256_BLOCK) != (SHA256_BLOCK - 8u)) {
        sha256_update(ctx, &zero, 1u);
    }
    bytes_put_be32(&bits[0], length >> 29);
    bytes_put_be32(&bits[4], length << 3);
    sha256_update(ctx, bits, sizeof bits);
    for (size_t i = 0u; i < 8u; i++) {
        bytes_put_be32(&digest[4u * i], ctx->state[i]);
    }
}

void sha256_digest(const uint8_t *data, size_t length, uint8_t digest[SHA256_SIZE])
{
    struct sha256 ctx;
    sha256_init(&ctx);
    sha256_update(&ctx, data, length);
    sha256_final(&ctx, digest);
}
