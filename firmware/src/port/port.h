/*
 * SPDX-License-Identifier: Apache-2.0
 * What the portable code asks of a board. Each folder beside this file implements it once; addresses come from the
 * board manifest through the generated build_config.h. On the host, tests implement it on arrays.
 */
#ifndef PORT_H
#define PORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/handover.h"

enum port_uart {
    PORT_CONSOLE, /* console and SMP; on a board with one UART also the plant link */
    PORT_PLANT    /* the plant link; the same UART as PORT_CONSOLE where PLANT_SHARES_CONSOLE is 1 */
};

/* --- both programs ---------------------------------------------------------------------------------------------- */

void port_init(void);                                                    /* clocks, UART output, outputs safe; may be repeated */
void port_write(enum port_uart uart, const char *bytes, size_t length); /* returns when the last one is with the UART */
void port_motor(bool on);                                                /* the drive's enable line; off is the safe state */
_Noreturn void port_halt(void);                                          /* for ever, asleep, answering nothing */
_Noreturn void port_reset(void);
struct handover *port_handover(void);                                    /* kept over every reset but a power cycle */

/*
 * Flash, in five functions. Offsets count from the flash's first byte. Erased flash is all ones and programming can only
 * clear bits: a program that would set one is refused, on every board, also where the memory itself would allow it.
 * Both return false if the flash does not hold the result. Interrupts may be held off meanwhile.
 */
uint32_t port_flash_page(void);                  /* bytes of the unit that is erased, FLASH_PAGE_SIZE */
const uint8_t *port_flash_at(uint32_t offset);   /* where that byte is read */
bool port_flash_blank(uint32_t offset, uint32_t size);
bool port_flash_erase(uint32_t offset);          /* the page that begins there */
bool port_flash_program(uint32_t offset, const uint32_t *words, uint32_t count); /* 4-byte aligned, within one page */

/* --- bootloader ------------------------------------------------------------------------------------------------- */

/* Whether the payload (its first bytes, and the address it runs at) can be a program for this board. */
bool port_program_fits(const uint8_t *payload, uint32_t payload_size, uint32_t run_address);
_Noreturn void port_start_program(uint32_t run_address); /* hands over to the program whose payload lies there */

/* --- application ------------------------------------------------------------------------------------------------ */

void port_start(void);                                  /* UART input and the tick; enables interrupts */
bool port_read(enum port_uart uart, uint8_t *byte);     /* the next byte, if there is one */
bool port_read_overrun(enum port_uart uart);            /* true once after the UART lost bytes */
uint32_t port_milliseconds(void);                       /* since port_start(); to be called at least hourly; wraps after 49.7 days */
void port_sleep(void);                                  /* until input arrives or the next tick, TICK_MS at most */
bool port_ram_passes(void);                             /* March C- over all of RAM, leaving it as it was */
const char *port_serial(void);                          /* the device's serial number */

/*
 * The hardware watchdog, where the machine models one (WATCHDOG_MODELLED is 1); elsewhere these do nothing. It resets the
 * device `milliseconds` after it was started or last fed.
 */
void port_watchdog_start(uint32_t milliseconds);
void port_watchdog_feed(void);

/* Given by the application, called by the board's tick interrupt every TICK_MS. */
void tick_interrupt(void);

#endif
