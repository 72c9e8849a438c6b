/*
 * SPDX-License-Identifier: Apache-2.0
 * The slots' trailers: the decision for every combination of what they say, and what requests and confirmations write.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "build_config.h"
#include "core/handover.h"
#include "core/update.h"
#include "port/port.h"
#include "sim/flash.h"
#include "tests.h"

static const struct update_slot slot0 = {.offset = SLOT0_OFFSET, .size = SLOT0_SIZE};
static const struct update_slot slot1 = {.offset = SLOT1_OFFSET, .size = SLOT1_SIZE};

static int start(void **state)
{
    (void)state;
    sim_flash_start(FLASH_SIZE, FLASH_PAGE_SIZE);
    return 0;
}

static struct slot_trailer trailer_of(const struct update_slot *slot)
{
    return update_trailer(slot->offset, slot->size);
}

static struct slot_trailer make(uint32_t bits, enum swap_type swap)
{
    const struct slot_trailer trailer = {
        .magic = (bits & 1u) != 0u,
        .image_ok = (bits & 2u) != 0u,
        .copy_done = (bits & 4u) != 0u,
        .swap_known = (bits & 8u) != 0u,
        .swap = ((bits & 8u) != 0u) ? swap : SWAP_NONE,
        .swap_pages = ((bits & 8u) != 0u) ? 1u : 0u,
    };
    return trailer;
}

/* The decision in other words, for all 16 x 16 trailers. */
static void test_decides_for_every_pair_of_trailers(void **state)
{
    (void)state;
    for (uint32_t first = 0u; first < 16u; first++) {
        for (uint32_t second = 0u; second < 16u; second++) {
            const struct slot_trailer a = make(first, SWAP_TEST);
            const struct slot_trailer b = make(second, SWAP_REVERT);
            enum swap_type expected = SWAP_NONE;
            if ((second & 1u) != 0u) {
                expected = SWAP_TEST;
                if ((second & 2u) != 0u) {
                    expected = ((second & 8u) != 0u) ? SWAP_REVERT : SWAP_PERMANENT;
                }
            }
            if ((first & 9u) == 9u) { /* magic and a known swap */
                if ((first & 4u) == 0u) {
                    expected = SWAP_RESUME;
                } else if ((first & 2u) == 0u) {
                    expected = SWAP_REVERT;
                }
            }
            assert_int_equal(update_decide(&a, &b), expected);
            assert_int_equal(update_confirmed(&a), first != 13u);
        }
    }
}

static void test_an_erased_trailer_says_nothing(void **state)
{
    const struct slot_trailer trailer = trailer_of(&slot0);
    (void)state;
    assert_false(trailer.magic || trailer.image_ok || trailer.copy_done || trailer.swap_known);
    assert_int_equal(trailer.swap, SWAP_NONE);
    assert_int_equal(trailer.swap_pages, 0u);
    assert_true(update_confirmed(&trailer));
}

/* The bytes that MCUboot's imgtool writes with --pad --confirm. */
static void test_requests_as_mcuboot_writes_them(void **state)
{
    static const uint8_t magic[16] = {0x77, 0xc2, 0x95, 0xf3, 0x60, 0xd2, 0xef, 0x7f,
                                      0x35, 0x52, 0x50, 0x0f, 0x2c, 0xb6, 0x79, 0x80};
    static const uint8_t ok[8] = {0x01, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
    (void)state;
    assert_true(update_request(false));
    assert_memory_equal(port_flash_at(SLOT1_OFFSET + SLOT1_SIZE - 16u), magic, 16u);
    assert_true(port_flash_blank(SLOT1_OFFSET, SLOT1_SIZE - 16u));
    assert_true(update_request(true));
    assert_memory_equal(port_flash_at(SLOT1_OFFSET + SLOT1_SIZE - 16u), magic, 16u);
    assert_memory_equal(port_flash_at(SLOT1_OFFSET + SLOT1_SIZE - 24u), ok, 8u);
    assert_true(port_flash_blank(SLOT1_OFFSET, SLOT1_SIZE - 24u));
    assert_true(port_flash_blank(SLOT0_OFFSET, SLOT0_SIZE));
    assert_true(update_request(false));
    assert_false(trailer_of(&slot1).image_ok);
    assert_true(update_request_in(&slot1, SWAP_REVERT));
    assert_int_equal(trailer_of(&slot1).swap, SWAP_REVERT);
}

static void make_trial(enum swap_type type, uint32_t pages)
{
    assert_true(update_erase_trailer(&slot0));
    assert_true(update_write_swap(&slot0, type, pages));
    assert_true(update_write_magic(&slot0));
    assert_true(update_write_copy_done(&slot0));
}

static void test_confirms_a_trial_and_nothing_else(void **state)
{
    (void)state;
    assert_true(update_confirm());
    assert_int_equal(sim_flash_operations(), 0u);
    make_trial(SWAP_TEST, 3u);
    struct slot_trailer trailer = trailer_of(&slot0);
    assert_true(trailer.magic && trailer.copy_done && trailer.swap_known && !trailer.image_ok);
    assert_int_equal(trailer.swap, SWAP_TEST);
    assert_int_equal(trailer.swap_pages, 3u);
    assert_false(update_confirmed(&trailer));
    assert_true(update_confirm());
    trailer = trailer_of(&slot0);
    assert_true(update_confirmed(&trailer));
    sim_flash_count_from_zero();
    assert_true(update_confirm());
    assert_int_equal(sim_flash_operations(), 0u);
}

static void test_a_swap_counts_only_whole(void **state)
{
    static const uint32_t most = (SLOT0_SIZE / FLASH_PAGE_SIZE) - 3u;
    static const uint32_t zero = 0u;
    static const enum swap_type bad[] = {SWAP_NONE, SWAP_RESUME, (enum swap_type)0, (enum swap_type)77};
    (void)state;
    make_trial(SWAP_PERMANENT, most);
    assert_int_equal(trailer_of(&slot0).swap, SWAP_PERMANENT);
    assert_int_equal(trailer_of(&slot0).swap_pages, most);
    make_trial(SWAP_REVERT, most + 1u);
    assert_false(trailer_of(&slot0).swap_known);
    make_trial(SWAP_REVERT, 0u);
    assert_false(trailer_of(&slot0).swap_known);
    for (uint32_t i = 0u; i < 4u; i++) {
        make_trial(bad[i], 1u);
        assert_false(trailer_of(&slot0).swap_known);
    }
    for (uint32_t word = 0u; word < 4u; word++) {
        make_trial(SWAP_REVERT, 1u);
        assert_true(trailer_of(&slot0).swap_known);
        assert_true(port_flash_program(SLOT0_OFFSET + SLOT0_SIZE - 48u + (4u * word), &zero, 1u));
        assert_false(trailer_of(&slot0).swap_known);
    }
    make_trial(SWAP_REVERT, 1u);
    assert_true(update_forget_swap(&slot0));
    assert_false(trailer_of(&slot0).swap_known);
    for (uint32_t word = 0u; word < 4u; word++) {
        make_trial(SWAP_REVERT, 1u);
        assert_true(port_flash_program(SLOT0_OFFSET + SLOT0_SIZE - 16u + (4u * word), &zero, 1u));
        assert_false(trailer_of(&slot0).magic);
    }
}

static void test_marks_count_from_the_first_without_a_gap(void **state)
{
    (void)state;
    assert_int_equal(update_marks(&slot0, 2u), 0u);
    for (uint32_t mark = 0u; mark < 6u; mark++) {
        assert_true(update_write_mark(&slot0, mark));
        assert_int_equal(update_marks(&slot0, 2u), mark + 1u);
    }
    assert_true(update_write_mark(&slot0, 7u));
    assert_int_equal(update_marks(&slot0, 3u), 6u);
    assert_int_equal(update_marks(&slot0, 1u), 3u);
}

static void test_room_leaves_trailer_and_a_page(void **state)
{
    (void)state;
    /* 96 pages of 1 KiB: 48 + 96 * 12 = 1200 bytes take two pages, one more is to move in. */
    assert_int_equal(update_trailer_size(SLOT0_SIZE), 2u * FLASH_PAGE_SIZE);
    assert_int_equal(update_room(SLOT0_SIZE), SLOT0_SIZE - (3u * FLASH_PAGE_SIZE));
    assert_int_equal(update_reserved(), 3u * FLASH_PAGE_SIZE);
    assert_int_equal(update_room(2u * FLASH_PAGE_SIZE), 0u);
    assert_int_equal(update_room(3u * FLASH_PAGE_SIZE), FLASH_PAGE_SIZE);
}

static void test_worn_flash_is_told_at_each_write(void **state)
{
    (void)state;
    for (uint32_t good = 0u; good < 5u; good++) {
        sim_flash_start(FLASH_SIZE, FLASH_PAGE_SIZE);
        sim_flash_fail_from(good);
        assert_false(update_request_in(&slot1, SWAP_REVERT));
        assert_false(trailer_of(&slot1).magic);
    }
    sim_flash_start(FLASH_SIZE, FLASH_PAGE_SIZE);
    make_trial(SWAP_TEST, 1u);
    sim_flash_fail_from(0u);
    assert_false(update_confirm());
    assert_false(update_erase_trailer(&slot0));
}

static void test_names_every_swap_and_action(void **state)
{
    (void)state;
    assert_string_equal(update_swap_name(SWAP_NONE), "none");
    assert_string_equal(update_swap_name(SWAP_TEST), "test");
    assert_string_equal(update_swap_name(SWAP_PERMANENT), "permanent");
    assert_string_equal(update_swap_name(SWAP_REVERT), "revert");
    assert_string_equal(update_swap_name(SWAP_RESUME), "resume");
    assert_string_equal(update_swap_name(0u), "unknown");
    assert_string_equal(update_swap_name(6u), "unknown");
    assert_string_equal(handover_action(BOOT_NONE), "none");
    assert_string_equal(handover_action(BOOT_TEST), "test");
    assert_string_equal(handover_action(BOOT_PERMANENT), "permanent");
    assert_string_equal(handover_action(BOOT_REVERT), "revert");
    assert_string_equal(handover_action(BOOT_RESUMED), "resumed");
    assert_string_equal(handover_action(BOOT_RECOVERED), "recovered");
    assert_string_equal(handover_action(0u), "unknown");
    assert_string_equal(handover_action(7u), "unknown");
}

static void test_a_handover_counts_only_whole(void **state)
{
    struct handover handover;
    (void)state;
    memset(&handover, 0x5a, sizeof handover);
    assert_false(handover_told(&handover));
    handover_tell(&handover, BOOT_REVERT, SWAP_REVERT, 3u);
    assert_true(handover_told(&handover));
    assert_int_equal(handover.action, BOOT_REVERT);
    assert_int_equal(handover.refused, 3u);
    handover.refused ^= 1u;
    assert_false(handover_told(&handover));
    handover.refused ^= 1u;
    handover.boot_mark ^= 1u;
    assert_false(handover_told(&handover));
    assert_int_equal(handover.reset, 0x5a5a5a5au);
}

int test_update(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_decides_for_every_pair_of_trailers),
        cmocka_unit_test_setup(test_an_erased_trailer_says_nothing, start),
        cmocka_unit_test_setup(test_requests_as_mcuboot_writes_them, start),
        cmocka_unit_test_setup(test_confirms_a_trial_and_nothing_else, start),
        cmocka_unit_test_setup(test_a_swap_counts_only_whole, start),
        cmocka_unit_test_setup(test_marks_count_from_the_first_without_a_gap, start),
        cmocka_unit_test_setup(test_room_leaves_trailer_and_a_page, start),
        cmocka_unit_test_setup(test_worn_flash_is_told_at_each_write, start),
        cmocka_unit_test(test_names_every_swap_and_action),
        cmocka_unit_test(test_a_handover_counts_only_whole),
    };
    return cmocka_run_group_tests_name("update", tests, NULL, NULL);
}
