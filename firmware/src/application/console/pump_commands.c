/*
 * SPDX-License-Identifier: Apache-2.0
 * The commands that concern the pump. See pump_commands.h.
 * @realises DSG-016
 */
#include "application/console/pump_commands.h"

#include "application/safety/selftest.h"

static void put_number(struct text *reply, const char *key, uint32_t value)
{
    text_string(reply, key);
    text_unsigned(reply, value);
}

static void put_state(const struct device *device, struct text *reply)
{
    text_string(reply, "state=");
    text_string(reply, pump_state_name(device->pump.state));
}

static const char *sensors_name(enum sensors_state state)
{
    static const char *const names[(uint32_t)SENSORS_STALE + 1u] = {
        [SENSORS_WAITING] = "waiting",
        [SENSORS_FRESH] = "fresh",
        [SENSORS_STALE] = "stale",
    };
    return names[state];
}

void pump_command_status(const struct device *device, struct text *reply)
{
    struct pump_report report;
    pump_report(&device->pump, &report);
    text_string(reply, "OK status state=");
    text_string(reply, pump_state_name(report.state));
    text_string(reply, " alarm=");
    text_string(reply, alarm_name(report.alarm));
    text_string(reply, " priority=");
    text_string(reply, alarm_priority_name(report.priority));
    text_string(reply, " audio=");
    text_string(reply, alarm_audio_name(report.audio));
    put_number(reply, " rate=", report.rate);
    put_number(reply, " volume=", report.volume);
    put_number(reply, " vtbi=", report.vtbi);
    put_number(reply, " bolus=", report.bolus);
    put_number(reply, " pressure=", device->plant.sensors.pressure);
    put_number(reply, " battery=", device->plant.sensors.battery);
    text_string(reply, " sensors=");
    text_string(reply, sensors_name(device->plant.sensors.state));
    put_number(reply, " uptime=", port_milliseconds());
}

/* The word for a refusal that needs no number; the state for one by the state. */
static void put_refusal(const struct device *device, enum pump_result result, struct text *reply)
{
    static const char *const words[(uint32_t)PUMP_HOURLY_LIMIT + 1u] = {
        [PUMP_BAD_SYRINGE] = "syringe",
        [PUMP_NO_LIBRARY] = "no-library",
        [PUMP_BAD_DRUG] = "drug",
        [PUMP_RATE_LIMIT] = "rate-limit",
        [PUMP_HARD_LIMIT] = "hard-limit",
        [PUMP_VTBI_LIMIT] = "vtbi-limit",
        [PUMP_BAD_TOKEN] = "token",
        [PUMP_EXPIRED] = "expired",
        [PUMP_SOFT_LIMIT] = "soft-limit",
        [PUMP_NO_SENSORS] = "sensors",
        [PUMP_DOOR] = "door",
        [PUMP_NO_SYRINGE] = "syringe",
        [PUMP_AIR] = "air",
        [PUMP_BATTERY] = "battery",
        [PUMP_LOCKOUT] = "lockout=",
        [PUMP_HOURLY_LIMIT] = "hourly-limit=",
    };
    if (result == PUMP_ALARM_STANDS) {
        text_string(reply, "alarm=");
        text_string(reply, alarm_name(alarm_first_latched(&device->pump.alarms)));
    } else if (words[result] != NULL) {
        text_string(reply, words[result]);
    } else {
        put_state(device, reply);
    }
}

void pump_command_program(struct device *device, const struct command *command, struct text *reply)
{
    const struct programme programme = {
        .syringe = command->numbers[0],
        .drug = command->numbers[1],
        .rate = command->numbers[2],
        .vtbi = command->numbers[3],
    };
    uint32_t token = 0u;
    bool soft = false;
    const enum pump_result result = pump_program(&device->pump, &programme, &token, &soft);
    if (result == PUMP_DONE) {
        put_number(reply, "OK program token=", token);
        text_string(reply, soft ? " limit=soft" : " limit=none");
    } else {
        text_string(reply, "ERR program ");
        put_refusal(device, result, reply);
    }
}

void pump_command_confirm(struct device *device, const struct command *command, struct text *reply)
{
    const bool override_soft = (command->id == COMMAND_CONFIRM_OVERRIDE);
    const enum pump_result result = pump_confirm(&device->pump, command->numbers[0], override_soft);
    if (result == PUMP_DONE) {
        text_string(reply, "OK confirm");
    } else {
        text_string(reply, "ERR confirm ");
        put_refusal(device, result, reply);
    }
}

void pump_command_start(struct device *device, struct text *reply)
{
    const enum pump_result result = pump_start(&device->pump, &device->plant.sensors);
    if (result == PUMP_DONE) {
        struct pump_report report;
        pump_report(&device->pump, &report);
        put_number(reply, "OK start rate=", report.rate);
    } else {
        text_string(reply, "ERR start ");
        put_refusal(device, result, reply);
    }
}

void pump_command_bolus(struct device *device, const struct command *command, struct text *reply)
{
    uint32_t left = 0u;
    const enum pump_result result = pump_bolus(&device->pump, command->numbers[0], &left);
    if (result == PUMP_DONE) {
        put_number(reply, "OK bolus volume=", command->numbers[0]);
    } else {
        text_string(reply, "ERR bolus ");
        put_refusal(device, result, reply);
        if ((result == PUMP_LOCKOUT) || (result == PUMP_HOURLY_LIMIT)) {
            text_unsigned(reply, left);
        }
    }
}

void pump_command_alarm(const struct device *device, struct text *reply)
{
    const struct alarms *const alarms = &device->pump.alarms;
    const char *separator = "";
    text_string(reply, "OK alarm active=");
    for (uint32_t alarm = ALARM_FIRST; alarm <= ALARM_LAST; alarm++) {
        if (alarm_stands(alarms, (enum alarm)alarm)) {
            text_string(reply, separator);
            text_string(reply, alarm_name((enum alarm)alarm));
            separator = ",";
        }
    }
    if (separator[0] == '\0') {
        text_string(reply, alarm_name(ALARM_NONE));
    }
    text_string(reply, " audio=");
    text_string(reply, alarm_audio_name(alarm_audio(alarms)));
}

void pump_command_silence(struct device *device, struct text *reply)
{
    const enum alarm_silence result = pump_silence(&device->pump);
    if (result == ALARM_SILENCED) {
        put_number(reply, "OK alarm silence seconds=", ALARM_SILENCE_SECONDS);
    } else {
        text_string(reply, (result == ALARM_SILENCE_FAULT) ? "ERR alarm fault" : "ERR alarm none");
    }
}

void pump_command_clear(struct device *device, struct text *reply)
{
    const bool none = (alarm_first(&device->pump.alarms) == ALARM_NONE);
    const enum alarm stays = pump_clear_alarms(&device->pump, &device->plant.sensors);
    if (!none && (stays == ALARM_NONE)) {
        text_string(reply, "OK alarm clear");
    } else {
        text_string(reply, "ERR alarm ");
        text_string(reply, alarm_name(stays));
    }
}

/* Stores what the command changes. Puts the refusal if it is refused. */
static bool change_config(struct device *device, const struct command *command, struct text *reply)
{
    struct config config = device->config;
    bool changed = false;
    if (command->id == COMMAND_CONFIG_KVO) {
        config.kvo = command->numbers[0];
    } else {
        config.occlusion = command->numbers[0];
    }
    if (!config_valid(&config)) {
        text_string(reply, "ERR config range");
    } else if (pump_delivering(&device->pump)) {
        text_string(reply, "ERR config ");
        put_state(device, reply);
    } else if (!config_store(&selftest_config_region, &config)) {
        text_string(reply, "ERR config flash");
    } else {
        device->config = config;
        changed = true;
    }
    return changed;
}

void pump_command_config(struct device *device, const struct command *command, struct text *reply)
{
    const bool asks = (command->id == COMMAND_CONFIG);
    if (asks || change_config(device, command, reply)) {
        put_number(reply, "OK config kvo=", device->config.kvo);
        put_number(reply, " occlusion=", device->config.occlusion);
        put_number(reply, " copies=", config_copies(&selftest_config_region));
        if (!asks) {
            (void)eventlog_add(&device->log, port_milliseconds(), EVENT_CONFIG, (uint16_t)command->numbers[0]);
        }
    }
}

void pump_command_library(const struct device *device, struct text *reply)
{
    const struct library *const library = &device->library;
    if (library->count == 0u) {
        text_string(reply, "ERR library none");
    } else {
        put_number(reply, "OK library version=", library->version.major);
        put_number(reply, ".", library->version.minor);
        put_number(reply, ".", library->version.revision);
        put_number(reply, "+", library->version.build);
        put_number(reply, " drugs=", library->count);
        text_string(reply, " digest=");
        text_bytes(reply, library->digest, SHA256_SIZE);
    }
}

void pump_command_drug(const struct device *device, const struct command *command, struct text *reply)
{
    struct drug drug;
    if (!library_drug(&device->library, command->numbers[0], &drug)) {
        text_string(reply, (device->library.count == 0u) ? "ERR library none" : "ERR library drug");
    } else {
        put_number(reply, "OK library id=", drug.id);
        text_string(reply, " name=");
        text_string(reply, drug.name);
        put_number(reply, " soft-min=", drug.soft_min);
        put_number(reply, " soft-max=", drug.soft_max);
        put_number(reply, " hard-min=", drug.hard_min);
        put_number(reply, " hard-max=", drug.hard_max);
        put_number(reply, " bolus-max=", drug.bolus_max);
        put_number(reply, " bolus-rate=", drug.bolus_rate);
        put_number(reply, " lockout=", drug.lockout);
        put_number(reply, " hourly=", drug.hourly);
    }
}
