/*
 * SPDX-License-Identifier: Apache-2.0
 * The alarms that stand. See alarm.h.
 * @realises DSG-007
 */
#include "application/control/alarm.h"

#define TICKS_PER_SECOND 100u

struct row {
    const char *name;
    enum alarm_priority priority;
    bool stops;
    bool latches;
};

static const struct row rows[ALARM_LAST + 1u] = {
    [ALARM_NONE] = {"none", ALARM_PRIORITY_NONE, false, false},
    [ALARM_FAULT] = {"fault", ALARM_PRIORITY_HIGH, true, true},
    [ALARM_OCCLUSION] = {"occlusion", ALARM_PRIORITY_HIGH, true, true},
    [ALARM_AIR] = {"air", ALARM_PRIORITY_HIGH, true, true},
    [ALARM_DOOR] = {"door", ALARM_PRIORITY_HIGH, true, true},
    [ALARM_SYRINGE] = {"syringe", ALARM_PRIORITY_HIGH, true, true},
    [ALARM_EMPTY] = {"empty", ALARM_PRIORITY_HIGH, true, true},
    [ALARM_SENSOR_LINK] = {"sensor-link", ALARM_PRIORITY_HIGH, true, true},
    [ALARM_SENSOR_VALUE] = {"sensor-value", ALARM_PRIORITY_HIGH, true, true},
    [ALARM_FLOW] = {"flow", ALARM_PRIORITY_HIGH, true, true},
    [ALARM_BATTERY_EMPTY] = {"battery-empty", ALARM_PRIORITY_HIGH, true, true},
    [ALARM_BATTERY_LOW] = {"battery-low", ALARM_PRIORITY_MEDIUM, false, false},
    [ALARM_COMPLETE] = {"complete", ALARM_PRIORITY_MEDIUM, false, true},
    [ALARM_NEAR_EMPTY] = {"near-empty", ALARM_PRIORITY_LOW, false, false},
};

/* The first row that stands, of those that latch where latched_only is true. */
static enum alarm first(const struct alarms *alarms, bool latched_only)
{
    uint32_t alarm = ALARM_FIRST;
    while ((alarm <= ALARM_LAST) &&
           (!alarm_stands(alarms, (enum alarm)alarm) || (latched_only && !rows[alarm].latches))) {
        alarm++;
    }
    return (alarm <= ALARM_LAST) ? (enum alarm)alarm : ALARM_NONE;
}

void alarm_init(struct alarms *alarms)
{
    alarms->standing = 0u;
    alarms->pause_ticks = 0u;
}

void alarm_tick(struct alarms *alarms)
{
    if (alarms->pause_ticks > 0u) {
        alarms->pause_ticks--;
    }
}

bool alarm_raise(struct alarms *alarms, enum alarm alarm)
{
    const bool raised = !alarm_stands(alarms, alarm);
    if (raised) {
        alarms->standing |= ALARM_BIT(alarm);
        alarms->pause_ticks = 0u;
    }
    return raised;
}

bool alarm_end(struct alarms *alarms, enum alarm alarm)
{
    const bool ended = alarm_stands(alarms, alarm) && (alarm != ALARM_FAULT);
    if (ended) {
        alarms->standing &= ~ALARM_BIT(alarm);
    }
    return ended;
}

/* @realises DSG-008 */
enum alarm_silence alarm_silence(struct alarms *alarms)
{
    enum alarm_silence result = ALARM_SILENCED;
    if (alarms->standing == 0u) {
        result = ALARM_SILENCE_NONE;
    } else if (alarm_stands(alarms, ALARM_FAULT)) {
        result = ALARM_SILENCE_FAULT;
    } else {
        alarms->pause_ticks = ALARM_SILENCE_SECONDS * TICKS_PER_SECOND;
    }
    return result;
}

bool alarm_stands(const struct alarms *alarms, enum alarm alarm)
{
    return (alarms->standing & ALARM_BIT(alarm)) != 0u;
}

enum alarm alarm_first(const struct alarms *alarms)
{
    return first(alarms, false);
}

enum alarm alarm_first_latched(const struct alarms *alarms)
{
    return first(alarms, true);
}

enum alarm_priority alarm_standing_priority(const struct alarms *alarms)
{
    /* The table is sorted by priority: the test of this module holds it to that. */
    return rows[alarm_first(alarms)].priority;
}

enum alarm_audio alarm_audio(const struct alarms *alarms)
{
    enum alarm_audio audio = ALARM_AUDIO_OFF;
    if (alarms->standing != 0u) {
        audio = (alarms->pause_ticks > 0u) ? ALARM_AUDIO_PAUSED : ALARM_AUDIO_ON;
    }
    return audio;
}

const char *alarm_name(enum alarm alarm)
{
    return rows[alarm].name;
}

enum alarm_priority alarm_priority(enum alarm alarm)
{
    return rows[alarm].priority;
}

bool alarm_stops(enum alarm alarm)
{
    return rows[alarm].stops;
}

bool alarm_latches(enum alarm alarm)
{
    return rows[alarm].latches;
}

const char *alarm_priority_name(enum alarm_priority priority)
{
    static const char *const names[(uint32_t)ALARM_PRIORITY_HIGH + 1u] = {
        [ALARM_PRIORITY_NONE] = "none",
        [ALARM_PRIORITY_LOW] = "low",
        [ALARM_PRIORITY_MEDIUM] = "medium",
        [ALARM_PRIORITY_HIGH] = "high",
    };
    return names[priority];
}

const char *alarm_audio_name(enum alarm_audio audio)
{
    static const char *const names[(uint32_t)ALARM_AUDIO_PAUSED + 1u] = {
        [ALARM_AUDIO_OFF] = "off",
        [ALARM_AUDIO_ON] = "on",
        [ALARM_AUDIO_PAUSED] = "paused",
    };
    return names[audio];
}
