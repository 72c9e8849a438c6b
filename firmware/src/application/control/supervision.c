/*
 * SPDX-License-Identifier: Apache-2.0
 * What the sensors say is wrong. See supervision.h.
 * @realises DSG-010
 */
#include "application/control/supervision.h"

#include "application/control/alarm.h"
#include "application/control/delivery.h"

#define STILL_SAMPLES (SUPERVISION_STILL_SECONDS + 1u)
#define PICOLITRES_PER_NANOLITRE 1000
#define WINDOW_PICOLITRES ((int64_t)SUPERVISION_WINDOW_MICROLITRES * (int64_t)DELIVERY_PICOLITRES_PER_MICROLITRE)

/* Those that count also where the pump does not deliver. */
#define WATCHED_ALWAYS (ALARM_BIT(ALARM_OCCLUSION) | ALARM_BIT(ALARM_FLOW) | ALARM_BIT(ALARM_BATTERY_LOW))

/* Those that latch and that only fresh sensors can show to be gone. */
#define SENSED                                                                                                          \
    (ALARM_BIT(ALARM_OCCLUSION) | ALARM_BIT(ALARM_AIR) | ALARM_BIT(ALARM_DOOR) | ALARM_BIT(ALARM_SYRINGE) |             \
     ALARM_BIT(ALARM_EMPTY) | ALARM_BIT(ALARM_SENSOR_LINK) | ALARM_BIT(ALARM_SENSOR_VALUE) | ALARM_BIT(ALARM_FLOW) |    \
     ALARM_BIT(ALARM_BATTERY_EMPTY))

static uint32_t bit_if(bool condition, enum alarm alarm)
{
    return condition ? ALARM_BIT(alarm) : 0u;
}

/*
 * Nanolitres from one reading of the second channel to a later one; both are modulo 2^32, and it may run backwards.
 * @realises DSG-011
 */
static int64_t flow_between(uint32_t from, uint32_t to)
{
    const uint32_t forward = to - from;
    return (forward <= (uint32_t)INT32_MAX) ? (int64_t)forward : ((int64_t)forward - ((int64_t)UINT32_MAX + 1));
}

/*
 * More has flowed in the last 10 s than may while the drive stands still.
 * @realises DSG-011
 */
static bool flows_while_still(const struct supervision *supervision, const struct sensors *sensors)
{
    const uint32_t oldest = (supervision->still_count < STILL_SAMPLES) ? 0u : supervision->still_next;
    return (supervision->still_count > 0u) && (flow_between(supervision->still[oldest], sensors->flow) >
                                               (int64_t)SUPERVISION_STILL_NANOLITRES);
}

/* What fresh sensors show now, whether it counts in this state or not. */
static uint32_t shown(const struct supervision *supervision, const struct sensors *sensors, uint32_t occlusion)
{
    return bit_if(sensors->pressure > occlusion, ALARM_OCCLUSION) | bit_if(sensors->air, ALARM_AIR) |
           bit_if(sensors->door_open, ALARM_DOOR) | bit_if(!sensors->syringe_in, ALARM_SYRINGE) |
           bit_if(sensors->position <= SUPERVISION_EMPTY_MICROMETRES, ALARM_EMPTY) |
           bit_if(sensors->bad_in_a_row >= SUPERVISION_BAD_FRAMES, ALARM_SENSOR_LINK) |
           bit_if(sensors->implausible, ALARM_SENSOR_VALUE) |
           bit_if(flows_while_still(supervision, sensors), ALARM_FLOW) |
           bit_if(sensors->battery <= SUPERVISION_BATTERY_EMPTY, ALARM_BATTERY_EMPTY) |
           bit_if(sensors->battery <= SUPERVISION_BATTERY_LOW, ALARM_BATTERY_LOW);
}

/* The plunger is elsewhere than it can be, seen from the frame before. */
static bool jumped(const struct supervision *supervision, const struct sensors *sensors)
{
    const uint32_t a = supervision->position;
    const uint32_t b = sensors->position;
    return supervision->seen && (((a > b) ? (a - b) : (b - a)) > SUPERVISION_JUMP_MICROMETRES);
}

/*
 * The second channel against the steps, at a new frame. At the end of each window the two must agree; within it, the flow must
 * not be ahead by more than the window's allowance, so that a free flow does not wait for the window's end.
 */
static bool flow_deviates(struct supervision *supervision, const struct sensors *sensors, uint64_t delivered)
{
    const int64_t stepped = (int64_t)delivered - (int64_t)supervision->begun;
    const int64_t flowed = flow_between(supervision->base, sensors->flow) * PICOLITRES_PER_NANOLITRE;
    const int64_t ahead = flowed - stepped;
    const int64_t allowed = (int64_t)SUPERVISION_DEVIATION_PERCENT;
    bool deviates = (ahead * 100) > (WINDOW_PICOLITRES * allowed);
    if (stepped >= WINDOW_PICOLITRES) {
        deviates = (((ahead < 0) ? -ahead : ahead) * 100) > (stepped * allowed);
        supervision->base = sensors->flow;
        supervision->begun = delivered;
    }
    return deviates;
}

/* A second of standing still has passed, or the first fresh frame of it has come: notes the flow. */
static void watch_stillness(struct supervision *supervision, const struct sensors *sensors)
{
    supervision->still_ticks++;
    if ((supervision->still_count == 0u) || (supervision->still_ticks >= DELIVERY_TICKS_PER_SECOND)) {
        supervision->still[supervision->still_next] = sensors->flow;
        supervision->still_next = (supervision->still_next + 1u) % STILL_SAMPLES;
        if (supervision->still_count < STILL_SAMPLES) {
            supervision->still_count++;
        }
        supervision->still_ticks = 0u;
    }
}

/* The drive starts or stops: what is compared begins anew. */
static void turn(struct supervision *supervision, const struct sensors *sensors, bool delivering, uint64_t delivered)
{
    supervision->delivering = delivering;
    supervision->base = sensors->flow;
    supervision->begun = delivered;
    supervision->still_count = 0u;
    supervision->still_next = 0u;
    supervision->still_ticks = 0u;
}

void supervision_init(struct supervision *supervision)
{
    supervision->frames = 0u;
    supervision->position = 0u;
    supervision->seen = false;
    supervision->delivering = false;
    supervision->base = 0u;
    supervision->begun = 0u;
    supervision->still_count = 0u;
    supervision->still_next = 0u;
    supervision->still_ticks = 0u;
    for (uint32_t i = 0u; i < STILL_SAMPLES; i++) {
        supervision->still[i] = 0u;
    }
}

uint32_t supervision_tick(struct supervision *supervision, const struct sensors *sensors, bool delivering, uint64_t delivered,
                          uint32_t occlusion)
{
    uint32_t causes = 0u;
    if (supervision->delivering != delivering) {
        turn(supervision, sensors, delivering, delivered);
    }
    if (sensors->state != SENSORS_FRESH) {
        causes = bit_if(delivering, ALARM_SENSOR_LINK);
    } else {
        if (!delivering) {
            watch_stillness(supervision, sensors);
        }
        causes = shown(supervision, sensors, occlusion) & (delivering ? UINT32_MAX : WATCHED_ALWAYS);
        if (supervision->frames != sensors->frames) {
            if (delivering) {
                causes |= bit_if(jumped(supervision, sensors), ALARM_SENSOR_VALUE) |
                          bit_if(flow_deviates(supervision, sensors, delivered), ALARM_FLOW);
            }
            supervision->frames = sensors->frames;
            supervision->position = sensors->position;
            supervision->seen = true;
        }
    }
    return causes;
}

uint32_t supervision_causes(const struct supervision *supervision, const struct sensors *sensors, uint32_t occlusion)
{
    return (sensors->state == SENSORS_FRESH) ? (shown(supervision, sensors, occlusion) & SENSED) : SENSED;
}

bool supervision_minutes_left(const struct sensors *sensors, uint32_t step, uint32_t rate, uint32_t minutes)
{
    /*
     * way / 2.5 µm * step <= rate * 100,000,000 pl / 60 min * minutes, without a division: way * 24 * step on the left.
     */
    const uint32_t way = (sensors->position > SUPERVISION_EMPTY_MICROMETRES)
                             ? (sensors->position - SUPERVISION_EMPTY_MICROMETRES)
                             : 0u;
    return ((uint64_t)way * 24u * step) <= ((uint64_t)rate * 100000000u * minutes);
}

bool supervision_usable(const struct sensors *sensors)
{
    return (sensors->state == SENSORS_FRESH) && !sensors->implausible &&
           (sensors->bad_in_a_row < SUPERVISION_BAD_FRAMES);
}
