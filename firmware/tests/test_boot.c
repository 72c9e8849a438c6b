/*
 * SPDX-License-Identifier: Apache-2.0
 * The boot decision beside what power cuts need (test_power_cut.c): what is refused and why, dependencies on the drug library, the
 * watchdog's test during a trial, worn flash, the lines on the console; and the stored counter's states.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "bootloader/boot.h"
#include "bootloader/report.h"
#include "build_config.h"
#include "port/port.h"
#include "sim/flash.h"
#include "sim/port.h"
#include "sim/signer.h"
#include "tests.h"

#define BUFFER 8192u
#define HALF (LIBRARY_SIZE / 2u)

static const struct boot_layout layout = {
    .slots = {.slot0 = {.offset = SLOT0_OFFSET, .size = SLOT0_SIZE},
              .slot1 = {.offset = SLOT1_OFFSET, .size = SLOT1_SIZE}},
    .state = {.offset = STATE_OFFSET, .size = STATE_SIZE},
    .library = {.offset = LIBRARY_OFFSET, .size = LIBRARY_SIZE},
    .flash_base = FLASH_BASE,
    .header_size = IMAGE_HEADER_SIZE,
};

static uint8_t buffer[BUFFER];

/* A program that names no dependency; minor version and counter as given. */
static struct signer_image program(uint32_t minor, uint32_t counter)
{
    const struct signer_image wanted = {
        .version = {.major = 1u, .minor = (uint8_t)minor},
        .header_size = IMAGE_HEADER_SIZE,
        .payload_size = 3000u + (minor * 100u),
        .seed = minor,
        .counter = counter,
        .run_address = FLASH_BASE + SLOT0_OFFSET + IMAGE_HEADER_SIZE,
    };
    return wanted;
}

static uint32_t load(uint32_t offset, const struct signer_image *wanted)
{
    const uint32_t size = signer_make(wanted, buffer);
    sim_flash_load(offset, buffer, size);
    return size;
}

static void load_library(uint32_t half, uint32_t minor)
{
    const struct signer_image wanted = {
        .version = {.major = 2u, .minor = (uint8_t)minor},
        .header_size = IMAGE_HEADER_SIZE,
        .payload_size = 50u,
        .seed = minor,
        .counter = 1u,
        .kind = IMAGE_DATA,
    };
    (void)load(LIBRARY_OFFSET + half, &wanted);
}

static bool runs(uint32_t minor)
{
    return port_flash_at(SLOT0_OFFSET)[21] == minor;
}

/* Slot 0 holds program 0 with counter 5, which has been started before. */
static int start(void **state)
{
    const struct signer_image first = program(0u, 5u);
    (void)state;
    sim_flash_start(FLASH_SIZE, FLASH_PAGE_SIZE);
    memset(port_handover(), 0, sizeof(struct handover));
    (void)load(SLOT0_OFFSET, &first);
    sim_console_clear();
    return (boot_prepare(&layout, signer_key(), port_handover()) == IMAGE_OK) ? 0 : 1;
}

static enum image_result boot(void)
{
    sim_console_clear();
    sim_flash_count_from_zero();
    const enum image_result result = boot_prepare(&layout, signer_key(), port_handover());
    assert_true(handover_told(port_handover()));
    return result;
}

static uint32_t stored_counter(void)
{
    uint32_t counter = 0u;
    assert_true(counter_read(&layout.state, &counter));
    return counter;
}

static void request(const struct signer_image *wanted, enum swap_type type)
{
    (void)load(SLOT1_OFFSET, wanted);
    assert_true(update_request_in(&layout.slots.slot1, type));
}

static void assert_refused(enum image_result reason)
{
    assert_int_equal(boot(), IMAGE_OK);
    assert_true(runs(0u));
    assert_int_equal(port_handover()->refused, reason);
    assert_int_equal(port_handover()->action, BOOT_NONE);
    assert_int_equal(stored_counter(), 5u);
    assert_int_equal(boot(), IMAGE_OK); /* the request is gone */
    assert_int_equal(sim_flash_operations(), 0u);
    assert_int_equal(port_handover()->refused, IMAGE_OK);
}

static void test_starts_what_is_there(void **state)
{
    (void)state;
    assert_int_equal(stored_counter(), 5u);
    assert_int_equal(boot(), IMAGE_OK);
    assert_int_equal(sim_flash_operations(), 0u);
    assert_int_equal(port_handover()->action, BOOT_NONE);
    assert_int_equal(port_handover()->swap_type, SWAP_NONE);
    assert_non_null(strstr(sim_console(), "boot: slot0 version=1.0.0+0 counter=5 digest="));
    assert_null(strstr(sim_console(), "slot1"));
}

static void test_starts_nothing_that_is_not_valid(void **state)
{
    static const uint8_t erased[IMAGE_HEADER_SIZE] = {0xffu};
    struct signer_image wanted = program(0u, 4u);
    (void)state;
    (void)load(SLOT0_OFFSET, &wanted);
    assert_int_equal(boot(), IMAGE_DOWNGRADE);
    wanted = program(0u, 5u);
    wanted.run_address += 4u;
    (void)load(SLOT0_OFFSET, &wanted);
    assert_int_equal(boot(), IMAGE_BAD_HEADER);
    wanted = program(0u, 5u);
    wanted.kind = IMAGE_DATA;
    (void)load(SLOT0_OFFSET, &wanted);
    assert_int_equal(boot(), IMAGE_BAD_HEADER);
    wanted = program(0u, 5u);
    wanted.bad_signature = true;
    (void)load(SLOT0_OFFSET, &wanted);
    assert_int_equal(boot(), IMAGE_BAD_SIGNATURE);
    sim_flash_load(SLOT0_OFFSET, erased, sizeof erased);
    assert_int_equal(boot(), IMAGE_BAD_HEADER);
    report_refused(IMAGE_DOWNGRADE);
    assert_non_null(strstr(sim_console(), "boot: refused downgrade\r\n"));
}

static void test_an_image_without_a_counter_is_shown_as_such(void **state)
{
    struct image image;
    uint8_t digest[SHA256_SIZE] = {0u};
    (void)state;
    assert_int_equal(image_parse(port_flash_at(SLOT0_OFFSET), SLOT0_SIZE, IMAGE_HEADER_SIZE, IMAGE_PROGRAM, &image),
                     IMAGE_OK);
    image.has_counter = false;
    sim_console_clear();
    report_image("slot0", &image, digest);
    assert_non_null(strstr(sim_console(), " counter=none digest=00000000"));
}

static void test_an_image_that_leaves_no_room_to_swap_is_refused(void **state)
{
    static uint8_t big[SLOT0_SIZE];
    struct signer_image wanted = program(1u, 5u);
    (void)state;
    wanted.payload_size = update_room(SLOT0_SIZE) - IMAGE_HEADER_SIZE - 156u;
    const uint32_t most = signer_make(&wanted, big);
    assert_int_equal(most, update_room(SLOT0_SIZE));
    sim_flash_load(SLOT0_OFFSET, big, most);
    assert_int_equal(boot(), IMAGE_OK);
    wanted.payload_size++;
    sim_flash_load(SLOT0_OFFSET, big, signer_make(&wanted, big));
    assert_int_equal(boot(), IMAGE_BAD_SIZE);
}

static void test_swaps_in_and_says_so(void **state)
{
    const struct signer_image next = program(1u, 6u);
    (void)state;
    request(&next, SWAP_TEST);
    assert_int_equal(boot(), IMAGE_OK);
    assert_true(runs(1u));
    assert_int_equal(port_handover()->action, BOOT_TEST);
    assert_int_equal(port_handover()->swap_type, SWAP_TEST);
    assert_int_equal(stored_counter(), 5u);
    assert_non_null(strstr(sim_console(), "boot: slot1 version=1.1.0+0 counter=6 digest="));
    assert_non_null(strstr(sim_console(), "boot: swap type=test pages=4\r\n"));
    assert_true(update_confirm());
    assert_int_equal(boot(), IMAGE_OK);
    assert_int_equal(stored_counter(), 6u);
    assert_int_equal(port_handover()->action, BOOT_NONE);
}

static void test_says_that_it_went_on_with_a_swap(void **state)
{
    (void)state;
    assert_true(swap_begin(&layout.slots, SWAP_PERMANENT, 1u));
    assert_true(update_write_mark(&layout.slots.slot0, 0u));
    const struct signer_image next = program(1u, 6u);
    (void)load(SLOT1_OFFSET, &next);
    assert_int_equal(boot(), IMAGE_BAD_TLV); /* one page of one image, the rest of another */
    assert_non_null(strstr(sim_console(), "boot: swap type=resume of=permanent pages=1 done=1\r\n"));
    assert_int_equal(port_handover()->action, BOOT_RESUMED);
    assert_int_equal(port_handover()->swap_type, SWAP_PERMANENT);
}

static void test_refuses_what_is_not_valid(void **state)
{
    struct signer_image wanted = program(1u, 6u);
    (void)state;
    wanted.bad_signature = true;
    request(&wanted, SWAP_TEST);
    assert_refused(IMAGE_BAD_SIGNATURE);
    wanted = program(1u, 4u);
    request(&wanted, SWAP_PERMANENT);
    assert_refused(IMAGE_DOWNGRADE);
    wanted = program(1u, 6u);
    wanted.run_address = 0u;
    request(&wanted, SWAP_TEST);
    assert_refused(IMAGE_BAD_HEADER);
    wanted = program(1u, 6u);
    wanted.kind = IMAGE_DATA;
    request(&wanted, SWAP_TEST);
    assert_refused(IMAGE_BAD_HEADER);
    assert_true(port_flash_erase(SLOT1_OFFSET));
    assert_true(update_request(false));
    assert_refused(IMAGE_NO_IMAGE);
}

static void test_a_confirmation_counts_against_the_next_request(void **state)
{
    const struct signer_image next = program(1u, 9u);
    const struct signer_image older = program(2u, 7u);
    (void)state;
    request(&next, SWAP_TEST);
    assert_int_equal(boot(), IMAGE_OK);
    assert_true(update_confirm());
    request(&older, SWAP_TEST); /* at the same boot at which the counter rises */
    assert_int_equal(boot(), IMAGE_OK);
    assert_true(runs(1u));
    assert_int_equal(port_handover()->refused, IMAGE_DOWNGRADE);
    assert_int_equal(stored_counter(), 9u);
}

static struct signer_image depending(uint32_t image, uint32_t minor)
{
    struct signer_image wanted = program(1u, 6u);
    wanted.dependency_count = 1u;
    wanted.dependencies[0].image = (uint8_t)image;
    wanted.dependencies[0].version = (struct image_version){.major = 2u, .minor = (uint8_t)minor};
    return wanted;
}

static void test_refuses_what_depends_on_something_missing(void **state)
{
    const struct signer_image wanted = depending(1u, 3u);
    const struct signer_image foreign = depending(2u, 0u);
    (void)state;
    request(&wanted, SWAP_TEST);
    assert_refused(IMAGE_DEPENDENCY);
    load_library(0u, 2u);
    request(&wanted, SWAP_TEST);
    assert_refused(IMAGE_DEPENDENCY);
    load_library(HALF, 4u);
    request(&foreign, SWAP_TEST);
    assert_refused(IMAGE_DEPENDENCY);
    request(&wanted, SWAP_TEST);
    assert_int_equal(boot(), IMAGE_OK);
    assert_true(runs(1u));
}

static void test_of_two_library_copies_the_newer_valid_one_counts(void **state)
{
    const struct data_region region = {.offset = LIBRARY_OFFSET, .size = LIBRARY_SIZE};
    static const uint8_t zero = 0u;
    struct image image;
    uint32_t half = 0u;
    (void)state;
    assert_false(data_image_choose(&region, IMAGE_HEADER_SIZE, signer_key(), &image, &half));
    assert_int_equal(half, LIBRARY_OFFSET);
    load_library(HALF, 1u);
    assert_true(data_image_choose(&region, IMAGE_HEADER_SIZE, signer_key(), &image, &half));
    assert_int_equal(half, LIBRARY_OFFSET + HALF);
    load_library(0u, 1u);
    assert_true(data_image_choose(&region, IMAGE_HEADER_SIZE, signer_key(), &image, &half));
    assert_int_equal(half, LIBRARY_OFFSET);
    load_library(HALF, 2u);
    assert_true(data_image_choose(&region, IMAGE_HEADER_SIZE, signer_key(), &image, &half));
    assert_int_equal(half, LIBRARY_OFFSET + HALF);
    assert_int_equal(image.version.minor, 2u);
    sim_flash_load(LIBRARY_OFFSET + HALF + IMAGE_HEADER_SIZE, &zero, 1u);
    assert_true(data_image_choose(&region, IMAGE_HEADER_SIZE, signer_key(), &image, &half));
    assert_int_equal(image.version.minor, 1u);
}

/* The way back stays open when the library was damaged meanwhile. */
static void test_reverts_without_looking_at_dependencies(void **state)
{
    struct signer_image first = depending(1u, 0u);
    const struct signer_image next = program(2u, 6u);
    (void)state;
    load_library(0u, 2u);
    request(&first, SWAP_PERMANENT);
    assert_int_equal(boot(), IMAGE_OK);
    request(&next, SWAP_TEST);
    assert_int_equal(boot(), IMAGE_OK);
    assert_true(runs(2u));
    assert_true(port_flash_erase(LIBRARY_OFFSET));
    assert_int_equal(boot(), IMAGE_OK);
    assert_true(runs(1u));
    assert_int_equal(port_handover()->action, BOOT_REVERT);
}

static void start_trial(void)
{
    const struct signer_image next = program(1u, 6u);
    request(&next, SWAP_TEST);
    assert_int_equal(boot(), IMAGE_OK);
    assert_true(runs(1u));
}

static void test_a_trial_without_a_way_back_goes_on_unconfirmed(void **state)
{
    (void)state;
    start_trial();
    assert_true(port_flash_erase(SLOT1_OFFSET));
    for (uint32_t i = 0u; i < 2u; i++) {
        assert_int_equal(boot(), IMAGE_OK);
        assert_true(runs(1u));
        assert_int_equal(port_handover()->refused, IMAGE_NO_IMAGE);
        assert_int_equal(stored_counter(), 5u);
        assert_int_equal(sim_flash_operations(), 0u);
    }
}

static void test_the_watchdogs_test_does_not_end_a_trial_but_once(void **state)
{
    (void)state;
    start_trial();
    port_handover()->reset_mark = HANDOVER_RESET_MARK;
    port_handover()->reset = RESET_WATCHDOG_TEST;
    assert_int_equal(boot(), IMAGE_OK);
    assert_true(runs(1u));
    assert_int_equal(sim_flash_operations(), 0u);
    assert_non_null(strstr(sim_console(), "boot: trial goes on after watchdog test\r\n"));
    assert_int_equal(port_handover()->action, BOOT_NONE);
    assert_int_equal(boot(), IMAGE_OK);
    assert_true(runs(0u));
    assert_int_equal(port_handover()->action, BOOT_REVERT);

    start_trial(); /* the next trial may do it again */
    assert_int_equal(boot(), IMAGE_OK);
    assert_true(runs(1u));

    (void)start(NULL);
    start_trial();
    port_handover()->reset_mark = HANDOVER_RESET_MARK;
    port_handover()->reset = RESET_COMMAND;
    assert_int_equal(boot(), IMAGE_OK);
    assert_true(runs(0u));

    (void)start(NULL);
    start_trial();
    port_handover()->reset = RESET_WATCHDOG_TEST; /* without the mark: what RAM happens to hold */
    assert_int_equal(boot(), IMAGE_OK);
    assert_true(runs(0u));
}

/* On the way back already: slot 1 says so, slot 0's trailer is lost. The watchdog's test has no say then. */
static void test_a_way_back_that_has_begun_is_gone_to_its_end(void **state)
{
    (void)state;
    start_trial();
    assert_true(update_request_in(&layout.slots.slot1, SWAP_REVERT));
    assert_true(update_erase_trailer(&layout.slots.slot0));
    port_handover()->reset_mark = HANDOVER_RESET_MARK;
    port_handover()->reset = RESET_WATCHDOG_TEST;
    assert_int_equal(boot(), IMAGE_OK);
    assert_true(runs(0u));
    assert_int_equal(port_handover()->action, BOOT_REVERT);
    assert_int_equal(stored_counter(), 5u);
}

/* Even a request that somebody made for slot 1 meanwhile is no more than the way back. */
static void test_a_request_during_a_trial_is_the_way_back(void **state)
{
    static const enum swap_type types[] = {SWAP_TEST, SWAP_PERMANENT};
    (void)state;
    for (uint32_t i = 0u; i < 2u; i++) {
        (void)start(NULL);
        start_trial();
        assert_true(update_request_in(&layout.slots.slot1, types[i]));
        assert_int_equal(boot(), IMAGE_OK);
        assert_true(runs(0u));
        assert_int_equal(port_handover()->action, BOOT_REVERT);
        assert_int_equal(boot(), IMAGE_OK);
        assert_int_equal(sim_flash_operations(), 0u);
        assert_true(runs(0u));
    }
}

static void test_recovers_from_slot1(void **state)
{
    static const uint8_t zero = 0u;
    const struct signer_image next = program(1u, 6u);
    (void)state;
    (void)load(SLOT1_OFFSET, &next);
    sim_flash_load(SLOT0_OFFSET + 700u, &zero, 1u);
    assert_int_equal(boot(), IMAGE_OK);
    assert_true(runs(1u));
    assert_int_equal(port_handover()->action, BOOT_RECOVERED);
    assert_int_equal(stored_counter(), 6u);
    assert_non_null(strstr(sim_console(), "boot: recover slot1 because=bad-digest\r\n"));

    (void)start(NULL); /* the same where a trial was asked for: there would be nothing to go back to */
    request(&next, SWAP_TEST);
    sim_flash_load(SLOT0_OFFSET + 700u, &zero, 1u);
    assert_int_equal(boot(), IMAGE_OK);
    assert_true(runs(1u));
    assert_int_equal(port_handover()->action, BOOT_RECOVERED);
    assert_int_equal(port_handover()->refused, IMAGE_OK);
    assert_int_equal(stored_counter(), 6u);

    (void)start(NULL);
    request(&next, SWAP_PERMANENT);
    sim_flash_load(SLOT0_OFFSET + 700u, &zero, 1u);
    assert_int_equal(boot(), IMAGE_OK);
    assert_int_equal(port_handover()->action, BOOT_PERMANENT);

    (void)start(NULL);
    const struct signer_image older = program(2u, 4u);
    (void)load(SLOT1_OFFSET, &older);
    sim_flash_load(SLOT0_OFFSET + 700u, &zero, 1u);
    assert_int_equal(boot(), IMAGE_BAD_DIGEST);
    assert_int_equal(sim_flash_operations(), 0u);
}

/* Flash that takes no more: at every write of a whole update, and of the way back. */
static void test_worn_flash_leads_to_no_mixture(void **state)
{
    const struct signer_image next = program(1u, 6u);
    uint32_t operations = 1u;
    (void)state;
    for (uint32_t good = 0u; good < operations; good++) {
        (void)start(NULL);
        request(&next, SWAP_TEST);
        sim_flash_count_from_zero();
        if (good == 0u) {
            assert_int_equal(boot(), IMAGE_OK);
            operations = sim_flash_operations();
            (void)start(NULL);
            request(&next, SWAP_TEST);
            sim_flash_count_from_zero();
        }
        sim_flash_fail_from(good);
        const enum image_result result = boot_prepare(&layout, signer_key(), port_handover());
        /* Four writes make the plan (trailer of two pages); if they fail, all is as before. */
        assert_int_equal(result, (good < 5u) ? IMAGE_OK : IMAGE_FLASH_FAILED);
        assert_int_equal(port_handover()->refused, (good < 5u) ? IMAGE_FLASH_FAILED : IMAGE_OK);
        sim_flash_fail_from(UINT32_MAX);
        assert_int_equal(boot(), IMAGE_OK);
        assert_true(runs(1u));
        sim_flash_fail_from(0u);
        assert_int_equal(boot(), IMAGE_OK); /* the trial: the way back cannot even be noted */
        assert_true(runs(1u));
        assert_int_equal(port_handover()->refused, IMAGE_FLASH_FAILED);
        sim_flash_fail_from(UINT32_MAX);
        assert_int_equal(boot(), IMAGE_OK);
        assert_true(runs(0u));
    }
    assert_true(operations > 30u);

    (void)start(NULL);
    assert_true(swap_begin(&layout.slots, SWAP_TEST, 1u));
    sim_flash_count_from_zero();
    sim_flash_fail_from(0u);
    assert_int_equal(boot_prepare(&layout, signer_key(), port_handover()), IMAGE_FLASH_FAILED);
    assert_int_equal(port_handover()->action, BOOT_NONE);
}

static void test_a_refusal_that_cannot_be_written_is_repeated(void **state)
{
    struct signer_image wanted = program(1u, 6u);
    (void)state;
    wanted.bad_signature = true;
    request(&wanted, SWAP_TEST);
    sim_flash_count_from_zero();
    sim_flash_fail_from(0u);
    assert_int_equal(boot_prepare(&layout, signer_key(), port_handover()), IMAGE_OK);
    sim_flash_fail_from(UINT32_MAX);
    assert_refused(IMAGE_BAD_SIGNATURE);
}

static void test_a_counter_that_cannot_be_stored_starts_nothing(void **state)
{
    const struct signer_image first = program(0u, 6u);
    const struct signer_image next = program(1u, 7u);
    (void)state;
    (void)load(SLOT0_OFFSET, &first);
    request(&next, SWAP_TEST);
    sim_flash_count_from_zero();
    sim_flash_fail_from(0u);
    assert_int_equal(boot_prepare(&layout, signer_key(), port_handover()), IMAGE_BAD_STATE);
    sim_flash_fail_from(UINT32_MAX);
    assert_true(runs(0u)); /* and slot 1 was not even looked at */
}

static void put_record(uint32_t offset, uint32_t counter)
{
    const uint32_t record[4] = {COUNTER_START_MARK, counter, ~counter, COUNTER_END_MARK};
    sim_flash_load(STATE_OFFSET + offset, record, sizeof record);
}

static void test_reads_the_counter_from_either_copy(void **state)
{
    static const uint32_t damage = 0u;
    const uint32_t half = STATE_SIZE / 2u;
    uint32_t counter = 0u;
    (void)state;
    sim_flash_start(FLASH_SIZE, FLASH_PAGE_SIZE);
    assert_int_equal(stored_counter(), 0u);
    put_record(0u, 3u);
    assert_int_equal(stored_counter(), 3u);
    put_record(half, 8u);
    assert_int_equal(stored_counter(), 8u);
    sim_flash_load(STATE_OFFSET, &damage, 4u);
    assert_int_equal(stored_counter(), 8u); /* copy B holds */
    sim_flash_load(STATE_OFFSET + half, &damage, 4u);
    assert_false(counter_read(&layout.state, &counter));
    assert_int_equal(boot(), IMAGE_NO_IMAGE);
    (void)start(NULL);
    sim_flash_load(STATE_OFFSET, &damage, 4u);
    sim_flash_load(STATE_OFFSET + half, &damage, 4u);
    assert_int_equal(boot(), IMAGE_BAD_STATE);

    sim_flash_start(FLASH_SIZE, FLASH_PAGE_SIZE);
    sim_flash_load(STATE_OFFSET, &damage, 4u);
    assert_int_equal(stored_counter(), 0u); /* the first write ever, cut off */
    sim_flash_start(FLASH_SIZE, FLASH_PAGE_SIZE);
    sim_flash_load(STATE_OFFSET + half, &damage, 4u);
    assert_false(counter_read(&layout.state, &counter));

    sim_flash_start(FLASH_SIZE, FLASH_PAGE_SIZE);
    put_record(0u, 3u);
    put_record(32u, 2u); /* a gap: not intact */
    put_record(48u, 2u);
    assert_int_equal(stored_counter(), 3u); /* copy B was never written */
    sim_flash_load(STATE_OFFSET + half, &damage, 4u);
    assert_false(counter_read(&layout.state, &counter));
    for (uint32_t word = 0u; word < 4u; word++) {
        sim_flash_start(FLASH_SIZE, FLASH_PAGE_SIZE);
        put_record(half, 3u);
        put_record(half + 16u, 9u);
        sim_flash_load(STATE_OFFSET + half + 16u + (4u * word), &damage, 4u);
        assert_false(counter_read(&layout.state, &counter));
    }
}

static void test_a_full_log_begins_anew(void **state)
{
    (void)state;
    sim_flash_start(FLASH_SIZE, FLASH_PAGE_SIZE);
    for (uint32_t counter = 1u; counter <= 200u; counter++) {
        assert_true(counter_hold(&layout.state, counter));
        assert_int_equal(stored_counter(), counter);
    }
    sim_flash_count_from_zero();
    assert_true(counter_hold(&layout.state, 200u));
    assert_int_equal(sim_flash_operations(), 0u);
}

static void test_a_damaged_copy_of_several_pages_is_written_anew(void **state)
{
    const struct counter_store store = {.offset = STATE_OFFSET, .size = 4u * FLASH_PAGE_SIZE};
    static const uint32_t damage = 0u;
    uint32_t counter = 0u;
    (void)state;
    for (uint32_t copy = 0u; copy < 2u; copy++) {
        const uint32_t offset = copy * (store.size / 2u);
        sim_flash_start(FLASH_SIZE, FLASH_PAGE_SIZE);
        assert_true(counter_hold(&store, 7u));
        sim_flash_load(STATE_OFFSET + offset + 32u, &damage, 4u);
        for (uint32_t good = 0u; good < 3u; good++) {
            sim_flash_count_from_zero();
            sim_flash_fail_from(good);
            assert_false(counter_hold(&store, 7u));
            sim_flash_fail_from(UINT32_MAX);
            assert_true(counter_read(&store, &counter));
            assert_int_equal(counter, 7u);
            sim_flash_load(STATE_OFFSET + offset + 32u, &damage, 4u);
        }
        assert_true(counter_hold(&store, 7u));
        assert_true(port_flash_blank(STATE_OFFSET + offset + 16u, (store.size / 2u) - 16u));
        assert_true(counter_read(&store, &counter));
        assert_int_equal(counter, 7u);
    }
}

struct raise {
    uint32_t to;
    bool held;
};

static void raise_counter(void *context)
{
    struct raise *const raise = context;
    raise->held = counter_hold(&layout.state, raise->to);
}

/* From every fill of the log, cut at every operation: the counter reads as before or as after, and can be raised again. */
static void test_a_counter_cut_off_is_the_old_or_the_new_one(void **state)
{
    static uint8_t full[FLASH_SIZE];
    (void)state;
    sim_flash_start(FLASH_SIZE, FLASH_PAGE_SIZE);
    for (uint32_t counter = 1u; counter <= 66u; counter++) {
        sim_flash_save(full);
        for (uint32_t operation = 0u; operation < 4u; operation++) {
            for (uint32_t seed = 0u; seed < 16u; seed++) {
                struct raise raise = {.to = counter, .held = false};
                sim_flash_restore(full);
                sim_flash_count_from_zero();
                sim_flash_cut_at(operation, (seed == 0u) ? SIM_CUT_BEFORE : SIM_CUT_INSIDE, seed);
                (void)sim_flash_powered(raise_counter, &raise);
                const uint32_t stored = stored_counter();
                assert_true((stored == counter) || (!raise.held && (stored == (counter - 1u))));
                assert_true(counter_hold(&layout.state, counter));
                assert_int_equal(stored_counter(), counter);
            }
        }
        sim_flash_restore(full);
        assert_true(counter_hold(&layout.state, counter));
    }
    for (uint32_t good = 0u; good < 2u; good++) {
        sim_flash_count_from_zero();
        sim_flash_fail_from(good);
        assert_false(counter_hold(&layout.state, 100u + good));
        sim_flash_fail_from(UINT32_MAX);
    }
}

int test_boot(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_starts_what_is_there, start),
        cmocka_unit_test_setup(test_starts_nothing_that_is_not_valid, start),
        cmocka_unit_test_setup(test_an_image_without_a_counter_is_shown_as_such, start),
        cmocka_unit_test_setup(test_an_image_that_leaves_no_room_to_swap_is_refused, start),
        cmocka_unit_test_setup(test_swaps_in_and_says_so, start),
        cmocka_unit_test_setup(test_says_that_it_went_on_with_a_swap, start),
        cmocka_unit_test_setup(test_refuses_what_is_not_valid, start),
        cmocka_unit_test_setup(test_a_confirmation_counts_against_the_next_request, start),
        cmocka_unit_test_setup(test_refuses_what_depends_on_something_missing, start),
        cmocka_unit_test_setup(test_of_two_library_copies_the_newer_valid_one_counts, start),
        cmocka_unit_test_setup(test_reverts_without_looking_at_dependencies, start),
        cmocka_unit_test_setup(test_a_trial_without_a_way_back_goes_on_unconfirmed, start),
        cmocka_unit_test_setup(test_the_watchdogs_test_does_not_end_a_trial_but_once, start),
        cmocka_unit_test_setup(test_a_way_back_that_has_begun_is_gone_to_its_end, start),
        cmocka_unit_test_setup(test_a_request_during_a_trial_is_the_way_back, start),
        cmocka_unit_test_setup(test_recovers_from_slot1, start),
        cmocka_unit_test_setup(test_worn_flash_leads_to_no_mixture, start),
        cmocka_unit_test_setup(test_a_refusal_that_cannot_be_written_is_repeated, start),
        cmocka_unit_test_setup(test_a_counter_that_cannot_be_stored_starts_nothing, start),
        cmocka_unit_test_setup(test_reads_the_counter_from_either_copy, start),
        cmocka_unit_test_setup(test_a_damaged_copy_of_several_pages_is_written_anew, start),
        cmocka_unit_test_setup(test_a_full_log_begins_anew, start),
        cmocka_unit_test_setup(test_a_counter_cut_off_is_the_old_or_the_new_one, start),
    };
    return cmocka_run_group_tests_name("boot", tests, NULL, NULL);
}
