/*
 * SPDX-License-Identifier: Apache-2.0
 * UART input, time and sleep, the same on every board. See events.h and port.h.
 */
#include "port/common/events.h"

#include "core/ring.h"
#include "port/common/cpu.h"

#define TICK_LEAST 20u /* us ahead that a tick must be, to be sure not to be missed */

static struct ring input[UARTS];
static bool held_off[UARTS];

static uint32_t index_of(enum port_uart uart)
{
    return ((PLANT_SHARES_CONSOLE == 0u) && (uart == PORT_PLANT)) ? 1u : 0u;
}

bool events_byte(uint32_t uart, uint8_t byte)
{
    ring_put(&input[uart], byte);
    const bool room = !ring_is_full(&input[uart]);
    if (!room) {
        held_off[uart] = true;
        board_receive(uart, false);
    }
    return room;
}

bool port_read(enum port_uart uart, uint8_t *byte)
{
    const uint32_t index = index_of(uart);
    /* An interrupt in between could fill the ring again, and the byte after it would find reception on and no room. */
    const uint32_t before = cpu_mask();
    const bool available = ring_get(&input[index], byte);
    if (available && held_off[index]) {
        held_off[index] = false;
        board_receive(index, true);
    }
    cpu_restore(before);
    return available;
}

uint32_t events_until_tick(void)
{
    static uint32_t next; /* us */

    const uint32_t now = board_microseconds();
    next += TICK_MICROSECONDS;
    if (((next - now) < TICK_LEAST) || ((next - now) > TICK_MICROSECONDS)) {
        next = now + TICK_MICROSECONDS;
    }
    return next - now;
}

/* Called by the main loop and by the tick: both must see time only rise. */
uint32_t port_milliseconds(void)
{
    static uint32_t milliseconds;
    static uint32_t taken; /* the counter's value up to which milliseconds counts */

    const uint32_t before = cpu_mask();
    const uint32_t whole = (board_microseconds() - taken) / 1000u;
    milliseconds += whole;
    taken += whole * 1000u;
    const uint32_t result = milliseconds;
    cpu_restore(before);
    return result;
}

void port_sleep(void)
{
    bool empty = true;
    /* An interrupt that comes after the test, while held off, still ends the wait and runs afterwards. */
    const uint32_t before = cpu_mask();
    for (uint32_t uart = 0u; uart < UARTS; uart++) {
        empty = empty && ring_is_empty(&input[uart]);
    }
    if (empty) {
        cpu_wait();
    }
    cpu_restore(before);
}
