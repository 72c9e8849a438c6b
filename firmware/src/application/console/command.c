/*
 * SPDX-License-Identifier: Apache-2.0
 * The console commands: which function answers which, and those that concern the device as a whole. See command.h.
 * @realises DSG-016
 */
#include "application/console/command.h"

#include "application/console/parse.h"
#include "application/console/pump_commands.h"
#include "application/safety/reset.h"
#include "application/safety/running_image.h"
#include "application/safety/selftest.h"
#include "build_config.h"
#include "core/update.h"
#include "core/verify.h"

static void put_number(struct text *reply, const char *key, uint32_t value)
{
    text_string(reply, key);
    text_unsigned(reply, value);
}

static void run_id(struct text *reply)
{
    struct image image;
    uint8_t digest[SHA256_SIZE];
    if (!running_image_read(&image, digest)) {
        text_string(reply, "ERR id image");
        return;
    }
    put_number(reply, "OK id board=" BOARD_NAME " version=", image.version.major);
    put_number(reply, ".", image.version.minor);
    put_number(reply, ".", image.version.revision);
    put_number(reply, "+", image.version.build);
    text_string(reply, " commit=" BUILD_COMMIT " digest=");
    text_bytes(reply, digest, SHA256_SIZE);
    text_string(reply, " key=");
    text_string(reply, verify_trusted_kind());
    text_string(reply, " serial=");
    text_string(reply, port_serial());
}

static void run_log(const struct device *device, struct text *reply)
{
    put_number(reply, "OK log count=", device->log.count);
    put_number(reply, " oldest=", (device->log.count == 0u) ? 0u : device->log.oldest);
    put_number(reply, " newest=", eventlog_newest(&device->log));
}

static void run_log_entry(const struct device *device, const struct command *command, struct text *reply)
{
    struct eventlog_record record;
    if (!eventlog_read(&device->log, command->numbers[0], &record)) {
        text_string(reply, "ERR log no-entry");
    } else {
        put_number(reply, "OK log seq=", record.sequence);
        put_number(reply, " time=", record.time);
        text_string(reply, " event=");
        text_string(reply, eventlog_name(record.event));
        put_number(reply, " value=", record.value);
    }
}

static void run_boot(struct text *reply)
{
    const struct handover *const handover = port_handover();
    const struct slot_trailer slot0 = update_trailer(SLOT0_OFFSET, SLOT0_SIZE);
    const bool told = handover_told(handover);
    const uint32_t refused = told ? handover->refused : (uint32_t)IMAGE_RESULTS;
    text_string(reply, "OK boot action=");
    text_string(reply, told ? handover_action(handover->action) : "unknown");
    text_string(reply, " swap=");
    text_string(reply, told ? update_swap_name(handover->swap_type) : "unknown");
    text_string(reply, " refused=");
    text_string(reply, (refused == (uint32_t)IMAGE_OK) ? "none" : image_reason((enum image_result)refused));
    text_string(reply, update_confirmed(&slot0) ? " confirmed=yes reset=" : " confirmed=no reset=");
    text_string(reply, reset_name((uint32_t)reset_reason()));
    text_string(reply, " detail=");
    text_word(reply, reset_detail());
}

static void run_selftest(struct device *device, struct text *reply)
{
    const char *const failure = selftest_failure();
    if (failure == NULL) {
        text_string(reply, "OK selftest ram=pass image=pass sha256=pass watchdog=pass config=pass");
    } else {
        text_string(reply, "ERR selftest ");
        text_string(reply, failure);
        (void)eventlog_add(&device->log, port_milliseconds(), EVENT_SELFTEST_FAILED, 0u);
        pump_fault(&device->pump);
    }
}

static enum command_effect run_crash(const struct device *device, enum command_effect effect, struct text *reply)
{
    enum command_effect allowed = COMMAND_NOTHING;
    if (device->pump.state == PUMP_IDLE) {
        text_string(reply, "OK crash");
        allowed = effect;
    } else {
        text_string(reply, "ERR crash state=");
        text_string(reply, pump_state_name(device->pump.state));
    }
    return allowed;
}

static enum command_effect run(struct device *device, const struct command *command, struct text *reply)
{
    enum command_effect effect = COMMAND_NOTHING;
    switch (command->id) {
    case COMMAND_ID:
        run_id(reply);
        break;
    case COMMAND_STATUS:
        pump_command_status(device, reply);
        break;
    case COMMAND_PROGRAM:
        pump_command_program(device, command, reply);
        break;
    case COMMAND_CONFIRM:
    case COMMAND_CONFIRM_OVERRIDE:
        pump_command_confirm(device, command, reply);
        break;
    case COMMAND_START:
        pump_command_start(device, reply);
        break;
    case COMMAND_STOP:
        pump_stop(&device->pump);
        text_string(reply, "OK stop");
        break;
    case COMMAND_BOLUS:
        pump_command_bolus(device, command, reply);
        break;
    case COMMAND_ALARM:
        pump_command_alarm(device, reply);
        break;
    case COMMAND_ALARM_SILENCE:
        pump_command_silence(device, reply);
        break;
    case COMMAND_ALARM_CLEAR:
        pump_command_clear(device, reply);
        break;
    case COMMAND_CONFIG:
    case COMMAND_CONFIG_KVO:
    case COMMAND_CONFIG_OCCLUSION:
        pump_command_config(device, command, reply);
        break;
    case COMMAND_LOG:
        run_log(device, reply);
        break;
    case COMMAND_LOG_ENTRY:
        run_log_entry(device, command, reply);
        break;
    case COMMAND_BOOT:
        run_boot(reply);
        break;
    case COMMAND_LIBRARY:
        pump_command_library(device, reply);
        break;
    case COMMAND_LIBRARY_DRUG:
        pump_command_drug(device, command, reply);
        break;
    case COMMAND_SELFTEST:
        run_selftest(device, reply);
        break;
    case COMMAND_STACK:
        put_number(reply, "OK stack size=", STACK_SIZE);
        put_number(reply, " used=", device_stack_used());
        break;
    case COMMAND_CRASH_FAULT:
        effect = run_crash(device, COMMAND_CRASHES_FAULT, reply);
        break;
    case COMMAND_CRASH_HANG:
        effect = run_crash(device, COMMAND_CRASHES_HANG, reply);
        break;
    case COMMAND_CRASH_STACK:
        effect = run_crash(device, COMMAND_CRASHES_STACK, reply);
        break;
    case COMMAND_RESET:
    default: /* there is no other */
        pump_stop(&device->pump);
        text_string(reply, "OK reset");
        effect = COMMAND_RESETS;
        break;
    }
    return effect;
}

enum command_effect command_run(struct device *device, const char *line, struct text *reply)
{
    struct command command;
    enum command_effect effect = COMMAND_NOTHING;
    text_start(reply);
    const enum parse_result result = parse_line(line, &command);
    if (result == PARSE_DONE) {
        effect = run(device, &command, reply);
    } else {
        text_string(reply, (result == PARSE_BAD_ARGUMENT) ? "ERR bad-argument" : "ERR unknown-command");
    }
    port_motor(pump_drive(&device->pump));
    return effect;
}
