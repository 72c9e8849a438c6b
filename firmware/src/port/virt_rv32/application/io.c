/*
 * SPDX-License-Identifier: Apache-2.0
 * QEMU's RISC-V `virt`: UART input, tick, time and serial number for the application. See port.h.
 */
#include "port/common/cpu.h"
#include "port/common/events.h"
#include "port/riscv/csr.h"
#include "port/riscv/startup.h"
#include "port/virt_rv32/virt.h"

#define TICK_COUNTS ((TIMER_HERTZ / 1000u) * TICK_MS)

static uint64_t next_tick;

static uint64_t timer(void)
{
    uint32_t high;
    uint32_t low;
    do {
        high = TIMER_HIGH;
        low = TIMER_LOW;
    } while (high != TIMER_HIGH);
    return ((uint64_t)high << 32) | low;
}

static void set_compare(uint64_t when)
{
    TIMER_COMPARE_HIGH = 0xffffffffu; /* so that no moment in between counts */
    TIMER_COMPARE_LOW = (uint32_t)when;
    TIMER_COMPARE_HIGH = (uint32_t)(when >> 32);
}

uint32_t board_microseconds(void)
{
    return (uint32_t)(timer() / (TIMER_HERTZ / 1000000u));
}

void board_receive(uint32_t uart, bool on)
{
    (void)uart;
    UART_INTERRUPTS = on ? UART_INTERRUPT_RECEIVE : 0u;
}

/* The next tick counts from this one, so that ticks do not drift; from now if that moment is gone. */
__attribute__((interrupt("machine"))) void riscv_timer_interrupt(void)
{
    const uint64_t now = timer();
    next_tick += TICK_COUNTS;
    if (next_tick <= now) {
        next_tick = now + TICK_COUNTS;
    }
    set_compare(next_tick);
    tick_interrupt();
}

__attribute__((interrupt("machine"))) void riscv_external_interrupt(void)
{
    const uint32_t irq = PLIC_CLAIM;
    if (irq == UART_IRQ) {
        /* An interrupt that was on its way when reception was held off still comes: then there is no room. */
        bool room = (UART_INTERRUPTS != 0u);
        while (room && ((virt_uart_status() & UART_STATUS_RECEIVED) != 0u)) {
            room = events_byte(0u, UART_DATA);
        }
    }
    PLIC_CLAIM = irq;
}

void port_start(void)
{
    next_tick = timer() + TICK_COUNTS;
    set_compare(next_tick);
    PLIC_PRIORITY(UART_IRQ) = 1u;
    PLIC_THRESHOLD = 0u;
    PLIC_ENABLE = 1u << UART_IRQ;
    board_receive(0u, true);
    CSR_SET(mie, MIE_TIMER | MIE_EXTERNAL);
    cpu_enable();
}

bool port_read_overrun(enum port_uart uart)
{
    (void)uart;
    return virt_uart_overrun();
}

const char *port_serial(void)
{
    return "emulated"; /* the machine has no serial number */
}
