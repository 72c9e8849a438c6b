/*
 * SPDX-License-Identifier: Apache-2.0
 * The bootloader's vector table, and the hand-over: the Cortex-M3 is told of the next program's table by VTOR.
 */
#include "port/cortexm/cpu.h"
#include "port/cortexm/scs.h"
#include "port/cortexm/startup.h"
#include "port/port.h"

__attribute__((section(".vectors"), used)) static const union vector vectors[VECTOR_COUNT] = {
    [0] = {.stack = &__stack_top},
    [1] = {.handler = reset_handler},
    [2 ... (VECTOR_COUNT - 1u)] = {.handler = fault_handler},
};

_Noreturn void port_start_program(const uint32_t *table)
{
    cpu_start_program(table, &SCB_VTOR);
}
