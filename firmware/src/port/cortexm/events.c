/*
 * SPDX-License-Identifier: Apache-2.0
 * Console input, time and sleep, the same on every board. See events.h and port.h.
 */
#include "port/cortexm/events.h"

#include "core/ring.h"
#include "port/cortexm/scs.h"
#include "port/port.h"

static struct ring input;
static volatile uint32_t milliseconds;

void events_millisecond(void)
{
    milliseconds++;
}

void events_character(uint8_t character)
{
    ring_put(&input, character);
}

bool port_read(uint8_t *character)
{
    return ring_get(&input, character);
}

bool port_read_overrun(void)
{
    return ring_take_lost(&input);
}

uint32_t port_milliseconds(void)
{
    return milliseconds;
}

void port_sleep(uint32_t since)
{
    /* An interrupt that comes after the test, while masked, still ends the wait and runs once unmasked. */
    cpu_disable_interrupts();
    if ((milliseconds == since) && (input.written == input.read)) {
        cpu_wait_for_interrupt();
    }
    cpu_enable_interrupts();
}
