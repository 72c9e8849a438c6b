/*
 * SPDX-License-Identifier: Apache-2.0
 * The deadline monitor: the control loop must come by in time, neither too late nor too often. Software, on every board; behind
 * it stands the hardware watchdog where the machine models one. Portable.
 *
 *   main loop    deadline_checkpoint() after the control ticks that were due; also feeds the hardware watchdog
 *   interrupt    deadline_interrupt() each TICK_MS: on a miss the drive is off and the device resets with RESET_DEADLINE
 *
 * A miss is: no checkpoint for more than DEADLINE_LATE_MS; or checkpoints that come faster than one each DEADLINE_EARLY_MS. As a
 * checkpoint that was late may be followed by one in time, two may come early before that counts.
 */
#ifndef APPLICATION_SAFETY_DEADLINE_H
#define APPLICATION_SAFETY_DEADLINE_H

#include <stdbool.h>
#include <stdint.h>

#define DEADLINE_EARLY_MS 5u
#define DEADLINE_LATE_MS 1000u
#define DEADLINE_WATCHDOG_MS 2000u /* the hardware watchdog's */

struct deadline {
    volatile bool watching;
    volatile bool early;      /* a checkpoint came too early */
    volatile uint32_t ticks;  /* interrupts since the last checkpoint */
    uint32_t limit;           /* ticks without a checkpoint that are still in time */
    uint32_t due;             /* ms: see deadline_checkpoint() */
};

/* The rules, on a monitor of its own: for tests, and for the monitor below. */
void deadline_watch(struct deadline *deadline, uint32_t limit_ms, uint32_t now);
void deadline_pass(struct deadline *deadline, uint32_t now);
bool deadline_missed_tick(struct deadline *deadline); /* one tick of TICK_MS; true on a miss */

/* The device's one monitor. `now` is port_milliseconds(). */
void deadline_start(uint32_t now);          /* also starts the hardware watchdog; there is no way to stop */
void deadline_bite(uint32_t limit_ms, uint32_t now); /* the self-test's: it is to reset with RESET_WATCHDOG_TEST */
void deadline_checkpoint(uint32_t now);     /* also feeds the hardware watchdog */
void deadline_interrupt(void);              /* from tick_interrupt(): returns only if there was no miss */

#endif
