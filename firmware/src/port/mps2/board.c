/*
 * SPDX-License-Identifier: Apache-2.0
 * Arm MPS2: UART output, motor output (LED 0), watchdog, memory in the place of flash. For both programs. See port.h.
 */
#include "build_config.h"
#include "port/common/flash.h"
#include "port/mps2/mps2.h"

void port_init(void)
{
    FPGAIO_LED = 0u;
    for (uint32_t uart = 0u; uart < UARTS; uart++) {
        UART_BAUDDIV(mps2.uart[uart]) = CPU_HZ / ((uart == 0u) ? CONSOLE_BAUD : PLANT_BAUD);
        UART_CTRL(mps2.uart[uart]) = UART_CTRL_TX;
    }
}

/* Also from an interrupt: nothing is kept between two bytes. */
void port_write(enum port_uart uart, const char *bytes, size_t length)
{
    const uint32_t base = mps2.uart[(uart == PORT_PLANT) ? 1u : 0u];
    for (size_t i = 0u; i < length; i++) {
        while ((UART_STATE(base) & UART_STATE_TX_FULL) != 0u) {
        }
        UART_DATA(base) = (uint8_t)bytes[i];
    }
}

void port_motor(bool on)
{
    FPGAIO_LED = on ? LED_MOTOR : 0u;
}

/*
 * The watchdog counts down twice: the first time it only interrupts, the second time it resets. So each count is half the time.
 */
void port_watchdog_start(uint32_t milliseconds)
{
    WATCHDOG_LOCK = WATCHDOG_UNLOCK;
    WATCHDOG_LOAD = (CPU_HZ / 2000u) * milliseconds;
    WATCHDOG_INTCLEAR = 1u;
    WATCHDOG_CONTROL = WATCHDOG_RUN;
    WATCHDOG_LOCK = 0u;
}

void port_watchdog_feed(void)
{
    WATCHDOG_LOCK = WATCHDOG_UNLOCK;
    WATCHDOG_INTCLEAR = 1u; /* also counts anew */
    WATCHDOG_LOCK = 0u;
}

void board_watchdog_stop(void)
{
    WATCHDOG_LOCK = WATCHDOG_UNLOCK;
    WATCHDOG_CONTROL = 0u;
    WATCHDOG_INTCLEAR = 1u;
    WATCHDOG_LOCK = 0u;
}

/* The board has no flash but RAM at its place, which common/flash.c gives the rules of flash. */
void board_flash_erase(uint32_t address)
{
    for (uint32_t at = 0u; at < FLASH_PAGE_SIZE; at += 4u) {
        REGISTER(address + at) = 0xffffffffu;
    }
}

void board_flash_program(uint32_t address, const uint32_t *words, uint32_t count)
{
    for (uint32_t i = 0u; i < count; i++) {
        REGISTER(address + (4u * i)) &= words[i];
    }
}
