/*
 * SPDX-License-Identifier: Apache-2.0
 * Lines and what they are: by their first bytes alone, whatever follows, however long, whatever was lost.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "application/link/lines.h"
#include "tests.h"

static struct lines lines;

static int start(void **state)
{
    (void)state;
    lines_init(&lines);
    return 0;
}

static enum line_kind take(const char *bytes, size_t length)
{
    enum line_kind kind = LINE_NONE;
    for (size_t i = 0u; i < length; i++) {
        kind = lines_take(&lines, (uint8_t)bytes[i]);
        if (i + 1u < length) {
            assert_int_equal(kind, LINE_NONE);
        }
    }
    return kind;
}

#define TAKE(literal) take(literal, sizeof literal - 1u)

static void assert_bytes(const char *bytes, size_t length)
{
    size_t found;
    const uint8_t *const at = lines_bytes(&lines, &found);
    assert_int_equal(found, length);
    assert_memory_equal(at, bytes, length);
}

static void test_line_ends(void **state)
{
    (void)state;
    assert_int_equal(TAKE("status\n"), LINE_CONSOLE);
    assert_string_equal(lines_text(&lines), "status");
    assert_int_equal(TAKE("stop\r"), LINE_CONSOLE);
    assert_string_equal(lines_text(&lines), "stop");
    assert_int_equal(TAKE("\n"), LINE_NONE); /* the LF of a CRLF */
    assert_int_equal(TAKE("\r"), LINE_NONE);
    assert_int_equal(TAKE("id\r"), LINE_CONSOLE);
    assert_string_equal(lines_text(&lines), "id");
}

static void test_console_lengths(void **state)
{
    (void)state;
    for (size_t length = 1u; length < 300u; length++) {
        for (size_t i = 0u; i < length; i++) {
            assert_int_equal(lines_take(&lines, (uint8_t)'x'), LINE_NONE);
        }
        const enum line_kind kind = lines_take(&lines, (uint8_t)'\n');
        assert_int_equal(kind, (length <= LINES_CONSOLE_MAX) ? LINE_CONSOLE : LINE_TOO_LONG);
        if (kind == LINE_CONSOLE) {
            assert_int_equal(strlen(lines_text(&lines)), length);
        }
    }
}

static void test_console_characters(void **state)
{
    (void)state;
    for (unsigned value = 0u; value < 256u; value++) {
        if ((value != '\n') && (value != '\r')) {
            assert_int_equal(lines_take(&lines, (uint8_t)'a'), LINE_NONE);
            assert_int_equal(lines_take(&lines, (uint8_t)value), LINE_NONE);
            const bool printable = (value >= 0x20u) && (value <= 0x7eu);
            assert_int_equal(lines_take(&lines, (uint8_t)'\n'), printable ? LINE_CONSOLE : LINE_GARBLED);
        }
    }
    /* Too long counts before garbled. */
    for (size_t i = 0u; i < 70u; i++) {
        assert_int_equal(lines_take(&lines, 0x01u), LINE_NONE);
    }
    assert_int_equal(lines_take(&lines, (uint8_t)'\n'), LINE_TOO_LONG);
}

static void test_first_bytes_decide(void **state)
{
    (void)state;
    assert_int_equal(TAKE("\x06\x09QUJD\n"), LINE_SMP);
    assert_bytes("\x06\x09QUJD", 6u);
    assert_int_equal(TAKE("\x04\x14QUJD\r"), LINE_SMP);
    assert_int_equal(TAKE("\x02S00\n"), LINE_PLANT);
    assert_bytes("\x02S00", 4u);
    assert_int_equal(TAKE("\x02\n"), LINE_PLANT);
    assert_int_equal(TAKE("\x02\x06\x09QUJD\n"), LINE_PLANT);
    assert_int_equal(TAKE("\x06\x09\x02S00\n"), LINE_SMP);
    assert_int_equal(TAKE("\x06\x09\n"), LINE_SMP);
    /* Near misses are console lines, and no good ones. */
    assert_int_equal(TAKE("\x06\x14QUJD\n"), LINE_GARBLED);
    assert_int_equal(TAKE("\x04\x09QUJD\n"), LINE_GARBLED);
    assert_int_equal(TAKE("\x06\n"), LINE_GARBLED);
    assert_int_equal(TAKE("\x04\n"), LINE_GARBLED);
    assert_int_equal(TAKE("stop\x02S00\n"), LINE_GARBLED);
    assert_int_equal(TAKE(" \x06\x09QUJD\n"), LINE_GARBLED);
    assert_int_equal(TAKE("stop\n"), LINE_CONSOLE);
}

static void test_frame_lengths(void **state)
{
    (void)state;
    static const char *const leads[] = {"\x06\x09", "\x04\x14", "\x02S"};
    for (size_t lead = 0u; lead < 3u; lead++) {
        const enum line_kind whole = (lead < 2u) ? LINE_SMP : LINE_PLANT;
        const enum line_kind broken = (lead < 2u) ? LINE_SMP_BROKEN : LINE_PLANT_BROKEN;
        for (size_t length = 2u; length < 400u; length++) {
            for (size_t i = 0u; i < length; i++) {
                (void)lines_take(&lines, (i < 2u) ? (uint8_t)leads[lead][i] : (uint8_t)'A');
            }
            assert_int_equal(lines_take(&lines, (uint8_t)'\n'), (length <= LINES_FRAME_MAX) ? whole : broken);
        }
    }
}

static void test_losses(void **state)
{
    (void)state;
    /* Before the first byte, within a line, between two lines. */
    lines_lose(&lines);
    assert_int_equal(TAKE("stop\n"), LINE_GARBLED);
    assert_int_equal(TAKE("stop\n"), LINE_CONSOLE);
    (void)lines_take(&lines, (uint8_t)'s');
    lines_lose(&lines);
    assert_int_equal(TAKE("top\n"), LINE_GARBLED);
    assert_int_equal(TAKE("stop\n"), LINE_CONSOLE);
    lines_lose(&lines);
    assert_int_equal(TAKE("\x02S00\n"), LINE_PLANT_BROKEN);
    assert_int_equal(TAKE("\x02S00\n"), LINE_PLANT);
    lines_lose(&lines);
    assert_int_equal(TAKE("\x06\x09QUJD\n"), LINE_SMP_BROKEN);
    lines_lose(&lines);
    assert_int_equal(TAKE("\n"), LINE_GARBLED); /* who knows what was there */
    assert_int_equal(TAKE("\n"), LINE_NONE);
}

int test_lines(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_line_ends, start),          cmocka_unit_test_setup(test_console_lengths, start),
        cmocka_unit_test_setup(test_console_characters, start), cmocka_unit_test_setup(test_first_bytes_decide, start),
        cmocka_unit_test_setup(test_frame_lengths, start),      cmocka_unit_test_setup(test_losses, start),
    };
    return cmocka_run_group_tests_name("lines", tests, NULL, NULL);
}
