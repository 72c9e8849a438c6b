/*
 * SPDX-License-Identifier: Apache-2.0
 * The pump. See pump.h.
 * @realises DSG-001
 */
#include "application/control/pump.h"

#include <stddef.h>

#define TICKS_PER_MINUTE (60u * DELIVERY_TICKS_PER_SECOND)
#define BOLUS_MINUTES (PUMP_BOLUS_MINUTES + 1u)

_Static_assert(sizeof(struct pump) < 1024u, "the smallest board has 16 KiB of RAM for everything");

/* --- events --------------------------------------------------------------------------------------------------------- */

static void tell(struct pump *pump, enum event event, uint32_t value)
{
    if (pump->event_count < PUMP_EVENTS) {
        struct pump_event *const place = &pump->events[(pump->first_event + pump->event_count) % PUMP_EVENTS];
        place->event = (uint16_t)event;
        place->value = (uint16_t)((value < UINT16_MAX) ? value : UINT16_MAX);
        pump->event_count++;
    } else {
        pump->lost_events++;
    }
}

static void raise_alarm(struct pump *pump, enum alarm alarm)
{
    if (alarm_raise(&pump->alarms, alarm)) {
        tell(pump, EVENT_ALARM, (uint32_t)alarm);
    }
}

static void end_alarm(struct pump *pump, enum alarm alarm)
{
    if (alarm_end(&pump->alarms, alarm)) {
        tell(pump, EVENT_ENDED, (uint32_t)alarm);
    }
}

/* --- boluses -------------------------------------------------------------------------------------------------------- */

static void boluses_init(struct pump_boluses *boluses)
{
    for (uint32_t i = 0u; i < BOLUS_MINUTES; i++) {
        boluses->ended[i] = 0u;
    }
    boluses->minute = 0u;
    boluses->ticks = 0u;
    boluses->since = UINT32_MAX;
    boluses->asked = 0u;
}

static void boluses_tick(struct pump_boluses *boluses)
{
    if (boluses->since < UINT32_MAX) {
        boluses->since++;
    }
    boluses->ticks++;
    if (boluses->ticks >= TICKS_PER_MINUTE) {
        boluses->ticks = 0u;
        boluses->minute = (boluses->minute + 1u) % BOLUS_MINUTES;
        boluses->ended[boluses->minute] = 0u;
    }
}

/*
 * µl of all boluses that ended in the last 60 minutes; one counts until the minute is over in which it becomes that old.
 * @realises DSG-003
 */
static uint32_t boluses_hour(const struct pump_boluses *boluses)
{
    uint32_t sum = 0u;
    for (uint32_t i = 0u; i < BOLUS_MINUTES; i++) {
        sum += boluses->ended[i];
    }
    return sum;
}

/* The bolus under way, if there is one, is over: what of it was asked for counts, rounded up; the lockout begins. */
static void end_bolus(struct pump *pump)
{
    if (pump->state == PUMP_BOLUS) {
        const uint32_t left = delivery_bolus_left(&pump->delivery);
        const uint32_t given = pump->boluses.asked - ((left > 0u) ? (left - 1u) : 0u);
        pump->boluses.ended[pump->boluses.minute] =
            (uint16_t)(pump->boluses.ended[pump->boluses.minute] + given); /* an hour's limit fits 16 bit: library.c */
        pump->boluses.since = 0u;
        delivery_end_bolus(&pump->delivery);
        pump->state = PUMP_INFUSING;
    }
}

/* --- programme ------------------------------------------------------------------------------------------------------ */

static void forget(struct pump_programme *programme)
{
    programme->syringe = NULL;
    programme->rate = 0u;
    programme->vtbi = 0u;
    programme->soft = false;
}

static bool volume_is_left(const struct pump *pump)
{
    return (pump->programme.syringe != NULL) && !delivery_reached(&pump->delivery, pump->programme.vtbi);
}

/* Delivery is over for now: ready to go on, or idle. */
static void rest(struct pump *pump)
{
    if (volume_is_left(pump)) {
        pump->state = PUMP_READY;
    } else {
        forget(&pump->programme);
        pump->state = PUMP_IDLE;
    }
}

/* @realises DSG-004 */
static uint32_t kvo_rate(const struct pump *pump)
{
    return (pump->config->kvo < pump->programme.rate) ? pump->config->kvo : pump->programme.rate;
}

/* What is delivered now, the bolus included. */
static uint32_t present_rate(const struct pump *pump)
{
    uint32_t rate = 0u;
    if (pump->state == PUMP_KVO) {
        rate = kvo_rate(pump);
    } else if (pump_delivering(pump)) {
        rate = pump->programme.rate + ((pump->state == PUMP_BOLUS) ? pump->delivery.bolus_rate : 0u);
    } else {
        /* The drive stands still. */
    }
    return rate;
}

/* 4 digits, never the same twice in a row. */
static uint32_t next_token(const struct pump *pump)
{
    const uint32_t count = (PUMP_TOKEN_MAX - PUMP_TOKEN_MIN) + 1u;
    const uint32_t token = PUMP_TOKEN_MIN + ((pump->chance >> 8) % count);
    return (token != pump->token) ? token : (PUMP_TOKEN_MIN + (((token - PUMP_TOKEN_MIN) + 1u) % count));
}

static enum pump_result check_programme(const struct pump *pump, const struct programme *asked, struct pump_programme *checked)
{
    enum pump_result result = PUMP_DONE;
    checked->syringe = delivery_syringe(asked->syringe);
    checked->rate = asked->rate;
    checked->vtbi = asked->vtbi;
    if (checked->syringe == NULL) {
        result = PUMP_BAD_SYRINGE;
    } else if (pump->library->count == 0u) {
        result = PUMP_NO_LIBRARY;
    } else if (!library_drug(pump->library, asked->drug, &checked->drug)) {
        result = PUMP_BAD_DRUG;
    } else if ((asked->rate < DELIVERY_RATE_MIN) || (asked->rate > checked->syringe->rate_max)) {
        result = PUMP_RATE_LIMIT;
    } else if ((asked->rate < checked->drug.hard_min) || (asked->rate > checked->drug.hard_max)) {
        result = PUMP_HARD_LIMIT;
    } else if ((asked->vtbi < DELIVERY_VTBI_MIN) || (asked->vtbi > checked->syringe->volume)) {
        result = PUMP_VTBI_LIMIT;
    } else {
        checked->soft = (asked->rate < checked->drug.soft_min) || (asked->rate > checked->drug.soft_max);
    }
    return result;
}

/* @realises DSG-002 */
enum pump_result pump_program(struct pump *pump, const struct programme *programme, uint32_t *token, bool *soft)
{
    struct pump_programme checked;
    if ((pump->state != PUMP_IDLE) && (pump->state != PUMP_READY)) {
        return PUMP_BAD_STATE;
    }
    const enum pump_result result = check_programme(pump, programme, &checked);
    if (result == PUMP_DONE) {
        forget(&pump->programme);
        pump->pending = checked;
        pump->pending_ticks = PUMP_CONFIRM_SECONDS * DELIVERY_TICKS_PER_SECOND;
        pump->expired = false;
        pump->token = next_token(pump);
        pump->state = PUMP_PROGRAMMED;
        *token = pump->token;
        *soft = checked.soft;
        tell(pump, EVENT_PROGRAM, programme->drug);
    }
    return result;
}

/* @realises DSG-002 */
enum pump_result pump_confirm(struct pump *pump, uint32_t token, bool override_soft)
{
    enum pump_result result = PUMP_DONE;
    if (pump->state != PUMP_PROGRAMMED) {
        result = ((pump->state == PUMP_IDLE) && pump->expired) ? PUMP_EXPIRED : PUMP_BAD_STATE;
    } else if (token != pump->token) {
        result = PUMP_BAD_TOKEN;
    } else if (pump->pending.soft && !override_soft) {
        result = PUMP_SOFT_LIMIT;
    } else {
        pump->programme = pump->pending;
        delivery_start(&pump->delivery, pump->programme.syringe);
        pump->state = PUMP_READY;
        tell(pump, EVENT_CONFIRM, pump->programme.soft ? 1u : 0u);
    }
    return result;
}

/* --- commands ------------------------------------------------------------------------------------------------------- */

enum pump_result pump_start(struct pump *pump, const struct sensors *sensors)
{
    enum pump_result result = PUMP_DONE;
    if (pump->state != PUMP_READY) {
        result = PUMP_BAD_STATE;
    } else if (alarm_first_latched(&pump->alarms) != ALARM_NONE) {
        result = PUMP_ALARM_STANDS;
    } else if (!supervision_usable(sensors)) {
        result = PUMP_NO_SENSORS;
    } else if (sensors->door_open) {
        result = PUMP_DOOR;
    } else if (!sensors->syringe_in) {
        result = PUMP_NO_SYRINGE;
    } else if (sensors->air) {
        result = PUMP_AIR;
    } else if (sensors->battery <= SUPERVISION_BATTERY_EMPTY) {
        result = PUMP_BATTERY;
    } else {
        pump->state = PUMP_INFUSING;
        tell(pump, EVENT_START, pump->programme.rate);
    }
    return result;
}

void pump_stop(struct pump *pump)
{
    switch (pump->state) {
    case PUMP_INFUSING:
    case PUMP_BOLUS:
        end_bolus(pump);
        rest(pump);
        tell(pump, EVENT_STOP, 0u);
        break;
    case PUMP_KVO:
    case PUMP_PROGRAMMED:
    case PUMP_READY:
        forget(&pump->programme);
        pump->state = PUMP_IDLE;
        tell(pump, EVENT_STOP, 0u);
        break;
    case PUMP_IDLE:
    case PUMP_ALARM: /* an alarm stands, which only pump_clear_alarms() ends */
    case PUMP_FAULT:
    default:
        /* Nothing moves. */
        break;
    }
}

/* @realises DSG-003 */
enum pump_result pump_bolus(struct pump *pump, uint32_t volume, uint32_t *left)
{
    const struct drug *const drug = &pump->programme.drug;
    const uint32_t hour = boluses_hour(&pump->boluses);
    enum pump_result result = PUMP_DONE;
    *left = 0u;
    if (pump->state != PUMP_INFUSING) {
        result = PUMP_BAD_STATE;
    } else if ((volume < DELIVERY_BOLUS_MIN) || (volume > drug->bolus_max) ||
               ((pump->programme.rate + drug->bolus_rate) > pump->programme.syringe->rate_max)) {
        result = PUMP_HARD_LIMIT;
    } else if (pump->boluses.since < (drug->lockout * DELIVERY_TICKS_PER_SECOND)) {
        const uint32_t ticks = (drug->lockout * DELIVERY_TICKS_PER_SECOND) - pump->boluses.since;
        *left = (ticks + (DELIVERY_TICKS_PER_SECOND - 1u)) / DELIVERY_TICKS_PER_SECOND;
        result = PUMP_LOCKOUT;
    } else if ((hour + volume) > drug->hourly) {
        *left = (drug->hourly > hour) ? (drug->hourly - hour) : 0u;
        result = PUMP_HOURLY_LIMIT;
    } else {
        pump->boluses.asked = volume;
        delivery_bolus(&pump->delivery, volume, drug->bolus_rate);
        pump->state = PUMP_BOLUS;
        tell(pump, EVENT_BOLUS, volume);
    }
    return result;
}

void pump_fault(struct pump *pump)
{
    end_bolus(pump);
    pump->state = PUMP_FAULT;
    raise_alarm(pump, ALARM_FAULT);
}

enum alarm_silence pump_silence(struct pump *pump)
{
    const enum alarm_silence result = alarm_silence(&pump->alarms);
    if (result == ALARM_SILENCED) {
        tell(pump, EVENT_SILENCE, 0u);
    }
    return result;
}

/* @realises DSG-009 */
enum alarm pump_clear_alarms(struct pump *pump, const struct sensors *sensors)
{
    const uint32_t causes = supervision_causes(&pump->supervision, sensors, pump->config->occlusion);
    struct alarms staying = {.standing = pump->alarms.standing & (causes | ALARM_BIT(ALARM_FAULT)), .pause_ticks = 0u};
    enum alarm first = alarm_first_latched(&staying);
    if (alarm_first_latched(&pump->alarms) == ALARM_NONE) {
        first = alarm_first(&pump->alarms);
    } else if (first == ALARM_NONE) {
        for (uint32_t alarm = ALARM_FIRST; alarm <= ALARM_LAST; alarm++) {
            if (alarm_latches((enum alarm)alarm)) {
                end_alarm(pump, (enum alarm)alarm);
            }
        }
        if (pump->state == PUMP_ALARM) {
            rest(pump);
        }
    } else {
        /* One stays: all do. */
    }
    return first;
}

/* --- time ----------------------------------------------------------------------------------------------------------- */

static void confirmation_tick(struct pump *pump)
{
    if (pump->state == PUMP_PROGRAMMED) {
        pump->pending_ticks--;
        if (pump->pending_ticks == 0u) {
            pump->expired = true;
            pump->state = PUMP_IDLE;
        }
    }
}

/* Whether the alarm near-empty is to stand. */
static bool near_empty(const struct pump *pump, const struct sensors *sensors)
{
    const bool infusing = (pump->state == PUMP_INFUSING) || (pump->state == PUMP_BOLUS);
    const uint32_t minutes = alarm_stands(&pump->alarms, ALARM_NEAR_EMPTY) ? SUPERVISION_NOT_NEAR_EMPTY_MINUTES
                                                                          : SUPERVISION_NEAR_EMPTY_MINUTES;
    return infusing && supervision_minutes_left(sensors, pump->delivery.step, present_rate(pump), minutes);
}

/* Raises and ends alarms by what the sensors say; true if one stands that stops delivery. */
static bool watch(struct pump *pump, const struct sensors *sensors)
{
    uint32_t causes = supervision_tick(&pump->supervision, sensors, pump_delivering(pump), pump->delivery.delivered,
                                       pump->config->occlusion);
    bool stops = false;
    if (near_empty(pump, sensors)) {
        causes |= ALARM_BIT(ALARM_NEAR_EMPTY);
    }
    if (sensors->state != SENSORS_FRESH) {
        causes |= pump->alarms.standing & ALARM_BIT(ALARM_BATTERY_LOW); /* a battery that cannot be seen is as it was */
    }
    for (uint32_t alarm = ALARM_FIRST; alarm <= ALARM_LAST; alarm++) {
        if ((causes & ALARM_BIT(alarm)) != 0u) {
            raise_alarm(pump, (enum alarm)alarm);
            stops = stops || alarm_stops((enum alarm)alarm);
        } else if (!alarm_latches((enum alarm)alarm)) {
            end_alarm(pump, (enum alarm)alarm);
        } else {
            /* If it stands, it does so until it is cleared. */
        }
    }
    return stops;
}

/* One tick of delivery; afterwards the bolus, or the programme, may be over. */
static uint32_t deliver(struct pump *pump)
{
    const uint32_t rate = (pump->state == PUMP_KVO) ? kvo_rate(pump) : pump->programme.rate;
    const uint32_t steps = delivery_tick(&pump->delivery, rate);
    if ((pump->state == PUMP_BOLUS) && !delivery_has_bolus(&pump->delivery)) {
        end_bolus(pump);
    }
    if ((pump->state != PUMP_KVO) && delivery_reached(&pump->delivery, pump->programme.vtbi)) {
        end_bolus(pump);
        pump->state = PUMP_KVO;
        tell(pump, EVENT_COMPLETE, pump->programme.vtbi);
        raise_alarm(pump, ALARM_COMPLETE);
    }
    return steps;
}

uint32_t pump_tick(struct pump *pump, const struct sensors *sensors)
{
    uint32_t steps = 0u;
    pump->chance = (pump->chance * 1664525u) + 1013904223u; /* Numerical Recipes' generator: no secret, only variety */
    if (pump->state != PUMP_FAULT) {
        alarm_tick(&pump->alarms);
        boluses_tick(&pump->boluses);
        confirmation_tick(pump);
        if (watch(pump, sensors)) {
            end_bolus(pump);
            pump->state = PUMP_ALARM; /* from any state: what waits for its confirmation is dropped */
        }
        if (pump_delivering(pump)) {
            steps = deliver(pump);
        }
    }
    return steps;
}

/* --- the rest ------------------------------------------------------------------------------------------------------- */

void pump_init(struct pump *pump, const struct config *config, const struct library *library)
{
    pump->state = PUMP_IDLE;
    alarm_init(&pump->alarms);
    forget(&pump->programme);
    forget(&pump->pending);
    pump->pending_ticks = 0u;
    pump->token = 0u;
    pump->chance = 0u;
    pump->expired = false;
    delivery_start(&pump->delivery, delivery_syringe(1u));
    boluses_init(&pump->boluses);
    supervision_init(&pump->supervision);
    pump->first_event = 0u;
    pump->event_count = 0u;
    pump->lost_events = 0u;
    pump->config = config;
    pump->library = library;
}

bool pump_drive(const struct pump *pump)
{
    return pump_delivering(pump);
}

bool pump_delivering(const struct pump *pump)
{
    return (pump->state == PUMP_INFUSING) || (pump->state == PUMP_BOLUS) || (pump->state == PUMP_KVO);
}

void pump_report(const struct pump *pump, struct pump_report *report)
{
    report->state = pump->state;
    report->alarm = alarm_first(&pump->alarms);
    report->priority = alarm_standing_priority(&pump->alarms);
    report->audio = alarm_audio(&pump->alarms);
    report->rate = present_rate(pump);
    report->volume = delivery_volume(&pump->delivery);
    report->vtbi = pump->programme.vtbi;
    report->bolus = delivery_bolus_left(&pump->delivery);
}

bool pump_next_event(struct pump *pump, struct pump_event *event)
{
    const bool found = pump->event_count > 0u;
    if (found) {
        *event = pump->events[pump->first_event];
        pump->first_event = (pump->first_event + 1u) % PUMP_EVENTS;
        pump->event_count--;
    }
    return found;
}

const char *pump_state_name(enum pump_state state)
{
    static const char *const names[(uint32_t)PUMP_FAULT + 1u] = {
        [PUMP_IDLE] = "idle",   [PUMP_PROGRAMMED] = "programmed", [PUMP_READY] = "ready", [PUMP_INFUSING] = "infusing",
        [PUMP_BOLUS] = "bolus", [PUMP_KVO] = "kvo",               [PUMP_ALARM] = "alarm", [PUMP_FAULT] = "fault",
    };
    return names[state];
}
