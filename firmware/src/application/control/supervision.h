/*
 * SPDX-License-Identifier: Apache-2.0
 * What the sensors say is wrong (../../../PROTOCOL.md, "Plant link", "Alarms"): the link itself, the values, the flow of the second
 * channel against the motor's steps, and the thresholds. It decides nothing: pump.c does. Portable.
 */
#ifndef APPLICATION_CONTROL_SUPERVISION_H
#define APPLICATION_CONTROL_SUPERVISION_H

#include <stdbool.h>
#include <stdint.h>

#include "application/link/sensors.h"

#define SUPERVISION_EMPTY_MICROMETRES 500u
#define SUPERVISION_JUMP_MICROMETRES 1000u
#define SUPERVISION_BAD_FRAMES 3u
#define SUPERVISION_BATTERY_LOW 20u   /* % */
#define SUPERVISION_BATTERY_EMPTY 5u  /* % */
#define SUPERVISION_WINDOW_MICROLITRES 200u /* delivered, over which the two channels are compared */
#define SUPERVISION_DEVIATION_PERCENT 15u
#define SUPERVISION_STILL_NANOLITRES 50000u /* that may flow within the following while the drive stands still */
#define SUPERVISION_STILL_SECONDS 10u
#define SUPERVISION_NEAR_EMPTY_MINUTES 3u
#define SUPERVISION_NOT_NEAR_EMPTY_MINUTES 4u /* the alarm ends above that: a value that trembles does not repeat it */

struct supervision {
    uint32_t frames;   /* sensors->frames when last looked */
    uint32_t position; /* of that frame, µm */
    bool seen;         /* there was one */
    bool delivering;   /* at the last tick */
    uint32_t base;     /* flow at the beginning of the window, nl */
    uint64_t begun;    /* picolitres delivered then */
    uint32_t still[SUPERVISION_STILL_SECONDS + 1u]; /* flow at each second while the drive stands still, nl */
    uint32_t still_count;
    uint32_t still_next;
    uint32_t still_ticks;
};

void supervision_init(struct supervision *supervision);

/*
 * One tick. Bit n of the result: there is now the cause of alarm n, of those that the sensors tell of and that count in this
 * state. delivered: picolitres in all; occlusion: the configured limit, mmHg.
 */
uint32_t supervision_tick(struct supervision *supervision, const struct sensors *sensors, bool delivering, uint64_t delivered,
                          uint32_t occlusion);

/* Bit n: alarm n cannot end now, as its cause is there or, without fresh sensors, cannot be seen to be gone. */
uint32_t supervision_causes(const struct supervision *supervision, const struct sensors *sensors, uint32_t occlusion);

/*
 * At most that many minutes are left to the alarm `empty` at that rate (0.1 ml/h); step: picolitres of a motor step. In 64 bit nothing
 * can overflow.
 */
bool supervision_minutes_left(const struct sensors *sensors, uint32_t step, uint32_t rate, uint32_t minutes);

/* Fresh, plausible, not failing: what a start needs. */
bool supervision_usable(const struct sensors *sensors);

#endif
