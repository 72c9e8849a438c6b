/*
 * SPDX-License-Identifier: Apache-2.0
 * What the sensors say is wrong: each limit of PROTOCOL.md at it, just within and just beyond.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "application/control/alarm.h"
#include "application/control/delivery.h"
#include "application/control/supervision.h"
#include "tests.h"

#define OCCLUSION 517u
#define MICROLITRE 1000000u /* picolitres */

static struct supervision supervision;
static struct sensors sensors;
static uint64_t delivered;

static int start(void **state)
{
    (void)state;
    supervision_init(&supervision);
    sensors = (struct sensors){.state = SENSORS_FRESH, .pressure = 20u, .position = 30000u, .syringe_in = true, .battery = 80u};
    delivered = 0u;
    return 0;
}

static uint32_t tick(bool delivering)
{
    return supervision_tick(&supervision, &sensors, delivering, delivered, OCCLUSION);
}

/* A new frame, and the tick that sees it. */
static uint32_t frame(bool delivering)
{
    sensors.frames++;
    return tick(delivering);
}

static void test_good_sensors_show_nothing(void **state)
{
    (void)state;
    assert_int_equal(frame(false), 0u);
    assert_int_equal(frame(true), 0u);
    assert_int_equal(supervision_causes(&supervision, &sensors, OCCLUSION), 0u);
    assert_true(supervision_usable(&sensors));
}

/* A cause is seen while delivering; where the pump stands still only if it is watched always; and it keeps an alarm. */
static void check(enum alarm alarm, bool always)
{
    const uint32_t bit = ALARM_BIT(alarm);
    assert_int_equal(frame(false), always ? bit : 0u);
    assert_int_equal(frame(true), bit);
    assert_int_equal(supervision_causes(&supervision, &sensors, OCCLUSION), alarm_latches(alarm) ? bit : 0u);
    start(NULL);
}

static void test_each_limit(void **state)
{
    (void)state;
    sensors.pressure = OCCLUSION;
    assert_int_equal(frame(true), 0u);
    sensors.pressure = OCCLUSION + 1u;
    check(ALARM_OCCLUSION, true);
    sensors.air = true;
    check(ALARM_AIR, false);
    sensors.door_open = true;
    check(ALARM_DOOR, false);
    sensors.syringe_in = false;
    check(ALARM_SYRINGE, false);
    sensors.position = 501u;
    assert_int_equal(frame(true), 0u);
    start(NULL);
    sensors.position = 500u;
    check(ALARM_EMPTY, false);
    sensors.bad_in_a_row = 2u;
    assert_int_equal(frame(true), 0u);
    sensors.bad_in_a_row = 3u;
    assert_false(supervision_usable(&sensors));
    check(ALARM_SENSOR_LINK, false);
    sensors.implausible = true;
    assert_false(supervision_usable(&sensors));
    check(ALARM_SENSOR_VALUE, false);
    sensors.battery = 21u;
    assert_int_equal(frame(true), 0u);
    sensors.battery = 20u;
    check(ALARM_BATTERY_LOW, true);
    sensors.battery = 6u;
    assert_int_equal(frame(true), ALARM_BIT(ALARM_BATTERY_LOW));
    sensors.battery = 5u;
    assert_int_equal(frame(true), ALARM_BIT(ALARM_BATTERY_LOW) | ALARM_BIT(ALARM_BATTERY_EMPTY));
    assert_int_equal(frame(false), ALARM_BIT(ALARM_BATTERY_LOW));
    assert_int_equal(supervision_causes(&supervision, &sensors, OCCLUSION), ALARM_BIT(ALARM_BATTERY_EMPTY));
}

static void test_without_fresh_sensors_nothing_is_seen_and_nothing_is_gone(void **state)
{
    static const enum sensors_state states[2] = {SENSORS_WAITING, SENSORS_STALE};
    (void)state;
    for (size_t i = 0u; i < 2u; i++) {
        sensors.state = states[i];
        sensors.pressure = 2000u;
        assert_int_equal(tick(false), 0u);
        assert_int_equal(tick(true), ALARM_BIT(ALARM_SENSOR_LINK));
        assert_false(supervision_usable(&sensors));
        const uint32_t causes = supervision_causes(&supervision, &sensors, OCCLUSION);
        for (uint32_t alarm = ALARM_OCCLUSION; alarm <= ALARM_BATTERY_EMPTY; alarm++) {
            assert_true((causes & ALARM_BIT(alarm)) != 0u);
        }
        assert_int_equal(causes & (ALARM_BIT(ALARM_FAULT) | ALARM_BIT(ALARM_COMPLETE)), 0u);
    }
}

static void test_a_plunger_that_jumps(void **state)
{
    (void)state;
    sensors.position = 100000u;
    assert_int_equal(frame(true), 0u); /* the first frame of all jumps from nowhere */
    sensors.position = 99000u;
    assert_int_equal(frame(true), 0u);
    sensors.position = 100000u;
    assert_int_equal(frame(true), 0u);
    sensors.position = 101001u;
    assert_int_equal(frame(true), ALARM_BIT(ALARM_SENSOR_VALUE));
    assert_int_equal(frame(true), 0u);
    sensors.position = 100000u;
    assert_int_equal(tick(true), 0u); /* no new frame */
    assert_int_equal(frame(true), ALARM_BIT(ALARM_SENSOR_VALUE));
    sensors.position = 50000u;
    assert_int_equal(frame(false), 0u); /* a syringe is changed while the drive stands still */
    assert_int_equal(frame(true), 0u);
}

/* Delivers in frames of 1 µl, of which the second channel sees a part; returns what any frame of it caused. */
static uint32_t deliver(uint32_t microlitres, uint32_t nanolitres_each)
{
    uint32_t causes = 0u;
    for (uint32_t i = 0u; i < microlitres; i++) {
        delivered += MICROLITRE;
        sensors.flow += nanolitres_each;
        causes |= frame(true);
    }
    return causes;
}

static void test_the_second_channel_agrees_within_15_percent(void **state)
{
    (void)state;
    sensors.flow = 0xffff0000u; /* wraps within the first window */
    (void)frame(true);
    assert_int_equal(deliver(400u, 1000u), 0u);
    assert_int_equal(deliver(400u, 1150u), 0u);
    assert_int_equal(deliver(400u, 850u), 0u);
    assert_int_equal(deliver(400u, 1100u), 0u);
}

static void test_too_little_flow_is_seen_at_the_end_of_the_window(void **state)
{
    (void)state;
    (void)frame(true);
    assert_int_equal(deliver(199u, 849u), 0u);
    assert_int_equal(deliver(1u, 849u), ALARM_BIT(ALARM_FLOW));
    assert_int_equal(deliver(199u, 1000u), 0u); /* the next window */
    assert_int_equal(deliver(200u, 0u), 0u); /* its last microlitre, and 199 of one more */
    assert_int_equal(deliver(1u, 0u), ALARM_BIT(ALARM_FLOW));
}

static void test_too_much_flow_is_seen_at_once(void **state)
{
    (void)state;
    (void)frame(true);
    assert_int_equal(deliver(100u, 1300u), 0u);
    assert_int_equal(deliver(1u, 1300u), ALARM_BIT(ALARM_FLOW));
    start(state);
    (void)frame(true);
    assert_int_equal(deliver(200u, 1151u), ALARM_BIT(ALARM_FLOW));
}

static void test_flow_that_runs_backwards(void **state)
{
    (void)state;
    (void)frame(true);
    assert_int_equal(deliver(199u, 0u), 0u);
    sensors.flow -= 1000u;
    delivered += MICROLITRE;
    assert_int_equal(frame(true), ALARM_BIT(ALARM_FLOW));
    assert_int_equal(frame(true), 0u);
}

static void test_a_window_begins_with_each_start(void **state)
{
    (void)state;
    (void)frame(true);
    assert_int_equal(deliver(150u, 0u), 0u);
    (void)frame(false);
    (void)frame(true);
    assert_int_equal(deliver(199u, 1000u), 0u);
    assert_int_equal(deliver(1u, 1000u), 0u);
}

/* Stands still that long, in frames of 100 ms with so much flow each; true if it was seen. */
static bool stand(uint32_t tenths, uint32_t nanolitres_each)
{
    uint32_t causes = 0u;
    for (uint32_t i = 0u; i < tenths; i++) {
        sensors.flow += nanolitres_each;
        causes |= frame(false);
        for (uint32_t ticks = 1u; ticks < 10u; ticks++) {
            causes |= tick(false);
        }
    }
    assert_int_equal(causes & ~ALARM_BIT(ALARM_FLOW), 0u);
    return causes != 0u;
}

static void test_flow_while_the_drive_stands_still(void **state)
{
    (void)state;
    assert_false(stand(1u, 0u));
    assert_false(stand(600u, 454u)); /* 50 µl in 11 s: what may flow in any 10 s, whatever their beginning */
    assert_true(stand(101u, 501u));  /* 50.1 µl in 10 s */
    /* It is the cause until 10 to 11 s after. */
    assert_int_equal(supervision_causes(&supervision, &sensors, OCCLUSION), ALARM_BIT(ALARM_FLOW));
    (void)stand(111u, 0u);
    assert_int_equal(supervision_causes(&supervision, &sensors, OCCLUSION), 0u);
    assert_false(stand(100u, 0u));
    sensors.flow += 50000u;
    assert_false(stand(1u, 0u));
    sensors.flow += 1u;
    assert_true(stand(1u, 0u));
}

/* 50.001 µl, half of it at each end of 10 s less a tick, wherever these begin. */
static void test_no_10_s_are_missed(void **state)
{
    for (uint32_t phase = 0u; phase < 250u; phase++) {
        uint32_t causes = 0u;
        (void)start(state);
        sensors.flow = 123456789u; /* the second channel has counted before the pump was switched on */
        for (uint32_t ticks = 0u; ticks <= phase; ticks++) {
            causes |= tick(false);
        }
        sensors.flow += 25000u;
        for (uint32_t ticks = 0u; ticks < 999u; ticks++) {
            causes |= tick(false);
        }
        assert_int_equal(causes, 0u);
        sensors.flow += 25001u;
        assert_int_equal(tick(false), ALARM_BIT(ALARM_FLOW));
    }
}

static void test_flow_that_nobody_saw_counts(void **state)
{
    (void)state;
    assert_false(stand(10u, 0u));
    sensors.state = SENSORS_STALE;
    for (uint32_t ticks = 0u; ticks < 3000u; ticks++) {
        assert_int_equal(tick(false), 0u);
    }
    sensors.state = SENSORS_FRESH;
    sensors.flow += 60000u;
    assert_int_equal(frame(false), ALARM_BIT(ALARM_FLOW));
}

static void test_stillness_begins_with_each_stop(void **state)
{
    (void)state;
    assert_false(stand(50u, 0u));
    (void)frame(true);
    assert_int_equal(deliver(100u, 1000u), 0u);
    assert_false(stand(50u, 0u));
}

static void test_minutes_left(void **state)
{
    const struct syringe *const syringe = delivery_syringe(3u);
    (void)state;
    /* 10.0 ml/h for 3 min are 500 µl: 695.84 steps of 718,555 pl, 1739.6 µm. */
    sensors.position = 500u + 1739u;
    assert_true(supervision_minutes_left(&sensors, syringe->step, 100u, 3u));
    sensors.position = 500u + 1740u;
    assert_false(supervision_minutes_left(&sensors, syringe->step, 100u, 3u));
    assert_true(supervision_minutes_left(&sensors, syringe->step, 100u, 4u));
    sensors.position = 0u;
    assert_true(supervision_minutes_left(&sensors, syringe->step, 1u, 3u));
    sensors.position = 200000u;
    assert_false(supervision_minutes_left(&sensors, delivery_syringe(4u)->step, 1000u, 4u));
}

int test_supervision(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_good_sensors_show_nothing, start),
        cmocka_unit_test_setup(test_each_limit, start),
        cmocka_unit_test_setup(test_without_fresh_sensors_nothing_is_seen_and_nothing_is_gone, start),
        cmocka_unit_test_setup(test_a_plunger_that_jumps, start),
        cmocka_unit_test_setup(test_the_second_channel_agrees_within_15_percent, start),
        cmocka_unit_test_setup(test_too_little_flow_is_seen_at_the_end_of_the_window, start),
        cmocka_unit_test_setup(test_too_much_flow_is_seen_at_once, start),
        cmocka_unit_test_setup(test_flow_that_runs_backwards, start),
        cmocka_unit_test_setup(test_a_window_begins_with_each_start, start),
        cmocka_unit_test_setup(test_flow_while_the_drive_stands_still, start),
        cmocka_unit_test_setup(test_no_10_s_are_missed, start),
        cmocka_unit_test_setup(test_flow_that_nobody_saw_counts, start),
        cmocka_unit_test_setup(test_stillness_begins_with_each_stop, start),
        cmocka_unit_test_setup(test_minutes_left, start),
    };
    return cmocka_run_group_tests_name("supervision", tests, NULL, NULL);
}
