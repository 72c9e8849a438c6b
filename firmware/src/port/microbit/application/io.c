/*
 * SPDX-License-Identifier: Apache-2.0
 * BBC micro:bit v1: console input, tick and serial number for the application, and its vector table, which the
 * bootloader's handlers forward to. The tick comes from TIMER0: the nRF51 has no SysTick.
 */
#include "port/cortexm/events.h"
#include "port/cortexm/startup.h"
#include "port/microbit/nrf51.h"
#include "port/port.h"

static void uart_interrupt(void)
{
    UART_RXDRDY = 0u;
    events_character((uint8_t)UART_RXD);
}

static void timer_interrupt(void)
{
    TIMER0_COMPARE0 = 0u;
    events_millisecond();
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
    TIMER0_BITMODE = 0u;   /* 16 bits */
    TIMER0_PRESCALER = 4u; /* 16 MHz / 2^4 = 1 MHz */
    TIMER0_CC0 = 1000u;
    TIMER0_SHORTS = TIMER0_SHORT_COMPARE0_CLEAR;
    TIMER0_INTENSET = TIMER0_INT_COMPARE0;
    TIMER0_START = 1u;

    UART_RXDRDY = 0u;
    UART_INTENSET = UART_INT_RXDRDY;
    UART_STARTRX = 1u;

    NVIC_ISER = (1u << TIMER0_IRQ) | (1u << UART_IRQ);
    cpu_enable_interrupts();
}

const char *port_serial(void)
{
    return "emulated"; /* QEMU's FICR gives every device the same DEVICEID */
}
