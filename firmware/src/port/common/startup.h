/*
 * SPDX-License-Identifier: Apache-2.0
 * Start-up and faults, shared by both programs and all boards. Symbols named __x come from link.ld.
 */
#ifndef PORT_COMMON_STARTUP_H
#define PORT_COMMON_STARTUP_H

#include <stdbool.h>
#include <stdint.h>

#include "core/handover.h"

extern uint32_t __stack_top;

/* The hand-over area at the end of RAM. */
extern struct handover handover;

/* Once there is a stack: makes memory what C expects, runs main(), and halts if that returns. */
_Noreturn void startup(void);

/*
 * On a processor fault, on a fresh stack: stops the motor, prints `fault: exception=<n> pc=<address> lr=<address>`, or
 * `stack=<address>` where the place is lost because the stack ran out of RAM, notes RESET_FAULT and the place for the next
 * start, and halts.
 */
struct fault {
    uint32_t exception;
    bool placed;
    uint32_t pc;    /* if placed */
    uint32_t lr;    /* if placed */
    uint32_t stack; /* if not */
};
_Noreturn void fault_report(const struct fault *fault);

int main(void);

#endif
