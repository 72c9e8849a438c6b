/*
 * SPDX-License-Identifier: Apache-2.0
 * The pump's alarms, what it tells of them, and its events.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "rig.h"
#include "sim/drugs.h"
#include "tests.h"

/* --- alarms -------------------------------------------------------------------------------------------------------- */

static void test_an_alarm_stops_in_the_same_tick(void **state)
{
    (void)state;
    rig_bring_to(PUMP_INFUSING);
    rig_pass(35u);
    const uint32_t before = steps;
    sensors.pressure = 518u;
    assert_int_equal(pump_tick(&pump, &sensors), 0u);
    assert_false(pump_drive(&pump));
    assert_int_equal(pump.state, PUMP_ALARM);
    rig_event(EVENT_ALARM, ALARM_OCCLUSION);
    rig_no_event();
    rig_pass(500u);
    assert_int_equal(steps, before);
    rig_no_event();
}

static void test_alarms_come_in_the_order_of_the_table(void **state)
{
    (void)state;
    rig_bring_to(PUMP_BOLUS);
    sensors.battery = 1u;
    sensors.door_open = true;
    sensors.pressure = 1000u;
    sensors.position = 0u;
    rig_tick();
    rig_event(EVENT_ALARM, ALARM_OCCLUSION);
    rig_event(EVENT_ALARM, ALARM_DOOR);
    rig_event(EVENT_ALARM, ALARM_EMPTY);
    rig_event(EVENT_ALARM, ALARM_BATTERY_EMPTY);
    rig_event(EVENT_ALARM, ALARM_BATTERY_LOW);
    rig_event(EVENT_ALARM, ALARM_NEAR_EMPTY);
    rig_no_event();
    assert_int_equal(rig_report().alarm, ALARM_OCCLUSION);
    assert_int_equal(rig_report().priority, ALARM_PRIORITY_HIGH);
    assert_int_equal(rig_report().bolus, 0u);
    rig_tick();
    rig_event(EVENT_ENDED, ALARM_NEAR_EMPTY);
    rig_no_event();
}

static void test_an_alarm_stays_until_it_is_cleared_without_its_cause(void **state)
{
    (void)state;
    rig_bring_to(PUMP_ALARM);
    assert_int_equal(pump_clear_alarms(&pump, &sensors), ALARM_AIR);
    assert_int_equal(pump.state, PUMP_ALARM);
    sensors.air = false;
    rig_pass(1000u);
    assert_int_equal(pump.state, PUMP_ALARM);
    rig_no_event();
    sensors.state = SENSORS_STALE;
    assert_int_equal(pump_clear_alarms(&pump, &sensors), ALARM_AIR);
    sensors.state = SENSORS_FRESH;
    assert_int_equal(pump_clear_alarms(&pump, &sensors), ALARM_NONE);
    rig_event(EVENT_ENDED, ALARM_AIR);
    assert_int_equal(pump.state, PUMP_READY);
    rig_pass(100u);
    assert_false(pump_drive(&pump));
    assert_int_equal(pump_start(&pump, &sensors), PUMP_DONE);
}

static void test_clearing_names_the_first_whose_cause_is_there(void **state)
{
    (void)state;
    rig_bring_to(PUMP_ALARM);
    sensors.door_open = true; /* not watched in the state alarm, so it does not stand */
    sensors.air = false;
    sensors.pressure = 600u;
    rig_tick();
    rig_event(EVENT_ALARM, ALARM_OCCLUSION);
    assert_int_equal(pump_clear_alarms(&pump, &sensors), ALARM_OCCLUSION);
    assert_true(alarm_stands(&pump.alarms, ALARM_AIR)); /* all or none */
    sensors.pressure = 517u;
    assert_int_equal(pump_clear_alarms(&pump, &sensors), ALARM_NONE);
    rig_event(EVENT_ENDED, ALARM_OCCLUSION);
    rig_event(EVENT_ENDED, ALARM_AIR);
    rig_no_event();
    assert_int_equal(pump_clear_alarms(&pump, &sensors), ALARM_NONE);
}

static void test_occlusion_leads_to_alarm_from_every_state(void **state)
{
    (void)state;
    for (uint32_t i = 0u; i < (uint32_t)PUMP_ALARM; i++) {
        const bool volume_left = (i == PUMP_READY) || (i == PUMP_INFUSING) || (i == PUMP_BOLUS);
        rig_bring_to((enum pump_state)i);
        config.occlusion = 100u;
        sensors.pressure = 100u;
        rig_tick();
        assert_int_equal(pump.state, i);
        sensors.pressure = 101u;
        rig_tick();
        assert_int_equal(pump.state, PUMP_ALARM);
        assert_int_equal(rig_report().alarm, ALARM_OCCLUSION);
        sensors.pressure = 0u;
        assert_int_equal(pump_clear_alarms(&pump, &sensors), ALARM_NONE);
        assert_int_equal(pump.state, volume_left ? PUMP_READY : PUMP_IDLE);
    }
}

static void test_battery_low_comes_and_goes(void **state)
{
    (void)state;
    rig_bring_to(PUMP_INFUSING);
    sensors.battery = 20u;
    rig_tick();
    rig_event(EVENT_ALARM, ALARM_BATTERY_LOW);
    assert_int_equal(pump.state, PUMP_INFUSING);
    assert_int_equal(rig_report().priority, ALARM_PRIORITY_MEDIUM);
    pump_stop(&pump);
    rig_drop_events();
    assert_int_equal(pump_clear_alarms(&pump, &sensors), ALARM_BATTERY_LOW); /* nothing to clear: it does not latch */
    sensors.state = SENSORS_STALE;
    sensors.battery = 21u;
    rig_tick();
    rig_no_event();
    sensors.state = SENSORS_FRESH;
    assert_int_equal(pump_start(&pump, &sensors), PUMP_DONE); /* it does not keep a start */
    rig_drop_events();
    rig_tick();
    rig_event(EVENT_ENDED, ALARM_BATTERY_LOW);
    assert_int_equal(rig_report().audio, ALARM_AUDIO_OFF);
}

static void test_near_empty_has_a_hysteresis(void **state)
{
    (void)state;
    rig_bring_to(PUMP_INFUSING); /* 10.0 ml/h, syringe 2: 3 min are 3027 µm, 4 min 4037 µm */
    sensors.position = 500u + 3029u;
    rig_tick();
    rig_no_event();
    sensors.position = 500u + 3027u;
    rig_tick();
    rig_event(EVENT_ALARM, ALARM_NEAR_EMPTY);
    assert_int_equal(rig_report().priority, ALARM_PRIORITY_LOW);
    assert_int_equal(pump.state, PUMP_INFUSING);
    sensors.position = 500u + 3040u;
    rig_pass(20u);
    rig_no_event();
    sensors.position = 500u + 4040u;
    rig_tick();
    rig_event(EVENT_ENDED, ALARM_NEAR_EMPTY);
    sensors.position = 500u + 3027u;
    rig_tick();
    rig_event(EVENT_ALARM, ALARM_NEAR_EMPTY);
    pump_stop(&pump);
    rig_event(EVENT_STOP, 0u);
    rig_tick();
    rig_event(EVENT_ENDED, ALARM_NEAR_EMPTY);
}

static void test_silence(void **state)
{
    (void)state;
    assert_int_equal(pump_silence(&pump), ALARM_SILENCE_NONE);
    rig_no_event();
    rig_bring_to(PUMP_ALARM);
    assert_int_equal(rig_report().audio, ALARM_AUDIO_ON);
    assert_int_equal(pump_silence(&pump), ALARM_SILENCED);
    rig_event(EVENT_SILENCE, 0u);
    rig_pass(11999u);
    assert_int_equal(rig_report().audio, ALARM_AUDIO_PAUSED);
    rig_tick();
    assert_int_equal(rig_report().audio, ALARM_AUDIO_ON);
}

static void test_sensors_that_fail_stop_the_delivery(void **state)
{
    (void)state;
    rig_bring_to(PUMP_INFUSING);
    sensors.state = SENSORS_STALE;
    rig_tick();
    rig_event(EVENT_ALARM, ALARM_SENSOR_LINK);
    assert_int_equal(pump.state, PUMP_ALARM);
    assert_int_equal(pump_clear_alarms(&pump, &sensors), ALARM_SENSOR_LINK);
    sensors.state = SENSORS_FRESH;
    assert_int_equal(pump_clear_alarms(&pump, &sensors), ALARM_NONE);
    rig_bring_to(PUMP_BOLUS);
    sensors.bad_in_a_row = 3u;
    rig_tick();
    rig_event(EVENT_ALARM, ALARM_SENSOR_LINK);
    rig_bring_to(PUMP_KVO);
    sensors.implausible = true;
    rig_tick();
    rig_event(EVENT_ALARM, ALARM_SENSOR_VALUE);
    assert_int_equal(pump.state, PUMP_ALARM);
}

/* --- events -------------------------------------------------------------------------------------------------------- */

static void test_more_events_than_anybody_takes_are_counted(void **state)
{
    (void)state;
    for (uint32_t i = 0u; i < 20u; i++) {
        (void)rig_program(&saline);
        pump_stop(&pump);
    }
    assert_int_equal(pump.event_count, PUMP_EVENTS);
    assert_int_equal(pump.lost_events, 40u - PUMP_EVENTS);
    rig_event(EVENT_PROGRAM, 2u);
    for (uint32_t i = 1u; i < PUMP_EVENTS; i++) {
        rig_event(((i % 2u) == 0u) ? EVENT_PROGRAM : EVENT_STOP, ((i % 2u) == 0u) ? 2u : 0u);
    }
    rig_no_event();
}

static void test_a_value_that_is_too_large_is_cut_to_the_largest(void **state)
{
    (void)state;
    uint8_t payload[48];
    uint32_t token;
    bool soft;
    memcpy(payload, &sim_drugs_payload()[8], 40u);
    payload[0] = 0xffu;
    payload[1] = 0xffu;
    library.drugs = payload;
    library.count = 1u;
    const struct programme programme = {.syringe = 2u, .drug = 65535u, .rate = 10u, .vtbi = 1000u};
    assert_int_equal(pump_program(&pump, &programme, &token, &soft), PUMP_DONE);
    rig_event(EVENT_PROGRAM, 65535u);
}

int test_pump_alarms(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_an_alarm_stops_in_the_same_tick, rig_start),
        cmocka_unit_test_setup(test_alarms_come_in_the_order_of_the_table, rig_start),
        cmocka_unit_test_setup(test_an_alarm_stays_until_it_is_cleared_without_its_cause, rig_start),
        cmocka_unit_test_setup(test_clearing_names_the_first_whose_cause_is_there, rig_start),
        cmocka_unit_test_setup(test_occlusion_leads_to_alarm_from_every_state, rig_start),
        cmocka_unit_test_setup(test_battery_low_comes_and_goes, rig_start),
        cmocka_unit_test_setup(test_near_empty_has_a_hysteresis, rig_start),
        cmocka_unit_test_setup(test_silence, rig_start),
        cmocka_unit_test_setup(test_sensors_that_fail_stop_the_delivery, rig_start),
        cmocka_unit_test_setup(test_more_events_than_anybody_takes_are_counted, rig_start),
        cmocka_unit_test_setup(test_a_value_that_is_too_large_is_cut_to_the_largest, rig_start),
    };
    return cmocka_run_group_tests_name("pump_alarms", tests, NULL, NULL);
}
