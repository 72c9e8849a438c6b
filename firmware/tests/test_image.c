/*
 * SPDX-License-Identifier: Apache-2.0
 * Reading images: every way in which one can be malformed, and who is taken for ours. Builds on signer.h, whose layout is MCUboot's.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "core/bytes.h"
#include "core/image.h"
#include "core/verify.h"
#include "sim/signer.h"
#include "tests.h"

#define HEADER 32u
#define PAYLOAD 100u
#define SLOT 1024u
#define PROTECTED (HEADER + PAYLOAD)

static uint8_t slot[SLOT];
static uint32_t size;
static uint32_t tlvs; /* offset of the unprotected area */
static struct image image;

static void make(enum image_kind kind, uint32_t dependencies)
{
    const struct signer_image wanted = {
        .version = {.major = 1u, .minor = 2u, .revision = 0x304u, .build = 0x05060708u},
        .header_size = HEADER,
        .payload_size = PAYLOAD,
        .seed = 3u,
        .counter = 9u,
        .kind = kind,
        .dependency_count = dependencies,
        .dependencies = {{.image = 1u, .version = {.major = 7u, .minor = 6u, .revision = 0x505u, .build = 4u}},
                         {.image = 2u, .version = {.major = 1u}},
                         {.image = 3u, .version = {.major = 1u}}},
    };
    memset(slot, 0xff, sizeof slot);
    size = signer_make(&wanted, slot);
    tlvs = PROTECTED + 12u + (16u * dependencies);
}

static int start(void **state)
{
    (void)state;
    make(IMAGE_PROGRAM, 1u);
    return 0;
}

static enum image_result parse(void)
{
    return image_parse(slot, SLOT, HEADER, IMAGE_PROGRAM, &image);
}

static void put16(uint32_t at, uint32_t value)
{
    slot[at] = (uint8_t)value;
    slot[at + 1u] = (uint8_t)(value >> 8);
}

static void put32(uint32_t at, uint32_t value)
{
    put16(at, value & 0xffffu);
    put16(at + 2u, value >> 16);
}

static void test_reads_every_part(void **state)
{
    (void)state;
    assert_int_equal(parse(), IMAGE_OK);
    assert_ptr_equal(image.base, slot);
    assert_int_equal(image.payload_offset, HEADER);
    assert_int_equal(image.payload_size, PAYLOAD);
    assert_int_equal(image.hashed_size, tlvs);
    assert_int_equal(image.size, size);
    assert_int_equal(image.version.major, 1u);
    assert_int_equal(image.version.minor, 2u);
    assert_int_equal(image.version.revision, 0x304u);
    assert_int_equal(image.version.build, 0x05060708u);
    assert_true(image.has_counter);
    assert_int_equal(image.counter, 9u);
    assert_int_equal(image.dependency_count, 1u);
    assert_int_equal(image.dependencies[0].image, 1u);
    assert_int_equal(image.dependencies[0].version.revision, 0x505u);
    assert_int_equal(image.dependencies[0].version.build, 4u);
    assert_ptr_equal(image.digest, &slot[tlvs + 8u]);
    assert_ptr_equal(image.key_hash, &slot[tlvs + 44u]);
    assert_ptr_equal(image.signature, &slot[tlvs + 80u]);
}

static void test_refuses_a_slot_without_room(void **state)
{
    (void)state;
    assert_int_equal(image_parse(slot, HEADER - 1u, HEADER, IMAGE_PROGRAM, &image), IMAGE_BAD_SIZE);
    assert_int_equal(image_parse(slot, SLOT, 31u, IMAGE_PROGRAM, &image), IMAGE_BAD_SIZE);
    for (uint32_t room = HEADER; room < size; room++) {
        assert_int_equal(image_parse(slot, room, HEADER, IMAGE_PROGRAM, &image), IMAGE_BAD_SIZE);
    }
    assert_int_equal(image_parse(slot, size, HEADER, IMAGE_PROGRAM, &image), IMAGE_OK);
}

static void test_refuses_what_is_no_image(void **state)
{
    (void)state;
    slot[0] ^= 1u;
    assert_int_equal(parse(), IMAGE_BAD_HEADER);
    memset(slot, 0xff, HEADER);
    assert_int_equal(parse(), IMAGE_NO_IMAGE);
    (void)start(NULL);
    assert_int_equal(image_parse(slot, SLOT, HEADER + 4u, IMAGE_PROGRAM, &image), IMAGE_BAD_HEADER);
    put32(16u, 1u);
    assert_int_equal(parse(), IMAGE_BAD_HEADER);
}

static void test_a_program_is_no_data_and_data_no_program(void **state)
{
    (void)state;
    assert_int_equal(image_parse(slot, SLOT, HEADER, IMAGE_DATA, &image), IMAGE_BAD_HEADER);
    make(IMAGE_DATA, 0u);
    assert_int_equal(image_parse(slot, SLOT, HEADER, IMAGE_DATA, &image), IMAGE_OK);
    assert_int_equal(parse(), IMAGE_BAD_HEADER);
}

static void test_refuses_sizes_that_do_not_fit(void **state)
{
    (void)state;
    static const uint32_t sizes[] = {0u, 7u, SLOT - HEADER + 1u, SLOT, 0x80000000u, 0xffffffffu};
    for (uint32_t i = 0u; i < (sizeof sizes / sizeof sizes[0]); i++) {
        put32(12u, sizes[i]);
        assert_int_equal(parse(), IMAGE_BAD_SIZE);
    }
    put32(12u, 0u);
    put32(16u, 0x10u);
    assert_int_equal(image_parse(slot, SLOT, HEADER, IMAGE_DATA, &image), IMAGE_BAD_SIZE);
    (void)start(NULL);
    put16(10u, 0xffffu);
    assert_int_equal(parse(), IMAGE_BAD_SIZE);
    (void)start(NULL);
    put16(tlvs + 2u, SLOT);
    assert_int_equal(parse(), IMAGE_BAD_SIZE);
    put32(12u, SLOT - HEADER);
    put16(10u, 0u);
    assert_int_equal(parse(), IMAGE_BAD_SIZE);
}

static void test_refuses_malformed_areas(void **state)
{
    (void)state;
    put16(PROTECTED, 0x6907u); /* protected area with the magic of the other */
    assert_int_equal(parse(), IMAGE_BAD_TLV);
    (void)start(NULL);
    put16(tlvs, 0x6908u);
    assert_int_equal(parse(), IMAGE_BAD_TLV);
    (void)start(NULL);
    put16(tlvs + 2u, 3u); /* shorter than its own head */
    assert_int_equal(parse(), IMAGE_BAD_TLV);
    (void)start(NULL);
    put16(10u, 24u); /* header and area disagree */
    assert_int_equal(parse(), IMAGE_BAD_TLV);
    (void)start(NULL);
    put16(tlvs + 2u, 4u + 36u + 3u); /* ends inside an entry's head */
    assert_int_equal(parse(), IMAGE_BAD_TLV);
    (void)start(NULL);
    put16(tlvs + 2u, 4u + 36u + 35u); /* ends inside an entry's value */
    assert_int_equal(parse(), IMAGE_BAD_TLV);
    (void)start(NULL);
    put32(tlvs, 0xffffffffu); /* cut off where the area begins */
    assert_int_equal(parse(), IMAGE_BAD_SIZE);
    (void)start(NULL);
    put32(tlvs + 4u + 36u, 0xffffffffu); /* cut off where an entry begins */
    assert_int_equal(parse(), IMAGE_BAD_SIZE);
    (void)start(NULL);
    put16(tlvs + 4u + 36u, 0xffffu); /* a type like that is no cut */
    assert_int_equal(parse(), IMAGE_OK);
}

static void test_refuses_entries_of_wrong_length_or_twice(void **state)
{
    (void)state;
    put16(tlvs + 4u + 36u, 0x10u); /* the key hash becomes a second digest */
    assert_int_equal(parse(), IMAGE_BAD_TLV);
    (void)start(NULL);
    put16(tlvs + 4u + 36u, 0x24u); /* a signature of 32 bytes */
    assert_int_equal(parse(), IMAGE_BAD_TLV);
    (void)start(NULL);
    put16(PROTECTED + 4u, 0x50u); /* the dependency becomes a counter of 12 bytes */
    assert_int_equal(parse(), IMAGE_BAD_TLV);
    (void)start(NULL);
    put16(PROTECTED + 20u, 0x40u); /* the counter becomes a dependency of 4 bytes */
    assert_int_equal(parse(), IMAGE_BAD_TLV);
    make(IMAGE_PROGRAM, 3u);
    assert_int_equal(parse(), IMAGE_BAD_TLV);
    make(IMAGE_PROGRAM, 2u);
    assert_int_equal(parse(), IMAGE_OK);
    assert_int_equal(image.dependency_count, 2u);
    /* One dependency of 12 bytes holds two counters. */
    put16(PROTECTED + 4u, 0x50u);
    put16(PROTECTED + 6u, 4u);
    put16(PROTECTED + 12u, 0x50u);
    put16(PROTECTED + 14u, 4u);
    assert_int_equal(parse(), IMAGE_BAD_TLV);
}

static void test_takes_what_it_does_not_know(void **state)
{
    (void)state;
    put16(PROTECTED + 4u, 0x99u);
    put16(tlvs + 4u, 0x98u);
    assert_int_equal(parse(), IMAGE_OK);
    assert_int_equal(image.dependency_count, 0u);
    assert_null(image.digest);
    put16(10u, 0u); /* no protected area: its bytes are now where the other must be */
    assert_int_equal(parse(), IMAGE_BAD_TLV);
}

static enum image_result verify(void)
{
    uint8_t digest[SHA256_SIZE];
    assert_int_equal(parse(), IMAGE_OK);
    image_digest(&image, digest);
    return verify_image(&image, digest, signer_key());
}

static void test_verifies_every_proof(void **state)
{
    (void)state;
    assert_int_equal(verify(), IMAGE_OK);
    slot[HEADER] ^= 1u;
    assert_int_equal(verify(), IMAGE_BAD_DIGEST);
    (void)start(NULL);
    put16(tlvs + 4u, 0x99u);
    assert_int_equal(verify(), IMAGE_NO_DIGEST);
    (void)start(NULL);
    put16(tlvs + 40u, 0x99u);
    assert_int_equal(verify(), IMAGE_UNKNOWN_KEY);
    put16(tlvs + 76u, 0x99u);
    assert_int_equal(verify(), IMAGE_NO_SIGNATURE);
    (void)start(NULL);
    put16(tlvs + 76u, 0x99u);
    assert_int_equal(verify(), IMAGE_NO_SIGNATURE);
    (void)start(NULL);
    slot[tlvs + 44u] ^= 1u;
    assert_int_equal(verify(), IMAGE_UNKNOWN_KEY);
    (void)start(NULL);
    slot[tlvs + 80u] ^= 1u;
    assert_int_equal(verify(), IMAGE_BAD_SIGNATURE);
}

static void test_demands_a_counter(void **state)
{
    uint8_t digest[SHA256_SIZE];
    (void)state;
    put16(PROTECTED + 20u, 0x99u);
    assert_int_equal(parse(), IMAGE_OK);
    assert_false(image.has_counter);
    image_digest(&image, digest);
    memcpy(&slot[tlvs + 8u], digest, sizeof digest);
    signer_sign(digest, &slot[tlvs + 80u]);
    assert_int_equal(verify(), IMAGE_NO_SECURITY_COUNTER);
}

static void test_compares_versions(void **state)
{
    static const struct image_version versions[] = {
        {0u, 9u, 9u, 9u}, {1u, 0u, 0u, 0u}, {1u, 0u, 0u, 1u}, {1u, 0u, 1u, 0u}, {1u, 0u, 256u, 0u}, {1u, 1u, 0u, 0u}, {2u, 0u, 0u, 0u},
    };
    (void)state;
    for (int i = 0; i < 7; i++) {
        for (int j = 0; j < 7; j++) {
            const int32_t order = image_compare(&versions[i], &versions[j]);
            assert_int_equal((order > 0) - (order < 0), (i > j) - (i < j));
        }
    }
}

static void test_names_every_result(void **state)
{
    (void)state;
    for (uint32_t i = 0u; i < (uint32_t)IMAGE_RESULTS; i++) {
        assert_true(strlen(image_reason((enum image_result)i)) > 1u);
        for (uint32_t j = 0u; j < i; j++) {
            assert_string_not_equal(image_reason((enum image_result)i), image_reason((enum image_result)j));
        }
    }
    assert_string_equal(image_reason(IMAGE_DEPENDENCY), "dependency");
    assert_string_equal(image_reason(IMAGE_RESULTS), "unknown");
}

/* RFC 8032, section 7.1: TEST 2 and TEST 3. */
static void test_signatures_of_the_standard(void **state)
{
    static const uint8_t key2[32] = {0x3d, 0x40, 0x17, 0xc3, 0xe8, 0x43, 0x89, 0x5a, 0x92, 0xb7, 0x0a, 0xa7, 0x4d, 0x1b, 0x7e, 0xbc,
                                     0x9c, 0x98, 0x2c, 0xcf, 0x2e, 0xc4, 0x96, 0x8c, 0xc0, 0xcd, 0x55, 0xf1, 0x2a, 0xf4, 0x66, 0x0c};
    static const uint8_t signature2[64] = {
        0x92, 0xa0, 0x09, 0xa9, 0xf0, 0xd4, 0xca, 0xb8, 0x72, 0x0e, 0x82, 0x0b, 0x5f, 0x64, 0x25, 0x40,
        0xa2, 0xb2, 0x7b, 0x54, 0x16, 0x50, 0x3f, 0x8f, 0xb3, 0x76, 0x22, 0x23, 0xeb, 0xdb, 0x69, 0xda,
        0x08, 0x5a, 0xc1, 0xe4, 0x3e, 0x15, 0x99, 0x6e, 0x45, 0x8f, 0x36, 0x13, 0xd0, 0xf1, 0x1d, 0x8c,
        0x38, 0x7b, 0x2e, 0xae, 0xb4, 0x30, 0x2a, 0xee, 0xb0, 0x0d, 0x29, 0x16, 0x12, 0xbb, 0x0c, 0x00};
    static const uint8_t message2[1] = {0x72};
    static const uint8_t key3[32] = {0xfc, 0x51, 0xcd, 0x8e, 0x62, 0x18, 0xa1, 0xa3, 0x8d, 0xa4, 0x7e, 0xd0, 0x02, 0x30, 0xf0, 0x58,
                                     0x08, 0x16, 0xed, 0x13, 0xba, 0x33, 0x03, 0xac, 0x5d, 0xeb, 0x91, 0x15, 0x48, 0x90, 0x80, 0x25};
    static const uint8_t signature3[64] = {
        0x62, 0x91, 0xd6, 0x57, 0xde, 0xec, 0x24, 0x02, 0x48, 0x27, 0xe6, 0x9c, 0x3a, 0xbe, 0x01, 0xa3,
        0x0c, 0xe5, 0x48, 0xa2, 0x84, 0x74, 0x3a, 0x44, 0x5e, 0x36, 0x80, 0xd7, 0xdb, 0x5a, 0xc3, 0xac,
        0x18, 0xff, 0x9b, 0x53, 0x8d, 0x16, 0xf2, 0x90, 0xae, 0x67, 0xf7, 0x60, 0x98, 0x4d, 0xc6, 0x59,
        0x4a, 0x7c, 0x15, 0xe9, 0x71, 0x6e, 0xd2, 0x8d, 0xc0, 0x27, 0xbe, 0xce, 0xea, 0x1e, 0xc4, 0x0a};
    static const uint8_t message3[2] = {0xaf, 0x82};
    uint8_t changed[64];
    (void)state;
    assert_true(ed25519_verify(signature2, key2, message2, 1u));
    assert_true(ed25519_verify(signature3, key3, message3, 2u));
    assert_false(ed25519_verify(signature2, key3, message2, 1u));
    assert_false(ed25519_verify(signature3, key3, message3, 1u));
    /* S + L is the same number modulo L; RFC 8032 demands S < L. */
    static const uint8_t order[32] = {0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14,
                                      0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x10};
    uint32_t carry = 0u;
    memcpy(changed, signature2, sizeof changed);
    for (uint32_t i = 0u; i < 32u; i++) {
        carry += (uint32_t)changed[32u + i] + order[i];
        changed[32u + i] = (uint8_t)carry;
        carry >>= 8;
    }
    assert_false(ed25519_verify(changed, key2, message2, 1u));
}

int test_image(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_reads_every_part, start),
        cmocka_unit_test_setup(test_refuses_a_slot_without_room, start),
        cmocka_unit_test_setup(test_refuses_what_is_no_image, start),
        cmocka_unit_test_setup(test_a_program_is_no_data_and_data_no_program, start),
        cmocka_unit_test_setup(test_refuses_sizes_that_do_not_fit, start),
        cmocka_unit_test_setup(test_refuses_malformed_areas, start),
        cmocka_unit_test_setup(test_refuses_entries_of_wrong_length_or_twice, start),
        cmocka_unit_test_setup(test_takes_what_it_does_not_know, start),
        cmocka_unit_test_setup(test_verifies_every_proof, start),
        cmocka_unit_test_setup(test_demands_a_counter, start),
        cmocka_unit_test(test_compares_versions),
        cmocka_unit_test(test_names_every_result),
        cmocka_unit_test(test_signatures_of_the_standard),
    };
    return cmocka_run_group_tests_name("image", tests, NULL, NULL);
}
