/*
 * SPDX-License-Identifier: Apache-2.0
 * Halting, resetting and handing over, the same on every board. See port.h.
 */
#include "port/cortexm/cpu.h"

#include "port/cortexm/scs.h"
#include "port/port.h"

static void silence_interrupts(void)
{
    cpu_disable_interrupts();
    SYST_CSR = 0u;
    NVIC_ICER = 0xffffffffu;
    NVIC_ICPR = 0xffffffffu;
}

_Noreturn void port_halt(void)
{
    silence_interrupts();
    for (;;) {
        cpu_wait_for_interrupt();
    }
}

_Noreturn void port_reset(void)
{
    cpu_barrier();
    SCB_AIRCR = SCB_AIRCR_RESET;
    port_halt();
}

_Noreturn void cpu_start_program(const uint32_t *vectors, volatile uint32_t *table_register)
{
    silence_interrupts();
    *table_register = (uint32_t)(uintptr_t)vectors;
    cpu_barrier();
    cpu_enable_interrupts(); /* as after a reset */
    __asm volatile("msr msp, %0\n\tbx %1" ::"r"(vectors[0]), "r"(vectors[1]) : "memory");
    __builtin_unreachable();
}
