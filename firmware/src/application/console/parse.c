/*
 * SPDX-License-Identifier: Apache-2.0
 * Console lines taken apart. See parse.h.
 * @realises DSG-015
 */
#include "application/console/parse.h"

#include <stdbool.h>
#include <stddef.h>

#define NUMBER '#' /* in a form: 1 to 9 decimal digits */
#define DIGITS_MAX 9u

struct form {
    const char *form;
    enum command_id id;
};

/* All there is. Spaces are single, keys stand in this order. */
static const struct form forms[] = {
    {"id", COMMAND_ID},
    {"status", COMMAND_STATUS},
    {"program syringe=# drug=# rate=# vtbi=#", COMMAND_PROGRAM},
    {"confirm token=#", COMMAND_CONFIRM},
    {"confirm token=# override", COMMAND_CONFIRM_OVERRIDE},
    {"start", COMMAND_START},
    {"stop", COMMAND_STOP},
    {"bolus volume=#", COMMAND_BOLUS},
    {"alarm", COMMAND_ALARM},
    {"alarm silence", COMMAND_ALARM_SILENCE},
    {"alarm clear", COMMAND_ALARM_CLEAR},
    {"config", COMMAND_CONFIG},
    {"config kvo=#", COMMAND_CONFIG_KVO},
    {"config occlusion=#", COMMAND_CONFIG_OCCLUSION},
    {"log", COMMAND_LOG},
    {"log #", COMMAND_LOG_ENTRY},
    {"boot", COMMAND_BOOT},
    {"library", COMMAND_LIBRARY},
    {"library #", COMMAND_LIBRARY_DRUG},
    {"selftest", COMMAND_SELFTEST},
    {"stack", COMMAND_STACK},
    {"crash fault", COMMAND_CRASH_FAULT},
    {"crash hang", COMMAND_CRASH_HANG},
    {"crash stack", COMMAND_CRASH_STACK},
    {"reset", COMMAND_RESET},
};

#define FORMS (sizeof(forms) / sizeof(forms[0]))

static bool is_digit(char character)
{
    return (character >= '0') && (character <= '9');
}

/* Reads a number and moves on past it; false if there is none, or a longer one. */
static bool take_number(const char **at, uint32_t *value)
{
    uint32_t digits = 0u;
    *value = 0u;
    while ((digits < DIGITS_MAX) && is_digit((*at)[digits])) {
        *value = (*value * 10u) + ((uint32_t)(*at)[digits] - (uint32_t)'0');
        digits++;
    }
    *at = &(*at)[digits];
    return (digits > 0u) && !is_digit(**at);
}

/* The line is of that form. */
static bool matches(const char *form, const char *line, struct command *command)
{
    const char *at = line;
    size_t number = 0u;
    bool same = true;
    for (size_t i = 0u; same && (form[i] != '\0'); i++) {
        if (form[i] == NUMBER) {
            same = take_number(&at, &command->numbers[number]);
            number++;
        } else {
            same = (*at == form[i]);
            if (same) {
                at++;
            }
        }
    }
    return same && (*at == '\0');
}

static bool ends_word(char character)
{
    return (character == ' ') || (character == '\0');
}

static bool same_first_word(const char *form, const char *line)
{
    size_t i = 0u;
    while (!ends_word(form[i]) && (form[i] == line[i])) {
        i++;
    }
    return ends_word(form[i]) && ends_word(line[i]);
}

static bool has_number(const char *form)
{
    size_t i = 0u;
    while ((form[i] != '\0') && (form[i] != NUMBER)) {
        i++;
    }
    return form[i] == NUMBER;
}

enum parse_result parse_line(const char *line, struct command *command)
{
    enum parse_result result = PARSE_UNKNOWN_COMMAND;
    for (size_t i = 0u; (i < FORMS) && (result != PARSE_DONE); i++) {
        struct command found = {.id = forms[i].id};
        if (matches(forms[i].form, line, &found)) {
            *command = found;
            result = PARSE_DONE;
        } else if (has_number(forms[i].form) && same_first_word(forms[i].form, line)) {
            result = PARSE_BAD_ARGUMENT; /* unless a later form fits */
        } else {
            /* Another command, or words that follow one which takes none. */
        }
    }
    return result;
}
