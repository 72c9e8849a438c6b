/*
 * SPDX-License-Identifier: Apache-2.0
 * The pump. See pump.h.
 */
#include "application/pump.h"

/* A rate of r (0.1 ml/h) is 100 r microlitres in 3,600,000 ms: r/36000 microlitres each millisecond. */
#define FRACTIONS_PER_MICROLITRE 36000u

/* Largest step that cannot overflow: fraction + rate * step stays below 2^32. */
#define STEP_MAX_MS 10000u

_Static_assert((PUMP_RATE_MAX * STEP_MAX_MS) < (UINT32_MAX - FRACTIONS_PER_MICROLITRE), "a step must not overflow");

void pump_init(struct pump *pump)
{
    pump->state = PUMP_IDLE;
    pump->rate = 0u;
    pump->pressure = 0u;
    pump->volume = 0u;
    pump->fraction = 0u;
}

enum pump_result pump_start(struct pump *pump, uint32_t rate)
{
    if ((rate < PUMP_RATE_MIN) || (rate > PUMP_RATE_MAX)) {
        return PUMP_RATE_REFUSED;
    }
    if (pump->state != PUMP_IDLE) {
        return PUMP_STATE_REFUSED;
    }
    pump->state = PUMP_INFUSING;
    pump->rate = rate;
    pump->volume = 0u;
    pump->fraction = 0u;
    return PUMP_DONE;
}

void pump_stop(struct pump *pump)
{
    pump->rate = 0u;
    if (pump->state == PUMP_INFUSING) {
        pump->state = PUMP_IDLE;
    }
}

bool pump_sense(struct pump *pump, uint32_t pressure)
{
    const bool raised = (pressure > PUMP_PRESSURE_LIMIT_MMHG) && (pump->state != PUMP_ALARM);
    pump->pressure = pressure;
    if (raised) {
        pump->rate = 0u;
        pump->state = PUMP_ALARM;
    }
    return raised;
}

enum pump_result pump_clear_alarm(struct pump *pump)
{
    if (pump->state != PUMP_ALARM) {
        return PUMP_STATE_REFUSED;
    }
    if (pump->pressure > PUMP_PRESSURE_LIMIT_MMHG) {
        return PUMP_PRESSURE_REFUSED;
    }
    pump->state = PUMP_IDLE;
    return PUMP_DONE;
}

void pump_advance(struct pump *pump, uint32_t milliseconds)
{
    uint32_t left = milliseconds;
    while ((left > 0u) && pump_motor_on(pump)) {
        const uint32_t step = (left < STEP_MAX_MS) ? left : STEP_MAX_MS;
        pump->fraction += pump->rate * step;
        pump->volume += pump->fraction / FRACTIONS_PER_MICROLITRE;
        pump->fraction %= FRACTIONS_PER_MICROLITRE;
        left -= step;
    }
}

bool pump_motor_on(const struct pump *pump)
{
    return pump->state == PUMP_INFUSING;
}
