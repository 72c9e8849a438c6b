/*
 * SPDX-License-Identifier: Apache-2.0
 * The bootloader's vector table, and the hand-over: the core is told of the next program's table by VTOR. The bootloader uses no
 * interrupts, and a watchdog does not run in it: a reset stops it.
 */
#include "port/cortexm/cortexm.h"
#include "port/cortexm/scs.h"
#include "port/port.h"

__attribute__((section(".vectors"), used)) static const union vector vectors[SYSTEM_VECTORS] = {
    [0] = {.stack = &__stack_top},
    [1] = {.handler = reset_handler},
    [2 ... (SYSTEM_VECTORS - 1u)] = {.handler = fault_handler},
};

_Noreturn void port_start_program(uint32_t run_address)
{
    cortexm_start_program(run_address, &SCB_VTOR);
}
