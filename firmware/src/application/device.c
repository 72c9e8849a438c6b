/*
 * SPDX-License-Identifier: Apache-2.0
 * The application as a whole. See device.h.
 */
#include "application/device.h"

#include "application/console/command.h"
#include "application/safety/deadline.h"
#include "application/safety/reset.h"
#include "build_config.h"
#include "core/text.h"
#include "core/update.h"
#include "core/verify.h"

/*
 * What one turn does at most. A turn with that many ticks to make up for is later than the deadline monitor allows, and more
 * input than that waits for the next turn, so that no sender can keep the control loop from its ticks.
 */
#define TICKS_A_TURN 100u
#define BYTES_A_TURN 128u

static void print(struct text *text)
{
    text_string(text, "\r\n");
    port_write(PORT_CONSOLE, text->line, text->length);
}

static void print_string(const char *string)
{
    struct text text;
    text_start(&text);
    text_string(&text, string);
    print(&text);
}

static void log_event(struct device *device, enum event event, uint32_t value)
{
    /* A log that cannot be written must not keep the pump from its work. */
    (void)eventlog_add(&device->log, port_milliseconds(), event, (uint16_t)value);
}

/* --- what the pump did --------------------------------------------------------------------------------------------- */

static void print_alarm(const struct pump_event *event)
{
    const enum alarm alarm = (enum alarm)event->value;
    struct text text;
    text_start(&text);
    text_string(&text, "event: alarm ");
    text_string(&text, alarm_name(alarm));
    if (event->event == (uint16_t)EVENT_ALARM) {
        text_string(&text, " priority=");
        text_string(&text, alarm_priority_name(alarm_priority(alarm)));
    } else {
        text_string(&text, " ended");
    }
    print(&text);
}

void device_follow(struct device *device)
{
    struct pump_event event;
    port_motor(pump_drive(&device->pump));
    while (pump_next_event(&device->pump, &event)) {
        if ((event.event == (uint16_t)EVENT_ALARM) || (event.event == (uint16_t)EVENT_ENDED)) {
            print_alarm(&event);
        }
        log_event(device, (enum event)event.event, event.value);
    }
}

/* --- lines --------------------------------------------------------------------------------------------------------- */

static void crash(enum command_effect effect)
{
    if (effect == COMMAND_CRASHES_FAULT) {
        device_crash_fault();
    } else if (effect == COMMAND_CRASHES_HANG) {
        device_crash_hang();
    } else {
        device_crash_stack();
    }
}

static void run_command(struct device *device, const char *line)
{
    struct text reply;
    const enum command_effect effect = command_run(device, line, &reply);
    print(&reply);
    device_follow(device);
    if (effect == COMMAND_RESETS) {
        reset_now(RESET_COMMAND);
    } else if (effect != COMMAND_NOTHING) {
        crash(effect);
    } else {
        /* The reply was everything. */
    }
}

static void confirmed(struct device *device)
{
    device->trial = false;
    log_event(device, EVENT_IMAGE_CONFIRMED, 0u);
    print_string("event: image-confirmed");
}

void device_load_library(struct device *device)
{
    static const struct data_region region = {.offset = LIBRARY_OFFSET, .size = LIBRARY_SIZE};
    (void)library_load(&device->library, &region, IMAGE_HEADER_SIZE, verify_trusted_key());
}

static void run_smp(struct device *device, const uint8_t *line, size_t length)
{
    const struct smp_view view = {
        .delivering = pump_delivering(&device->pump),
        .trial = device->trial,
        .library = &device->library,
    };
    switch (smp_take(&device->smp, &view, line, length)) {
    case SMP_RESET:
        reset_now(RESET_COMMAND);
        break;
    case SMP_REQUESTED_TEST:
        log_event(device, EVENT_UPDATE_REQUESTED, 0u);
        break;
    case SMP_REQUESTED_PERMANENT:
        log_event(device, EVENT_UPDATE_REQUESTED, 1u);
        break;
    case SMP_CONFIRMED:
        confirmed(device);
        break;
    case SMP_LIBRARY_CHANGED:
        device_load_library(device);
        log_event(device, EVENT_LIBRARY, device->library.count);
        break;
    case SMP_NOTHING:
    default:
        /* The reply was everything. */
        break;
    }
}

/* A line of the console's UART that is none of the plant link. */
static void take_console(struct device *device, enum line_kind kind, const struct lines *lines)
{
    size_t length;
    const uint8_t *const bytes = lines_bytes(lines, &length);
    if (kind == LINE_CONSOLE) {
        run_command(device, lines_text(lines));
    } else if (kind == LINE_TOO_LONG) {
        print_string("ERR line-too-long");
    } else if (kind == LINE_GARBLED) {
        print_string("ERR unknown-command");
    } else if (kind == LINE_SMP) {
        run_smp(device, bytes, length);
    } else if (kind == LINE_SMP_BROKEN) {
        smp_take_broken(&device->smp);
    } else {
        /* A frame of the plant link, which has a UART of its own; or no line yet. */
    }
}

void device_receive(struct device *device, enum port_uart uart, uint8_t byte)
{
    struct lines *const lines = &device->lines[uart];
    const enum line_kind kind = lines_take(lines, byte);
    const bool plant_here = (uart == PORT_PLANT) || (PLANT_SHARES_CONSOLE != 0u);
    if (plant_here && (kind == LINE_PLANT)) {
        size_t length;
        const uint8_t *const bytes = lines_bytes(lines, &length);
        plant_take(&device->plant, bytes, length);
    } else if (plant_here && (kind == LINE_PLANT_BROKEN)) {
        plant_take_broken(&device->plant);
    } else if (uart == PORT_CONSOLE) {
        take_console(device, kind, lines);
    } else {
        /* The plant link has nothing else. */
    }
}

/* False if there is more than one turn takes. */
static bool receive(struct device *device, enum port_uart uart)
{
    uint32_t taken = 0u;
    uint8_t byte;
    if (port_read_overrun(uart)) {
        lines_lose(&device->lines[uart]);
    }
    while ((taken < BYTES_A_TURN) && port_read(uart, &byte)) {
        device_receive(device, uart, byte);
        taken++;
    }
    return taken < BYTES_A_TURN;
}

/* --- time ---------------------------------------------------------------------------------------------------------- */

static void send_frame(struct device *device)
{
    const struct pump *const pump = &device->pump;
    char frame[PLANT_OUT_SIZE];
    uint32_t flags = (uint32_t)alarm_standing_priority(&pump->alarms) << PLANT_OUT_PRIORITY_SHIFT;
    flags |= pump_drive(pump) ? PLANT_OUT_DRIVE : 0u;
    flags |= ((pump->state == PUMP_ALARM) || (pump->state == PUMP_FAULT)) ? PLANT_OUT_SAFE : 0u;
    flags |= (alarm_audio(&pump->alarms) == ALARM_AUDIO_PAUSED) ? PLANT_OUT_PAUSED : 0u;
    plant_write(&device->plant, device->steps, flags, frame);
    port_write(PORT_PLANT, frame, sizeof frame);
    plant_sent();
}

/* One control tick of 10 ms. */
static void tick(struct device *device)
{
    device->steps += pump_tick(&device->pump, &device->plant.sensors);
    device_follow(device);
    plant_tick(&device->plant);
    device->frame_ticks--;
    if (device->frame_ticks == 0u) {
        device->frame_ticks = PLANT_PERIOD_TICKS;
        send_frame(device);
    }
}

/* The ticks that are due. False if there are more than one turn makes. */
static bool pass_time(struct device *device)
{
    uint32_t ticks = 0u;
    uint32_t now = port_milliseconds();
    while ((ticks < TICKS_A_TURN) && ((now - device->time) >= TICK_MS)) {
        device->time += TICK_MS;
        tick(device);
        ticks++;
        now = port_milliseconds();
    }
    if (ticks > 0u) {
        deadline_checkpoint(now);
    }
    return ticks < TICKS_A_TURN;
}

/* @realises DSG-029 */
static void confirm_trial(struct device *device)
{
    if (device->trial && (device->pump.state != PUMP_FAULT) && (port_milliseconds() >= DEVICE_CONFIRM_MS) &&
        update_confirm()) {
        confirmed(device);
    }
}

/* --- the whole ----------------------------------------------------------------------------------------------------- */

void device_start(struct device *device, const struct config *config, enum config_found found, const char *failure)
{
    const struct slot_trailer slot0 = update_trailer(SLOT0_OFFSET, SLOT0_SIZE);
    device->config = *config;
    device_load_library(device);
    pump_init(&device->pump, &device->config, &device->library);
    eventlog_open(&device->log, LOG_OFFSET, LOG_SIZE);
    for (uint32_t i = 0u; i < DEVICE_UARTS; i++) {
        lines_init(&device->lines[i]);
    }
    plant_init(&device->plant);
    smp_init(&device->smp);
    device->steps = 0u;
    device->time = port_milliseconds();
    device->frame_ticks = PLANT_PERIOD_TICKS;
    device->trial = !update_confirmed(&slot0);
    log_event(device, EVENT_BOOT, (uint32_t)reset_reason());
    if (found == CONFIG_DAMAGED) {
        /* Nobody chose these settings: a limit that somebody had lowered is as high as ever. */
        log_event(device, EVENT_CONFIG, 0u);
        print_string("event: config defaults");
    }
    if (failure != NULL) {
        struct text text;
        text_start(&text);
        text_string(&text, "fault: selftest ");
        text_string(&text, failure);
        print(&text);
        log_event(device, EVENT_SELFTEST_FAILED, 0u);
        pump_fault(&device->pump);
    } else {
        print_string("app: ready board=" BOARD_NAME " version=" BUILD_VERSION);
    }
    device_follow(device);
}

/* @realises DSG-028 */
bool device_turn(struct device *device)
{
    bool done = receive(device, PORT_CONSOLE);
    if (PLANT_SHARES_CONSOLE == 0u) {
        done = receive(device, PORT_PLANT) && done;
    }
    done = pass_time(device) && done;
    smp_work(&device->smp);
    confirm_trial(device);
    return done && !device->smp.image.erasing.under_way;
}
