/*
 * SPDX-License-Identifier: Apache-2.0
 * Why the device was reset. See reset.h.
 * @realises DSG-026
 */
#include "application/safety/reset.h"

#include "port/port.h"

static enum reset_reason found = RESET_UNKNOWN;
static uint32_t found_detail;

static void write_reason(uint32_t mark, enum reset_reason reason)
{
    struct handover *const handover = port_handover();
    handover->reset_mark = mark;
    handover->reset = (uint32_t)reason;
    handover->detail = 0u;
}

void reset_open(void)
{
    const struct handover *const handover = port_handover();
    found = RESET_UNKNOWN;
    found_detail = 0u;
    if ((handover->reset_mark == HANDOVER_RESET_MARK) && (handover->reset <= (uint32_t)RESET_FAULT)) {
        found = (enum reset_reason)handover->reset;
        found_detail = handover->detail;
    }
    write_reason(0u, RESET_UNKNOWN);
}

enum reset_reason reset_reason(void)
{
    return found;
}

uint32_t reset_detail(void)
{
    return found_detail;
}

void reset_note(enum reset_reason reason)
{
    write_reason(HANDOVER_RESET_MARK, reason);
}

_Noreturn void reset_now(enum reset_reason reason)
{
    port_motor(false);
    reset_note(reason);
    port_reset();
}

const char *reset_name(uint32_t reason)
{
    static const char *const names[(uint32_t)RESET_FAULT + 1u] = {
        [RESET_UNKNOWN] = "unknown",
        [RESET_COMMAND] = "command",
        [RESET_DEADLINE] = "deadline",
        [RESET_WATCHDOG_TEST] = "watchdog-test",
        [RESET_FAULT] = "fault",
    };
    return names[(reason <= (uint32_t)RESET_FAULT) ? reason : (uint32_t)RESET_UNKNOWN];
}
