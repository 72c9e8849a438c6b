/*
 * SPDX-License-Identifier: Apache-2.0
 * The rest of port.h for host tests of the bootloader: what it printed, and a hand-over in memory.
 */
#ifndef SIM_PORT_H
#define SIM_PORT_H

/* What was written to the console since the last call of sim_console_clear(), ended by NUL; cut off beyond 8 KiB. */
const char *sim_console(void);
void sim_console_clear(void);

/* The same for the plant link, whether or not it has a UART of its own. */
const char *sim_plant(void);
void sim_plant_clear(void);

#endif
