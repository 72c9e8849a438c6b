/*
 * SPDX-License-Identifier: Apache-2.0
 * Why the device was reset, and resetting it with a reason that the next start can read from the handover. The hardware watchdog
 * leaves no reason: after its bite, outside the self-test, RESET_UNKNOWN is read.
 */
#ifndef APPLICATION_SAFETY_RESET_H
#define APPLICATION_SAFETY_RESET_H

#include "core/handover.h"

/* First of all after a reset, once: takes the reason out of the handover, so that it is never read for a later reset. */
void reset_open(void);

/* What reset_open() found. */
enum reset_reason reset_reason(void);
uint32_t reset_detail(void);

/* The drive is put off, the reason noted, the device reset. */
_Noreturn void reset_now(enum reset_reason reason);

/* Notes or takes back the reason without resetting: for a reset that comes by itself. */
void reset_note(enum reset_reason reason);

/* The console name; "unknown" also for a number that is none. */
const char *reset_name(uint32_t reason);

#endif
