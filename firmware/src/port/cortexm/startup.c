/*
 * SPDX-License-Identifier: Apache-2.0
 * Start-up and fault report. See startup.h.
 */
#include "port/cortexm/startup.h"

#include "build_config.h"
#include "core/text.h"
#include "port/cortexm/scs.h"
#include "port/port.h"

extern uint32_t __data_load;
extern uint32_t __data_start;
extern uint32_t __data_end;
extern uint32_t __bss_start;
extern uint32_t __bss_end;

__attribute__((section(".handover"), used)) volatile uint32_t handover_vectors;

void reset_handler(void)
{
    uintptr_t from = (uintptr_t)&__data_load;
    for (uintptr_t to = (uintptr_t)&__data_start; to < (uintptr_t)&__data_end; to += 4u) {
        REGISTER(to) = REGISTER(from);
        from += 4u;
    }
    for (uintptr_t to = (uintptr_t)&__bss_start; to < (uintptr_t)&__bss_end; to += 4u) {
        REGISTER(to) = 0u;
    }
    (void)main();
    port_halt();
}

#define FRAME_SIZE 32u

/* frame is where the core pushed r0-r3, r12, lr, pc, psr; after a stack overflow it may lie outside RAM. */
__attribute__((used)) static _Noreturn void report(const uint32_t *frame)
{
    struct text line;
    cpu_disable_interrupts();
    port_init();
    port_motor(false);
    text_start(&line);
    text_string(&line, "fault: exception=");
    text_unsigned(&line, cpu_exception());
    const uint32_t offset = (uint32_t)(uintptr_t)frame - RAM_BASE;
    if ((offset <= (RAM_SIZE - FRAME_SIZE)) && ((offset % 4u) == 0u)) {
        text_string(&line, " pc=");
        text_word(&line, frame[6]);
        text_string(&line, " lr=");
        text_word(&line, frame[5]);
    } else {
        text_string(&line, " stack=");
        text_word(&line, (uint32_t)(uintptr_t)frame);
    }
    text_string(&line, "\r\n");
    port_write(line.line, line.length);
    port_halt();
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
