/*
 * SPDX-License-Identifier: Apache-2.0
 * The device testing itself. See selftest.h.
 */
#include "application/selftest.h"

#include "application/running_image.h"
#include "build_config.h"
#include "core/bytes.h"
#include "core/sha256.h"
#include "port/port.h"

/* The digest of "abc": FIPS 180-4's example, NIST "SHA256.pdf". */
static bool sha256_passes(void)
{
    static const uint8_t message[3] = {0x61u, 0x62u, 0x63u};
    static const uint8_t expected[SHA256_SIZE] = {
        0xbau, 0x78u, 0x16u, 0xbfu, 0x8fu, 0x01u, 0xcfu, 0xeau, 0x41u, 0x41u, 0x40u, 0xdeu, 0x5du, 0xaeu, 0x22u, 0x23u,
        0xb0u, 0x03u, 0x61u, 0xa3u, 0x96u, 0x17u, 0x7au, 0x9cu, 0xb4u, 0x10u, 0xffu, 0x61u, 0xf2u, 0x00u, 0x15u, 0xadu,
    };
    uint8_t digest[SHA256_SIZE];
    sha256_digest(message, sizeof message, digest);
    return bytes_equal(digest, expected, SHA256_SIZE);
}

const char *selftest_failure(void)
{
    const char *failure = NULL;
    if (!port_ram_passes()) {
        failure = "ram";
    } else if (!sha256_passes()) {
        failure = "sha256";
    } else if (!running_image_intact()) {
        failure = "image";
    } else {
        /* Everything passes. */
    }
    return failure;
}
