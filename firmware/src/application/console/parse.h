/*
 * SPDX-License-Identifier: Apache-2.0
 * A console line taken apart (../../../PROTOCOL.md, "Console"): which command, with which numbers. Strict: a line is exactly one of
 * the forms of the table in parse.c or none. Pure; writes nothing but its result.
 */
#ifndef APPLICATION_CONSOLE_PARSE_H
#define APPLICATION_CONSOLE_PARSE_H

#include <stdint.h>

enum command_id {
    COMMAND_ID,
    COMMAND_STATUS,
    COMMAND_PROGRAM, /* syringe, drug, rate, vtbi */
    COMMAND_CONFIRM, /* token */
    COMMAND_CONFIRM_OVERRIDE, /* token */
    COMMAND_START,
    COMMAND_STOP,
    COMMAND_BOLUS, /* volume */
    COMMAND_ALARM,
    COMMAND_ALARM_SILENCE,
    COMMAND_ALARM_CLEAR,
    COMMAND_CONFIG,
    COMMAND_CONFIG_KVO,       /* rate */
    COMMAND_CONFIG_OCCLUSION, /* pressure */
    COMMAND_LOG,
    COMMAND_LOG_ENTRY, /* sequence */
    COMMAND_BOOT,
    COMMAND_LIBRARY,
    COMMAND_LIBRARY_DRUG, /* id */
    COMMAND_SELFTEST,
    COMMAND_STACK,
    COMMAND_CRASH_FAULT,
    COMMAND_CRASH_HANG,
    COMMAND_CRASH_STACK,
    COMMAND_RESET
};

enum parse_result { PARSE_DONE, PARSE_UNKNOWN_COMMAND, PARSE_BAD_ARGUMENT };

#define PARSE_NUMBERS_MAX 4u

struct command {
    enum command_id id;
    uint32_t numbers[PARSE_NUMBERS_MAX]; /* in the order of the line; 0 where it has fewer */
};

/* `line` ends with NUL. The command is set only if PARSE_DONE. */
enum parse_result parse_line(const char *line, struct command *command);

#endif
