/*
 * SPDX-License-Identifier: Apache-2.0
 * Start-up and exceptions, shared by both programs and all boards. Symbols named __x come from link.ld.
 */
#ifndef PORT_CORTEXM_STARTUP_H
#define PORT_CORTEXM_STARTUP_H

#include <stdint.h>

#define SYSTEM_VECTORS 16u
#define VECTOR_COUNT (SYSTEM_VECTORS + 32u)

union vector {
    uint32_t *stack;       /* vector 0 */
    void (*handler)(void); /* all others */
};

extern uint32_t __stack_top;

/*
 * The first word of the hand-over area at the end of RAM. On a core whose vector table cannot be moved the bootloader
 * writes there which table its handlers forward exceptions to; 0: none, the bootloader itself is running.
 */
extern volatile uint32_t handover_vectors;

void reset_handler(void);

/* Prints `fault: …` with the exception and the place it happened, stops the motor and halts. */
void fault_handler(void);

int main(void);

#endif
