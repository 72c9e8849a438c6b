/*
 * SPDX-License-Identifier: Apache-2.0
 * The table of alarms, as PROTOCOL.md has it, and the sound.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "application/control/alarm.h"
#include "tests.h"

#define HIGH ALARM_PRIORITY_HIGH
#define MEDIUM ALARM_PRIORITY_MEDIUM
#define LOW ALARM_PRIORITY_LOW

/* PROTOCOL.md, "Alarms", row by row. */
static const struct {
    const char *name;
    enum alarm_priority priority;
    bool stops;
    bool latched;
} table[ALARM_LAST] = {
    {"fault", HIGH, true, true},         {"occlusion", HIGH, true, true},      {"air", HIGH, true, true},
    {"door", HIGH, true, true},          {"syringe", HIGH, true, true},        {"empty", HIGH, true, true},
    {"sensor-link", HIGH, true, true},   {"sensor-value", HIGH, true, true},   {"flow", HIGH, true, true},
    {"battery-empty", HIGH, true, true}, {"battery-low", MEDIUM, false, false}, {"complete", MEDIUM, false, true},
    {"near-empty", LOW, false, false},
};

static void test_the_table_is_the_protocol_s(void **state)
{
    (void)state;
    for (uint32_t row = 1u; row <= ALARM_LAST; row++) {
        const enum alarm alarm = (enum alarm)row;
        assert_string_equal(alarm_name(alarm), table[row - 1u].name);
        assert_int_equal(alarm_priority(alarm), table[row - 1u].priority);
        assert_int_equal(alarm_stops(alarm), table[row - 1u].stops);
        assert_int_equal(alarm_latches(alarm), table[row - 1u].latched);
        /* What stops must not end by itself. */
        assert_true(!alarm_stops(alarm) || alarm_latches(alarm));
    }
    assert_string_equal(alarm_name(ALARM_NONE), "none");
    assert_int_equal(alarm_priority(ALARM_NONE), ALARM_PRIORITY_NONE);
}

static void test_its_rows_are_sorted_by_priority(void **state)
{
    (void)state;
    for (uint32_t row = 1u; row < ALARM_LAST; row++) {
        assert_true(alarm_priority((enum alarm)row) >= alarm_priority((enum alarm)(row + 1u)));
    }
}

static void test_names(void **state)
{
    (void)state;
    assert_string_equal(alarm_priority_name(ALARM_PRIORITY_NONE), "none");
    assert_string_equal(alarm_priority_name(LOW), "low");
    assert_string_equal(alarm_priority_name(MEDIUM), "medium");
    assert_string_equal(alarm_priority_name(HIGH), "high");
    assert_string_equal(alarm_audio_name(ALARM_AUDIO_OFF), "off");
    assert_string_equal(alarm_audio_name(ALARM_AUDIO_ON), "on");
    assert_string_equal(alarm_audio_name(ALARM_AUDIO_PAUSED), "paused");
}

/* Every one of the 8192 sets of standing alarms: the first, the first latched, the highest priority. */
static void test_every_set_shows_its_first_row(void **state)
{
    (void)state;
    for (uint32_t set = 0u; set < (1u << ALARM_LAST); set++) {
        struct alarms alarms;
        uint32_t first = 0u;
        uint32_t latched = 0u;
        enum alarm_priority highest = ALARM_PRIORITY_NONE;
        alarm_init(&alarms);
        for (uint32_t row = 1u; row <= ALARM_LAST; row++) {
            if ((set & (1u << (row - 1u))) != 0u) {
                assert_true(alarm_raise(&alarms, (enum alarm)row));
                first = (first == 0u) ? row : first;
                latched = ((latched == 0u) && table[row - 1u].latched) ? row : latched;
                highest = (table[row - 1u].priority > highest) ? table[row - 1u].priority : highest;
            }
        }
        assert_int_equal(alarm_first(&alarms), first);
        assert_int_equal(alarm_first_latched(&alarms), latched);
        assert_int_equal(alarm_standing_priority(&alarms), highest);
        assert_int_equal(alarm_audio(&alarms), (set == 0u) ? ALARM_AUDIO_OFF : ALARM_AUDIO_ON);
    }
}

static void test_an_alarm_is_raised_and_ended_once(void **state)
{
    struct alarms alarms;
    (void)state;
    alarm_init(&alarms);
    assert_false(alarm_end(&alarms, ALARM_AIR));
    assert_true(alarm_raise(&alarms, ALARM_AIR));
    assert_false(alarm_raise(&alarms, ALARM_AIR));
    assert_true(alarm_stands(&alarms, ALARM_AIR));
    assert_false(alarm_stands(&alarms, ALARM_DOOR));
    assert_true(alarm_end(&alarms, ALARM_AIR));
    assert_false(alarm_end(&alarms, ALARM_AIR));
    assert_int_equal(alarm_first(&alarms), ALARM_NONE);
    assert_true(alarm_raise(&alarms, ALARM_FAULT));
    assert_false(alarm_end(&alarms, ALARM_FAULT));
    assert_true(alarm_stands(&alarms, ALARM_FAULT));
}

static void test_a_pause_ends_after_120_s(void **state)
{
    struct alarms alarms;
    (void)state;
    alarm_init(&alarms);
    alarm_tick(&alarms);
    assert_int_equal(alarm_silence(&alarms), ALARM_SILENCE_NONE);
    (void)alarm_raise(&alarms, ALARM_NEAR_EMPTY);
    assert_int_equal(alarm_silence(&alarms), ALARM_SILENCED);
    for (uint32_t tick = 0u; tick < 12000u; tick++) {
        assert_int_equal(alarm_audio(&alarms), ALARM_AUDIO_PAUSED);
        alarm_tick(&alarms);
    }
    assert_int_equal(alarm_audio(&alarms), ALARM_AUDIO_ON);
    alarm_tick(&alarms);
    assert_int_equal(alarm_audio(&alarms), ALARM_AUDIO_ON);
}

static void test_a_new_alarm_ends_the_pause_and_an_old_one_does_not(void **state)
{
    struct alarms alarms;
    (void)state;
    alarm_init(&alarms);
    (void)alarm_raise(&alarms, ALARM_OCCLUSION);
    (void)alarm_silence(&alarms);
    (void)alarm_raise(&alarms, ALARM_OCCLUSION);
    assert_int_equal(alarm_audio(&alarms), ALARM_AUDIO_PAUSED);
    (void)alarm_raise(&alarms, ALARM_NEAR_EMPTY);
    assert_int_equal(alarm_audio(&alarms), ALARM_AUDIO_ON);
    (void)alarm_silence(&alarms);
    (void)alarm_end(&alarms, ALARM_NEAR_EMPTY);
    assert_int_equal(alarm_audio(&alarms), ALARM_AUDIO_PAUSED);
    (void)alarm_end(&alarms, ALARM_OCCLUSION);
    assert_int_equal(alarm_audio(&alarms), ALARM_AUDIO_OFF);
    (void)alarm_raise(&alarms, ALARM_OCCLUSION);
    assert_int_equal(alarm_audio(&alarms), ALARM_AUDIO_ON);
}

static void test_a_fault_is_not_silenced(void **state)
{
    struct alarms alarms;
    (void)state;
    alarm_init(&alarms);
    (void)alarm_raise(&alarms, ALARM_OCCLUSION);
    (void)alarm_silence(&alarms);
    (void)alarm_raise(&alarms, ALARM_FAULT);
    assert_int_equal(alarm_silence(&alarms), ALARM_SILENCE_FAULT);
    assert_int_equal(alarm_audio(&alarms), ALARM_AUDIO_ON);
}

int test_alarm(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_table_is_the_protocol_s),
        cmocka_unit_test(test_its_rows_are_sorted_by_priority),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_every_set_shows_its_first_row),
        cmocka_unit_test(test_an_alarm_is_raised_and_ended_once),
        cmocka_unit_test(test_a_pause_ends_after_120_s),
        cmocka_unit_test(test_a_new_alarm_ends_the_pause_and_an_old_one_does_not),
        cmocka_unit_test(test_a_fault_is_not_silenced),
    };
    return cmocka_run_group_tests_name("alarm", tests, NULL, NULL);
}
