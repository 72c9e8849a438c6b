/*
 * SPDX-License-Identifier: Apache-2.0
 * What one program leaves in RAM for the next one. See handover.h.
 * @realises DSG-026
 */
#include "core/handover.h"

static uint32_t check_of(const struct handover *handover)
{
    return handover->action ^ handover->swap_type ^ handover->refused ^ HANDOVER_BOOT_MARK;
}

void handover_tell(struct handover *handover, uint32_t action, uint32_t swap_type, uint32_t refused)
{
    handover->boot_mark = HANDOVER_BOOT_MARK;
    handover->action = action;
    handover->swap_type = swap_type;
    handover->refused = refused;
    handover->boot_check = check_of(handover);
}

bool handover_told(const struct handover *handover)
{
    return (handover->boot_mark == HANDOVER_BOOT_MARK) && (handover->boot_check == check_of(handover));
}

const char *handover_action(uint32_t action)
{
    static const char *const names[(uint32_t)BOOT_RECOVERED + 1u] = {
        [BOOT_NONE] = "none",         [BOOT_TEST] = "test",       [BOOT_PERMANENT] = "permanent",
        [BOOT_REVERT] = "revert",     [BOOT_RESUMED] = "resumed", [BOOT_RECOVERED] = "recovered",
    };
    return ((action >= (uint32_t)BOOT_NONE) && (action <= (uint32_t)BOOT_RECOVERED)) ? names[action] : "unknown";
}
