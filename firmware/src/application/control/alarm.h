/*
 * SPDX-License-Identifier: Apache-2.0
 * The alarms that stand, their table, their sound and its pause (../../../PROTOCOL.md, "Alarms"). What raises one is pump.c's
 * knowledge. Portable.
 */
#ifndef APPLICATION_CONTROL_ALARM_H
#define APPLICATION_CONTROL_ALARM_H

#include <stdbool.h>
#include <stdint.h>

/* In the order of the table, which is the order of urgency; the numbers are those of the event log. */
enum alarm {
    ALARM_NONE = 0,
    ALARM_FAULT = 1,
    ALARM_OCCLUSION = 2,
    ALARM_AIR = 3,
    ALARM_DOOR = 4,
    ALARM_SYRINGE = 5,
    ALARM_EMPTY = 6,
    ALARM_SENSOR_LINK = 7,
    ALARM_SENSOR_VALUE = 8,
    ALARM_FLOW = 9,
    ALARM_BATTERY_EMPTY = 10,
    ALARM_BATTERY_LOW = 11,
    ALARM_COMPLETE = 12,
    ALARM_NEAR_EMPTY = 13
};

#define ALARM_FIRST 1u
#define ALARM_LAST 13u

/* As the plant link shows them. */
enum alarm_priority { ALARM_PRIORITY_NONE = 0, ALARM_PRIORITY_LOW = 1, ALARM_PRIORITY_MEDIUM = 2, ALARM_PRIORITY_HIGH = 3 };

enum alarm_audio { ALARM_AUDIO_OFF, ALARM_AUDIO_ON, ALARM_AUDIO_PAUSED };

enum alarm_silence { ALARM_SILENCED, ALARM_SILENCE_NONE, ALARM_SILENCE_FAULT };

#define ALARM_SILENCE_SECONDS 120u

struct alarms {
    uint32_t standing;    /* bit n: alarm n stands */
    uint32_t pause_ticks; /* left of the audio's pause; 0: not paused */
};

#define ALARM_BIT(alarm) (1u << (uint32_t)(alarm))

void alarm_init(struct alarms *alarms);

/* One tick of 10 ms of the audio's pause. */
void alarm_tick(struct alarms *alarms);

/* True if it did not stand before; that ends the audio's pause. */
bool alarm_raise(struct alarms *alarms, enum alarm alarm);

/* True if it stood. Not for ALARM_FAULT, which stays. */
bool alarm_end(struct alarms *alarms, enum alarm alarm);

/* Pauses the audio for ALARM_SILENCE_SECONDS from now. Refused where none stands, and for a fault. */
enum alarm_silence alarm_silence(struct alarms *alarms);

bool alarm_stands(const struct alarms *alarms, enum alarm alarm);
enum alarm alarm_first(const struct alarms *alarms);          /* of the table, or ALARM_NONE */
enum alarm alarm_first_latched(const struct alarms *alarms);  /* of the table, or ALARM_NONE */
enum alarm_priority alarm_standing_priority(const struct alarms *alarms); /* the highest, or ALARM_PRIORITY_NONE */
enum alarm_audio alarm_audio(const struct alarms *alarms);

/* The table. */
const char *alarm_name(enum alarm alarm);                     /* "none" for ALARM_NONE */
enum alarm_priority alarm_priority(enum alarm alarm);
bool alarm_stops(enum alarm alarm);
bool alarm_latches(enum alarm alarm);

const char *alarm_priority_name(enum alarm_priority priority); /* none, low, medium, high */
const char *alarm_audio_name(enum alarm_audio audio);          /* off, on, paused */

#endif
