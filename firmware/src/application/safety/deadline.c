/*
 * SPDX-License-Identifier: Apache-2.0
 * The deadline monitor. See deadline.h.
 * @realises DSG-025
 */
#include "application/safety/deadline.h"

#include "application/safety/reset.h"
#include "build_config.h"
#include "port/port.h"

/* How far ahead of one each DEADLINE_EARLY_MS checkpoints may come. */
#define AHEAD_MS (2u * DEADLINE_EARLY_MS)

static struct deadline monitor;
static enum reset_reason monitor_reason = RESET_DEADLINE;

void deadline_watch(struct deadline *deadline, uint32_t limit_ms, uint32_t now)
{
    deadline->watching = false; /* an interrupt in between sees a whole monitor or none */
    deadline->early = false;
    deadline->ticks = 0u;
    deadline->limit = limit_ms / TICK_MS;
    deadline->due = now;
    deadline->watching = true;
}

void deadline_pass(struct deadline *deadline, uint32_t now)
{
    /*
     * due: when the checkpoint would come at the latest rate that is still allowed. It moves on by DEADLINE_EARLY_MS with each
     * one and never lies behind now, so that lateness earns nothing but what AHEAD_MS grants.
     */
    const uint32_t ahead = deadline->due - now; /* modulo 2^32: below 2^31 if due is in the future */
    if (ahead > (uint32_t)INT32_MAX) {
        deadline->due = now;
    } else if (ahead > AHEAD_MS) {
        deadline->early = true;
    } else {
        /* In time. */
    }
    deadline->due += DEADLINE_EARLY_MS;
    deadline->ticks = 0u;
}

bool deadline_missed_tick(struct deadline *deadline)
{
    bool missed = false;
    if (deadline->watching) {
        deadline->ticks = deadline->ticks + 1u;
        missed = deadline->early || (deadline->ticks > deadline->limit);
    }
    return missed;
}

void deadline_start(uint32_t now)
{
    monitor_reason = RESET_DEADLINE;
    deadline_watch(&monitor, DEADLINE_LATE_MS, now);
    port_watchdog_start(DEADLINE_WATCHDOG_MS);
}

void deadline_bite(uint32_t limit_ms, uint32_t now)
{
    monitor_reason = RESET_WATCHDOG_TEST;
    deadline_watch(&monitor, limit_ms, now);
}

void deadline_checkpoint(uint32_t now)
{
    deadline_pass(&monitor, now);
    port_watchdog_feed();
}

void deadline_interrupt(void)
{
    if (deadline_missed_tick(&monitor)) {
        reset_now(monitor_reason);
    }
}
