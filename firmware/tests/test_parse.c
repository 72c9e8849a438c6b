/*
 * SPDX-License-Identifier: Apache-2.0
 * Console lines taken apart: each form of PROTOCOL.md is understood, and nothing else is.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "application/console/parse.h"
#include "tests.h"

struct example {
    const char *line;
    enum command_id id;
    uint32_t numbers[PARSE_NUMBERS_MAX];
};

static const struct example good[] = {
    {"id", COMMAND_ID, {0u}},
    {"status", COMMAND_STATUS, {0u}},
    {"program syringe=4 drug=2 rate=125 vtbi=50000", COMMAND_PROGRAM, {4u, 2u, 125u, 50000u}},
    {"confirm token=1000", COMMAND_CONFIRM, {1000u}},
    {"confirm token=9999 override", COMMAND_CONFIRM_OVERRIDE, {9999u}},
    {"start", COMMAND_START, {0u}},
    {"stop", COMMAND_STOP, {0u}},
    {"bolus volume=100", COMMAND_BOLUS, {100u}},
    {"alarm", COMMAND_ALARM, {0u}},
    {"alarm silence", COMMAND_ALARM_SILENCE, {0u}},
    {"alarm clear", COMMAND_ALARM_CLEAR, {0u}},
    {"config", COMMAND_CONFIG, {0u}},
    {"config kvo=7", COMMAND_CONFIG_KVO, {7u}},
    {"config occlusion=517", COMMAND_CONFIG_OCCLUSION, {517u}},
    {"log", COMMAND_LOG, {0u}},
    {"log 999999999", COMMAND_LOG_ENTRY, {999999999u}},
    {"boot", COMMAND_BOOT, {0u}},
    {"library", COMMAND_LIBRARY, {0u}},
    {"library 3", COMMAND_LIBRARY_DRUG, {3u}},
    {"selftest", COMMAND_SELFTEST, {0u}},
    {"stack", COMMAND_STACK, {0u}},
    {"crash fault", COMMAND_CRASH_FAULT, {0u}},
    {"crash hang", COMMAND_CRASH_HANG, {0u}},
    {"crash stack", COMMAND_CRASH_STACK, {0u}},
    {"reset", COMMAND_RESET, {0u}},
    {"log 0", COMMAND_LOG_ENTRY, {0u}},
    {"log 000000007", COMMAND_LOG_ENTRY, {7u}},
};

static const char *const unknown[] = {
    "",      "x",        "STATUS",       "status ",  " status",     "statusx", "statu",  "start 50",        "start50",
    "id id", "stop now", "alarm  clear", "alarm cl", "alarm clear all", "crash", "crash it", "reset 1", "OK stop", "i", "#", "programm",
};

static const char *const bad[] = {
    "program",
    "program ",
    "program syringe=4 drug=2 rate=125",
    "program syringe=4 drug=2 rate=125 vtbi=",
    "program syringe=4 drug=2 rate=125 vtbi=50000 ",
    "program syringe=4 drug=2 rate=125 vtbi=50000 x=1",
    "program drug=2 syringe=4 rate=125 vtbi=50000",
    "program syringe=4 syringe=4 drug=2 rate=125 vtbi=50000",
    "program syringe=4  drug=2 rate=125 vtbi=50000",
    "program syringe=-4 drug=2 rate=125 vtbi=50000",
    "program syringe=4 drug=0x2 rate=125 vtbi=50000",
    "program syringe=4 drug=2 rate=12.5 vtbi=50000",
    "program Syringe=4 drug=2 rate=125 vtbi=50000",
    "program syringe=# drug=2 rate=125 vtbi=50000",
    "confirm",
    "confirm 1000",
    "confirm token=",
    "confirm token=1000 overrid",
    "confirm token=1000 override ",
    "confirm token=1000 override override",
    "bolus",
    "bolus 100",
    "bolus volume=+100",
    "bolus volume=1234567890",
    "bolus volume=4294967396",
    "config kvo",
    "config kvo=",
    "config x=1",
    "config kvo=1 occlusion=500",
    "log x",
    "log -1",
    "log 1234567890",
    "log 1 2",
    "log ",
    "library x",
    "library 1 ",
};

static void test_forms(void **state)
{
    (void)state;
    for (size_t i = 0u; i < (sizeof good / sizeof good[0]); i++) {
        struct command command;
        memset(&command, 0xff, sizeof command);
        assert_int_equal(parse_line(good[i].line, &command), PARSE_DONE);
        assert_int_equal(command.id, good[i].id);
        assert_memory_equal(command.numbers, good[i].numbers, sizeof command.numbers);
    }
}

static void test_nothing_else(void **state)
{
    struct command command;
    (void)state;
    for (size_t i = 0u; i < (sizeof unknown / sizeof unknown[0]); i++) {
        assert_int_equal(parse_line(unknown[i], &command), PARSE_UNKNOWN_COMMAND);
    }
    for (size_t i = 0u; i < (sizeof bad / sizeof bad[0]); i++) {
        assert_int_equal(parse_line(bad[i], &command), PARSE_BAD_ARGUMENT);
    }
}

/* One character changed, left out or added makes no form another's, except where a number stays a number. */
static void test_neighbours(void **state)
{
    (void)state;
    for (size_t i = 0u; i < (sizeof good / sizeof good[0]); i++) {
        const size_t length = strlen(good[i].line);
        for (size_t at = 0u; at <= length; at++) {
            for (int kind = 0; kind < 3; kind++) {
                for (int value = 0x20; value < 0x7f; value++) {
                    char line[80];
                    struct command command;
                    const size_t rest = at + ((kind == 2) ? 0u : 1u);
                    (void)snprintf(line, sizeof line, "%.*s%.*s%s", (int)at, good[i].line, (kind == 1) ? 0 : 1,
                                   &(char){(char)value}, (rest <= length) ? &good[i].line[rest] : "");
                    if (parse_line(line, &command) == PARSE_DONE) {
                        /* Then it is the line itself, or its digits changed. */
                        assert_true((command.id == good[i].id) || (strcmp(line, "id") == 0) || (strcmp(line, "log") == 0));
                    }
                }
            }
        }
    }
}

int test_parse(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_forms),
        cmocka_unit_test(test_nothing_else),
        cmocka_unit_test(test_neighbours),
    };
    return cmocka_run_group_tests_name("parse", tests, NULL, NULL);
}
