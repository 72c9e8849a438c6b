/*
 * SPDX-License-Identifier: Apache-2.0
 * What a RISC-V board gives to the trap table.
 */
#ifndef PORT_RISCV_STARTUP_H
#define PORT_RISCV_STARTUP_H

#include <stdint.h>

#define STACK_GUARD_SIZE 0x10000u /* below RAM; a power of two that RAM_BASE is a multiple of */
#define PMP_NAPOT 0x18u
#define PMP_LOCKED 0x80u

#define JUMP_OPCODE 0x6fu /* jal zero */
#define JUMP_OPCODE_MASK 0xfffu

void reset_handler(void);

/* Given by the board, for the application. */
void riscv_timer_interrupt(void);
void riscv_external_interrupt(void);

#endif
