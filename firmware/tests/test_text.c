/*
 * SPDX-License-Identifier: Apache-2.0
 * Lines of text that are cut off rather than written elsewhere, characters from interrupt to main loop, and the painted stack.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "application/stack.h"
#include "core/ring.h"
#include "core/text.h"
#include "tests.h"

static void test_pieces(void **state)
{
    static const uint8_t bytes[] = {0x00u, 0x9au, 0xffu};
    static const char expected[] = "a=0 4294967295 0x0123abcd 009aff";
    struct text text;
    (void)state;
    text_start(&text);
    text_string(&text, "a=");
    text_unsigned(&text, 0u);
    text_string(&text, " ");
    text_unsigned(&text, UINT32_MAX);
    text_string(&text, " ");
    text_word(&text, 0x0123abcdu);
    text_string(&text, " ");
    text_bytes(&text, bytes, sizeof bytes);
    assert_int_equal(text.length, sizeof expected - 1u);
    assert_memory_equal(text.line, expected, text.length);
}

static void test_cut_off(void **state)
{
    struct {
        struct text text;
        uint8_t behind[16];
    } both;
    (void)state;
    memset(&both, 0x55, sizeof both);
    text_start(&both.text);
    for (unsigned i = 0u; i < 100u; i++) {
        text_string(&both.text, "0123456");
    }
    assert_int_equal(both.text.length, TEXT_CAPACITY);
    for (size_t i = 0u; i < sizeof both.behind; i++) {
        assert_int_equal(both.behind[i], 0x55);
    }
}

static void test_ring(void **state)
{
    static struct ring ring;
    uint8_t byte;
    (void)state;
    assert_true(ring_is_empty(&ring));
    assert_false(ring_get(&ring, &byte));
    for (unsigned round = 0u; round < 5u; round++) {
        for (unsigned i = 0u; i < RING_SIZE; i++) {
            assert_false(ring_is_full(&ring));
            ring_put(&ring, (uint8_t)(i + round));
        }
        assert_true(ring_is_full(&ring));
        for (unsigned i = 0u; i < RING_SIZE; i++) {
            assert_false(ring_is_empty(&ring));
            assert_true(ring_get(&ring, &byte));
            assert_int_equal(byte, (uint8_t)(i + round));
        }
    }
}

static void test_stack(void **state)
{
    uint32_t stack[64];
    (void)state;
    memset(stack, 0, sizeof stack);
    stack_paint(stack, 40u);
    assert_int_equal(stack_used(stack, 64u), 24u * 4u);
    stack[20] = 1u;
    assert_int_equal(stack_used(stack, 64u), 44u * 4u);
    stack[0] = 1u;
    assert_int_equal(stack_used(stack, 64u), 64u * 4u);
    stack_paint(stack, 64u);
    assert_int_equal(stack_used(stack, 64u), 0u);
}

int test_text(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pieces),
        cmocka_unit_test(test_cut_off),
        cmocka_unit_test(test_ring),
        cmocka_unit_test(test_stack),
    };
    return cmocka_run_group_tests_name("text", tests, NULL, NULL);
}
