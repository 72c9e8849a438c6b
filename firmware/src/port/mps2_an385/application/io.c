/*
 * SPDX-License-Identifier: Apache-2.0
 * Arm MPS2 AN385: console input, tick and serial number for the application, and its vector table.
 */
#include "build_config.h"
#include "port/cortexm/events.h"
#include "port/cortexm/startup.h"
#include "port/mps2_an385/an385.h"
#include "port/port.h"

const uint32_t board_console_interrupt = 1u << UART0_RX_IRQ;

static void uart_interrupt(void)
{
    UART0_INTCLEAR = UART0_INT_RX;
    if ((UART0_STATE & UART0_STATE_RX_FULL) != 0u) {
        events_character((uint8_t)UART0_DATA);
    }
}

/* Only ends sleep. */
static void tick_interrupt(void)
{
}

uint32_t board_microseconds(void)
{
    return FPGAIO_COUNTER;
}

__attribute__((section(".vectors"), used)) static const union vector vectors[VECTOR_COUNT] = {
    [0] = {.stack = &__stack_top},
    [1] = {.handler = reset_handler},
    [2 ... 14] = {.handler = fault_handler},
    [15] = {.handler = tick_interrupt},
    [SYSTEM_VECTORS + UART0_RX_IRQ] = {.handler = uart_interrupt},
    [SYSTEM_VECTORS + UART0_RX_IRQ + 1u ... VECTOR_COUNT - 1u] = {.handler = fault_handler},
};

void port_start(void)
{
    UART0_CTRL = UART0_CTRL_TX | UART0_CTRL_RX | UART0_CTRL_RX_INTERRUPT;
    FPGAIO_PRESCALE = (CPU_HZ / 1000000u) - 1u;
    FPGAIO_COUNTER = 0u;
    SYST_RVR = ((CPU_HZ / 1000000u) * TICK_MICROSECONDS) - 1u;
    SYST_CVR = 0u;
    SYST_CSR = SYST_CSR_RUN_WITH_INTERRUPT;
    NVIC_ISER = board_console_interrupt;
    cpu_enable_interrupts();
}

bool port_read_overrun(void)
{
    const bool overrun = ((UART0_STATE & UART0_STATE_RX_OVERRUN) != 0u);
    if (overrun) {
        UART0_STATE = UART0_STATE_RX_OVERRUN;
    }
    return overrun;
}

const char *port_serial(void)
{
    return "emulated"; /* the board has no readable serial number */
}
