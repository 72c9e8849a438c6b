/*
 * SPDX-License-Identifier: Apache-2.0
 * The nRF51's Cortex-M0 has its vector table at address 0 for good, so the bootloader's table serves both programs:
 * every exception goes to forward(), which passes it on to the table named in the hand-over area. While that is 0, the
 * bootloader itself is running, and no exception is expected.
 */
#include "port/cortexm/cortexm.h"
#include "port/microbit/nrf51.h"
#include "port/port.h"

_Static_assert(offsetof(struct handover, vectors) == 0u, "forward() looks there");

/* Only r0-r3 and r12 are used (the core has saved them) and lr is kept, so the target sees its own exception entry. */
__attribute__((naked)) static void forward(void)
{
    __asm volatile("ldr r0, =handover\n\t"
                   "ldr r0, [r0]\n\t"
                   "cmp r0, #0\n\t"
                   "beq 1f\n\t"
                   "mrs r1, ipsr\n\t"
                   "movs r2, #0x3f\n\t"
                   "ands r1, r2\n\t"
                   "lsls r1, r1, #2\n\t"
                   "ldr r0, [r0, r1]\n\t"
                   "bx r0\n"
                   "1:\n\t"
                   "ldr r0, =fault_handler\n\t"
                   "bx r0\n\t"
                   ".ltorg");
}

/* Reset must not look at the hand-over area before it is set. */
static void reset(void)
{
    handover.vectors = 0u;
    reset_handler();
}

__attribute__((section(".vectors"), used)) static const union vector vectors[NRF51_VECTORS] = {
    [0] = {.stack = &__stack_top},
    [1] = {.handler = reset},
    [2 ... (NRF51_VECTORS - 1u)] = {.handler = forward},
};

_Noreturn void port_start_program(uint32_t run_address)
{
    cortexm_start_program(run_address, &handover.vectors);
}
