/*
 * SPDX-License-Identifier: Apache-2.0
 * Cortex-M system control space (Armv6-M and Armv7-M ARM, B3) and the few instructions C has no name for.
 */
#ifndef PORT_CORTEXM_SCS_H
#define PORT_CORTEXM_SCS_H

#include <stdint.h>

#define REGISTER(address) (*(volatile uint32_t *)(uintptr_t)(address))

#define SYST_CSR REGISTER(0xe000e010u)
#define SYST_RVR REGISTER(0xe000e014u)
#define SYST_CVR REGISTER(0xe000e018u)
#define SYST_CSR_RUN_WITH_INTERRUPT 7u /* processor clock, interrupt, enabled */
#define NVIC_ISER REGISTER(0xe000e100u)
#define NVIC_ICER REGISTER(0xe000e180u)
#define NVIC_ICPR REGISTER(0xe000e280u)
#define SCB_VTOR REGISTER(0xe000ed08u)
#define SCB_AIRCR REGISTER(0xe000ed0cu)
#define SCB_AIRCR_RESET 0x05fa0004u

static inline void cpu_disable_interrupts(void)
{
    __asm volatile("cpsid i" ::: "memory");
}

static inline void cpu_enable_interrupts(void)
{
    __asm volatile("cpsie i" ::: "memory");
}

static inline void cpu_barrier(void)
{
    __asm volatile("dsb\n\tisb" ::: "memory");
}

static inline void cpu_wait_for_interrupt(void)
{
    __asm volatile("dsb\n\twfi" ::: "memory");
}

/* Number of the exception being handled; 0 in a thread. */
static inline uint32_t cpu_exception(void)
{
    uint32_t ipsr;
    __asm volatile("mrs %0, ipsr" : "=r"(ipsr));
    return ipsr & 0x3fu;
}

#endif
