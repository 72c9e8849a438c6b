/*
 * SPDX-License-Identifier: Apache-2.0
 * Console input and time: what a board gives, and what port.h's reading, time and sleep are made of.
 *
 * Time is read from a free-running counter, not counted in interrupts, so that none is lost while interrupts are late.
 * The tick only ends sleep: it lets time pass in the pump and keeps an emulator's main loop turning.
 */
#ifndef PORT_CORTEXM_EVENTS_H
#define PORT_CORTEXM_EVENTS_H

#include <stdint.h>

#define TICK_MICROSECONDS 10000u

/*
 * From the console's interrupt: a character came in. When there is no room for another, the interrupt is held off until
 * there is, so that the UART's flow control (or the emulator's) makes the sender wait.
 */
void events_character(uint8_t character);

/* Given by the board: the bit of the console's interrupt in the NVIC's registers. */
extern const uint32_t board_console_interrupt;

/* Given by the board: a counter of microseconds that wraps at 2^32. */
uint32_t board_microseconds(void);

#endif
