/*
 * SPDX-License-Identifier: Apache-2.0
 * Arm MPS2 AN385: console output and motor output (LED 0), for both programs. See port.h.
 */
#include "build_config.h"
#include "port/mps2_an385/an385.h"
#include "port/port.h"

void port_init(void)
{
    FPGAIO_LED = 0u;
    UART0_BAUDDIV = CPU_HZ / CONSOLE_BAUD;
    UART0_CTRL = UART0_CTRL_TX;
}

void port_write(const char *characters, size_t length)
{
    for (size_t i = 0u; i < length; i++) {
        while ((UART0_STATE & UART0_STATE_TX_FULL) != 0u) {
        }
        UART0_DATA = (uint8_t)characters[i];
    }
}

void port_motor(bool on)
{
    FPGAIO_LED = on ? LED_MOTOR : 0u;
}
