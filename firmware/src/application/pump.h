/*
 * SPDX-License-Identifier: Apache-2.0
 * The pump: a state machine fed with commands, line pressure and time. It touches no hardware; whoever owns it drives the
 * motor with pump_motor_on() after each call. Demonstration, not a medical device.
 *
 *   idle --start--> infusing --stop--> idle
 *   any state --pressure above the limit--> alarm (occlusion, latched) --clear, pressure back--> idle
 *
 * Delivered volume is counted since the last start: rate times time, exact in integers. What is reported is that volume
 * rounded down to 1 microlitre. Time comes in whole milliseconds, so each start and each stop is off by less than 1 ms,
 * which is below 0.003 microlitres at the highest rate.
 */
#ifndef APPLICATION_PUMP_H
#define APPLICATION_PUMP_H

#include <stdbool.h>
#include <stdint.h>

/* Basal rate limits in 0.1 ml/h: 1.0 to 10.0 ml/h. */
#define PUMP_RATE_MIN 10u
#define PUMP_RATE_MAX 100u

/* Downstream occlusion: more than 10 psi, which is 517.1 mmHg. */
#define PUMP_PRESSURE_LIMIT_MMHG 517u

enum pump_state { PUMP_IDLE, PUMP_INFUSING, PUMP_ALARM };

enum pump_result {
    PUMP_DONE,
    PUMP_RATE_REFUSED,     /* outside PUMP_RATE_MIN..PUMP_RATE_MAX */
    PUMP_STATE_REFUSED,    /* not in this state */
    PUMP_PRESSURE_REFUSED, /* the cause of the alarm is still there */
};

struct pump {
    enum pump_state state;
    uint32_t rate;        /* 0.1 ml/h; 0 unless infusing */
    uint32_t pressure;    /* mmHg, as last sensed */
    uint32_t volume;      /* whole microlitres since the last start */
    uint32_t fraction;    /* of a microlitre, in 1/36000 */
};

void pump_init(struct pump *pump);

/* PUMP_DONE, PUMP_RATE_REFUSED, or PUMP_STATE_REFUSED unless idle. */
enum pump_result pump_start(struct pump *pump, uint32_t rate);

/* Stops delivery; never refused. An alarm stays. */
void pump_stop(struct pump *pump);

/* Takes a pressure reading. True if it raised the alarm. */
bool pump_sense(struct pump *pump, uint32_t pressure);

/* PUMP_DONE, PUMP_STATE_REFUSED unless in alarm, or PUMP_PRESSURE_REFUSED. */
enum pump_result pump_clear_alarm(struct pump *pump);

/* Lets time pass. */
void pump_advance(struct pump *pump, uint32_t milliseconds);

bool pump_motor_on(const struct pump *pump);

#endif
