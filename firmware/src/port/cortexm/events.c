/*
 * SPDX-License-Identifier: Apache-2.0
 * Console input, time and sleep, the same on every board. See events.h and port.h.
 */
#include "port/cortexm/events.h"

#include "core/ring.h"
#include "port/cortexm/scs.h"
#include "port/port.h"

static struct ring input;

void events_character(uint8_t character)
{
    ring_put(&input, character);
    if (ring_is_full(&input)) {
        NVIC_ICER = board_console_interrupt;
    }
}

bool port_read(uint8_t *character)
{
    const bool available = ring_get(&input, character);
    if (available) {
        NVIC_ISER = board_console_interrupt;
    }
    return available;
}

uint32_t port_milliseconds(void)
{
    static uint32_t milliseconds;
    static uint32_t taken; /* the counter's value up to which milliseconds counts */

    const uint32_t whole = (board_microseconds() - taken) / 1000u;
    milliseconds += whole;
    taken += whole * 1000u;
    return milliseconds;
}

void port_sleep(void)
{
    /* An interrupt that comes after the test, while masked, still ends the wait and runs once unmasked. */
    cpu_disable_interrupts();
    if (ring_is_empty(&input)) {
        cpu_wait_for_interrupt();
    }
    cpu_enable_interrupts();
}
