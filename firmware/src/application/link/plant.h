/*
 * SPDX-License-Identifier: Apache-2.0
 * The plant link (../../../PROTOCOL.md, "Plant link"): motor steps out, what the sensors tell in. Portable.
 *
 * What always holds: a frame that is not exactly right in form, CRC and sequence changes nothing but the counters and the
 * view of the link; a value that cannot be is never shown, only told of.
 */
#ifndef APPLICATION_LINK_PLANT_H
#define APPLICATION_LINK_PLANT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "application/link/sensors.h"

#define PLANT_PERIOD_TICKS 10u /* between two frames to the plant */
#define PLANT_STALE_TICKS 50u  /* without a valid new frame until the sensors are stale */
#define PLANT_OUT_SIZE 19u     /* bytes of a frame to the plant, its LF included */

#define PLANT_PRESSURE_MAX 2000u   /* mmHg */
#define PLANT_POSITION_MAX 200000u /* µm */
#define PLANT_BATTERY_MAX 100u     /* % */

/* The flags of a frame to the plant. */
#define PLANT_OUT_DRIVE 0x01u
#define PLANT_OUT_SAFE 0x02u
#define PLANT_OUT_PRIORITY_SHIFT 2u
#define PLANT_OUT_PAUSED 0x10u

struct plant {
    struct sensors sensors; /* for pump_tick() */
    uint32_t age;           /* ticks since the last valid new frame; stays at PLANT_STALE_TICKS */
    uint32_t broken_since;  /* broken lines since the last valid new frame */
    uint8_t last;           /* sequence number of that frame */
    bool heard;             /* there was one since reset */
    bool implausible;       /* it held a value that cannot be */
    uint8_t next;           /* sequence number of the next frame to the plant */
    uint32_t corrupt;       /* broken lines in all */
    uint32_t lost;          /* frames missing in the sequence in all, the broken ones not counted again */
    uint32_t repeated;      /* frames dropped as they repeated the last sequence number, in all */
};

void plant_init(struct plant *plant);

/* One line of kind LINE_PLANT, its first byte included. */
void plant_take(struct plant *plant, const uint8_t *line, size_t length);

/* A line of kind LINE_PLANT_BROKEN. */
void plant_take_broken(struct plant *plant);

/*
 * One tick of 10 ms, after pump_tick() has seen the sensors: what told of frames since the tick before is told only once, so
 * that no frame can hide another's failure.
 */
void plant_tick(struct plant *plant);

/* The next frame to the plant. */
void plant_write(struct plant *plant, uint32_t steps, uint32_t flags, char frame[PLANT_OUT_SIZE]);

#endif
