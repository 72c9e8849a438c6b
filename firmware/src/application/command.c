/*
 * SPDX-License-Identifier: Apache-2.0
 * The console commands. See command.h.
 */
#include "application/command.h"

#include "application/running_image.h"
#include "application/selftest.h"
#include "build_config.h"
#include "port/port.h"

#define PRESSURE_MAX_MMHG 5000u /* what the simulated sensor can show */

static const char *const state_names[] = {
    [PUMP_IDLE] = "idle",
    [PUMP_INFUSING] = "infusing",
    [PUMP_ALARM] = "alarm",
};

/* If line begins with prefix, what follows it; else NULL. */
static const char *after(const char *line, const char *prefix)
{
    size_t i = 0u;
    while ((prefix[i] != '\0') && (line[i] == prefix[i])) {
        i++;
    }
    return (prefix[i] == '\0') ? &line[i] : NULL;
}

static bool is(const char *line, const char *word)
{
    const char *const rest = after(line, word);
    return (rest != NULL) && (rest[0] == '\0');
}

/* A decimal number of 1 to 9 digits and nothing else. */
static bool number(const char *text, uint32_t *value)
{
    size_t i = 0u;
    *value = 0u;
    while ((i < 9u) && (text[i] >= '0') && (text[i] <= '9')) {
        *value = (*value * 10u) + (uint32_t)(text[i] - '0');
        i++;
    }
    return (i > 0u) && (text[i] == '\0');
}

static void run_id(struct text *reply)
{
    struct image image;
    uint8_t digest[SHA256_SIZE];
    if (!running_image_read(&image, digest)) {
        text_string(reply, "ERR id image");
        return;
    }
    text_string(reply, "OK id board=" BOARD_NAME " version=");
    text_unsigned(reply, image.version.major);
    text_string(reply, ".");
    text_unsigned(reply, image.version.minor);
    text_string(reply, ".");
    text_unsigned(reply, image.version.revision);
    text_string(reply, "+");
    text_unsigned(reply, image.version.build);
    text_string(reply, " commit=" BUILD_COMMIT " digest=");
    text_bytes(reply, digest, SHA256_SIZE);
    text_string(reply, " key=" KEY_KIND " serial=");
    text_string(reply, port_serial());
}

static void run_selftest(struct text *reply)
{
    const char *const failure = selftest_failure();
    if (failure == NULL) {
        text_string(reply, "OK selftest ram=pass image=pass sha256=pass");
    } else {
        text_string(reply, "ERR selftest ");
        text_string(reply, failure);
    }
}

static void run_start(const char *argument, struct pump *pump, struct text *reply)
{
    uint32_t rate;
    if (!number(argument, &rate)) {
        text_string(reply, "ERR bad-argument");
        return;
    }
    const enum pump_result result = pump_start(pump, rate);
    if (result == PUMP_DONE) {
        text_string(reply, "OK start rate=");
        text_unsigned(reply, rate);
    } else if (result == PUMP_RATE_REFUSED) {
        text_string(reply, "ERR start rate-limit");
    } else {
        text_string(reply, "ERR start state=");
        text_string(reply, state_names[pump->state]);
    }
}

static void run_status(const struct pump *pump, struct text *reply)
{
    text_string(reply, "OK status state=");
    text_string(reply, state_names[pump->state]);
    text_string(reply, (pump->state == PUMP_ALARM) ? " alarm=occlusion rate=" : " alarm=none rate=");
    text_unsigned(reply, pump->rate);
    text_string(reply, " volume=");
    text_unsigned(reply, pump->volume);
    text_string(reply, " pressure=");
    text_unsigned(reply, pump->pressure);
    text_string(reply, " uptime=");
    text_unsigned(reply, port_milliseconds());
}

static enum command_effect run_sense(const char *argument, struct pump *pump, struct text *reply)
{
    uint32_t pressure;
    if (!number(argument, &pressure) || (pressure > PRESSURE_MAX_MMHG)) {
        text_string(reply, "ERR bad-argument");
        return COMMAND_NONE;
    }
    text_string(reply, "OK sense pressure=");
    text_unsigned(reply, pressure);
    return pump_sense(pump, pressure) ? COMMAND_OCCLUSION_EVENT : COMMAND_NONE;
}

static void run_alarm_clear(struct pump *pump, struct text *reply)
{
    const enum pump_result result = pump_clear_alarm(pump);
    if (result == PUMP_DONE) {
        text_string(reply, "OK alarm clear");
    } else if (result == PUMP_PRESSURE_REFUSED) {
        text_string(reply, "ERR alarm occlusion");
    } else {
        text_string(reply, "ERR alarm none");
    }
}

enum command_effect command_run(const char *line, struct pump *pump, struct text *reply)
{
    enum command_effect effect = COMMAND_NONE;
    const char *const start_argument = after(line, "start ");
    const char *const sense_argument = after(line, "sense pressure=");

    text_start(reply);
    if (is(line, "id")) {
        run_id(reply);
    } else if (is(line, "selftest")) {
        run_selftest(reply);
    } else if (start_argument != NULL) {
        run_start(start_argument, pump, reply);
    } else if (is(line, "stop")) {
        pump_stop(pump);
        text_string(reply, "OK stop");
    } else if (is(line, "status")) {
        run_status(pump, reply);
    } else if (sense_argument != NULL) {
        effect = run_sense(sense_argument, pump, reply);
    } else if (is(line, "alarm clear")) {
        run_alarm_clear(pump, reply);
    } else if (is(line, "reset")) {
        pump_stop(pump);
        text_string(reply, "OK reset");
        effect = COMMAND_RESET;
    } else if (is(line, "start") || is(line, "sense") || (after(line, "sense ") != NULL)) {
        text_string(reply, "ERR bad-argument");
    } else {
        text_string(reply, "ERR unknown-command");
    }
    port_motor(pump_motor_on(pump));
    return effect;
}
