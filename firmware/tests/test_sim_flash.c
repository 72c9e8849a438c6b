/*
 * SPDX-License-Identifier: Apache-2.0
 * The simulated flash itself: what it allows, what it refuses, and what a cut leaves.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "port/port.h"
#include "sim/flash.h"
#include "tests.h"

#define SIZE 0x4000u
#define PAGE 0x400u

static int start(void **state)
{
    (void)state;
    sim_flash_start(SIZE, PAGE);
    return 0;
}

static uint32_t word_at(uint32_t offset)
{
    uint32_t word;
    memcpy(&word, port_flash_at(offset), sizeof word);
    return word;
}

static void test_keeps_the_rules(void **state)
{
    static const uint32_t words[2] = {0x12345678u, 0xfffffff0u};
    (void)state;
    assert_int_equal(port_flash_page(), PAGE);
    assert_true(port_flash_blank(0u, SIZE));
    assert_true(port_flash_program(PAGE - 8u, words, 2u));
    assert_int_equal(word_at(PAGE - 8u), 0x12345678u);
    assert_false(port_flash_blank(0u, SIZE));
    assert_true(port_flash_program(PAGE - 8u, words, 2u));
    assert_true(port_flash_erase(0u));
    assert_true(port_flash_blank(0u, SIZE));
    assert_int_equal(sim_flash_operations(), 3u);
}

static void test_refuses_what_breaks_them(void **state)
{
    static const uint32_t zero[2] = {0u, 0u};
    static const uint32_t one = 1u;
    (void)state;
    assert_true(port_flash_program(0u, zero, 1u));
    (void)sim_flash_refuse(true);
    assert_false(port_flash_program(0u, &one, 1u));
    assert_false(port_flash_program(2u, zero, 1u));
    assert_false(port_flash_program(PAGE - 4u, zero, 2u));
    assert_false(port_flash_program(SIZE, zero, 1u));
    assert_false(port_flash_program(4u, zero, 0u));
    assert_false(port_flash_erase(4u));
    assert_false(port_flash_erase(SIZE));
    assert_false(port_flash_blank(SIZE - 4u, 8u));
    assert_int_equal(sim_flash_refuse(false), 8u);
    assert_int_equal(sim_flash_operations(), 1u);
    assert_int_equal(word_at(0u), 0u);
    assert_true(port_flash_blank(4u, SIZE - 4u));
}

static void program_twice(void *context)
{
    const uint32_t *const words = context;
    (void)port_flash_program(0u, words, 4u);
    (void)port_flash_program(PAGE, words, 4u);
}

static void erase_once(void *context)
{
    (void)context;
    (void)port_flash_erase(0u);
}

static void test_cuts_before_and_after(void **state)
{
    static uint32_t words[4] = {1u, 2u, 3u, 4u};
    (void)state;
    sim_flash_cut_at(1u, SIM_CUT_BEFORE, 0u);
    assert_false(sim_flash_powered(program_twice, words));
    assert_int_equal(word_at(12u), 4u);
    assert_true(port_flash_blank(PAGE, PAGE));

    sim_flash_start(SIZE, PAGE);
    sim_flash_cut_at(0u, SIM_CUT_AFTER, 0u);
    assert_false(sim_flash_powered(program_twice, words));
    assert_int_equal(word_at(12u), 4u);
    assert_true(port_flash_blank(PAGE, PAGE));

    sim_flash_start(SIZE, PAGE);
    assert_true(sim_flash_powered(program_twice, words));
    assert_int_equal(word_at(PAGE), 1u);
}

static void test_a_torn_program_only_clears_bits_it_was_to_clear(void **state)
{
    static uint32_t words[4] = {0x0000ffffu, 0u, 0xffff0000u, 0xffffffffu};
    uint32_t whole = 0u;
    uint32_t differing = 0u;
    (void)state;
    for (uint32_t seed = 0u; seed < 64u; seed++) {
        sim_flash_start(SIZE, PAGE);
        sim_flash_cut_at(0u, SIM_CUT_INSIDE, seed);
        assert_false(sim_flash_powered(program_twice, words));
        for (uint32_t i = 0u; i < 4u; i++) {
            assert_int_equal(word_at(4u * i) & words[i], words[i]);
            whole += (word_at(4u * i) == words[i]) ? 1u : 0u;
        }
        differing += (word_at(0u) != word_at(4u)) ? 1u : 0u;
        assert_true(port_flash_blank(16u, SIZE - 16u));
    }
    assert_in_range(whole, 64u, 3u * 64u);
    assert_true(differing > 32u);
}

static void test_a_torn_erase_only_sets_bits_and_repeats_from_its_seed(void **state)
{
    static uint8_t first[SIZE];
    static uint8_t second[SIZE];
    static uint8_t content[PAGE];
    (void)state;
    for (uint32_t i = 0u; i < PAGE; i++) {
        content[i] = (uint8_t)(i * 37u);
    }
    for (uint32_t seed = 0u; seed < 16u; seed++) {
        sim_flash_start(SIZE, PAGE);
        for (uint32_t page = 0u; page < 2u; page++) {
            sim_flash_load(page * PAGE, content, PAGE);
        }
        sim_flash_cut_at(0u, SIM_CUT_INSIDE, seed);
        assert_false(sim_flash_powered(erase_once, NULL));
        sim_flash_save(first);
        for (uint32_t i = 0u; i < PAGE; i++) {
            assert_int_equal(first[i] & content[i], content[i]);
        }
        assert_memory_not_equal(first, content, PAGE);
        assert_memory_equal(&first[PAGE], content, PAGE);

        sim_flash_load(0u, content, PAGE);
        sim_flash_count_from_zero();
        sim_flash_cut_at(0u, SIM_CUT_INSIDE, seed);
        assert_false(sim_flash_powered(erase_once, NULL));
        sim_flash_save(second);
        assert_memory_equal(first, second, SIZE);
    }
}

static void test_a_cut_can_choose_words(void **state)
{
    static uint32_t words[4] = {1u, 2u, 3u, 4u};
    (void)state;
    sim_flash_cut_at(0u, SIM_CUT_WORDS, 5u);
    assert_false(sim_flash_powered(program_twice, words));
    assert_int_equal(word_at(0u), 0xffffffffu);
    assert_int_equal(word_at(4u), 2u);
    assert_int_equal(word_at(8u), 0xffffffffu);
    assert_int_equal(word_at(12u), 4u);
    sim_flash_cut_at(1u, SIM_CUT_WORDS, 0x7fffffffu);
    assert_false(sim_flash_powered(erase_once, NULL));
    assert_int_equal(word_at(12u), 4u);
    assert_true(sim_flash_operation(1u).erase);
    assert_int_equal(sim_flash_operation(1u).size, PAGE);
    assert_false(sim_flash_operation(0u).erase);
    assert_int_equal(sim_flash_operation(0u).size, 16u);
    assert_int_equal(sim_flash_operation(2u).size, 0u);
}

static void test_fails_as_worn_flash_does(void **state)
{
    static const uint32_t zero = 0u;
    (void)state;
    sim_flash_fail_from(1u);
    assert_true(port_flash_program(0u, &zero, 1u));
    assert_false(port_flash_program(4u, &zero, 1u));
    assert_false(port_flash_erase(0u));
    assert_int_equal(word_at(0u), 0u);
    assert_true(port_flash_blank(4u, PAGE - 4u));
}

int test_sim_flash(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_keeps_the_rules, start),
        cmocka_unit_test_setup(test_refuses_what_breaks_them, start),
        cmocka_unit_test_setup(test_cuts_before_and_after, start),
        cmocka_unit_test_setup(test_a_torn_program_only_clears_bits_it_was_to_clear, start),
        cmocka_unit_test_setup(test_a_torn_erase_only_sets_bits_and_repeats_from_its_seed, start),
        cmocka_unit_test_setup(test_a_cut_can_choose_words, start),
        cmocka_unit_test_setup(test_fails_as_worn_flash_does, start),
    };
    return cmocka_run_group_tests_name("sim_flash", tests, NULL, NULL);
}
