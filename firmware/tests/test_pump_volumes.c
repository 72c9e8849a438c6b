/*
 * SPDX-License-Identifier: Apache-2.0
 * The pump at the end of a programme, and its boluses with their limits, at each limit and beyond it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "rig.h"
#include "sim/flash.h"
#include "tests.h"

/* --- KVO ----------------------------------------------------------------------------------------------------------- */

static void test_the_volume_to_be_infused_leads_to_kvo(void **state)
{
    (void)state;
    config.kvo = 50u;
    rig_infuse(&(struct programme){.syringe = 2u, .drug = 2u, .rate = 1000u, .vtbi = 100u});
    while (pump.state == PUMP_INFUSING) {
        rig_tick();
    }
    /* 242 steps are 99.90 µl, 243 are 100.3 µl: reached within one step. 3.6 s of ticks. */
    assert_int_equal(steps, 243u);
    assert_int_equal(pump.state, PUMP_KVO);
    rig_event(EVENT_COMPLETE, 100u);
    rig_event(EVENT_ALARM, ALARM_COMPLETE);
    rig_no_event();
    assert_int_equal(rig_report().rate, 50u);
    assert_int_equal(rig_report().alarm, ALARM_COMPLETE);
    rig_pass(360u * DELIVERY_TICKS_PER_SECOND); /* 5.0 ml/h: 500 µl, counted */
    assert_in_range(rig_report().volume, 599u, 601u);
    assert_int_equal(pump.state, PUMP_KVO);
    rig_no_event();
    pump_stop(&pump);
    assert_int_equal(pump.state, PUMP_IDLE);
    assert_int_equal(rig_report().vtbi, 0u);
    assert_in_range(rig_report().volume, 599u, 601u);
}

static void test_kvo_is_never_faster_than_the_programme(void **state)
{
    static const uint32_t rates[3] = {9u, 10u, 11u};
    (void)state;
    for (size_t i = 0u; i < 3u; i++) {
        rig_start(NULL);
        rig_infuse(&(struct programme){.syringe = 2u, .drug = 2u, .rate = rates[i], .vtbi = 100u});
        pump.delivery.delivered = 100u * 1000000u;
        rig_tick();
        assert_int_equal(pump.state, PUMP_KVO);
        assert_int_equal(rig_report().rate, (rates[i] < 10u) ? rates[i] : 10u);
    }
}

static void test_complete_is_latched_and_keeps_the_next_start(void **state)
{
    (void)state;
    rig_bring_to(PUMP_KVO);
    pump_stop(&pump);
    rig_make_ready(&saline);
    assert_int_equal(pump_start(&pump, &sensors), PUMP_ALARM_STANDS);
    assert_int_equal(alarm_first_latched(&pump.alarms), ALARM_COMPLETE);
    assert_int_equal(pump_clear_alarms(&pump, &sensors), ALARM_NONE);
    assert_int_equal(pump.state, PUMP_READY);
    assert_int_equal(pump_start(&pump, &sensors), PUMP_DONE);
}

static void test_complete_can_be_cleared_during_kvo(void **state)
{
    (void)state;
    rig_bring_to(PUMP_KVO);
    assert_int_equal(pump_clear_alarms(&pump, &sensors), ALARM_NONE);
    rig_event(EVENT_ENDED, ALARM_COMPLETE);
    assert_int_equal(pump.state, PUMP_KVO);
    sensors.door_open = true;
    rig_tick();
    assert_int_equal(pump.state, PUMP_ALARM);
    sensors.door_open = false;
    assert_int_equal(pump_clear_alarms(&pump, &sensors), ALARM_NONE);
    assert_int_equal(pump.state, PUMP_IDLE); /* nothing is left to be infused */
}

/* --- boluses ------------------------------------------------------------------------------------------------------- */

static enum pump_result bolus(uint32_t volume, uint32_t *left)
{
    *left = 12345u;
    return pump_bolus(&pump, volume, left);
}

static void test_limits_of_a_bolus(void **state)
{
    uint32_t left;
    (void)state;
    rig_infuse(&saline);
    assert_int_equal(bolus(9u, &left), PUMP_HARD_LIMIT);
    assert_int_equal(left, 0u);
    assert_int_equal(bolus(101u, &left), PUMP_HARD_LIMIT);
    assert_int_equal(bolus(0u, &left), PUMP_HARD_LIMIT);
    rig_no_event();
    assert_int_equal(bolus(100u, &left), PUMP_DONE);
    rig_event(EVENT_BOLUS, 100u);
    assert_int_equal(rig_report().rate, 500u);
    assert_int_equal(rig_report().bolus, 100u);
    rig_start(NULL);
    rig_infuse(&saline);
    assert_int_equal(bolus(10u, &left), PUMP_DONE);
    /* 60.0 ml/h and the bolus's 40.0 are the most; heparin has no bolus. */
    rig_start(NULL);
    rig_infuse(&(struct programme){.syringe = 2u, .drug = 2u, .rate = 600u, .vtbi = 10000u});
    assert_int_equal(bolus(100u, &left), PUMP_DONE);
    rig_start(NULL);
    rig_infuse(&(struct programme){.syringe = 2u, .drug = 2u, .rate = 601u, .vtbi = 10000u});
    assert_int_equal(bolus(100u, &left), PUMP_HARD_LIMIT);
    rig_start(NULL);
    rig_infuse(&(struct programme){.syringe = 2u, .drug = 3u, .rate = 50u, .vtbi = 10000u});
    assert_int_equal(bolus(10u, &left), PUMP_HARD_LIMIT);
}

static void test_a_bolus_is_on_top_of_the_programme(void **state)
{
    uint32_t left;
    (void)state;
    rig_infuse(&saline);
    assert_int_equal(bolus(100u, &left), PUMP_DONE);
    rig_pass(900u); /* 100 µl at 40.0 ml/h take 9 s */
    assert_int_equal(pump.state, PUMP_INFUSING);
    assert_int_equal(rig_report().rate, 100u);
    assert_int_equal(rig_report().bolus, 0u);
    assert_int_equal(steps, 302u); /* 100 µl, and 25 µl of the programme */
    assert_int_equal(pump.programme.rate, 100u);
}

static void test_lockout_counts_from_the_end_of_the_bolus(void **state)
{
    uint32_t left;
    (void)state;
    rig_infuse(&saline);
    assert_int_equal(bolus(50u, &left), PUMP_DONE);
    rig_pass(449u);
    assert_int_equal(pump.state, PUMP_BOLUS);
    rig_tick();
    assert_int_equal(pump.state, PUMP_INFUSING);
    assert_int_equal(bolus(50u, &left), PUMP_LOCKOUT);
    assert_int_equal(left, 5u);
    rig_pass(100u);
    assert_int_equal(bolus(50u, &left), PUMP_LOCKOUT);
    assert_int_equal(left, 4u);
    rig_pass(399u);
    assert_int_equal(bolus(50u, &left), PUMP_LOCKOUT);
    assert_int_equal(left, 1u);
    rig_tick();
    assert_int_equal(bolus(50u, &left), PUMP_DONE);
}

static void test_lockout_outlasts_a_new_programme(void **state)
{
    uint32_t left;
    (void)state;
    rig_infuse(&(struct programme){.syringe = 3u, .drug = 1u, .rate = 50u, .vtbi = 10000u});
    assert_int_equal(bolus(10u, &left), PUMP_DONE);
    rig_pass(100u);
    pump_stop(&pump);
    pump_stop(&pump);
    rig_infuse(&(struct programme){.syringe = 3u, .drug = 1u, .rate = 50u, .vtbi = 10000u});
    assert_int_equal(bolus(10u, &left), PUMP_LOCKOUT);
    assert_in_range(left, 599u, 600u);
}

static void test_hourly_limit_slides(void **state)
{
    uint32_t left;
    (void)state;
    rig_infuse(&(struct programme){.syringe = 4u, .drug = 2u, .rate = 1u, .vtbi = 50000u});
    assert_int_equal(bolus(100u, &left), PUMP_DONE);
    rig_pass(1400u);
    assert_int_equal(bolus(60u, &left), PUMP_DONE);
    const uint32_t ended = elapsed + 540u;
    rig_pass(1400u);
    assert_int_equal(bolus(41u, &left), PUMP_HOURLY_LIMIT);
    assert_int_equal(left, 40u);
    assert_int_equal(bolus(40u, &left), PUMP_DONE);
    rig_pass(1400u);
    assert_int_equal(bolus(10u, &left), PUMP_HOURLY_LIMIT);
    assert_int_equal(left, 0u);
    /* Never before 60 minutes have passed since the first one ended; at the latest after 61. */
    while (bolus(100u, &left) == PUMP_HOURLY_LIMIT) {
        rig_tick();
    }
    assert_int_equal(elapsed, 366000u); /* it ended in the first minute: gone when the 61st after it is over */
    assert_true(ended < elapsed);
    assert_int_equal(pump.state, PUMP_BOLUS);
}

/* Boluses as often as the pump takes them, for hours, against a list of all of them. */
static void test_hourly_limit_holds_in_any_60_minutes(void **state)
{
    static uint32_t ends[2000];
    static uint32_t volumes[2000];
    uint32_t count = 0u;
    uint32_t random = 5u;
    (void)state;
    rig_infuse(&(struct programme){.syringe = 4u, .drug = 2u, .rate = 1u, .vtbi = 50000u});
    while (elapsed < (5u * 360000u)) {
        uint32_t left;
        const uint32_t volume = 10u + (sim_random(&random) % 91u);
        if (((elapsed % 50u) == 0u) && (pump_bolus(&pump, volume, &left) == PUMP_DONE)) {
            while (pump.state == PUMP_BOLUS) {
                rig_tick();
            }
            ends[count] = elapsed;
            volumes[count] = volume;
            count++;
            uint32_t sum = 0u;
            for (uint32_t i = 0u; i < count; i++) {
                sum += ((elapsed - ends[i]) < 360000u) ? volumes[i] : 0u;
            }
            assert_true(sum <= 200u);
        }
        rig_drop_events();
        sensors.position = 60000u;
        rig_tick();
    }
    assert_true(count >= 10u); /* 200 µl an hour were there to be had */
}

static void test_a_bolus_that_is_stopped_counts_what_was_given(void **state)
{
    uint32_t left;
    (void)state;
    rig_infuse(&saline);
    assert_int_equal(bolus(100u, &left), PUMP_DONE);
    rig_pass(450u); /* 50 µl */
    pump_stop(&pump);
    assert_int_equal(rig_report().bolus, 0u);
    rig_pass(500u);
    assert_int_equal(pump_start(&pump, &sensors), PUMP_DONE);
    rig_pass(450u);
    assert_int_equal(pump.state, PUMP_INFUSING);
    assert_int_equal(bolus(100u, &left), PUMP_DONE);
    rig_pass(1500u);
    assert_int_equal(bolus(60u, &left), PUMP_HOURLY_LIMIT);
    assert_int_equal(left, 49u); /* given is rounded up */
}

static void test_a_lower_limit_than_what_was_given_leaves_nothing(void **state)
{
    uint32_t left;
    (void)state;
    rig_infuse(&saline);
    pump.boluses.ended[0] = 1000u;
    assert_int_equal(bolus(10u, &left), PUMP_HOURLY_LIMIT);
    assert_int_equal(left, 0u);
}

static void test_a_bolus_ends_with_the_volume_to_be_infused(void **state)
{
    uint32_t left;
    (void)state;
    rig_infuse(&(struct programme){.syringe = 2u, .drug = 2u, .rate = 100u, .vtbi = 100u});
    rig_pass(1800u); /* 50 µl */
    assert_int_equal(bolus(100u, &left), PUMP_DONE);
    rig_drop_events();
    while (pump.state == PUMP_BOLUS) {
        rig_tick();
    }
    assert_int_equal(pump.state, PUMP_KVO);
    assert_int_equal(rig_report().bolus, 0u);
    assert_int_equal(rig_report().rate, 10u);
    assert_int_equal(steps, 243u);
    rig_event(EVENT_COMPLETE, 100u);
    assert_in_range(pump.boluses.ended[pump.boluses.minute], 40u, 42u);
}

static void test_the_time_since_a_bolus_does_not_wrap(void **state)
{
    uint32_t left;
    (void)state;
    rig_infuse(&saline);
    pump.boluses.since = UINT32_MAX - 1u;
    rig_pass(3u);
    assert_int_equal(pump.boluses.since, UINT32_MAX);
    assert_int_equal(bolus(10u, &left), PUMP_DONE);
}

int test_pump_volumes(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_the_volume_to_be_infused_leads_to_kvo, rig_start),
        cmocka_unit_test_setup(test_kvo_is_never_faster_than_the_programme, rig_start),
        cmocka_unit_test_setup(test_complete_is_latched_and_keeps_the_next_start, rig_start),
        cmocka_unit_test_setup(test_complete_can_be_cleared_during_kvo, rig_start),
        cmocka_unit_test_setup(test_limits_of_a_bolus, rig_start),
        cmocka_unit_test_setup(test_a_bolus_is_on_top_of_the_programme, rig_start),
        cmocka_unit_test_setup(test_lockout_counts_from_the_end_of_the_bolus, rig_start),
        cmocka_unit_test_setup(test_lockout_outlasts_a_new_programme, rig_start),
        cmocka_unit_test_setup(test_hourly_limit_slides, rig_start),
        cmocka_unit_test_setup(test_hourly_limit_holds_in_any_60_minutes, rig_start),
        cmocka_unit_test_setup(test_a_bolus_that_is_stopped_counts_what_was_given, rig_start),
        cmocka_unit_test_setup(test_a_lower_limit_than_what_was_given_leaves_nothing, rig_start),
        cmocka_unit_test_setup(test_a_bolus_ends_with_the_volume_to_be_infused, rig_start),
        cmocka_unit_test_setup(test_the_time_since_a_bolus_does_not_wrap, rig_start),
    };
    return cmocka_run_group_tests_name("pump_volumes", tests, NULL, NULL);
}
