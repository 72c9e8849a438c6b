/*
 * SPDX-License-Identifier: Apache-2.0
 * The drug library: which copy counts, and every way in which one can be malformed although it is signed.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "application/control/library.h"
#include "build_config.h"
#include "port/port.h"
#include "sim/drugs.h"
#include "sim/flash.h"
#include "sim/signer.h"
#include "tests.h"

#define HALF (LIBRARY_SIZE / 2u)
#define MOST_DRUGS 33u
#define ENTRY 40u
#define HEAD 8u

static const struct data_region region = {.offset = LIBRARY_OFFSET, .size = LIBRARY_SIZE};
static struct library library;

static int start(void **state)
{
    (void)state;
    sim_flash_start(FLASH_SIZE, FLASH_PAGE_SIZE);
    memset(&library, 0x55, sizeof library);
    return 0;
}

/* Puts a signed library of that build number into a half. */
static void put(uint32_t half, uint32_t build, const uint8_t *payload, uint32_t size, bool bad_signature)
{
    static uint8_t buffer[HALF];
    const struct signer_image image = {
        .version = {.major = 1u, .minor = 2u, .revision = 3u, .build = build},
        .header_size = IMAGE_HEADER_SIZE,
        .payload = payload,
        .payload_size = size,
        .counter = 1u,
        .kind = IMAGE_DATA,
        .bad_signature = bad_signature,
    };
    sim_flash_load(LIBRARY_OFFSET + (half * HALF), buffer, signer_make(&image, buffer));
}

static bool load(void)
{
    return library_load(&library, &region, IMAGE_HEADER_SIZE, signer_key());
}

static void test_without_one_the_first_half_takes_the_upload(void **state)
{
    struct drug drug;
    (void)state;
    assert_false(load());
    assert_int_equal(library.count, 0u);
    assert_int_equal(library.spare, LIBRARY_OFFSET);
    assert_false(library_drug(&library, 1u, &drug));
}

static void test_the_higher_version_counts_and_the_other_half_takes_the_upload(void **state)
{
    (void)state;
    put(0u, 1u, sim_drugs_payload(), SIM_DRUGS_SIZE, false);
    assert_true(load());
    assert_int_equal(library.version.build, 1u);
    assert_int_equal(library.spare, LIBRARY_OFFSET + HALF);
    put(1u, 2u, sim_drugs_payload(), SIM_DRUGS_SIZE, false);
    assert_true(load());
    assert_int_equal(library.version.build, 2u);
    assert_int_equal(library.spare, LIBRARY_OFFSET);
    put(0u, 3u, sim_drugs_payload(), SIM_DRUGS_SIZE, false);
    assert_true(load());
    assert_int_equal(library.version.build, 3u);
    assert_int_equal(library.spare, LIBRARY_OFFSET + HALF);
}

static void test_what_is_not_signed_does_not_count(void **state)
{
    (void)state;
    put(0u, 1u, sim_drugs_payload(), SIM_DRUGS_SIZE, false);
    put(1u, 2u, sim_drugs_payload(), SIM_DRUGS_SIZE, true);
    assert_true(load());
    assert_int_equal(library.version.build, 1u);
    assert_int_equal(library.spare, LIBRARY_OFFSET + HALF);
}

static void test_every_altered_byte_is_noticed(void **state)
{
    (void)state;
    put(0u, 1u, sim_drugs_payload(), SIM_DRUGS_SIZE, false);
    assert_true(load());
    for (uint32_t at = 0u; at < SIM_DRUGS_SIZE; at += 7u) {
        const uint32_t offset = LIBRARY_OFFSET + IMAGE_HEADER_SIZE + at;
        const uint8_t altered = sim_drugs_payload()[at] ^ 0x10u;
        sim_flash_load(offset, &altered, 1u);
        assert_false(load());
        sim_flash_load(offset, &sim_drugs_payload()[at], 1u);
    }
    assert_true(load());
}

static void test_a_signed_one_that_is_malformed_is_none(void **state)
{
    uint8_t payload[SIM_DRUGS_SIZE];
    (void)state;
    memcpy(payload, sim_drugs_payload(), sizeof payload);
    payload[0] = (uint8_t)'X';
    put(0u, 1u, sim_drugs_payload(), SIM_DRUGS_SIZE, false);
    put(1u, 2u, payload, sizeof payload, false);
    assert_false(load());
    assert_int_equal(library.count, 0u);
    assert_int_equal(library.spare, LIBRARY_OFFSET);
}

static void test_drugs_are_read_as_they_were_written(void **state)
{
    struct drug drug;
    (void)state;
    put(0u, 1u, sim_drugs_payload(), SIM_DRUGS_SIZE, false);
    assert_true(load());
    assert_int_equal(library.count, 3u);
    assert_true(library_drug(&library, 1u, &drug));
    assert_int_equal(drug.id, 1u);
    assert_string_equal(drug.name, "morphine-1mg");
    assert_int_equal(drug.soft_min, 5u);
    assert_int_equal(drug.soft_max, 50u);
    assert_int_equal(drug.hard_min, 1u);
    assert_int_equal(drug.hard_max, 100u);
    assert_int_equal(drug.bolus_max, 1000u);
    assert_int_equal(drug.bolus_rate, 500u);
    assert_int_equal(drug.lockout, 600u);
    assert_int_equal(drug.hourly, 4000u);
    assert_true(library_drug(&library, 3u, &drug));
    assert_string_equal(drug.name, "heparin");
    assert_int_equal(drug.hourly, 0u);
    assert_false(library_drug(&library, 4u, &drug));
    assert_false(library_drug(&library, 0u, &drug));
    assert_false(library_drug(&library, 65537u, &drug));
}

static void test_the_digest_is_the_image_s(void **state)
{
    uint8_t digest[SHA256_SIZE];
    struct image image;
    (void)state;
    put(1u, 1u, sim_drugs_payload(), SIM_DRUGS_SIZE, false);
    assert_true(load());
    assert_int_equal(image_parse(port_flash_at(LIBRARY_OFFSET + HALF), HALF, IMAGE_HEADER_SIZE, IMAGE_DATA, &image), IMAGE_OK);
    image_digest(&image, digest);
    assert_memory_equal(library.digest, digest, SHA256_SIZE);
}

/* --- the payload ---------------------------------------------------------------------------------------------------- */

static uint8_t payload[HEAD + (MOST_DRUGS * ENTRY)];

/* The three drugs, with one byte replaced. */
static bool parses_with(uint32_t at, uint32_t value)
{
    uint32_t count = 99u;
    memcpy(payload, sim_drugs_payload(), SIM_DRUGS_SIZE);
    payload[at] = (uint8_t)value;
    const bool valid = library_parse(payload, SIM_DRUGS_SIZE, &count);
    assert_int_equal(count, valid ? 3u : 0u);
    return valid;
}

/* The first drug, with a 16-bit or 32-bit number of it replaced. */
static bool parses_with_number(uint32_t at, uint32_t bytes, uint32_t value)
{
    uint32_t count;
    memcpy(payload, sim_drugs_payload(), SIM_DRUGS_SIZE);
    for (uint32_t i = 0u; i < bytes; i++) {
        payload[HEAD + at + i] = (uint8_t)(value >> (8u * i));
    }
    return library_parse(payload, SIM_DRUGS_SIZE, &count);
}

static void test_head(void **state)
{
    uint32_t count;
    (void)state;
    assert_true(parses_with(0u, 'D'));
    for (uint32_t at = 0u; at < HEAD; at++) {
        for (uint32_t bit = 0u; bit < 8u; bit++) {
            assert_false(parses_with(at, sim_drugs_payload()[at] ^ (1u << bit)));
        }
    }
    for (uint32_t size = 0u; size < (SIM_DRUGS_SIZE + 80u); size++) {
        memset(payload, 0, sizeof payload);
        memcpy(payload, sim_drugs_payload(), SIM_DRUGS_SIZE);
        assert_int_equal(library_parse(payload, size, &count), size == SIM_DRUGS_SIZE);
    }
}

static void test_number_of_drugs(void **state)
{
    (void)state;
    for (uint32_t drugs = 0u; drugs <= MOST_DRUGS; drugs++) {
        uint32_t count = 99u;
        memcpy(payload, sim_drugs_payload(), HEAD);
        payload[6] = (uint8_t)drugs;
        for (uint32_t i = 0u; i < drugs; i++) {
            memcpy(&payload[HEAD + (i * ENTRY)], &sim_drugs_payload()[HEAD], ENTRY);
            payload[HEAD + (i * ENTRY)] = (uint8_t)(i + 1u);
        }
        const bool valid = (drugs >= 1u) && (drugs <= 32u);
        assert_int_equal(library_parse(payload, HEAD + (drugs * ENTRY), &count), valid);
        assert_int_equal(count, valid ? drugs : 0u);
    }
}

static void test_ids(void **state)
{
    (void)state;
    assert_false(parses_with_number(0u, 2u, 0u));
    assert_false(parses_with_number(0u, 2u, 2u)); /* the second drug's */
    assert_false(parses_with_number(0u, 2u, 3u)); /* the third one's */
    assert_true(parses_with_number(0u, 2u, 65535u));
}

static void test_names(void **state)
{
    (void)state;
    for (uint32_t c = 0u; c <= 255u; c++) {
        const bool good = ((c >= 'a') && (c <= 'z')) || ((c >= '0') && (c <= '9')) || (c == '-');
        assert_int_equal(parses_with(HEAD + 2u, c), good); /* at the beginning, where NUL would leave none */
        assert_int_equal(parses_with(HEAD + 14u, c), good || (c == 0u));
        assert_int_equal(parses_with(HEAD + 15u, c), c == 0u); /* after a NUL */
    }
    assert_false(parses_with(HEAD + 8u, 0u)); /* NUL within */
    memcpy(payload, sim_drugs_payload(), SIM_DRUGS_SIZE);
    memcpy(&payload[HEAD + 2u], "abcdefghijklmn", LIBRARY_NAME_SIZE);
    struct drug drug;
    uint32_t count;
    assert_true(library_parse(payload, SIM_DRUGS_SIZE, &count));
    library.drugs = &payload[HEAD];
    library.count = count;
    assert_true(library_drug(&library, 1u, &drug));
    assert_string_equal(drug.name, "abcdefghijklmn");
    /* What follows the name may look like a letter: soft-min 97, soft-max 100. */
    payload[HEAD + 16u] = (uint8_t)'a';
    payload[HEAD + 18u] = 100u;
    assert_true(library_parse(payload, SIM_DRUGS_SIZE, &count));
    memset(&payload[HEAD + 2u], 0, LIBRARY_NAME_SIZE);
    assert_false(library_parse(payload, SIM_DRUGS_SIZE, &count));
}

static void test_rates(void **state)
{
    (void)state;
    /* hard 1 to 100, soft 5 to 50 */
    assert_false(parses_with_number(20u, 2u, 0u));
    assert_true(parses_with_number(20u, 2u, 5u));
    assert_false(parses_with_number(20u, 2u, 6u));
    assert_true(parses_with_number(16u, 2u, 1u));
    assert_false(parses_with_number(16u, 2u, 0u));
    assert_true(parses_with_number(16u, 2u, 50u));
    assert_false(parses_with_number(16u, 2u, 51u));
    assert_true(parses_with_number(18u, 2u, 100u));
    assert_false(parses_with_number(18u, 2u, 101u));
    assert_true(parses_with_number(22u, 2u, 50u));
    assert_false(parses_with_number(22u, 2u, 49u));
    assert_true(parses_with_number(22u, 2u, 1000u));
    assert_false(parses_with_number(22u, 2u, 1001u));
}

static void test_boluses(void **state)
{
    (void)state;
    /* bolus to 1000 µl at 500, lockout 600 s, hourly 4000 µl */
    assert_false(parses_with_number(24u, 4u, 0u));
    assert_false(parses_with_number(24u, 4u, 9u));
    assert_true(parses_with_number(24u, 4u, 10u));
    assert_true(parses_with_number(24u, 4u, 4000u));
    assert_false(parses_with_number(24u, 4u, 4001u));
    assert_false(parses_with_number(28u, 2u, 0u));
    assert_true(parses_with_number(28u, 2u, 1u));
    assert_true(parses_with_number(28u, 2u, 1000u));
    assert_false(parses_with_number(28u, 2u, 1001u));
    assert_true(parses_with_number(30u, 2u, 0u));
    assert_true(parses_with_number(30u, 2u, 65535u));
    assert_true(parses_with_number(32u, 4u, 1000u));
    assert_false(parses_with_number(32u, 4u, 999u));
    assert_true(parses_with_number(32u, 4u, 50000u));
    assert_false(parses_with_number(32u, 4u, 50001u));
    /* The third drug has none: each number of it must be 0. */
    assert_false(parses_with(HEAD + (2u * ENTRY) + 28u, 1u));
    assert_false(parses_with(HEAD + (2u * ENTRY) + 30u, 1u));
    assert_false(parses_with(HEAD + (2u * ENTRY) + 32u, 1u));
}

static void test_reserved_bytes(void **state)
{
    (void)state;
    for (uint32_t at = 36u; at < ENTRY; at++) {
        for (uint32_t drug = 0u; drug < 3u; drug++) {
            assert_false(parses_with(HEAD + (drug * ENTRY) + at, 1u));
        }
    }
}

int test_library(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_without_one_the_first_half_takes_the_upload, start),
        cmocka_unit_test_setup(test_the_higher_version_counts_and_the_other_half_takes_the_upload, start),
        cmocka_unit_test_setup(test_what_is_not_signed_does_not_count, start),
        cmocka_unit_test_setup(test_every_altered_byte_is_noticed, start),
        cmocka_unit_test_setup(test_a_signed_one_that_is_malformed_is_none, start),
        cmocka_unit_test_setup(test_drugs_are_read_as_they_were_written, start),
        cmocka_unit_test_setup(test_the_digest_is_the_image_s, start),
        cmocka_unit_test_setup(test_head, start),
        cmocka_unit_test_setup(test_number_of_drugs, start),
        cmocka_unit_test_setup(test_ids, start),
        cmocka_unit_test_setup(test_names, start),
        cmocka_unit_test_setup(test_rates, start),
        cmocka_unit_test_setup(test_boluses, start),
        cmocka_unit_test_setup(test_reserved_bytes, start),
    };
    return cmocka_run_group_tests_name("library", tests, NULL, NULL);
}
