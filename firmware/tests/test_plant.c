/*
 * SPDX-License-Identifier: Apache-2.0
 * The plant link: the frames as PROTOCOL.md has them, and the account of what is corrupt, lost, repeated, stale or implausible.
 * The CRC's reference is the check value of CRC-16/XMODEM: 0x31c3 for "123456789".
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "application/link/crc16.h"
#include "application/link/plant.h"
#include "tests.h"

static struct plant plant;

struct reading {
    unsigned sequence;
    unsigned pressure;
    unsigned position;
    unsigned flags;
    unsigned battery;
    unsigned flow;
};

static const struct reading normal = {0u, 123u, 45000u, 4u, 99u, 0xfffffff0u};

static int start(void **state)
{
    (void)state;
    plant_init(&plant);
    return 0;
}

static size_t make(const struct reading *reading, char line[64])
{
    const int length = snprintf(line, 64u, "\x02S%02x%04x%06x%02x%02x%08x", reading->sequence, reading->pressure,
                                reading->position, reading->flags, reading->battery, reading->flow);
    const uint16_t crc = crc16_add(0u, (const uint8_t *)&line[1], (size_t)length - 1u);
    return (size_t)length + (size_t)snprintf(&line[length], 64u - (size_t)length, "%04x", crc);
}

static void take(const struct reading *reading)
{
    char line[64];
    const size_t length = make(reading, line);
    plant_take(&plant, (const uint8_t *)line, length);
}

static void take_sequence(unsigned sequence)
{
    struct reading reading = normal;
    reading.sequence = sequence & 0xffu;
    take(&reading);
}

static void ticks(unsigned count)
{
    for (unsigned i = 0u; i < count; i++) {
        plant_tick(&plant);
    }
}

static void test_crc(void **state)
{
    (void)state;
    const uint8_t check[] = {'1', '2', '3', '4', '5', '6', '7', '8', '9', 0x31u, 0xc3u};
    assert_int_equal(crc16_add(0u, check, 9u), 0x31c3u);
    assert_int_equal(crc16_add(0u, check, 11u), 0u);
    assert_int_equal(crc16_add(crc16_add(0u, check, 4u), &check[4], 5u), 0x31c3u);
}

static void test_values(void **state)
{
    (void)state;
    assert_int_equal(plant.sensors.state, SENSORS_WAITING);
    take(&normal);
    assert_int_equal(plant.sensors.state, SENSORS_FRESH);
    assert_int_equal(plant.sensors.pressure, 123u);
    assert_int_equal(plant.sensors.position, 45000u);
    assert_int_equal(plant.sensors.battery, 99u);
    assert_int_equal(plant.sensors.flow, 0xfffffff0u);
    assert_false(plant.sensors.air || plant.sensors.door_open);
    assert_true(plant.sensors.syringe_in);
    assert_int_equal(plant.sensors.frames, 1u);
    struct reading other = normal;
    other.sequence = 1u;
    other.flags = 3u;
    take(&other);
    assert_true(plant.sensors.air && plant.sensors.door_open);
    assert_false(plant.sensors.syringe_in);
}

/* The text, field by field, as the protocol has it. */
static void test_known_frame(void **state)
{
    static const char known[] = "\x02S07007b00afc8046300000000";
    (void)state;
    char line[64];
    const struct reading reading = {7u, 123u, 45000u, 4u, 99u, 0u};
    const size_t length = make(&reading, line);
    assert_int_equal(length, 30u);
    assert_memory_equal(line, known, sizeof known - 1u);
}

/* Every single-character change, every other length: nothing but the counters moves. */
static void test_broken_frames(void **state)
{
    (void)state;
    char line[64];
    const size_t length = make(&normal, line);
    unsigned broken = 0u;
    for (size_t at = 1u; at < length; at++) {
        for (unsigned value = 0u; value < 256u; value++) {
            char changed[64];
            memcpy(changed, line, length);
            changed[at] = (char)value;
            if (changed[at] != line[at]) {
                plant_take(&plant, (const uint8_t *)changed, length);
                broken++;
            }
        }
    }
    for (size_t other = 1u; other <= 60u; other++) {
        if (other != length) {
            char padded[64] = {0};
            memcpy(padded, line, length);
            plant_take(&plant, (const uint8_t *)padded, other);
            broken++;
        }
    }
    assert_int_equal(plant.corrupt, broken);
    assert_int_equal(plant.sensors.state, SENSORS_WAITING);
    assert_int_equal(plant.sensors.frames, 0u);
    assert_int_equal(plant.sensors.battery, 0u);
    assert_int_equal(plant.sensors.bad_in_a_row, broken);
}

static void test_upper_case_is_no_frame(void **state)
{
    (void)state;
    char line[64];
    struct reading reading = normal;
    reading.pressure = 0xabu;
    const size_t length = make(&reading, line);
    line[6] = 'A'; /* of 00ab */
    const uint16_t crc = crc16_add(0u, (const uint8_t *)&line[1], length - 5u);
    (void)snprintf(&line[length - 4u], 5u, "%04x", crc);
    plant_take(&plant, (const uint8_t *)line, length);
    assert_int_equal(plant.corrupt, 1u);
}

static void test_sequence(void **state)
{
    (void)state;
    take_sequence(254u); /* any may be the first */
    assert_int_equal(plant.lost, 0u);
    take_sequence(255u);
    take_sequence(0u);
    take_sequence(1u);
    assert_int_equal(plant.lost, 0u);
    assert_int_equal(plant.sensors.bad_in_a_row, 0u);
    assert_int_equal(plant.sensors.frames, 4u);
    take_sequence(1u);
    assert_int_equal(plant.repeated, 1u);
    assert_int_equal(plant.sensors.frames, 4u);
    take_sequence(4u);
    assert_int_equal(plant.lost, 2u);
    assert_int_equal(plant.sensors.bad_in_a_row, 2u);
    plant_tick(&plant);
    assert_int_equal(plant.sensors.bad_in_a_row, 0u); /* told once */
    take_sequence(3u); /* an old one: 254 are missing */
    assert_int_equal(plant.sensors.bad_in_a_row, 254u);
}

static void test_broken_and_missing_are_one(void **state)
{
    (void)state;
    take_sequence(10u);
    plant_take_broken(&plant); /* was 11 */
    plant_take_broken(&plant); /* was 12 */
    assert_int_equal(plant.sensors.bad_in_a_row, 2u);
    plant_tick(&plant);
    assert_int_equal(plant.sensors.bad_in_a_row, 2u); /* still so: no good one came */
    take_sequence(13u);
    assert_int_equal(plant.sensors.bad_in_a_row, 2u);
    assert_int_equal(plant.lost, 0u);
    plant_tick(&plant);
    plant_take_broken(&plant); /* was 14; 15 is lost */
    take_sequence(16u);
    assert_int_equal(plant.sensors.bad_in_a_row, 2u);
    assert_int_equal(plant.lost, 1u);
    /* More noise than frames. */
    plant_tick(&plant);
    plant_take_broken(&plant);
    plant_take_broken(&plant);
    plant_take_broken(&plant);
    take_sequence(17u);
    assert_int_equal(plant.sensors.bad_in_a_row, 3u);
    assert_int_equal(plant.lost, 1u);
    plant_tick(&plant);
    take_sequence(18u);
    assert_int_equal(plant.sensors.bad_in_a_row, 0u);
}

static void test_stale(void **state)
{
    (void)state;
    ticks(200u);
    assert_int_equal(plant.sensors.state, SENSORS_WAITING);
    take_sequence(0u);
    ticks(PLANT_STALE_TICKS - 1u);
    assert_int_equal(plant.sensors.state, SENSORS_FRESH);
    take_sequence(0u); /* repeated: keeps nothing fresh */
    plant_take_broken(&plant);
    ticks(1u);
    assert_int_equal(plant.sensors.state, SENSORS_STALE);
    take_sequence(1u);
    assert_int_equal(plant.sensors.state, SENSORS_FRESH);
}

static void test_implausible(void **state)
{
    static const struct reading wrong[] = {
        {1u, 2001u, 45000u, 4u, 99u, 1u}, {1u, 0xffffu, 45000u, 4u, 99u, 1u}, {1u, 123u, 200001u, 4u, 99u, 1u},
        {1u, 123u, 45000u, 4u, 101u, 1u}, {1u, 123u, 45000u, 12u, 99u, 1u},   {1u, 123u, 45000u, 0x84u, 99u, 1u},
    };
    (void)state;
    for (size_t i = 0u; i < (sizeof wrong / sizeof wrong[0]); i++) {
        plant_init(&plant);
        take(&wrong[i]);
        assert_true(plant.sensors.implausible);
        assert_int_equal(plant.sensors.state, SENSORS_WAITING); /* nothing to show yet */
        plant_init(&plant);
        take(&normal);
        ticks(PLANT_STALE_TICKS);
        assert_int_equal(plant.sensors.state, SENSORS_STALE);
        take(&wrong[i]);
        assert_true(plant.sensors.implausible);
        assert_int_equal(plant.sensors.state, SENSORS_FRESH);
        assert_int_equal(plant.sensors.pressure, 123u);
        assert_int_equal(plant.sensors.position, 45000u);
        assert_int_equal(plant.sensors.battery, 99u);
        assert_int_equal(plant.sensors.flow, 0xfffffff0u);
        plant_tick(&plant);
        assert_true(plant.sensors.implausible); /* the last frame was so */
        take_sequence(2u);
        assert_true(plant.sensors.implausible); /* no later frame hides it from the next tick */
        plant_tick(&plant);
        assert_false(plant.sensors.implausible);
    }
    const struct reading most = {3u, 2000u, 200000u, 7u, 100u, UINT32_MAX};
    take(&most);
    assert_false(plant.sensors.implausible);
    assert_int_equal(plant.sensors.position, 200000u);
}

static void test_out(void **state)
{
    (void)state;
    char frame[PLANT_OUT_SIZE + 1u] = {0};
    for (unsigned i = 0u; i < 600u; i++) {
        char expected[32];
        plant_write(&plant, 0xfedcba98u + i, (i & 0x1fu), frame);
        const int length = snprintf(expected, sizeof expected, "\x02M%02x%08x%02x", i & 0xffu, 0xfedcba98u + i, i & 0x1fu);
        const uint16_t crc = crc16_add(0u, (const uint8_t *)&expected[1], (size_t)length - 1u);
        (void)snprintf(&expected[length], sizeof expected - (size_t)length, "%04x\n", crc);
        assert_string_equal(frame, expected);
    }
}

int test_plant(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_crc, start),
        cmocka_unit_test_setup(test_values, start),
        cmocka_unit_test_setup(test_known_frame, start),
        cmocka_unit_test_setup(test_broken_frames, start),
        cmocka_unit_test_setup(test_upper_case_is_no_frame, start),
        cmocka_unit_test_setup(test_sequence, start),
        cmocka_unit_test_setup(test_broken_and_missing_are_one, start),
        cmocka_unit_test_setup(test_stale, start),
        cmocka_unit_test_setup(test_implausible, start),
        cmocka_unit_test_setup(test_out, start),
    };
    return cmocka_run_group_tests_name("plant", tests, NULL, NULL);
}
