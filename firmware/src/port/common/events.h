/*
 * SPDX-License-Identifier: Apache-2.0
 * UART input and time: what a board gives, and what port.h's reading, time and sleep are made of.
 *
 * Time is read from a free-running counter, not counted in interrupts, so that none is lost while interrupts are late.
 */
#ifndef PORT_COMMON_EVENTS_H
#define PORT_COMMON_EVENTS_H

#include <stdbool.h>
#include <stdint.h>

#include "build_config.h"
#include "port/port.h"

#define UARTS (2u - PLANT_SHARES_CONSOLE)
#define TICK_MICROSECONDS (TICK_MS * 1000u)

/*
 * From a UART's interrupt: a byte came in. False if there is no room for another: then the interrupt is held off until there is,
 * so that the UART's flow control (or the emulator's) makes the sender wait.
 */
bool events_byte(uint32_t uart, uint8_t byte);

/*
 * From a board's one-shot timer, once at its start and then at each tick: the microseconds until the next one. It counts from the
 * one before, so that ticks do not drift; from now if that moment is too near or gone.
 */
uint32_t events_until_tick(void);

/* Given by the board or the architecture: holds a UART's receive interrupt off, or lets it come. */
void board_receive(uint32_t uart, bool on);

/* Given by the board: a counter of microseconds that wraps at 2^32. */
uint32_t board_microseconds(void);

#endif
