/*
 * SPDX-License-Identifier: Apache-2.0
 * What the portable code asks of a board. Each folder beside this file implements it once; addresses come from the
 * board manifest through the generated build_config.h.
 */
#ifndef PORT_H
#define PORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Both programs. */
void port_init(void);                                    /* clocks, console output, motor output off; may be repeated */
void port_write(const char *characters, size_t length); /* to the console; returns when the last one is with the UART */
void port_motor(bool on);                                /* the pump's drive */
_Noreturn void port_halt(void);                          /* for ever, asleep, answering nothing */

/* Application. */
void port_start(void);                  /* console input and the tick; enables interrupts */
bool port_read(uint8_t *character);     /* next console character, if there is one */
bool port_read_overrun(void);           /* true once after the UART lost characters */
uint32_t port_milliseconds(void);       /* since port_start(); to be called at least hourly; wraps after 49.7 days */
void port_sleep(void);                  /* until input arrives, 10 ms at most */
bool port_ram_passes(void);             /* tests all of RAM, leaving it as it was; enables interrupts */
const char *port_serial(void);          /* the device's serial number */
_Noreturn void port_reset(void);

/* Bootloader. Erased flash is all ones; programming can only clear bits. False if the flash does not hold the result. */
bool port_flash_erase(const uint32_t *start, uint32_t size); /* whole pages */
bool port_flash_program(const uint32_t *start, const uint32_t *words, uint32_t count);
_Noreturn void port_start_program(const uint32_t *vectors);  /* hands over to the program with this vector table */

#endif
