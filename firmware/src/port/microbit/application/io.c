/*
 * SPDX-License-Identifier: Apache-2.0
 * BBC micro:bit v1: console input, tick and serial number for the application, and its vector table, which the
 * bootloader's handlers forward to. The tick comes from TIMER0: the nRF51 has no SysTick.
 */
#include "port/cortexm/events.h"
#include "port/cortexm/startup.h"
#include "port/microbit/nrf51.h"
#include "port/port.h"

const uint32_t board_console_interrupt = 1u << UART_IRQ;

static void uart_interrupt(void)
{
    UART_RXDRDY = 0u;
    events_character((uint8_t)UART_RXD);
}

uint32_t board_microseconds(void)
{
    TIMER0_CAPTURE1 = 1u;
    return TIMER0_CC1;
}

static void timer_interrupt(void)
{
    TIMER0_COMPARE0 = 0u;
    TIMER0_CC0 = board_microseconds() + TICK_MICROSECONDS;
}

__attribute__((section(".vectors"), used)) static const union vector vectors[VECTOR_COUNT] = {
    [0] = {.stack = &__stack_top},
    [1] = {.handler = reset_handler},
    [2 ... (SYSTEM_VECTORS + UART_IRQ - 1u)] = {.handler = fault_handler},
    [SYSTEM_VECTORS + UART_IRQ] = {.handler = uart_interrupt},
    [SYSTEM_VECTORS + UART_IRQ + 1u ... SYSTEM_VECTORS + TIMER0_IRQ - 1u] = {.handler = fault_handler},
    [SYSTEM_VECTORS + TIMER0_IRQ] = {.handler = timer_interrupt},
    [SYSTEM_VECTORS + TIMER0_IRQ + 1u ... VECTOR_COUNT - 1u] = {.handler = fault_handler},
};

void port_start(void)
{
    TIMER0_STOP = 1u;
    TIMER0_CLEAR = 1u;
    TIMER0_MODE = 0u;
    TIMER0_BITMODE = TIMER0_32_BITS;
    TIMER0_PRESCALER = 4u; /* 16 MHz / 2^4 = 1 MHz */
    TIMER0_CC0 = TICK_MICROSECONDS;
    TIMER0_INTENSET = TIMER0_INT_COMPARE0;
    TIMER0_START = 1u;

    UART_RXDRDY = 0u;
    UART_INTENSET = UART_INT_RXDRDY;
    UART_STARTRX = 1u;

    NVIC_ISER = (1u << TIMER0_IRQ) | board_console_interrupt;
    cpu_enable_interrupts();
}

bool port_read_overrun(void)
{
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
