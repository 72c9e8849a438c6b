/*
 * SPDX-License-Identifier: Apache-2.0
 * Motor steps and the account: against the geometry, against an exact model, over 100 hours. The model works in 128 bit on
 * rate times time and never sums; tests/firmware/test_delivery_model.py holds another one, in exact fractions.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "application/control/delivery.h"
#include "sim/flash.h"
#include "tests.h"

#define PI 3.14159265358979323846
#define TICKS_PER_HOUR 360000u

__extension__ typedef unsigned __int128 wide;

static void test_the_table_is_the_geometry_of_the_syringes(void **state)
{
    static const struct {
        uint32_t id;
        double bore; /* mm */
        uint32_t volume;
        uint32_t rate_max;
    } expected[] = {
        {1u, 12.06, 5000u, 500u}, {2u, 14.50, 10000u, 1000u}, {3u, 19.13, 20000u, 1000u}, {4u, 26.72, 50000u, 1000u}};
    (void)state;
    for (size_t i = 0u; i < 4u; i++) {
        const struct syringe *const syringe = delivery_syringe(expected[i].id);
        assert_non_null(syringe);
        const double step = (PI / 4.0) * expected[i].bore * expected[i].bore * 0.0025 * 1e6; /* mm3 are µl */
        assert_true(fabs((double)syringe->step - step) <= 0.5);
        assert_int_equal(syringe->volume, expected[i].volume);
        assert_int_equal(syringe->rate_max, expected[i].rate_max);
    }
    assert_null(delivery_syringe(0u));
    assert_null(delivery_syringe(5u));
}

/* Steps after that many ticks at a constant rate: rate * 100,000,000 pl/h * ticks / 360,000, over the step. */
static uint64_t steps_by_model(uint32_t rate, uint64_t ticks, uint32_t step)
{
    return (uint64_t)(((wide)rate * 100000000u * ticks) / ((wide)TICKS_PER_HOUR * step));
}

static void test_steps_are_exact_at_any_rate_and_time(void **state)
{
    uint32_t random = 1u;
    (void)state;
    for (uint32_t i = 0u; i < 400u; i++) {
        const struct syringe *const syringe = delivery_syringe(1u + (i % 4u));
        const uint32_t rate = 1u + (sim_random(&random) % syringe->rate_max);
        struct delivery delivery;
        uint64_t steps = 0u;
        delivery_start(&delivery, syringe);
        for (uint32_t tick = 1u; tick <= 5000u; tick++) {
            steps += delivery_tick(&delivery, rate);
            assert_int_equal(steps, steps_by_model(rate, tick, syringe->step));
            assert_int_equal(delivery.delivered, steps * syringe->step);
        }
    }
}

static void test_nothing_drifts_in_100_hours(void **state)
{
    static const uint32_t rates[4] = {500u, 333u, 7u, 1000u};
    (void)state;
    for (uint32_t id = 1u; id <= 4u; id++) {
        const struct syringe *const syringe = delivery_syringe(id);
        const uint32_t rate = rates[id - 1u];
        struct delivery delivery;
        delivery_start(&delivery, syringe);
        for (uint32_t hour = 1u; hour <= 100u; hour++) {
            for (uint32_t tick = 0u; tick < TICKS_PER_HOUR; tick++) {
                (void)delivery_tick(&delivery, rate);
            }
            const uint64_t asked = (uint64_t)rate * 100000000u * hour; /* picolitres */
            assert_true(delivery.delivered <= asked);
            assert_true((asked - delivery.delivered) < syringe->step);
            assert_int_equal(delivery_volume(&delivery), delivery.delivered / 1000000u);
        }
    }
}

static void test_no_tick_makes_more_than_one_step_within_the_limits(void **state)
{
    (void)state;
    for (uint32_t id = 1u; id <= 4u; id++) {
        const struct syringe *const syringe = delivery_syringe(id);
        struct delivery delivery;
        uint32_t most = 0u;
        delivery_start(&delivery, syringe);
        for (uint32_t tick = 0u; tick < 10000u; tick++) {
            const uint32_t steps = delivery_tick(&delivery, syringe->rate_max);
            most = (steps > most) ? steps : most;
        }
        assert_int_equal(most, 1u);
    }
}

static void test_a_bolus_is_exact_on_top_of_the_programme(void **state)
{
    uint32_t random = 7u;
    (void)state;
    for (uint32_t i = 0u; i < 200u; i++) {
        const struct syringe *const syringe = delivery_syringe(2u + (i % 3u));
        const uint32_t rate = sim_random(&random) % 500u;
        const uint32_t bolus_rate = 1u + (sim_random(&random) % 500u);
        const uint32_t volume = 10u + (sim_random(&random) % 60u);
        struct delivery delivery;
        uint64_t ticks = 0u;
        delivery_start(&delivery, syringe);
        delivery_bolus(&delivery, volume, bolus_rate);
        assert_int_equal(delivery_bolus_left(&delivery), volume);
        while (delivery_has_bolus(&delivery)) {
            const uint64_t left = delivery.bolus;
            (void)delivery_tick(&delivery, rate);
            ticks++;
            assert_true(delivery.bolus < left);
            /* Ninths of a picolitre: what is left, rounded up to µl. */
            assert_int_equal(delivery_bolus_left(&delivery), (delivery.bolus + 8999999u) / 9000000u);
        }
        /* As long as the volume takes at its rate, rounded up to a tick: volume * 9,000,000 / (rate * 2500). */
        assert_int_equal(ticks, (((uint64_t)volume * 3600u) + bolus_rate - 1u) / bolus_rate);
        const uint64_t asked_ninths = ((uint64_t)volume * 9000000u) + ((uint64_t)rate * 2500u * ticks);
        assert_int_equal(delivery.delivered, ((asked_ninths / (9uLL * syringe->step)) * syringe->step));
    }
}

static void test_a_bolus_can_be_ended(void **state)
{
    struct delivery delivery;
    (void)state;
    memset(&delivery, 0x55, sizeof delivery);
    delivery_start(&delivery, delivery_syringe(2u));
    assert_int_equal(delivery.due, 0u);
    assert_int_equal(delivery.delivered, 0u);
    assert_false(delivery_has_bolus(&delivery));
    assert_int_equal(delivery.bolus_rate, 0u);
    delivery_bolus(&delivery, 100u, 400u);
    (void)delivery_tick(&delivery, 0u);
    assert_true(delivery_has_bolus(&delivery));
    assert_int_equal(delivery_bolus_left(&delivery), 100u);
    delivery_end_bolus(&delivery);
    assert_false(delivery_has_bolus(&delivery));
    assert_int_equal(delivery_bolus_left(&delivery), 0u);
    const uint32_t due = delivery.due;
    (void)delivery_tick(&delivery, 0u);
    assert_int_equal(delivery.due, due);
}

static void test_reached_is_reached_by_the_account(void **state)
{
    struct delivery delivery;
    (void)state;
    delivery_start(&delivery, delivery_syringe(4u));
    delivery.delivered = 99999999u;
    assert_false(delivery_reached(&delivery, 100u));
    assert_int_equal(delivery_volume(&delivery), 99u);
    delivery.delivered = 100000000u;
    assert_true(delivery_reached(&delivery, 100u));
    delivery.delivered = 5000000000000u; /* 5 l: beyond 32 bit of µl and of pl */
    assert_int_equal(delivery_volume(&delivery), 5000000u);
    assert_true(delivery_reached(&delivery, 50000u));
}

int test_delivery(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_table_is_the_geometry_of_the_syringes),
        cmocka_unit_test(test_steps_are_exact_at_any_rate_and_time),
        cmocka_unit_test(test_nothing_drifts_in_100_hours),
        cmocka_unit_test(test_no_tick_makes_more_than_one_step_within_the_limits),
        cmocka_unit_test(test_a_bolus_is_exact_on_top_of_the_programme),
        cmocka_unit_test(test_a_bolus_can_be_ended),
        cmocka_unit_test(test_reached_is_reached_by_the_account),
    };
    return cmocka_run_group_tests_name("delivery", tests, NULL, NULL);
}
