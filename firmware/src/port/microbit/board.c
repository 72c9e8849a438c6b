/*
 * SPDX-License-Identifier: Apache-2.0
 * BBC micro:bit v1: UART output, motor pin, what the board has no hardware for. For both programs. See port.h.
 */
#include "build_config.h"
#include "port/cortexm/cortexm.h"
#include "port/microbit/nrf51.h"
#include "port/port.h"

#if CONSOLE_BAUD != 115200 || PLANT_SHARES_CONSOLE != 1
#error "port/microbit: only 115200 baud is set up, on the one UART"
#endif

void port_init(void)
{
    CLOCK_HFCLKSTART = 1u; /* the crystal: the UART's baud rate needs it */
    while (CLOCK_HFCLKSTARTED == 0u) {
    }
    GPIO_OUTCLR = 1u << PIN_MOTOR;
    GPIO_OUTSET = 1u << PIN_UART_TX;
    GPIO_DIRSET = (1u << PIN_MOTOR) | (1u << PIN_UART_TX);
    UART_PSELTXD = PIN_UART_TX;
    UART_PSELRXD = PIN_UART_RX;
    UART_BAUDRATE = UART_BAUD_115200;
    UART_ENABLE = UART_ENABLED;
    UART_STARTTX = 1u;
}

/*
 * Also from an interrupt: whichever write is under way when it comes, the event it waits for is there when it goes on, since each
 * write ends with the event set.
 */
void port_write(enum port_uart uart, const char *bytes, size_t length)
{
    (void)uart;
    for (size_t i = 0u; i < length; i++) {
        UART_TXDRDY = 0u;
        UART_TXD = (uint8_t)bytes[i];
        while (UART_TXDRDY == 0u) {
        }
    }
}

void port_motor(bool on)
{
    if (on) {
        GPIO_OUTSET = 1u << PIN_MOTOR;
    } else {
        GPIO_OUTCLR = 1u << PIN_MOTOR;
    }
}

/* The watchdog of the nRF51 is not modelled by the machine this runs on: WATCHDOG_MODELLED is 0. */
void port_watchdog_start(uint32_t milliseconds)
{
    (void)milliseconds;
}

void port_watchdog_feed(void)
{
}

void board_watchdog_stop(void)
{
}
