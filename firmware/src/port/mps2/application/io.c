/*
 * SPDX-License-Identifier: Apache-2.0
 * Arm MPS2: UART input, tick, time and serial number for the application.
 */
#include "build_config.h"
#include "port/common/cpu.h"
#include "port/mps2/mps2.h"

#define CYCLES_PER_MICROSECOND (CPU_HZ / 1000000u)

static void receive(uint32_t uart)
{
    const uint32_t base = mps2.uart[uart];
    UART_INTCLEAR(base) = UART_INT_RX;
    if ((UART_STATE(base) & UART_STATE_RX_FULL) != 0u) {
        (void)events_byte(uart, (uint8_t)UART_DATA(base));
    }
}

void mps2_console_interrupt(void)
{
    receive(0u);
}

void mps2_plant_interrupt(void)
{
    receive(1u);
}

/* Half of the watchdog's time is over: nothing is wrong yet. See port_watchdog_start(). */
void mps2_watchdog_interrupt(void)
{
}

uint32_t board_microseconds(void)
{
    return FPGAIO_COUNTER;
}

/*
 * The timer runs once for each tick: QEMU's periodic timers (SysTick too), in virtual time, lose every second period while the
 * processor sleeps.
 */
static void set_tick(void)
{
    TIMER_LOAD = events_until_tick() * CYCLES_PER_MICROSECOND;
}

void mps2_timer_interrupt(void)
{
    TIMER_INTCLEAR = 1u;
    set_tick();
    tick_interrupt();
}

void port_start(void)
{
    FPGAIO_PRESCALE = CYCLES_PER_MICROSECOND - 1u;
    FPGAIO_COUNTER = 0u;
    TIMER_CONTROL = TIMER_ONE_SHOT_WITH_INTERRUPT;
    set_tick();
    cortexm_interrupt(mps2.timer_interrupt, true);
    for (uint32_t uart = 0u; uart < UARTS; uart++) {
        UART_CTRL(mps2.uart[uart]) = UART_CTRL_TX | UART_CTRL_RX | UART_CTRL_RX_INTERRUPT;
        board_receive(uart, true);
    }
    cpu_enable();
}

bool port_read_overrun(enum port_uart uart)
{
    const uint32_t base = mps2.uart[(uart == PORT_PLANT) ? 1u : 0u];
    const bool overrun = ((UART_STATE(base) & UART_STATE_RX_OVERRUN) != 0u);
    if (overrun) {
        UART_STATE(base) = UART_STATE_RX_OVERRUN;
    }
    return overrun;
}

const char *port_serial(void)
{
    return "emulated"; /* the board has no readable serial number */
}
