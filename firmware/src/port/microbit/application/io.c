/*
 * SPDX-License-Identifier: Apache-2.0
 * BBC micro:bit v1: UART input, tick and serial number for the application, and its vector table, which the
 * bootloader's handlers forward to. The nRF51 has no SysTick: TIMER0, the only one of 32 bits, counts microseconds and is never
 * set; TIMER1 makes the ticks. With one timer for both, each look at the time would have QEMU work out the next tick anew.
 */
#include "port/common/cpu.h"
#include "port/common/events.h"
#include "port/cortexm/cortexm.h"
#include "port/microbit/nrf51.h"

const uint32_t board_receive_interrupt[UARTS] = {UART_IRQ};

static void uart_interrupt(void)
{
    bool room = true;
    while (room && (UART_RXDRDY != 0u)) {
        UART_RXDRDY = 0u;
        room = events_byte(PORT_CONSOLE, (uint8_t)UART_RXD);
    }
}

uint32_t board_microseconds(void)
{
    TIMER0_CAPTURE1 = 1u;
    return TIMER0_CC1;
}

/* The timer has stopped and cleared itself, so that the next tick's moment cannot pass while it is being set. */
static void timer_interrupt(void)
{
    TIMER1_COMPARE0 = 0u;
    TIMER1_CC0 = events_until_tick();
    TIMER1_START = 1u;
    tick_interrupt();
}

__attribute__((section(".vectors"), used)) static const union vector vectors[NRF51_VECTORS] = {
    [0] = {.stack = &__stack_top},
    [1] = {.handler = reset_handler},
    [2 ... (SYSTEM_VECTORS + UART_IRQ - 1u)] = {.handler = fault_handler},
    [SYSTEM_VECTORS + UART_IRQ] = {.handler = uart_interrupt},
    [SYSTEM_VECTORS + UART_IRQ + 1u ... SYSTEM_VECTORS + TIMER1_IRQ - 1u] = {.handler = fault_handler},
    [SYSTEM_VECTORS + TIMER1_IRQ] = {.handler = timer_interrupt},
    [SYSTEM_VECTORS + TIMER1_IRQ + 1u ... NRF51_VECTORS - 1u] = {.handler = fault_handler},
};

void port_start(void)
{
    TIMER0_BITMODE = TIMER_32_BITS;
    TIMER0_PRESCALER = TIMER_1_MHZ;
    TIMER0_START = 1u;

    TIMER1_BITMODE = TIMER_16_BITS;
    TIMER1_PRESCALER = TIMER_1_MHZ;
    TIMER1_SHORTS = TIMER_COMPARE0_CLEARS | TIMER_COMPARE0_STOPS;
    TIMER1_INTENSET = TIMER_INT_COMPARE0;
    TIMER1_CC0 = events_until_tick();
    TIMER1_START = 1u;

    UART_RXDRDY = 0u;
    UART_INTENSET = UART_INT_RXDRDY;
    UART_STARTRX = 1u;

    cortexm_interrupt(TIMER1_IRQ, true);
    cortexm_interrupt(UART_IRQ, true);
    cpu_enable();
}

bool port_read_overrun(enum port_uart uart)
{
    (void)uart;
    const bool overrun = ((UART_ERRORSRC & UART_ERROR_OVERRUN) != 0u);
    if (overrun) {
        UART_ERRORSRC = UART_ERROR_OVERRUN;
    }
    return overrun;
}

const char *port_serial(void)
{
    return "emulated"; /* QEMU's FICR gives every device the same DEVICEID */
}
