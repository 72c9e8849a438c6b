/*
 * SPDX-License-Identifier: Apache-2.0
 * Configuration and event log on a flash that loses power at every operation, before it, inside it and after it, and again
 * while the device recovers; and on one that fails or was damaged.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "application/store/config.h"
#include "application/store/crc32.h"
#include "application/store/eventlog.h"
#include "port/port.h"
#include "sim/flash.h"
#include "tests.h"

#define PAGE 64u
#define PAGES 8u
#define SEEDS 34u /* of each operation: before, after, and inside with all the others */

/* The cut of that number at that operation. */
static void cut(uint32_t operation, uint32_t seed)
{
    if (seed == 0u) {
        sim_flash_cut_at(operation, SIM_CUT_BEFORE, 0u);
    } else if (seed == 1u) {
        sim_flash_cut_at(operation, SIM_CUT_AFTER, 0u);
    } else if (seed < 18u) {
        sim_flash_cut_at(operation, SIM_CUT_INSIDE, seed);
    } else {
        sim_flash_cut_at(operation, SIM_CUT_WORDS, ((seed - 17u) * 0x04210843u) & 0x7fffffffu);
    }
}

/* --- CRC-32 --------------------------------------------------------------------------------------------------------- */

static void test_crc32_is_zlib_s(void **state)
{
    (void)state;
    assert_int_equal(crc32_of("123456789", 9u), 0xcbf43926u); /* the check value of CRC-32/ISO-HDLC */
    assert_int_equal(crc32_of("", 0u), 0u);
    assert_int_equal(crc32_of("The quick brown fox jumps over the lazy dog", 43u), 0x414fa339u);
}

/* --- configuration -------------------------------------------------------------------------------------------------- */

static const struct config_region two_pages = {.offset = 2u * PAGE, .size = 2u * PAGE};

static const struct config configs[4] = {
    {CONFIG_KVO_DEFAULT, CONFIG_OCCLUSION_DEFAULT}, /* what holds before any is stored */
    {1u, 750u},
    {50u, 100u},
    {33u, 444u},
};

static int start(void **state)
{
    (void)state;
    sim_flash_start(PAGES * PAGE, PAGE);
    return 0;
}

static bool same(const struct config *a, const struct config *b)
{
    return (a->kvo == b->kvo) && (a->occlusion == b->occlusion);
}

static void assert_loads(enum config_found found, const struct config *expected)
{
    struct config config;
    assert_int_equal(config_load(&two_pages, &config), found);
    assert_true(same(&config, expected));
}

static void store(void *context)
{
    const struct config *const config = context;
    (void)config_store(&two_pages, config);
}

static void test_config_ranges(void **state)
{
    static const struct config bad[] = {{0u, 517u}, {51u, 517u}, {10u, 99u}, {10u, 751u}, {UINT32_MAX, UINT32_MAX}};
    (void)state;
    for (size_t i = 0u; i < (sizeof configs / sizeof configs[0]); i++) {
        assert_true(config_valid(&configs[i]));
    }
    for (size_t i = 0u; i < (sizeof bad / sizeof bad[0]); i++) {
        assert_false(config_valid(&bad[i]));
        assert_false(config_store(&two_pages, &bad[i]));
    }
    assert_int_equal(sim_flash_operations(), 0u);
}

static void test_config_is_read_back(void **state)
{
    (void)state;
    assert_loads(CONFIG_BLANK, &configs[0]);
    assert_int_equal(config_copies(&two_pages), 0u);
    for (uint32_t i = 0u; i < 20u; i++) {
        assert_true(config_store(&two_pages, &configs[1u + (i % 3u)]));
        assert_loads(CONFIG_WHOLE, &configs[1u + (i % 3u)]);
        assert_int_equal(config_copies(&two_pages), 2u);
    }
    assert_true(port_flash_blank(0u, 2u * PAGE));
    assert_true(port_flash_blank(4u * PAGE, 4u * PAGE));
}

static void test_config_survives_every_cut(void **state)
{
    static uint8_t before[PAGES * PAGE];
    uint32_t points = 0u;
    (void)state;
    for (uint32_t i = 0u; i < 3u; i++) {
        struct config wanted = configs[i + 1u];
        sim_flash_save(before);
        for (uint32_t operation = 0u; operation < 4u; operation++) {
            for (uint32_t seed = 0u; seed < SEEDS; seed++) {
                struct config found;
                sim_flash_restore(before);
                sim_flash_count_from_zero();
                cut(operation, seed);
                assert_false(sim_flash_powered(store, &wanted));
                enum config_found how = config_load(&two_pages, &found);
                assert_true(same(&found, &configs[i]) || same(&found, &wanted));
                assert_int_not_equal(how, CONFIG_DAMAGED);
                /* The device repairs what it finds, and loses power in that too. */
                struct config first = found;
                sim_flash_count_from_zero();
                cut(seed % 4u, operation + (7u * (seed % 5u)));
                (void)sim_flash_powered(store, &found);
                how = config_load(&two_pages, &found);
                assert_true(same(&found, &first));
                assert_int_not_equal(how, CONFIG_DAMAGED);
                assert_true(config_store(&two_pages, &found));
                assert_loads(CONFIG_WHOLE, &first);
                points++;
            }
        }
        sim_flash_restore(before);
        assert_true(config_store(&two_pages, &wanted));
    }
    print_message("configuration: %u cut points\n", (unsigned)points);
}

static void test_config_of_which_one_copy_is_damaged(void **state)
{
    (void)state;
    for (uint32_t half = 0u; half < 2u; half++) {
        for (uint32_t at = 0u; at < 20u; at++) {
            start(NULL);
            assert_true(config_store(&two_pages, &configs[1]));
            const uint32_t offset = two_pages.offset + (half * PAGE) + at;
            const uint8_t altered = (uint8_t)(*port_flash_at(offset) ^ 0x04u);
            sim_flash_load(offset, &altered, 1u);
            assert_int_equal(config_copies(&two_pages), 1u);
            assert_loads(CONFIG_ONE, &configs[1]);
            assert_true(config_store(&two_pages, &configs[2]));
            assert_loads(CONFIG_WHOLE, &configs[2]);
        }
    }
}

static void test_config_of_which_both_copies_are_damaged(void **state)
{
    static const uint8_t zero = 0u;
    (void)state;
    assert_true(config_store(&two_pages, &configs[1]));
    sim_flash_load(two_pages.offset, &zero, 1u);
    sim_flash_load(two_pages.offset + PAGE, &zero, 1u);
    assert_loads(CONFIG_DAMAGED, &configs[0]);
    assert_int_equal(config_copies(&two_pages), 0u);
    assert_true(config_store(&two_pages, &configs[0]));
    assert_loads(CONFIG_WHOLE, &configs[0]);
}

/* A record whose CRC holds and whose fields cannot be, or whose sequence number is that of no record. */
static void load_record(uint32_t half, uint32_t sequence, uint32_t kvo, uint32_t occlusion)
{
    uint32_t record[5] = {0x31474643u, sequence, kvo, occlusion, 0u};
    record[4] = crc32_of(record, 16u);
    sim_flash_load(two_pages.offset + (half * PAGE), record, sizeof record);
}

static void test_config_that_cannot_be_does_not_count(void **state)
{
    (void)state;
    load_record(0u, 5u, 51u, 517u);
    load_record(1u, 4u, 20u, 300u);
    assert_loads(CONFIG_ONE, &(struct config){20u, 300u});
    load_record(1u, 0u, 20u, 300u);
    assert_loads(CONFIG_DAMAGED, &configs[0]);
    load_record(0u, 6u, 20u, 300u);
    assert_loads(CONFIG_ONE, &(struct config){20u, 300u});
    load_record(1u, 7u, 21u, 301u);
    assert_loads(CONFIG_ONE, &(struct config){21u, 301u}); /* valid both, but not the same */
    assert_int_equal(config_copies(&two_pages), 2u);
}

static void test_config_on_a_flash_that_fails(void **state)
{
    (void)state;
    assert_true(config_store(&two_pages, &configs[1]));
    for (uint32_t operation = 0u; operation < 4u; operation++) {
        struct config found;
        sim_flash_count_from_zero();
        sim_flash_fail_from(operation);
        assert_false(config_store(&two_pages, &configs[2]));
        sim_flash_fail_from(UINT32_MAX);
        (void)config_load(&two_pages, &found);
        assert_true(same(&found, &configs[1]) || same(&found, &configs[2]));
        assert_true(config_store(&two_pages, &configs[1]));
    }
}

/* --- event log ------------------------------------------------------------------------------------------------------ */

#define LOG_AT (2u * PAGE)
#define LOG_PAGES 4u
#define LOG_SIZE_HERE (LOG_PAGES * PAGE)
#define SLOTS (PAGE / 16u)

/* What the record of a number says; so that each can be checked by its number. */
static uint32_t time_of(uint32_t sequence)
{
    return sequence * 0x01010101u;
}

static enum event event_of(uint32_t sequence)
{
    return (enum event)(1u + (sequence % 15u));
}

static uint16_t value_of(uint32_t sequence)
{
    return (uint16_t)(sequence * 7919u);
}

static bool add(struct eventlog *log)
{
    const uint32_t sequence = eventlog_newest(log) + 1u;
    return eventlog_add(log, time_of(sequence), event_of(sequence), value_of(sequence));
}

/* All from the oldest to the newest are there and right, and none beside them. */
static void assert_whole(const struct eventlog *log)
{
    struct eventlog_record record;
    const uint32_t newest = eventlog_newest(log);
    for (uint32_t sequence = log->oldest; (log->count > 0u) && (sequence <= newest); sequence++) {
        assert_true(eventlog_read(log, sequence, &record));
        assert_int_equal(record.sequence, sequence);
        assert_int_equal(record.time, time_of(sequence));
        assert_int_equal(record.event, event_of(sequence));
        assert_int_equal(record.value, value_of(sequence));
    }
    assert_false(eventlog_read(log, newest + 1u, &record));
    assert_false(eventlog_read(log, 0u, &record));
    assert_false(eventlog_read(log, UINT32_MAX, &record));
    if (log->oldest > 1u) {
        assert_false(eventlog_read(log, log->oldest - 1u, &record));
    }
}

static void test_log_is_a_ring(void **state)
{
    struct eventlog log;
    struct eventlog reopened;
    (void)state;
    eventlog_open(&log, LOG_AT, LOG_SIZE_HERE);
    assert_int_equal(log.count, 0u);
    assert_int_equal(log.oldest, 0u);
    assert_int_equal(eventlog_newest(&log), 0u);
    for (uint32_t sequence = 1u; sequence <= 100u; sequence++) {
        assert_true(add(&log));
        assert_int_equal(eventlog_newest(&log), sequence);
        /* All of it, until the ring is full; then at least all pages but the one just erased. */
        assert_true(log.count >= ((sequence < ((LOG_PAGES - 1u) * SLOTS)) ? sequence : ((LOG_PAGES - 1u) * SLOTS)));
        assert_whole(&log);
        eventlog_open(&reopened, LOG_AT, LOG_SIZE_HERE);
        assert_memory_equal(&reopened, &log, sizeof log);
    }
    assert_true(port_flash_blank(0u, LOG_AT));
    assert_true(port_flash_blank(LOG_AT + LOG_SIZE_HERE, (PAGES * PAGE) - LOG_AT - LOG_SIZE_HERE));
}

static void boot_and_add(void *context)
{
    struct eventlog *const log = context;
    eventlog_open(log, LOG_AT, LOG_SIZE_HERE);
    (void)add(log);
}

static void test_log_survives_every_cut(void **state)
{
    static uint8_t before[PAGES * PAGE];
    uint32_t points = 0u;
    (void)state;
    for (uint32_t have = 0u; have < (3u * LOG_PAGES * SLOTS); have++) {
        struct eventlog log;
        sim_flash_save(before);
        sim_flash_count_from_zero();
        assert_true(sim_flash_powered(boot_and_add, &log));
        const uint32_t operations = sim_flash_operations();
        for (uint32_t operation = 0u; operation < operations; operation++) {
            for (uint32_t seed = 0u; seed < SEEDS; seed++) {
                sim_flash_restore(before);
                sim_flash_count_from_zero();
                cut(operation, seed);
                assert_false(sim_flash_powered(boot_and_add, &log));
                /* And again, where the next start may have something to repair. */
                sim_flash_count_from_zero();
                cut(seed % 2u, 1u + (seed % 16u));
                (void)sim_flash_powered(boot_and_add, &log);
                eventlog_open(&log, LOG_AT, LOG_SIZE_HERE);
                assert_in_range(eventlog_newest(&log), have, have + 2u);
                const uint32_t least = ((LOG_PAGES - 1u) * SLOTS) - 2u; /* the torn slots hold nothing */
                assert_true(log.count >= ((have < least) ? have : (least - SLOTS)));
                assert_whole(&log);
                for (uint32_t i = 0u; i < 6u; i++) {
                    assert_true(add(&log));
                    assert_whole(&log);
                }
                points++;
            }
        }
        sim_flash_restore(before);
        assert_true(sim_flash_powered(boot_and_add, &log));
    }
    print_message("event log: %u cut points\n", (unsigned)points);
}

static void test_log_on_a_flash_that_fails(void **state)
{
    struct eventlog log;
    (void)state;
    eventlog_open(&log, LOG_AT, LOG_SIZE_HERE);
    for (uint32_t i = 0u; i < 20u; i++) {
        assert_true(add(&log));
    }
    sim_flash_count_from_zero();
    sim_flash_fail_from(0u);
    for (uint32_t i = 0u; i < 3u; i++) {
        assert_false(add(&log));
    }
    assert_int_equal(eventlog_newest(&log), 20u);
    (void)sim_flash_refuse(true); /* the next page could not be erased: a board refuses to program it */
    for (uint32_t i = 0u; i < 5u; i++) {
        assert_false(add(&log));
    }
    (void)sim_flash_refuse(false);
    sim_flash_fail_from(UINT32_MAX);
    eventlog_open(&log, LOG_AT, LOG_SIZE_HERE);
    assert_int_equal(eventlog_newest(&log), 20u);
    assert_true(add(&log));
    assert_whole(&log);
}

static void test_log_whose_next_page_cannot_be_erased(void **state)
{
    struct eventlog log;
    (void)state;
    eventlog_open(&log, LOG_AT, LOG_SIZE_HERE);
    for (uint32_t i = 1u; i < (6u * SLOTS); i++) {
        assert_true(add(&log));
    }
    sim_flash_count_from_zero();
    sim_flash_fail_from(1u);
    assert_false(add(&log)); /* the record is there, but no place for the next one */
    sim_flash_fail_from(UINT32_MAX);
    assert_int_equal(eventlog_newest(&log), 6u * SLOTS);
    eventlog_open(&log, LOG_AT, LOG_SIZE_HERE); /* the next start erases it */
    assert_int_equal(eventlog_newest(&log), 6u * SLOTS);
    assert_whole(&log);
    assert_true(add(&log));
}

static void test_log_of_a_region_that_holds_something_else(void **state)
{
    static uint8_t rubbish[LOG_SIZE_HERE];
    struct eventlog log;
    uint32_t random = 3u;
    (void)state;
    for (uint32_t i = 0u; i < LOG_SIZE_HERE; i++) {
        rubbish[i] = (uint8_t)sim_random(&random);
    }
    sim_flash_load(LOG_AT, rubbish, sizeof rubbish);
    eventlog_open(&log, LOG_AT, LOG_SIZE_HERE);
    assert_int_equal(log.count, 0u);
    for (uint32_t i = 0u; i < 40u; i++) {
        assert_true(add(&log));
        assert_whole(&log);
    }
}

static void test_log_with_a_damaged_record(void **state)
{
    static const uint8_t zero[4] = {0u, 0u, 0u, 0u};
    struct eventlog log;
    struct eventlog_record record;
    (void)state;
    eventlog_open(&log, LOG_AT, LOG_SIZE_HERE);
    for (uint32_t i = 0u; i < 10u; i++) {
        assert_true(add(&log));
    }
    sim_flash_load(LOG_AT + (4u * 16u) + 4u, zero, sizeof zero); /* the time of number 5 */
    sim_flash_load(LOG_AT + (5u * 16u), zero, sizeof zero);      /* the number of number 6 */
    eventlog_open(&log, LOG_AT, LOG_SIZE_HERE);
    assert_int_equal(log.oldest, 1u);
    assert_int_equal(eventlog_newest(&log), 10u);
    assert_false(eventlog_read(&log, 5u, &record));
    assert_false(eventlog_read(&log, 6u, &record));
    assert_true(eventlog_read(&log, 7u, &record));
}

static void test_log_names(void **state)
{
    static const char *const names[] = {"unknown", "boot", "program", "confirm", "start", "stop", "bolus", "complete",
                                        "alarm", "ended", "silence", "config", "update-requested", "image-confirmed",
                                        "library", "selftest-failed", "unknown"};
    (void)state;
    for (uint32_t event = 0u; event < (sizeof names / sizeof names[0]); event++) {
        assert_string_equal(eventlog_name(event), names[event]);
    }
    assert_string_equal(eventlog_name(UINT32_MAX), "unknown");
}

int test_store(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_crc32_is_zlib_s),
        cmocka_unit_test_setup(test_config_ranges, start),
        cmocka_unit_test_setup(test_config_is_read_back, start),
        cmocka_unit_test_setup(test_config_survives_every_cut, start),
        cmocka_unit_test_setup(test_config_of_which_one_copy_is_damaged, start),
        cmocka_unit_test_setup(test_config_of_which_both_copies_are_damaged, start),
        cmocka_unit_test_setup(test_config_that_cannot_be_does_not_count, start),
        cmocka_unit_test_setup(test_config_on_a_flash_that_fails, start),
        cmocka_unit_test_setup(test_log_is_a_ring, start),
        cmocka_unit_test_setup(test_log_survives_every_cut, start),
        cmocka_unit_test_setup(test_log_on_a_flash_that_fails, start),
        cmocka_unit_test_setup(test_log_whose_next_page_cannot_be_erased, start),
        cmocka_unit_test_setup(test_log_of_a_region_that_holds_something_else, start),
        cmocka_unit_test_setup(test_log_with_a_damaged_record, start),
        cmocka_unit_test_setup(test_log_names, start),
    };
    return cmocka_run_group_tests_name("store", tests, NULL, NULL);
}
