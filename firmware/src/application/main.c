/*
 * SPDX-License-Identifier: Apache-2.0
 * The application: an infusion-pump controller on a console. Demonstration, not a medical device.
 *
 * The main loop takes console lines, lets the pump's time pass and sleeps until the next tick or character.
 */
#include "application/command.h"
#include "application/line.h"
#include "application/pump.h"
#include "application/selftest.h"
#include "build_config.h"
#include "core/text.h"
#include "port/port.h"

static struct pump pump;
static uint32_t pump_time; /* port_milliseconds() up to which the pump has come */
static struct line line;

static void print(struct text *text)
{
    text_string(text, "\r\n");
    port_write(text->line, text->length);
}

static void print_string(const char *string)
{
    struct text text;
    text_start(&text);
    text_string(&text, string);
    print(&text);
}

static void let_time_pass(void)
{
    const uint32_t now = port_milliseconds();
    pump_advance(&pump, now - pump_time);
    pump_time = now;
}

static void run_command(void)
{
    struct text text;
    let_time_pass();
    const enum command_effect effect = command_run(line.text, &pump, &text);
    print(&text);
    if (effect == COMMAND_OCCLUSION_EVENT) {
        text_start(&text);
        text_string(&text, "event: alarm occlusion pressure=");
        text_unsigned(&text, pump.pressure);
        print(&text);
    } else if (effect == COMMAND_RESET) {
        port_reset();
    } else {
        /* The reply was everything. */
    }
}

static void take_character(uint8_t character)
{
    const enum line_result result = line_take(&line, character);
    if (result == LINE_COMPLETE) {
        run_command();
    } else if (result == LINE_TOO_LONG) {
        print_string("ERR line-too-long");
    } else if (result == LINE_GARBLED) {
        print_string("ERR unknown-command");
    } else {
        /* More of the line is to come. */
    }
}

/* A device that cannot trust itself does not become ready. */
static void power_on_selftest(void)
{
    const char *const failure = selftest_failure();
    if (failure != NULL) {
        struct text text;
        text_start(&text);
        text_string(&text, "fault: selftest ");
        text_string(&text, failure);
        print(&text);
        port_halt();
    }
}

int main(void)
{
    port_init();
    pump_init(&pump);
    line_init(&line);
    power_on_selftest();
    port_start();
    print_string("app: ready board=" BOARD_NAME " version=" BUILD_VERSION);
    for (;;) {
        uint8_t character;

        let_time_pass();
        if (port_read_overrun()) {
            line_lost(&line);
        }
        while (port_read(&character)) {
            take_character(character);
        }
        port_sleep();
    }
}
