/*
 * SPDX-License-Identifier: Apache-2.0
 * Reset and faults of every Cortex-M. See cortexm.h and common/startup.h.
 */
#include "build_config.h"
#include "port/cortexm/cortexm.h"
#include "port/cortexm/scs.h"

#define FRAME_SIZE 32u

/*
 * A stack that runs out of RAM must be a fault. Where the memory below RAM swallows writes instead (MPS2 AN385), the memory
 * protection unit makes it one: no access to the 64 KiB below RAM, and everything else as without it.
 */
static void guard_stack(void)
{
#if defined(__ARM_ARCH_7M__) || defined(__ARM_ARCH_7EM__)
    MPU_RBAR = (RAM_BASE - 0x10000u) | MPU_RBAR_VALID;
    MPU_RASR = MPU_RASR_NO_ACCESS_64K;
    MPU_CTRL = MPU_CTRL_ENABLE_WITH_DEFAULT;
    __asm volatile("dsb\n\tisb" ::: "memory");
#endif
}

void reset_handler(void)
{
    guard_stack();
    startup();
}

/* frame is where the core pushed r0-r3, r12, lr, pc, psr; after a stack overflow it may lie outside RAM. */
__attribute__((used)) static _Noreturn void report(uint32_t frame)
{
    struct fault fault = {.stack = frame};
    uint32_t ipsr;
    __asm volatile("mrs %0, ipsr" : "=r"(ipsr));
    fault.exception = ipsr & 0x1ffu;
    const uint32_t offset = frame - RAM_BASE;
    fault.placed = (offset <= (RAM_SIZE - FRAME_SIZE)) && ((offset % 4u) == 0u);
    if (fault.placed) {
        fault.lr = REGISTER(frame + 20u);
        fault.pc = REGISTER(frame + 24u);
    }
    fault_report(&fault);
}

/* The report starts on a fresh stack: the old one may be what failed. */
__attribute__((naked)) void fault_handler(void)
{
    __asm volatile("mrs r0, msp\n\t"
                   "ldr r1, =__stack_top\n\t"
                   "msr msp, r1\n\t"
                   "ldr r1, =report\n\t"
                   "bx r1\n\t"
                   ".ltorg");
}
