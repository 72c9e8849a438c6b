/*
 * SPDX-License-Identifier: Apache-2.0
 * The rest of port.h on the host, as far as the application needs it: a drive, a clock, input and a reset that a test can see
 * and set. Flash is sim/flash.h; what was printed and the handover are sim/port.h.
 *
 * Time stands still unless a test moves it. A reset ends the present sim_flash_powered(), as on a device it ends the program.
 */
#ifndef SIM_BOARD_H
#define SIM_BOARD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "port/port.h"

/* As after power-up: drive off, time 0, no input, RAM sound, watchdog not started; the hook of port_sleep() is none. */
void sim_board_start(void);

bool sim_motor(void); /* whether the drive's enable line is on */

void sim_time_set(uint32_t milliseconds);
void sim_time_pass(uint32_t milliseconds);

/* What port_sleep() does after it let TICK_MS pass: for code that waits. NULL: nothing. */
void sim_on_sleep(void (*hook)(void));

/* Bytes that port_read() gives, and a loss that port_read_overrun() tells of. At most 4096 bytes wait. */
void sim_receive(enum port_uart uart, const void *bytes, size_t length);
void sim_receive_overrun(enum port_uart uart);

void sim_ram_passes(bool passes);

uint32_t sim_resets(void); /* how often port_reset() was called since the start */
uint32_t sim_halts(void);  /* the same for port_halt() */

uint32_t sim_watchdog(void);       /* milliseconds that the watchdog was started with; 0: not started */
uint32_t sim_watchdog_feeds(void); /* how often it was fed since */

#endif
