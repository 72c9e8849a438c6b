/*
 * SPDX-License-Identifier: Apache-2.0
 * Drive, clock, input and reset on the host. See board.h.
 */
#include "sim/board.h"

#include <stdio.h>
#include <stdlib.h>

#include "build_config.h"
#include "sim/flash.h"

#define INPUT_SIZE 4096u

struct input {
    uint8_t bytes[INPUT_SIZE];
    size_t written;
    size_t read;
    bool overrun;
};

static struct input inputs[2];
static bool motor;
static bool ram_passes = true;
static uint32_t now;
static uint32_t resets;
static uint32_t halts;
static uint32_t watchdog;
static uint32_t watchdog_feeds;
static void (*sleep_hook)(void);

void sim_board_start(void)
{
    for (size_t i = 0u; i < 2u; i++) {
        inputs[i].written = 0u;
        inputs[i].read = 0u;
        inputs[i].overrun = false;
    }
    motor = false;
    ram_passes = true;
    now = 0u;
    resets = 0u;
    halts = 0u;
    watchdog = 0u;
    watchdog_feeds = 0u;
    sleep_hook = NULL;
}

bool sim_motor(void)
{
    return motor;
}

void sim_time_set(uint32_t milliseconds)
{
    now = milliseconds;
}

void sim_time_pass(uint32_t milliseconds)
{
    now += milliseconds;
}

void sim_on_sleep(void (*hook)(void))
{
    sleep_hook = hook;
}

void sim_receive(enum port_uart uart, const void *bytes, size_t length)
{
    struct input *const input = &inputs[uart];
    const uint8_t *const from = bytes;
    if (input->read == input->written) {
        input->read = 0u;
        input->written = 0u;
    }
    if (length > (INPUT_SIZE - input->written)) {
        (void)fprintf(stderr, "board: more input than the simulated UART holds\n");
        abort();
    }
    for (size_t i = 0u; i < length; i++) {
        input->bytes[input->written] = from[i];
        input->written++;
    }
}

void sim_receive_overrun(enum port_uart uart)
{
    inputs[uart].overrun = true;
}

void sim_ram_passes(bool passes)
{
    ram_passes = passes;
}

uint32_t sim_resets(void)
{
    return resets;
}

uint32_t sim_halts(void)
{
    return halts;
}

uint32_t sim_watchdog(void)
{
    return watchdog;
}

uint32_t sim_watchdog_feeds(void)
{
    return watchdog_feeds;
}

void port_init(void)
{
    motor = false;
}

void port_start(void)
{
}

void port_motor(bool on)
{
    motor = on;
}

_Noreturn void port_reset(void)
{
    resets++;
    sim_flash_lose_power();
}

_Noreturn void port_halt(void)
{
    halts++;
    sim_flash_lose_power();
}

bool port_read(enum port_uart uart, uint8_t *byte)
{
    struct input *const input = &inputs[uart];
    const bool some = input->read < input->written;
    if (some) {
        *byte = input->bytes[input->read];
        input->read++;
    }
    return some;
}

bool port_read_overrun(enum port_uart uart)
{
    const bool overrun = inputs[uart].overrun;
    inputs[uart].overrun = false;
    return overrun;
}

uint32_t port_milliseconds(void)
{
    return now;
}

void port_sleep(void)
{
    now += TICK_MS;
    if (sleep_hook != NULL) {
        sleep_hook();
    }
}

bool port_ram_passes(void)
{
    return ram_passes;
}

const char *port_serial(void)
{
    return "HOST0001";
}

void port_watchdog_start(uint32_t milliseconds)
{
    watchdog = milliseconds;
}

void port_watchdog_feed(void)
{
    watchdog_feeds++;
}
