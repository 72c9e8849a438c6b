/*
 * SPDX-License-Identifier: Apache-2.0
 * The pump: programmes, every command in every state, and random lives in which what always holds is checked at each step.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "rig.h"
#include "sim/flash.h"
#include "tests.h"

/* --- programme ----------------------------------------------------------------------------------------------------- */

static void test_is_idle_after_reset(void **state)
{
    (void)state;
    const struct pump_report now = rig_report();
    assert_int_equal(now.state, PUMP_IDLE);
    assert_int_equal(now.alarm, ALARM_NONE);
    assert_int_equal(now.priority, ALARM_PRIORITY_NONE);
    assert_int_equal(now.audio, ALARM_AUDIO_OFF);
    assert_int_equal(now.rate | now.volume | now.vtbi | now.bolus, 0u);
    assert_false(pump_drive(&pump));
    rig_pass(1000u);
    assert_int_equal(steps, 0u);
    rig_no_event();
}

static void test_a_programme_runs_after_two_steps_and_a_start(void **state)
{
    uint32_t token = 0u;
    bool soft = true;
    (void)state;
    assert_int_equal(pump_program(&pump, &saline, &token, &soft), PUMP_DONE);
    assert_false(soft);
    assert_in_range(token, PUMP_TOKEN_MIN, PUMP_TOKEN_MAX);
    assert_int_equal(pump.state, PUMP_PROGRAMMED);
    rig_event(EVENT_PROGRAM, 2u);
    assert_int_equal(pump_confirm(&pump, token, false), PUMP_DONE);
    rig_event(EVENT_CONFIRM, 0u);
    assert_int_equal(pump.state, PUMP_READY);
    assert_int_equal(rig_report().vtbi, 1000u);
    rig_pass(100u);
    assert_int_equal(steps, 0u);
    assert_int_equal(pump_start(&pump, &sensors), PUMP_DONE);
    rig_event(EVENT_START, 100u);
    assert_true(pump_drive(&pump));
    rig_pass(36u * DELIVERY_TICKS_PER_SECOND); /* 10.0 ml/h: 100 µl */
    assert_int_equal(rig_report().rate, 100u);
    assert_int_equal(rig_report().volume, 99u); /* 242 steps of 412,825 pl are 99.90 µl */
    assert_int_equal(steps, 242u);
    rig_no_event();
}

static enum pump_result try_programme(uint32_t syringe, uint32_t drug, uint32_t rate, uint32_t vtbi)
{
    const struct programme programme = {.syringe = syringe, .drug = drug, .rate = rate, .vtbi = vtbi};
    uint32_t token = 1u;
    bool soft = false;
    rig_start(NULL);
    const enum pump_result result = pump_program(&pump, &programme, &token, &soft);
    assert_int_equal(pump.state, (result == PUMP_DONE) ? PUMP_PROGRAMMED : PUMP_IDLE);
    assert_true((result == PUMP_DONE) == (token != 1u));
    return result;
}

static void test_limits_of_a_programme(void **state)
{
    (void)state;
    assert_int_equal(try_programme(0u, 2u, 100u, 1000u), PUMP_BAD_SYRINGE);
    assert_int_equal(try_programme(5u, 2u, 100u, 1000u), PUMP_BAD_SYRINGE);
    assert_int_equal(try_programme(2u, 4u, 100u, 1000u), PUMP_BAD_DRUG);
    assert_int_equal(try_programme(2u, 0u, 100u, 1000u), PUMP_BAD_DRUG);
    assert_int_equal(try_programme(2u, 2u, 0u, 1000u), PUMP_RATE_LIMIT);
    assert_int_equal(try_programme(2u, 2u, 1u, 1000u), PUMP_DONE);
    assert_int_equal(try_programme(2u, 2u, 1000u, 1000u), PUMP_DONE);
    assert_int_equal(try_programme(2u, 2u, 1001u, 1000u), PUMP_RATE_LIMIT);
    assert_int_equal(try_programme(1u, 2u, 500u, 1000u), PUMP_DONE);
    assert_int_equal(try_programme(1u, 2u, 501u, 1000u), PUMP_RATE_LIMIT);
    assert_int_equal(try_programme(2u, 3u, 4u, 1000u), PUMP_HARD_LIMIT);
    assert_int_equal(try_programme(2u, 3u, 5u, 1000u), PUMP_DONE);
    assert_int_equal(try_programme(2u, 3u, 200u, 1000u), PUMP_DONE);
    assert_int_equal(try_programme(2u, 3u, 201u, 1000u), PUMP_HARD_LIMIT);
    assert_int_equal(try_programme(2u, 2u, 100u, 99u), PUMP_VTBI_LIMIT);
    assert_int_equal(try_programme(2u, 2u, 100u, 100u), PUMP_DONE);
    assert_int_equal(try_programme(2u, 2u, 100u, 10000u), PUMP_DONE);
    assert_int_equal(try_programme(2u, 2u, 100u, 10001u), PUMP_VTBI_LIMIT);
    assert_int_equal(try_programme(4u, 2u, 100u, 50000u), PUMP_DONE);
    assert_int_equal(try_programme(4u, 2u, 100u, 50001u), PUMP_VTBI_LIMIT);
    assert_int_equal(try_programme(2u, 2u, UINT32_MAX, UINT32_MAX), PUMP_RATE_LIMIT);
}

static void test_without_a_library_there_is_no_programme(void **state)
{
    uint32_t token = 0u;
    bool soft = false;
    (void)state;
    library.count = 0u;
    assert_int_equal(pump_program(&pump, &saline, &token, &soft), PUMP_NO_LIBRARY);
    assert_int_equal(pump.state, PUMP_IDLE);
}

static void test_soft_limits_need_an_override(void **state)
{
    static const struct {
        uint32_t rate;
        bool soft;
    } rates[] = {{9u, true}, {10u, false}, {100u, false}, {101u, true}};
    (void)state;
    for (size_t i = 0u; i < 4u; i++) {
        const struct programme heparin = {.syringe = 3u, .drug = 3u, .rate = rates[i].rate, .vtbi = 1000u};
        uint32_t token = 0u;
        bool soft = false;
        rig_start(NULL);
        assert_int_equal(pump_program(&pump, &heparin, &token, &soft), PUMP_DONE);
        assert_int_equal(soft, rates[i].soft);
        rig_drop_events();
        if (soft) {
            assert_int_equal(pump_confirm(&pump, token, false), PUMP_SOFT_LIMIT);
            assert_int_equal(pump.state, PUMP_PROGRAMMED);
            rig_no_event();
        }
        assert_int_equal(pump_confirm(&pump, token, true), PUMP_DONE);
        rig_event(EVENT_CONFIRM, soft ? 1u : 0u);
    }
}

static void test_only_the_token_of_this_programme_confirms_it(void **state)
{
    (void)state;
    const uint32_t first = rig_program(&saline);
    assert_int_equal(pump_confirm(&pump, first + 1u, false), PUMP_BAD_TOKEN);
    assert_int_equal(pump_confirm(&pump, 0u, false), PUMP_BAD_TOKEN);
    assert_int_equal(pump.state, PUMP_PROGRAMMED);
    pump_stop(&pump);
    const uint32_t second = rig_program(&saline);
    assert_int_not_equal(first, second);
    assert_int_equal(pump_confirm(&pump, first, false), PUMP_BAD_TOKEN);
    assert_int_equal(pump_confirm(&pump, second, false), PUMP_DONE);
    assert_int_equal(pump_confirm(&pump, second, false), PUMP_BAD_STATE);
}

static void test_tokens_have_four_digits_and_differ_from_the_last(void **state)
{
    uint32_t last = 0u;
    (void)state;
    for (uint32_t i = 0u; i < 20000u; i++) {
        const uint32_t token = rig_program(&saline);
        assert_in_range(token, PUMP_TOKEN_MIN, PUMP_TOKEN_MAX);
        assert_int_not_equal(token, last);
        last = token;
        pump_stop(&pump);
        rig_drop_events();
        if ((i % 2u) == 0u) {
            rig_tick();
        }
    }
    pump.token = PUMP_TOKEN_MAX;
    pump.chance = (PUMP_TOKEN_MAX - PUMP_TOKEN_MIN) << 8;
    assert_int_equal(rig_program(&saline), PUMP_TOKEN_MIN);
}

static void test_a_confirmation_has_30_s(void **state)
{
    (void)state;
    uint32_t token = rig_program(&saline);
    rig_pass((PUMP_CONFIRM_SECONDS * DELIVERY_TICKS_PER_SECOND) - 1u);
    assert_int_equal(pump.state, PUMP_PROGRAMMED);
    rig_tick();
    assert_int_equal(pump.state, PUMP_IDLE);
    assert_int_equal(pump_confirm(&pump, token, false), PUMP_EXPIRED);
    token = rig_program(&saline);
    rig_pass((PUMP_CONFIRM_SECONDS * DELIVERY_TICKS_PER_SECOND) - 1u);
    assert_int_equal(pump_confirm(&pump, token, false), PUMP_DONE);
    pump_stop(&pump);
    assert_int_equal(pump_confirm(&pump, token, false), PUMP_BAD_STATE);
}

static void test_a_new_programme_ends_the_old_one(void **state)
{
    static const struct programme other = {.syringe = 3u, .drug = 3u, .rate = 50u, .vtbi = 500u};
    (void)state;
    rig_infuse(&saline);
    rig_pass(1000u);
    pump_stop(&pump);
    assert_true(rig_report().volume > 0u);
    const uint32_t token = rig_program(&other);
    assert_int_equal(rig_report().vtbi, 0u);
    assert_int_equal(pump_confirm(&pump, token, false), PUMP_DONE);
    assert_int_equal(rig_report().volume, 0u);
    assert_int_equal(rig_report().vtbi, 500u);
    library.count = 0u; /* a library that goes, or changes, does not change a programme */
    assert_int_equal(pump_start(&pump, &sensors), PUMP_DONE);
    assert_int_equal(rig_report().rate, 50u);
    assert_string_equal(pump.programme.drug.name, "heparin");
}

/* --- states -------------------------------------------------------------------------------------------------------- */

static void test_every_command_in_every_state(void **state)
{
    /* What program, start and bolus say; where stop leads. */
    static const struct {
        enum pump_result program;
        enum pump_result start;
        enum pump_result bolus;
        enum pump_state stopped;
        bool delivering;
        const char *name;
    } expected[] = {
        [PUMP_IDLE] = {PUMP_DONE, PUMP_BAD_STATE, PUMP_BAD_STATE, PUMP_IDLE, false, "idle"},
        [PUMP_PROGRAMMED] = {PUMP_BAD_STATE, PUMP_BAD_STATE, PUMP_BAD_STATE, PUMP_IDLE, false, "programmed"},
        [PUMP_READY] = {PUMP_DONE, PUMP_DONE, PUMP_BAD_STATE, PUMP_IDLE, false, "ready"},
        [PUMP_INFUSING] = {PUMP_BAD_STATE, PUMP_BAD_STATE, PUMP_DONE, PUMP_READY, true, "infusing"},
        [PUMP_BOLUS] = {PUMP_BAD_STATE, PUMP_BAD_STATE, PUMP_BAD_STATE, PUMP_READY, true, "bolus"},
        [PUMP_KVO] = {PUMP_BAD_STATE, PUMP_BAD_STATE, PUMP_BAD_STATE, PUMP_IDLE, true, "kvo"},
        [PUMP_ALARM] = {PUMP_BAD_STATE, PUMP_BAD_STATE, PUMP_BAD_STATE, PUMP_ALARM, false, "alarm"},
        [PUMP_FAULT] = {PUMP_BAD_STATE, PUMP_BAD_STATE, PUMP_BAD_STATE, PUMP_FAULT, false, "fault"},
    };
    (void)state;
    for (uint32_t i = 0u; i <= (uint32_t)PUMP_FAULT; i++) {
        const enum pump_state at = (enum pump_state)i;
        uint32_t token = 0u;
        uint32_t left = 0u;
        bool soft = false;
        rig_bring_to(at);
        assert_string_equal(pump_state_name(at), expected[i].name);
        assert_int_equal(pump_delivering(&pump), expected[i].delivering);
        assert_int_equal(pump_drive(&pump), expected[i].delivering);
        assert_int_equal(rig_report().rate > 0u, expected[i].delivering);
        assert_int_equal(pump_program(&pump, &saline, &token, &soft), expected[i].program);
        rig_bring_to(at);
        assert_int_equal(pump_start(&pump, &sensors), expected[i].start);
        rig_bring_to(at);
        assert_int_equal(pump_bolus(&pump, 100u, &left), expected[i].bolus);
        rig_bring_to(at);
        assert_int_equal(pump_confirm(&pump, 1u, false), (at == PUMP_PROGRAMMED) ? PUMP_BAD_TOKEN : PUMP_BAD_STATE);
        pump_stop(&pump);
        assert_int_equal(pump.state, expected[i].stopped);
        assert_int_equal(rig_report().rate, 0u);
        if (at != expected[i].stopped) {
            rig_event(EVENT_STOP, 0u);
        }
        rig_no_event();
        const uint32_t before = steps;
        rig_pass(200u);
        assert_int_equal(steps, before);
    }
}

static void test_a_fault_stops_from_every_state_for_good(void **state)
{
    (void)state;
    for (uint32_t i = 0u; i <= (uint32_t)PUMP_FAULT; i++) {
        rig_bring_to((enum pump_state)i);
        pump_fault(&pump);
        if (i != (uint32_t)PUMP_FAULT) {
            rig_event(EVENT_ALARM, ALARM_FAULT);
        }
        sensors.air = false;
        const uint32_t before = steps;
        rig_pass(200u);
        assert_int_equal(steps, before);
        assert_int_equal(rig_report().state, PUMP_FAULT);
        assert_int_equal(rig_report().alarm, ALARM_FAULT);
        assert_int_equal(rig_report().bolus, 0u);
        assert_int_equal(pump_clear_alarms(&pump, &sensors), ALARM_FAULT);
        assert_int_equal(pump_silence(&pump), ALARM_SILENCE_FAULT);
        assert_int_equal(pump.state, PUMP_FAULT);
        rig_no_event();
    }
}

static void test_what_keeps_a_start(void **state)
{
    (void)state;
    rig_bring_to(PUMP_READY);
    sensors.state = SENSORS_WAITING;
    assert_int_equal(pump_start(&pump, &sensors), PUMP_NO_SENSORS);
    sensors.state = SENSORS_STALE;
    assert_int_equal(pump_start(&pump, &sensors), PUMP_NO_SENSORS);
    sensors.state = SENSORS_FRESH;
    sensors.implausible = true;
    assert_int_equal(pump_start(&pump, &sensors), PUMP_NO_SENSORS);
    sensors.implausible = false;
    sensors.bad_in_a_row = 3u;
    assert_int_equal(pump_start(&pump, &sensors), PUMP_NO_SENSORS);
    sensors.bad_in_a_row = 2u;
    sensors.door_open = true;
    sensors.syringe_in = false;
    sensors.air = true;
    sensors.battery = 5u;
    assert_int_equal(pump_start(&pump, &sensors), PUMP_DOOR);
    sensors.door_open = false;
    assert_int_equal(pump_start(&pump, &sensors), PUMP_NO_SYRINGE);
    sensors.syringe_in = true;
    assert_int_equal(pump_start(&pump, &sensors), PUMP_AIR);
    sensors.air = false;
    assert_int_equal(pump_start(&pump, &sensors), PUMP_BATTERY);
    assert_int_equal(pump.state, PUMP_READY);
    rig_no_event();
    sensors.battery = 6u;
    assert_int_equal(pump_start(&pump, &sensors), PUMP_DONE);
}

static void test_a_stop_keeps_the_volume_left(void **state)
{
    (void)state;
    rig_infuse(&saline);
    for (uint32_t i = 0u; i < 10u; i++) {
        rig_pass(333u);
        pump_stop(&pump);
        assert_int_equal(pump.state, PUMP_READY);
        rig_pass(50u);
        assert_int_equal(pump_start(&pump, &sensors), PUMP_DONE);
    }
    /* 3330 ticks at 10.0 ml/h are 92.5 µl, as without the stops: 224 steps. */
    assert_int_equal(steps, 224u);
}

/* --- random lives -------------------------------------------------------------------------------------------------- */

static void disturb(uint32_t *random)
{
    switch (sim_random(random) % 16u) {
    case 0u:
        sensors.pressure = 400u + (sim_random(random) % 200u);
        break;
    case 1u:
        sensors.air = !sensors.air;
        break;
    case 2u:
        sensors.door_open = !sensors.door_open;
        break;
    case 3u:
        sensors.syringe_in = !sensors.syringe_in;
        break;
    case 4u:
        sensors.battery = sim_random(random) % 30u;
        break;
    case 5u:
        sensors.position = sim_random(random) % 5000u;
        break;
    case 6u:
        sensors.state = (enum sensors_state)(sim_random(random) % 3u);
        break;
    case 7u:
        sensors.bad_in_a_row = sim_random(random) % 5u;
        break;
    case 8u:
        sensors.flow += sim_random(random) % 60000u;
        break;
    default: {
        const struct sensors good = {.state = SENSORS_FRESH, .pressure = 20u, .position = 60000u, .syringe_in = true,
                                     .battery = 80u, .flow = sensors.flow, .frames = sensors.frames};
        sensors = good;
        break;
    }
    }
}

static void command(uint32_t *random, uint32_t *token)
{
    const struct programme programme = {.syringe = sim_random(random) % 6u, .drug = 1u + (sim_random(random) % 4u),
                                        .rate = sim_random(random) % 1100u, .vtbi = 90u + (sim_random(random) % 90u)};
    uint32_t left;
    bool soft;
    switch (sim_random(random) % 40u) {
    case 0u:
    case 1u:
        (void)pump_program(&pump, &programme, token, &soft);
        break;
    case 2u:
    case 3u:
        (void)pump_confirm(&pump, *token, (sim_random(random) % 2u) == 0u);
        break;
    case 4u:
    case 5u:
        (void)pump_start(&pump, &sensors);
        break;
    case 6u:
        pump_stop(&pump);
        break;
    case 7u:
    case 8u:
    case 9u:
        (void)pump_bolus(&pump, sim_random(random) % 120u, &left);
        break;
    case 10u:
        (void)pump_silence(&pump);
        break;
    case 11u:
    case 12u:
        (void)pump_clear_alarms(&pump, &sensors);
        break;
    default:
        break;
    }
}

static bool stopping_alarm_stands(void)
{
    bool stands = false;
    for (uint32_t alarm = ALARM_FIRST; alarm <= ALARM_LAST; alarm++) {
        stands = stands || (alarm_stands(&pump.alarms, (enum alarm)alarm) && alarm_stops((enum alarm)alarm));
    }
    return stands;
}

static void test_what_always_holds_in_random_lives(void **state)
{
    uint32_t reached[PUMP_FAULT + 1u] = {0u};
    (void)state;
    for (uint32_t life = 1u; life <= 60u; life++) {
        uint32_t random = life;
        uint32_t token = 0u;
        rig_start(NULL);
        for (uint32_t i = 0u; i < 3000u; i++) {
            if ((sim_random(&random) % 24u) == 0u) {
                disturb(&random);
            }
            command(&random, &token);
            const uint64_t before = pump.delivery.delivered;
            const uint32_t steps_before = steps;
            const bool drove = pump_drive(&pump);
            rig_pass(sim_random(&random) % 80u);
            reached[pump.state]++;
            assert_int_equal(pump.delivery.delivered - before, (uint64_t)(steps - steps_before) * pump.delivery.step);
            assert_true(drove || (steps == steps_before));
            assert_true(!pump_drive(&pump) || !stopping_alarm_stands());
            assert_true((pump.state == PUMP_ALARM) || !stopping_alarm_stands());
            assert_int_equal(delivery_has_bolus(&pump.delivery), pump.state == PUMP_BOLUS);
            if ((pump.state >= PUMP_READY) && (pump.state <= PUMP_KVO)) {
                assert_non_null(pump.programme.syringe);
                assert_true(rig_report().rate <= pump.programme.syringe->rate_max);
                assert_true((pump.programme.rate >= pump.programme.drug.hard_min) &&
                            (pump.programme.rate <= pump.programme.drug.hard_max));
            }
            if ((pump.state == PUMP_INFUSING) || (pump.state == PUMP_BOLUS)) {
                assert_true(pump.delivery.delivered < (pump.programme.vtbi * 1000000uLL));
            }
            if (pump.state == PUMP_KVO) {
                assert_true(rig_report().rate <= pump.programme.rate);
            }
            rig_drop_events();
            assert_int_equal(pump.lost_events, 0u);
        }
        pump_fault(&pump);
        reached[pump.state]++;
    }
    for (uint32_t i = 0u; i <= (uint32_t)PUMP_FAULT; i++) {
        assert_true(reached[i] > 20u);
    }
}

int test_pump(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_is_idle_after_reset, rig_start),
        cmocka_unit_test_setup(test_a_programme_runs_after_two_steps_and_a_start, rig_start),
        cmocka_unit_test_setup(test_limits_of_a_programme, rig_start),
        cmocka_unit_test_setup(test_without_a_library_there_is_no_programme, rig_start),
        cmocka_unit_test_setup(test_soft_limits_need_an_override, rig_start),
        cmocka_unit_test_setup(test_only_the_token_of_this_programme_confirms_it, rig_start),
        cmocka_unit_test_setup(test_tokens_have_four_digits_and_differ_from_the_last, rig_start),
        cmocka_unit_test_setup(test_a_confirmation_has_30_s, rig_start),
        cmocka_unit_test_setup(test_a_new_programme_ends_the_old_one, rig_start),
        cmocka_unit_test_setup(test_every_command_in_every_state, rig_start),
        cmocka_unit_test_setup(test_a_fault_stops_from_every_state_for_good, rig_start),
        cmocka_unit_test_setup(test_what_keeps_a_start, rig_start),
        cmocka_unit_test_setup(test_a_stop_keeps_the_volume_left, rig_start),
        cmocka_unit_test_setup(test_what_always_holds_in_random_lives, rig_start),
    };
    return cmocka_run_group_tests_name("pump", tests, NULL, NULL);
}
