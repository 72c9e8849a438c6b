/*
 * SPDX-License-Identifier: Apache-2.0
 * BBC micro:bit v1: console output and motor pin, for both programs. See port.h.
 */
#include "build_config.h"
#include "port/microbit/nrf51.h"
#include "port/port.h"

#if CONSOLE_BAUD != 115200
#error "port/microbit: only 115200 baud is set up"
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

void port_write(const char *characters, size_t length)
{
    for (size_t i = 0u; i < length; i++) {
        UART_TXDRDY = 0u;
        UART_TXD = (uint8_t)characters[i];
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
