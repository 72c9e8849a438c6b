/*
 * SPDX-License-Identifier: Apache-2.0
 * What a board's interrupt handlers report; port.h's reading, time and sleep are made of it.
 */
#ifndef PORT_CORTEXM_EVENTS_H
#define PORT_CORTEXM_EVENTS_H

#include <stdint.h>

void events_millisecond(void);
void events_character(uint8_t character);

#endif
