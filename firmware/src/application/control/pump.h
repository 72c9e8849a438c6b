/*
 * SPDX-License-Identifier: Apache-2.0
 * The pump: programme, delivery and alarms as one state machine (../../../PROTOCOL.md). It touches no hardware: time comes
 * in ticks, sensors as values; motor steps and the drive's enable go out as values, and what happened as events.
 * Demonstration, not a medical device.
 *
 * What always holds: the drive is enabled only while delivering; while an alarm that stops stands, the pump does not deliver; a
 * programme runs only after its confirmation; rate and bolus rate together never exceed what the syringe allows.
 */
#ifndef APPLICATION_CONTROL_PUMP_H
#define APPLICATION_CONTROL_PUMP_H

#include <stdbool.h>
#include <stdint.h>

#include "application/control/alarm.h"
#include "application/control/delivery.h"
#include "application/control/library.h"
#include "application/control/supervision.h"
#include "application/link/sensors.h"
#include "application/store/config.h"
#include "application/store/eventlog.h"

enum pump_state { PUMP_IDLE, PUMP_PROGRAMMED, PUMP_READY, PUMP_INFUSING, PUMP_BOLUS, PUMP_KVO, PUMP_ALARM, PUMP_FAULT };

enum pump_result {
    PUMP_DONE,
    PUMP_BAD_STATE,
    PUMP_BAD_SYRINGE,
    PUMP_NO_LIBRARY,
    PUMP_BAD_DRUG,
    PUMP_RATE_LIMIT,
    PUMP_HARD_LIMIT,
    PUMP_VTBI_LIMIT,
    PUMP_BAD_TOKEN,
    PUMP_EXPIRED,
    PUMP_SOFT_LIMIT,
    PUMP_ALARM_STANDS,
    PUMP_NO_SENSORS,
    PUMP_DOOR,
    PUMP_NO_SYRINGE,
    PUMP_AIR,
    PUMP_BATTERY,
    PUMP_LOCKOUT,
    PUMP_HOURLY_LIMIT
};

#define PUMP_CONFIRM_SECONDS 30u
#define PUMP_TOKEN_MIN 1000u
#define PUMP_TOKEN_MAX 9999u
#define PUMP_BOLUS_MINUTES 60u
#define PUMP_EVENTS 32u /* more than one tick and one command can make; main takes them after each */

struct programme {
    uint32_t syringe; /* id */
    uint32_t drug;    /* id */
    uint32_t rate;    /* 0.1 ml/h */
    uint32_t vtbi;    /* µl */
};

/* Something to tell and to log. */
struct pump_event {
    uint16_t event; /* enum event */
    uint16_t value; /* as the event log's */
};

/* A programme with all it was checked against: what the library or the table says later does not change it. */
struct pump_programme {
    const struct syringe *syringe; /* NULL: there is no programme */
    struct drug drug;
    uint32_t rate;
    uint32_t vtbi;
    bool soft; /* a soft limit is exceeded */
};

/* The boluses of the last 60 minutes, by the minute in which they ended. */
struct pump_boluses {
    uint16_t ended[PUMP_BOLUS_MINUTES + 1u]; /* µl; the present minute and 60 before it */
    uint32_t minute;      /* index of the present one */
    uint32_t ticks;       /* of it that have passed */
    uint32_t since;       /* ticks since the last bolus ended; stays at its maximum: UINT32_MAX, as before the first */
    uint32_t asked;       /* µl of the bolus under way */
};

/* The members are pump.c's. */
struct pump {
    enum pump_state state;
    struct alarms alarms;
    struct pump_programme programme;
    struct pump_programme pending; /* waits for its confirmation in PUMP_PROGRAMMED */
    uint32_t pending_ticks;        /* left for that */
    uint32_t token;
    uint32_t chance;               /* moves on each tick: tokens follow from when they are made */
    bool expired;                  /* the last programme was not confirmed in time */
    struct delivery delivery;
    struct pump_boluses boluses;
    struct supervision supervision;
    struct pump_event events[PUMP_EVENTS];
    uint32_t first_event;
    uint32_t event_count;
    uint32_t lost_events;
    const struct config *config;
    const struct library *library;
};

/* What `status` shows. */
struct pump_report {
    enum pump_state state;
    enum alarm alarm;             /* first of the table, or ALARM_NONE */
    enum alarm_priority priority; /* of the highest that stands */
    enum alarm_audio audio;
    uint32_t rate;                /* 0.1 ml/h as delivered now; 0 unless delivering */
    uint32_t volume;              /* whole µl since the programme was confirmed */
    uint32_t vtbi;                /* µl of the programme; 0 without one */
    uint32_t bolus;               /* µl left of the bolus under way, rounded up */
};

/* config and library are read whenever they are needed; who changes them does so between two calls. */
void pump_init(struct pump *pump, const struct config *config, const struct library *library);

/*
 * One tick of 10 ms. `sensors` is the link's view now. Returns the motor steps of this tick (0 unless the drive is enabled).
 */
uint32_t pump_tick(struct pump *pump, const struct sensors *sensors);

enum pump_result pump_program(struct pump *pump, const struct programme *programme, uint32_t *token, bool *soft);
enum pump_result pump_confirm(struct pump *pump, uint32_t token, bool override_soft);

/* PUMP_ALARM_STANDS: a latched alarm stands, alarm_first_latched(&pump->alarms). */
enum pump_result pump_start(struct pump *pump, const struct sensors *sensors);

void pump_stop(struct pump *pump);

/* left: s of lockout, rounded up, or µl within the hourly limit. */
enum pump_result pump_bolus(struct pump *pump, uint32_t volume, uint32_t *left);

/* Safe state for good. */
void pump_fault(struct pump *pump);

bool pump_drive(const struct pump *pump);      /* the drive's enable */
bool pump_delivering(const struct pump *pump); /* infusing, bolus or KVO */
void pump_report(const struct pump *pump, struct pump_report *report);

/* Pauses the audio; an event if done. */
enum alarm_silence pump_silence(struct pump *pump);

/*
 * Ends all latched alarms and leaves PUMP_ALARM, if no cause is there any more: ALARM_NONE then, else the first that cannot end.
 * With no alarm standing it is ALARM_NONE too: ask alarm_first() before.
 */
enum alarm pump_clear_alarms(struct pump *pump, const struct sensors *sensors);

/* The next event in the order in which they came; false if there is none. To be called until then after each call above. */
bool pump_next_event(struct pump *pump, struct pump_event *event);

/* The console name of a state. */
const char *pump_state_name(enum pump_state state);

#endif
