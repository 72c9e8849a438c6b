/*
 * SPDX-License-Identifier: Apache-2.0
 * What main.c gives the application, on the host: hooks that only count.
 */
#ifndef SIM_DEVICE_H
#define SIM_DEVICE_H

#include <stdint.h>

/* Calls since sim_device_start(). */
void sim_device_start(void);
uint32_t sim_plant_sent(void);
uint32_t sim_crashes(void); /* a crash ends the present sim_flash_powered(), as a reset does */

#define SIM_STACK_USED 1234u

#endif
