/*
 * SPDX-License-Identifier: Apache-2.0
 * Deadline monitor, reset reasons and self-test.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "application/safety/deadline.h"
#include "application/safety/reset.h"
#include "application/safety/running_image.h"
#include "application/safety/selftest.h"
#include "build_config.h"
#include "port/port.h"
#include "sim/board.h"
#include "sim/flash.h"
#include "sim/signer.h"
#include "tests.h"

static uint8_t slot0[SLOT0_SIZE];
static const char *failure;
static struct config config;
static enum config_found found;

/* A device at its first power-up, with an image in slot 0. */
static int start(void **state)
{
    const struct signer_image image = {
        .version = {.major = 1u},
        .header_size = IMAGE_HEADER_SIZE,
        .payload_size = 3000u,
        .seed = 1u,
        .counter = 1u,
        .kind = IMAGE_PROGRAM,
        .run_address = (FLASH_BASE + SLOT0_OFFSET) + IMAGE_HEADER_SIZE,
    };
    (void)state;
    sim_flash_start(FLASH_SIZE, FLASH_PAGE_SIZE);
    sim_flash_load(SLOT0_OFFSET, slot0, signer_make(&image, slot0));
    sim_board_start();
    sim_on_sleep(deadline_interrupt);
    memset(port_handover(), 0xa5, sizeof(struct handover));
    reset_open();
    return 0;
}

/* --- the monitor's rules -------------------------------------------------------------------------------------------- */

static void test_a_checkpoint_may_be_1000_ms_late(void **state)
{
    struct deadline deadline;
    (void)state;
    deadline_watch(&deadline, DEADLINE_LATE_MS, 0u);
    for (uint32_t round = 1u; round <= 3u; round++) {
        for (uint32_t tick = 0u; tick < 100u; tick++) {
            assert_false(deadline_missed_tick(&deadline));
        }
        deadline_pass(&deadline, round * 1000u);
    }
    for (uint32_t tick = 0u; tick < 100u; tick++) {
        assert_false(deadline_missed_tick(&deadline));
    }
    assert_true(deadline_missed_tick(&deadline));
    assert_true(deadline_missed_tick(&deadline));
}

static void test_checkpoints_at_their_pace_are_in_time(void **state)
{
    struct deadline deadline;
    (void)state;
    deadline_watch(&deadline, DEADLINE_LATE_MS, UINT32_MAX - 5000u); /* the clock wraps meanwhile */
    for (uint32_t at = 0u; at < 10000u; at += DEADLINE_EARLY_MS) {
        deadline_pass(&deadline, (UINT32_MAX - 5000u) + at);
        assert_false(deadline_missed_tick(&deadline));
    }
    /* Late by nearly a tick, then in time again: 19 ms, 20 ms, 30 ms. */
    deadline_watch(&deadline, DEADLINE_LATE_MS, 0u);
    deadline_pass(&deadline, 19u);
    deadline_pass(&deadline, 20u);
    deadline_pass(&deadline, 30u);
    assert_false(deadline_missed_tick(&deadline));
    /* Three at once after a long time are what may come early. */
    deadline_pass(&deadline, 900u);
    deadline_pass(&deadline, 900u);
    deadline_pass(&deadline, 900u);
    assert_false(deadline_missed_tick(&deadline));
    deadline_pass(&deadline, 900u);
    assert_true(deadline_missed_tick(&deadline));
}

static void test_checkpoints_that_come_faster_are_a_miss(void **state)
{
    (void)state;
    for (uint32_t period = 0u; period < DEADLINE_EARLY_MS; period++) {
        struct deadline deadline;
        uint32_t passes = 0u;
        deadline_watch(&deadline, DEADLINE_LATE_MS, 7u);
        while (!deadline_missed_tick(&deadline) && (passes < 100u)) {
            deadline_pass(&deadline, 7u + (passes * period));
            passes++;
        }
        assert_true(passes < 16u);
    }
}

static void test_a_monitor_that_does_not_watch_misses_nothing(void **state)
{
    struct deadline deadline = {.watching = false, .early = true, .ticks = 1000u};
    (void)state;
    assert_false(deadline_missed_tick(&deadline));
}

/* --- the device's monitor ------------------------------------------------------------------------------------------- */

static void hang(void *context)
{
    (void)context;
    deadline_start(port_milliseconds());
    port_motor(true);
    for (;;) {
        port_sleep();
    }
}

static void test_a_loop_that_hangs_is_reset_with_the_drive_off(void **state)
{
    (void)state;
    assert_false(sim_flash_powered(hang, NULL));
    assert_int_equal(port_milliseconds(), 1010u); /* the first tick after 1000 ms */
    assert_int_equal(sim_resets(), 1u);
    assert_false(sim_motor());
    assert_int_equal(sim_watchdog(), DEADLINE_WATCHDOG_MS);
    assert_int_equal(sim_watchdog_feeds(), 0u);
    reset_open();
    assert_int_equal(reset_reason(), RESET_DEADLINE);
    assert_int_equal(reset_detail(), 0u);
}

static void work_then_run_away(void *context)
{
    const uint32_t *const ticks = context;
    deadline_start(port_milliseconds());
    for (uint32_t i = 0u; i < *ticks; i++) {
        port_sleep();
        deadline_checkpoint(port_milliseconds());
    }
    for (uint32_t i = 0u; i < 5u; i++) {
        deadline_checkpoint(port_milliseconds());
    }
    port_sleep();
}

static void test_a_loop_that_runs_away_is_reset(void **state)
{
    uint32_t ticks = 5000u;
    (void)state;
    assert_false(sim_flash_powered(work_then_run_away, &ticks));
    assert_int_equal(sim_watchdog_feeds(), 5005u);
    reset_open();
    assert_int_equal(reset_reason(), RESET_DEADLINE);
}

/* --- reset reasons -------------------------------------------------------------------------------------------------- */

static void reset_by(void *context)
{
    const enum reset_reason *const reason = context;
    reset_now(*reason);
}

static void test_a_reason_is_read_once(void **state)
{
    static const char *const names[] = {"unknown", "command", "deadline", "watchdog-test", "fault"};
    (void)state;
    assert_int_equal(reset_reason(), RESET_UNKNOWN); /* the handover of a power-up holds anything */
    for (uint32_t i = 0u; i <= (uint32_t)RESET_FAULT; i++) {
        enum reset_reason reason = (enum reset_reason)i;
        port_motor(true);
        assert_false(sim_flash_powered(reset_by, &reason));
        assert_false(sim_motor());
        port_handover()->detail = 0x1234u + i;
        reset_open();
        assert_int_equal(reset_reason(), reason);
        assert_int_equal(reset_detail(), 0x1234u + i);
        assert_string_equal(reset_name(i), names[i]);
        reset_open();
        assert_int_equal(reset_reason(), RESET_UNKNOWN);
        assert_int_equal(reset_detail(), 0u);
    }
    assert_string_equal(reset_name(5u), "unknown");
    port_handover()->reset_mark = HANDOVER_RESET_MARK;
    port_handover()->reset = 5u;
    reset_open();
    assert_int_equal(reset_reason(), RESET_UNKNOWN);
}

/* --- self-test ------------------------------------------------------------------------------------------------------ */

static void power_on(void *context)
{
    (void)context;
    reset_open();
    failure = "not finished";
    failure = selftest_power_on(&config, &found);
}

static void test_the_watchdog_bites_once_after_power_up(void **state)
{
    (void)state;
    assert_false(sim_flash_powered(power_on, NULL));
    assert_int_equal(sim_resets(), 1u);
    assert_int_equal(port_milliseconds(), SELFTEST_WATCHDOG_MS + TICK_MS);
    assert_int_equal(port_handover()->reset, RESET_WATCHDOG_TEST);
    assert_true(sim_flash_powered(power_on, NULL));
    assert_null(failure);
    assert_int_equal(found, CONFIG_BLANK);
    assert_null(selftest_failure());
    /* No more after any other reset. */
    assert_true(sim_flash_powered(power_on, NULL));
    assert_null(failure);
    assert_int_equal(found, CONFIG_WHOLE);
    assert_int_equal(sim_resets(), 1u);
}

static void test_a_watchdog_that_does_not_bite_fails(void **state)
{
    (void)state;
    sim_on_sleep(NULL); /* no tick, no monitor */
    assert_true(sim_flash_powered(power_on, NULL));
    assert_string_equal(failure, "watchdog");
    assert_int_equal(port_milliseconds(), SELFTEST_WATCHDOG_LIMIT_MS);
    assert_int_equal(sim_watchdog(), SELFTEST_WATCHDOG_MS);
    assert_int_equal(sim_resets(), 0u);
    assert_string_equal(selftest_failure(), "watchdog");
    /* And a reset by something else is no proof. */
    assert_true(sim_flash_powered(power_on, NULL));
    assert_string_equal(failure, "watchdog");
}

static void prove(void)
{
    assert_false(sim_flash_powered(power_on, NULL));
    assert_true(sim_flash_powered(power_on, NULL));
    assert_null(failure);
}

static void test_bad_ram_fails(void **state)
{
    (void)state;
    prove();
    sim_ram_passes(false);
    assert_true(sim_flash_powered(power_on, NULL));
    assert_string_equal(failure, "ram");
    assert_string_equal(selftest_failure(), "ram");
}

static void test_an_altered_image_fails(void **state)
{
    (void)state;
    prove();
    const uint32_t offset = SLOT0_OFFSET + IMAGE_HEADER_SIZE + 1500u;
    const uint8_t altered = (uint8_t)(*port_flash_at(offset) ^ 1u);
    sim_flash_load(offset, &altered, 1u);
    assert_false(running_image_intact());
    assert_true(sim_flash_powered(power_on, NULL));
    assert_string_equal(failure, "image");
    assert_string_equal(selftest_failure(), "image");
}

static void test_no_image_fails(void **state)
{
    struct image image;
    uint8_t digest[SHA256_SIZE];
    (void)state;
    prove();
    assert_true(running_image_read(&image, digest));
    assert_memory_equal(image.digest, digest, SHA256_SIZE);
    assert_true(port_flash_erase(SLOT0_OFFSET));
    assert_false(running_image_read(&image, digest));
    assert_string_equal(selftest_failure(), "image");
}

/* An image without a digest in it is not intact, although nothing contradicts it. */
static void test_an_image_without_its_digest_fails(void **state)
{
    static const uint8_t other_type[2] = {0x11u, 0x00u};
    struct image image;
    uint8_t digest[SHA256_SIZE];
    (void)state;
    assert_true(running_image_read(&image, digest));
    const uint32_t tlv = SLOT0_OFFSET + (uint32_t)(image.digest - image.base) - 4u;
    sim_flash_load(tlv, other_type, sizeof other_type);
    assert_true(running_image_read(&image, digest));
    assert_false(running_image_intact());
}

static void test_settings_are_repaired(void **state)
{
    static const uint8_t zero = 0u;
    const struct config wanted = {.kvo = 20u, .occlusion = 300u};
    (void)state;
    prove();
    assert_true(config_store(&selftest_config_region, &wanted));
    sim_flash_load(CONFIG_OFFSET, &zero, 1u);
    assert_string_equal(selftest_failure(), "config");
    assert_true(sim_flash_powered(power_on, NULL));
    assert_null(failure);
    assert_int_equal(found, CONFIG_ONE);
    assert_int_equal(config.kvo, 20u);
    assert_int_equal(config.occlusion, 300u);
    assert_null(selftest_failure());
    sim_flash_load(CONFIG_OFFSET, &zero, 1u);
    sim_flash_load(CONFIG_OFFSET + (CONFIG_SIZE / 2u), &zero, 1u);
    assert_true(sim_flash_powered(power_on, NULL));
    assert_null(failure);
    assert_int_equal(found, CONFIG_DAMAGED);
    assert_int_equal(config.kvo, CONFIG_KVO_DEFAULT);
    assert_int_equal(config.occlusion, CONFIG_OCCLUSION_DEFAULT);
}

static void test_settings_that_cannot_be_repaired_fail(void **state)
{
    static const uint8_t zero = 0u;
    (void)state;
    prove();
    sim_flash_load(CONFIG_OFFSET, &zero, 1u);
    sim_flash_count_from_zero();
    sim_flash_fail_from(0u);
    assert_true(sim_flash_powered(power_on, NULL));
    assert_string_equal(failure, "config");
}

int test_safety(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_a_checkpoint_may_be_1000_ms_late, start),
        cmocka_unit_test_setup(test_checkpoints_at_their_pace_are_in_time, start),
        cmocka_unit_test_setup(test_checkpoints_that_come_faster_are_a_miss, start),
        cmocka_unit_test_setup(test_a_monitor_that_does_not_watch_misses_nothing, start),
        cmocka_unit_test_setup(test_a_loop_that_hangs_is_reset_with_the_drive_off, start),
        cmocka_unit_test_setup(test_a_loop_that_runs_away_is_reset, start),
        cmocka_unit_test_setup(test_a_reason_is_read_once, start),
        cmocka_unit_test_setup(test_the_watchdog_bites_once_after_power_up, start),
        cmocka_unit_test_setup(test_a_watchdog_that_does_not_bite_fails, start),
        cmocka_unit_test_setup(test_bad_ram_fails, start),
        cmocka_unit_test_setup(test_an_altered_image_fails, start),
        cmocka_unit_test_setup(test_no_image_fails, start),
        cmocka_unit_test_setup(test_an_image_without_its_digest_fails, start),
        cmocka_unit_test_setup(test_settings_are_repaired, start),
        cmocka_unit_test_setup(test_settings_that_cannot_be_repaired_fail, start),
    };
    return cmocka_run_group_tests_name("safety", tests, NULL, NULL);
}
