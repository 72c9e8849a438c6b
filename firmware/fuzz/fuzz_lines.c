/*
 * SPDX-License-Identifier: Apache-2.0
 * Fuzzer of the console and the plant link, from the UART's bytes to the pump. Bytes are what comes in, but for 0xff: a tick of
 * 10 ms, and 0xfe: the UART lost bytes.
 *
 * Claims: the drive is on only while the pump delivers; a line that is refused, or is no right frame, changes nothing but the
 * link's own counters and view. What is a right frame is judged here, by code of its own.
 */
#include <string.h>

#include "application/device.h"
#include "application/safety/reset.h"
#include "build_config.h"
#include "core/update.h"
#include "fuzz.h"
#include "sim/board.h"
#include "sim/device.h"
#include "sim/flash.h"
#include "sim/port.h"

#define TICK 0xffu
#define LOSS 0xfeu

struct input {
    const uint8_t *data;
    size_t size;
};

static struct device fresh;  /* as after power-on */
static struct device device;
static struct device before; /* as before the line under way */
static uint8_t line[4096];
static size_t length;
static bool lost;
static uint32_t operations;

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    static const struct config config = {.kvo = CONFIG_KVO_DEFAULT, .occlusion = CONFIG_OCCLUSION_DEFAULT};
    (void)argc;
    (void)argv;
    fuzz_flash_make();
    sim_board_start();
    *port_handover() = (struct handover){.proven = HANDOVER_PROVEN_MARK};
    handover_tell(port_handover(), BOOT_NONE, SWAP_NONE, IMAGE_OK);
    reset_open();
    device_start(&device, &config, CONFIG_WHOLE, NULL);
    fresh = device;
    return 0;
}

/* --- the judge ------------------------------------------------------------------------------------------------------ */

static unsigned crc_of(const uint8_t *bytes, size_t count)
{
    unsigned crc = 0u;
    for (size_t i = 0u; i < (count * 8u); i++) {
        const unsigned bit = (bytes[i / 8u] >> (7u - (i % 8u))) & 1u;
        const unsigned top = (crc >> 15) & 1u;
        crc = ((crc << 1) & 0xffffu) ^ (((top ^ bit) != 0u) ? 0x1021u : 0u);
    }
    return crc;
}

static bool is_right_frame(void)
{
    static const char digits[] = "0123456789abcdef";
    char expected[5];
    bool right = !lost && (length == 30u) && (line[1] == 'S');
    for (size_t i = 2u; right && (i < length); i++) {
        right = (line[i] != 0u) && (strchr(digits, line[i]) != NULL);
    }
    if (right) {
        const unsigned crc = crc_of(&line[1], 25u);
        for (size_t i = 0u; i < 4u; i++) {
            expected[i] = digits[(crc >> (12u - (4u * i))) & 15u];
        }
        right = memcmp(expected, &line[26], 4u) == 0;
    }
    return right;
}

static bool is_smp(void)
{
    return (length >= 2u) && (((line[0] == 0x06u) && (line[1] == 0x09u)) || ((line[0] == 0x04u) && (line[1] == 0x14u)));
}

/* Everything but the readers' own buffers. */
static bool nothing_changed(void)
{
    return (memcmp(&before.pump, &device.pump, sizeof device.pump) == 0) &&
           (memcmp(&before.config, &device.config, sizeof device.config) == 0) &&
           (memcmp(&before.library, &device.library, sizeof device.library) == 0) &&
           (memcmp(&before.log, &device.log, sizeof device.log) == 0) && (before.steps == device.steps) &&
           (before.trial == device.trial) && (operations == sim_flash_operations());
}

static bool sensors_same(void)
{
    struct sensors now = device.plant.sensors;
    now.bad_in_a_row = before.plant.sensors.bad_in_a_row;
    return memcmp(&now, &before.plant.sensors, sizeof now) == 0;
}

static bool replied(const char *text)
{
    return strcmp(sim_console(), text) == 0;
}

/* A line has ended. */
static void judge(void)
{
    CLAIM(sim_motor() == pump_drive(&device.pump));
    if ((length > 0u) && (line[0] == 0x02u)) {
        CLAIM(nothing_changed()); /* what sensors say is acted on at the next tick */
        CLAIM(replied(""));
        CLAIM(is_right_frame() || sensors_same());
        CLAIM(is_right_frame() == (device.plant.corrupt == before.plant.corrupt));
    } else if (is_smp()) {
        CLAIM(sensors_same());
        CLAIM(!replied("") || device.smp.image.erasing.under_way || nothing_changed());
    } else if ((length == 0u) && !lost) {
        CLAIM(nothing_changed() && sensors_same() && replied(""));
    } else {
        CLAIM(sensors_same());
        CLAIM((length <= LINES_CONSOLE_MAX) || replied("ERR line-too-long\r\n"));
        CLAIM(!lost || replied("ERR unknown-command\r\n") || replied("ERR line-too-long\r\n"));
        if ((strncmp(sim_console(), "ERR", 3u) == 0) && (strncmp(sim_console(), "ERR selftest", 12u) != 0)) {
            CLAIM(strchr(sim_console(), '\n') == &sim_console()[strlen(sim_console()) - 1u]);
            CLAIM(nothing_changed());
        }
        CLAIM((strncmp(sim_console(), "ERR ", 4u) == 0) || (strncmp(sim_console(), "OK ", 3u) == 0));
    }
}

/* --- the run -------------------------------------------------------------------------------------------------------- */

static void begin_line(void)
{
    length = 0u;
    lost = false;
    before = device;
    operations = sim_flash_operations();
    sim_console_clear();
}

static void take(uint8_t byte)
{
    if ((byte == (uint8_t)'\n') || (byte == (uint8_t)'\r')) {
        before = device;
        operations = sim_flash_operations();
        sim_console_clear();
        device_receive(&device, PORT_CONSOLE, byte);
        judge();
        begin_line();
    } else {
        if (length < sizeof line) {
            line[length] = byte;
            length++;
        }
        device_receive(&device, PORT_CONSOLE, byte);
    }
}

static void run(void *context)
{
    const struct input *const input = context;
    for (size_t i = 0u; i < input->size; i++) {
        const uint8_t byte = input->data[i];
        if (byte == TICK) {
            sim_time_pass(TICK_MS);
            (void)device_turn(&device);
            CLAIM(sim_motor() == pump_drive(&device.pump));
        } else if (byte == LOSS) {
            lost = true;
            lines_lose(&device.lines[PORT_CONSOLE]);
        } else {
            take(byte);
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input input = {.data = data, .size = size};
    fuzz_flash_restore();
    sim_board_start();
    sim_device_start();
    sim_plant_clear();
    device = fresh;
    begin_line();
    (void)sim_flash_powered(run, &input); /* false: a reset or a crash was asked for */
    return 0;
}
