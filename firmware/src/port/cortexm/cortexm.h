/*
 * SPDX-License-Identifier: Apache-2.0
 * What the Cortex-M boards share: vectors, interrupts, handing over; and what each of them gives.
 */
#ifndef PORT_CORTEXM_CORTEXM_H
#define PORT_CORTEXM_CORTEXM_H

#include <stdbool.h>
#include <stdint.h>

#include "port/common/startup.h"

#define SYSTEM_VECTORS 16u

union vector {
    uint32_t *stack;       /* vector 0 */
    void (*handler)(void); /* all others */
};

void reset_handler(void);

/* See fault_report(). */
void fault_handler(void);

/* Lets an interrupt of the NVIC come, or holds it off. */
void cortexm_interrupt(uint32_t number, bool on);

/* Starts the program with this vector table, which *table_register (VTOR, or what stands in for it) is told of. */
_Noreturn void cortexm_start_program(uint32_t table, volatile uint32_t *table_register);

/* Given by the board: the number of each UART's receive interrupt in the NVIC. */
extern const uint32_t board_receive_interrupt[];

/* Given by the board: the watchdog, if it runs, does not bite any more. */
void board_watchdog_stop(void);

#endif
