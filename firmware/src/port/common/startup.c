/*
 * SPDX-License-Identifier: Apache-2.0
 * Start-up and fault report. See startup.h.
 * @realises DSG-026
 */
#include "port/common/startup.h"

#include "build_config.h"
#include "core/text.h"
#include "port/common/cpu.h"
#include "port/common/registers.h"
#include "port/port.h"

extern uint32_t __data_load;
extern uint32_t __data_start;
extern uint32_t __data_end;
extern uint32_t __bss_start;
extern uint32_t __bss_end;

__attribute__((section(".handover"), used)) struct handover handover;

_Noreturn void startup(void)
{
    uintptr_t from = (uintptr_t)&__data_load;
    for (uintptr_t to = (uintptr_t)&__data_start; to < (uintptr_t)&__data_end; to += sizeof(uint32_t)) {
        REGISTER(to) = REGISTER(from);
        from += sizeof(uint32_t);
    }
    for (uintptr_t at = (uintptr_t)&__bss_start; at < (uintptr_t)&__bss_end; at += sizeof(uint32_t)) {
        REGISTER(at) = 0u;
    }
    (void)main();
    port_halt();
}

struct handover *port_handover(void)
{
    return &handover;
}

_Noreturn void fault_report(const struct fault *fault)
{
    struct text line;
    (void)cpu_mask();
    port_init();
    port_motor(false);
    handover.reset = (uint32_t)RESET_FAULT;
    handover.detail = fault->placed ? fault->pc : 0u;
    handover.reset_mark = HANDOVER_RESET_MARK;
    text_start(&line);
    text_string(&line, "fault: exception=");
    text_unsigned(&line, fault->exception);
    if (fault->placed) {
        text_string(&line, " pc=");
        text_word(&line, fault->pc);
        text_string(&line, " lr=");
        text_word(&line, fault->lr);
    } else {
        text_string(&line, " stack=");
        text_word(&line, fault->stack);
    }
    text_string(&line, "\r\n");
    port_write(PORT_CONSOLE, line.line, line.length);
    port_halt();
}
