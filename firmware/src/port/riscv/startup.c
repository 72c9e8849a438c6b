/*
 * SPDX-License-Identifier: Apache-2.0
 * Reset, traps and faults of a RISC-V in machine mode. See startup.h and common/startup.h.
 */
#include "port/riscv/startup.h"

#include "build_config.h"
#include "port/common/startup.h"
#include "port/riscv/csr.h"

/*
 * What a program begins with, and what port_program_fits() looks for: a jump over the word that says where it was linked to run.
 * Then a stack, the trap table, and no interrupts.
 */
__attribute__((section(".vectors"), naked, used)) void reset_handler(void)
{
    __asm volatile(".option push\n\t"
                   ".option norvc\n\t"
                   "j 1f\n\t"
                   ".option pop\n\t"
                   ".word reset_handler\n"
                   "1: csrw mie, zero\n\t"
                   "csrci mstatus, 8\n\t"
                   "la t0, trap_table\n\t"
                   "ori t0, t0, 1\n\t" /* vectored */
                   "csrw mtvec, t0\n\t"
                   "la sp, __stack_top\n\t"
                   "j guard_and_start");
}

/* Memory below the stack: writing there must be a fault, whatever the machine has there. Locked, so it holds for this mode too. */
__attribute__((used)) static _Noreturn void guard_and_start(void)
{
    const uint32_t guard = ((RAM_BASE - STACK_GUARD_SIZE) >> 2) | ((STACK_GUARD_SIZE / 8u) - 1u);
    CSR_WRITE(pmpaddr0, guard);
    CSR_SET(pmpcfg0, PMP_LOCKED | PMP_NAPOT);
    startup();
}

/* Interrupts that nothing handles are faults. The application's board has handlers of its own for these two. */
__attribute__((naked, weak)) void riscv_timer_interrupt(void)
{
    __asm volatile("j exception");
}

__attribute__((naked, weak)) void riscv_external_interrupt(void)
{
    __asm volatile("j exception");
}

__attribute__((naked, used, aligned(64))) static void trap_table(void)
{
    __asm volatile(".option push\n\t"
                   ".option norvc\n\t"
                   "j exception\n\t"
                   "j exception\n\t"
                   "j exception\n\t"
                   "j exception\n\t"
                   "j exception\n\t"
                   "j exception\n\t"
                   "j exception\n\t"
                   "j riscv_timer_interrupt\n\t"
                   "j exception\n\t"
                   "j exception\n\t"
                   "j exception\n\t"
                   "j riscv_external_interrupt\n\t"
                   ".option pop");
}

/* A fault is reported on a fresh stack: the old one may be what failed. */
__attribute__((naked, used)) static void exception(void)
{
    __asm volatile("mv a0, ra\n\t"
                   "mv a1, sp\n\t"
                   "la sp, __stack_top\n\t"
                   "j report");
}

__attribute__((used)) static _Noreturn void report(uint32_t lr, uint32_t stack)
{
    struct fault fault = {.placed = true, .lr = lr, .stack = stack};
    CSR_READ(mcause, fault.exception);
    CSR_READ(mepc, fault.pc);
    fault_report(&fault);
}
