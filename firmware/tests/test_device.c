/*
 * SPDX-License-Identifier: Apache-2.0
 * The application as a whole on a simulated board: every console command's replies, sensors and motor over the plant link, events,
 * the log, the self-confirmation of a trial, and SMP's effects.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "application/device.h"
#include "application/link/crc16.h"
#include "application/safety/reset.h"
#include "build_config.h"
#include "core/update.h"
#include "core/verify.h"
#include "sim/board.h"
#include "sim/cbor.h"
#include "sim/device.h"
#include "sim/flash.h"
#include "sim/port.h"
#include "sim/signer.h"
#include "tests.h"

static struct device device;
static const struct config config = {.kvo = CONFIG_KVO_DEFAULT, .occlusion = CONFIG_OCCLUSION_DEFAULT};
static uint8_t buffer[8192];
static unsigned plant_sequence;

struct world {
    unsigned pressure;
    unsigned position;
    unsigned flags;
    unsigned battery;
    unsigned flow;
};

static struct world world;
static bool answers; /* the plant answers each frame */

static void put16(uint8_t *at, unsigned value)
{
    at[0] = (uint8_t)value;
    at[1] = (uint8_t)(value >> 8);
}

/* Drug 1: 1.0 to 5.0 ml/h soft, 0.5 to 10.0 hard; bolus to 200 µl at 20.0 ml/h, lockout 5 s, hourly 300 µl. */
static void load_library(uint32_t build)
{
    uint8_t payload[48] = {'D', 'L', 'I', 'B', 1u, 0u, 1u, 0u, 1u, 0u};
    memcpy(&payload[10], "test-drug", 9u);
    put16(&payload[24], 10u);
    put16(&payload[26], 50u);
    put16(&payload[28], 5u);
    put16(&payload[30], 100u);
    put16(&payload[32], 200u);
    put16(&payload[36], 200u);
    put16(&payload[38], 5u);
    put16(&payload[40], 300u);
    const struct signer_image wanted = {
        .version = {.major = 1u, .minor = 4u, .build = build},
        .header_size = IMAGE_HEADER_SIZE,
        .payload = payload,
        .payload_size = sizeof payload,
        .kind = IMAGE_DATA,
    };
    sim_flash_load(LIBRARY_OFFSET, buffer, signer_make(&wanted, buffer));
}

static void load_program(uint32_t offset, uint32_t build)
{
    const struct signer_image wanted = {
        .version = {.major = 2u, .minor = 1u, .build = build},
        .header_size = IMAGE_HEADER_SIZE,
        .payload_size = 3000u,
        .seed = build,
        .run_address = FLASH_BASE + SLOT0_OFFSET + IMAGE_HEADER_SIZE,
    };
    sim_flash_load(offset, buffer, signer_make(&wanted, buffer));
}

static void answer(void)
{
    char frame[64];
    const int length = snprintf(frame, sizeof frame, "\x02S%02x%04x%06x%02x%02x%08x", plant_sequence & 0xffu, world.pressure,
                                world.position, world.flags, world.battery, world.flow);
    const uint16_t crc = crc16_add(0u, (const uint8_t *)&frame[1], (size_t)length - 1u);
    const int whole = length + snprintf(&frame[length], sizeof frame - (size_t)length, "%04x\n", crc);
    plant_sequence++;
    sim_receive((PLANT_SHARES_CONSOLE != 0) ? PORT_CONSOLE : PORT_PLANT, frame, (size_t)whole);
}

static void run_ms(unsigned milliseconds)
{
    for (unsigned i = 0u; i < milliseconds; i += TICK_MS) {
        const uint32_t sent = sim_plant_sent();
        sim_time_pass(TICK_MS);
        while (!device_turn(&device)) {
        }
        if (answers && (sim_plant_sent() != sent)) {
            answer();
        }
    }
}

static void boot(const char *failure)
{
    device_start(&device, &config, CONFIG_WHOLE, failure);
}

static int start(void **state)
{
    (void)state;
    sim_flash_start(FLASH_SIZE, FLASH_PAGE_SIZE);
    signer_trust();
    load_program(SLOT0_OFFSET, 0u);
    load_library(5u);
    (void)config_store(&(struct config_region){.offset = CONFIG_OFFSET, .size = CONFIG_SIZE}, &config);
    sim_board_start();
    sim_device_start();
    *port_handover() = (struct handover){.proven = HANDOVER_PROVEN_MARK};
    handover_tell(port_handover(), BOOT_NONE, SWAP_NONE, IMAGE_OK);
    reset_open();
    sim_console_clear();
    sim_plant_clear();
    plant_sequence = 0u;
    answers = true;
    world = (struct world){.pressure = 50u, .position = 30000u, .flags = 4u, .battery = 90u, .flow = 0u};
    boot(NULL);
    assert_string_equal(sim_console(), "app: ready board=host version=0.0.0\r\n");
    sim_console_clear();
    return 0;
}

static void send(const char *line)
{
    sim_console_clear();
    sim_receive(PORT_CONSOLE, line, strlen(line));
    sim_receive(PORT_CONSOLE, "\n", 1u);
    while (!device_turn(&device)) {
    }
}

static void say(const char *line, const char *expected)
{
    char whole[512];
    send(line);
    (void)snprintf(whole, sizeof whole, "%s\r\n", expected);
    assert_string_equal(sim_console(), whole);
}

/* The reply begins so. */
static void begins(const char *line, const char *expected)
{
    send(line);
    assert_memory_equal(sim_console(), expected, strlen(expected));
}

static unsigned token_of_reply(void)
{
    unsigned token = 0u;
    assert_int_equal(sscanf(sim_console(), "OK program token=%u", &token), 1);
    return token;
}

static void program(unsigned rate)
{
    char line[80];
    (void)snprintf(line, sizeof line, "program syringe=2 drug=1 rate=%u vtbi=1000", rate);
    send(line);
}

static void confirm(const char *more)
{
    char line[64];
    (void)snprintf(line, sizeof line, "confirm token=%u%s", token_of_reply(), more);
    say(line, "OK confirm");
}

static void infuse(void)
{
    run_ms(300u);
    program(30u);
    confirm("");
    say("start", "OK start rate=30");
}

static void test_identity(void **state)
{
    (void)state;
    begins("id", "OK id board=host version=2.1.0+0 commit=0000000000000000000000000000000000000000 digest=");
    assert_non_null(strstr(sim_console(), " key=development serial=HOST0001\r\n"));
    say("stack", "OK stack size=4096 used=1234");
    say("selftest", "OK selftest ram=pass image=pass sha256=pass watchdog=pass config=pass");
    sim_flash_load(SLOT0_OFFSET, "none", 4u);
    say("id", "ERR id image");
}

static void test_the_bootloader_says_which_key_is_trusted(void **state)
{
    uint8_t erased[TRUST_SIZE];
    (void)state;
    memset(erased, 0xff, sizeof erased);
    assert_memory_equal(verify_trusted_key(), signer_key(), ED25519_KEY_SIZE);
    assert_string_equal(verify_trusted_kind(), "development");
    device_load_library(&device);
    assert_int_equal(device.library.count, 1u);
    sim_flash_load(BOOTLOADER_OFFSET + BOOTLOADER_SIZE - TRUST_SIZE, erased, sizeof erased);
    device_load_library(&device);
    assert_int_equal(device.library.count, 0u); /* the library is signed by a key that nobody trusts now */
    begins("id", "OK id board=host ");
    assert_non_null(strstr(sim_console(), " key=unknown serial="));
}

static void test_failing_selftest(void **state)
{
    (void)state;
    infuse();
    assert_true(sim_motor());
    sim_ram_passes(false);
    send("selftest");
    assert_string_equal(sim_console(), "ERR selftest ram\r\nevent: alarm fault priority=high\r\n");
    assert_false(sim_motor());
    begins("status", "OK status state=fault alarm=fault priority=high audio=on rate=0 ");
    say("alarm silence", "ERR alarm fault");
    say("alarm clear", "ERR alarm fault");
    say("start", "ERR start state=fault");
}

static void test_settings_that_are_lost_are_told(void **state)
{
    (void)state;
    device_start(&device, &config, CONFIG_DAMAGED, NULL);
    assert_string_equal(sim_console(), "event: config defaults\r\napp: ready board=host version=0.0.0\r\n");
    begins("log 3", "OK log seq=3 time=0 event=config value=0\r\n");
}

static void test_failed_power_on(void **state)
{
    (void)state;
    sim_console_clear();
    boot("image");
    assert_string_equal(sim_console(), "fault: selftest image\r\nevent: alarm fault priority=high\r\n");
    begins("status", "OK status state=fault alarm=fault ");
    sim_plant_clear();
    run_ms(100u);
    assert_memory_equal(&sim_plant()[12], "0e", 2u); /* safe state, high */
}

static void test_status(void **state)
{
    (void)state;
    say("status", "OK status state=idle alarm=none priority=none audio=off rate=0 volume=0 vtbi=0 bolus=0 pressure=0 battery=0 "
                  "sensors=waiting uptime=0");
    run_ms(200u);
    say("status", "OK status state=idle alarm=none priority=none audio=off rate=0 volume=0 vtbi=0 bolus=0 pressure=50 battery=90 "
                  "sensors=fresh uptime=200");
    answers = false;
    run_ms(700u);
    begins("status", "OK status state=idle alarm=none priority=none audio=off rate=0 volume=0 vtbi=0 bolus=0 pressure=50 battery=90 "
                     "sensors=stale");
}

static void test_programme(void **state)
{
    (void)state;
    say("start", "ERR start state=idle");
    say("confirm token=1234", "ERR confirm state=idle");
    say("bolus volume=100", "ERR bolus state=idle");
    say("program syringe=9 drug=1 rate=30 vtbi=1000", "ERR program syringe");
    say("program syringe=2 drug=9 rate=30 vtbi=1000", "ERR program drug");
    say("program syringe=2 drug=1 rate=1001 vtbi=1000", "ERR program rate-limit");
    say("program syringe=2 drug=1 rate=101 vtbi=1000", "ERR program hard-limit");
    say("program syringe=2 drug=1 rate=30 vtbi=10001", "ERR program vtbi-limit");
    program(60u);
    assert_non_null(strstr(sim_console(), " limit=soft\r\n"));
    const unsigned token = token_of_reply();
    char line[64];
    (void)snprintf(line, sizeof line, "confirm token=%u", (token == 9999u) ? 1000u : token + 1u);
    say(line, "ERR confirm token");
    (void)snprintf(line, sizeof line, "confirm token=%u", token);
    say(line, "ERR confirm soft-limit");
    say("program syringe=2 drug=1 rate=30 vtbi=1000", "ERR program state=programmed");
    (void)snprintf(line, sizeof line, "confirm token=%u override", token);
    say(line, "OK confirm");
    program(30u);
    assert_non_null(strstr(sim_console(), " limit=none\r\n"));
    answers = false;
    run_ms(30100u);
    (void)snprintf(line, sizeof line, "confirm token=%u", token);
    say(line, "ERR confirm expired");
}

static void test_starts(void **state)
{
    static const struct {
        struct world world;
        const char *reply;
    } refused[] = {
        {{50u, 30000u, 6u, 90u, 0u}, "ERR start door"},
        {{50u, 30000u, 0u, 90u, 0u}, "ERR start syringe"},
        {{50u, 30000u, 5u, 90u, 0u}, "ERR start air"},
    };
    (void)state;
    program(30u);
    confirm("");
    say("start", "ERR start sensors");
    for (size_t i = 0u; i < (sizeof refused / sizeof refused[0]); i++) {
        world = refused[i].world;
        run_ms(300u);
        say("start", refused[i].reply);
    }
    world = (struct world){50u, 30000u, 4u, 5u, 0u};
    run_ms(300u);
    say("start", "ERR start battery");
    world = (struct world){600u, 30000u, 4u, 90u, 0u};
    run_ms(300u);
    say("start", "ERR start state=alarm");
    say("alarm clear", "ERR alarm occlusion");
    world.pressure = 50u;
    run_ms(300u);
    say("alarm", "OK alarm active=occlusion audio=on");
    say("alarm silence", "OK alarm silence seconds=120");
    say("alarm", "OK alarm active=occlusion audio=paused");
    send("alarm clear");
    assert_string_equal(sim_console(), "OK alarm clear\r\nevent: alarm occlusion ended\r\n");
    say("alarm clear", "ERR alarm none");
    say("alarm silence", "ERR alarm none");
    say("alarm", "OK alarm active=none audio=off");
}

static void test_plain_delivery(void **state)
{
    (void)state;
    infuse();
    assert_true(sim_motor());
    sim_plant_clear();
    run_ms(1000u);
    assert_int_equal(strlen(sim_plant()), 10u * PLANT_OUT_SIZE);
    assert_memory_equal(&sim_plant()[9u * PLANT_OUT_SIZE], "\x02M", 2u);
    assert_memory_equal(&sim_plant()[(9u * PLANT_OUT_SIZE) + 12u], "01", 2u); /* drive */
    assert_true(device.steps > 0u);
    begins("status", "OK status state=infusing alarm=none priority=none audio=off rate=30 volume=");
    say("bolus volume=100", "OK bolus volume=100");
    say("bolus volume=100", "ERR bolus state=bolus");
    say("config kvo=20", "ERR config state=bolus");
    say("crash fault", "ERR crash state=bolus");
    world.flags = 6u;
    run_ms(200u);
    assert_false(sim_motor());
    assert_non_null(strstr(sim_console(), "event: alarm door priority=high\r\n"));
    begins("status", "OK status state=alarm alarm=door priority=high audio=on rate=0 ");
    send("alarm silence");
    sim_plant_clear();
    run_ms(100u);
    assert_memory_equal(&sim_plant()[12], "1e", 2u); /* safe, high, paused */
    send("stop");
    assert_string_equal(sim_console(), "OK stop\r\n");
}

static void test_bolus_limits(void **state)
{
    (void)state;
    infuse();
    say("bolus volume=201", "ERR bolus hard-limit");
    say("bolus volume=20", "OK bolus volume=20");
    while (device.pump.state == PUMP_BOLUS) {
        world.flow = (unsigned)(device.pump.delivery.delivered / 1000u);
        run_ms(100u);
    }
    say("bolus volume=20", "ERR bolus lockout=5");
    for (unsigned i = 0u; i < 55u; i++) {
        world.flow = (unsigned)(device.pump.delivery.delivered / 1000u);
        run_ms(100u);
    }
    say("bolus volume=200", "OK bolus volume=200");
    send("stop");
    send("start");
    run_ms(100u);
    begins("bolus volume=200", "ERR bolus ");
}

/* A latched alarm that does not stop the pump keeps the next start back until it is cleared. */
static void test_start_after_completion(void **state)
{
    (void)state;
    run_ms(300u);
    send("program syringe=2 drug=1 rate=100 vtbi=100");
    confirm(" override");
    send("start");
    while (device.pump.state == PUMP_INFUSING) {
        world.flow = (unsigned)(device.pump.delivery.delivered / 1000u);
        run_ms(100u);
    }
    assert_non_null(strstr(sim_console(), "event: alarm complete priority=medium\r\n"));
    begins("status", "OK status state=kvo alarm=complete priority=medium audio=on rate=10 volume=100 vtbi=100 ");
    send("stop");
    program(30u);
    confirm("");
    say("start", "ERR start alarm=complete");
    send("alarm clear");
    assert_string_equal(sim_console(), "OK alarm clear\r\nevent: alarm complete ended\r\n");
    say("start", "OK start rate=30");
}

static void test_config(void **state)
{
    (void)state;
    say("config", "OK config kvo=10 occlusion=517 copies=2");
    say("config kvo=20", "OK config kvo=20 occlusion=517 copies=2");
    say("config occlusion=300", "OK config kvo=20 occlusion=300 copies=2");
    say("config kvo=51", "ERR config range");
    say("config occlusion=99", "ERR config range");
    sim_flash_fail_from(0u);
    say("config kvo=30", "ERR config flash");
    sim_flash_fail_from(UINT32_MAX);
    say("config", "OK config kvo=20 occlusion=300 copies=2");
}

static void test_log(void **state)
{
    (void)state;
    say("log", "OK log count=1 oldest=1 newest=1");
    say("log 1", "OK log seq=1 time=0 event=boot value=0");
    say("log 2", "ERR log no-entry");
    infuse();
    send("stop");
    say("log", "OK log count=5 oldest=1 newest=5");
    say("log 2", "OK log seq=2 time=300 event=program value=1");
    say("log 4", "OK log seq=4 time=300 event=start value=30");
    send("config kvo=20");
    say("log 6", "OK log seq=6 time=300 event=config value=20");
}

static void test_boot_decision(void **state)
{
    (void)state;
    say("boot", "OK boot action=none swap=none refused=none confirmed=yes reset=unknown detail=0x00000000");
    handover_tell(port_handover(), BOOT_REVERT, SWAP_REVERT, IMAGE_DOWNGRADE);
    say("boot", "OK boot action=revert swap=revert refused=downgrade confirmed=yes reset=unknown detail=0x00000000");
    port_handover()->boot_check++;
    say("boot", "OK boot action=unknown swap=unknown refused=unknown confirmed=yes reset=unknown detail=0x00000000");
    reset_note(RESET_FAULT);
    port_handover()->detail = 0x1234u;
    reset_open();
    begins("boot", "OK boot action=unknown swap=unknown refused=unknown confirmed=yes reset=fault detail=0x00001234");
}

static void test_library_commands(void **state)
{
    (void)state;
    begins("library", "OK library version=1.4.0+5 drugs=1 digest=");
    say("library 1", "OK library id=1 name=test-drug soft-min=10 soft-max=50 hard-min=5 hard-max=100 bolus-max=200 bolus-rate=200 "
                     "lockout=5 hourly=300");
    say("library 2", "ERR library drug");
    sim_flash_load(LIBRARY_OFFSET, "none", 4u);
    device_load_library(&device);
    say("library", "ERR library none");
    say("library 1", "ERR library none");
    say("program syringe=2 drug=1 rate=30 vtbi=1000", "ERR program no-library");
}

static void test_lines_that_are_refused(void **state)
{
    (void)state;
    infuse();
    const struct pump before = device.pump;
    say("x", "ERR unknown-command");
    say("stop now", "ERR unknown-command");
    say("bolus", "ERR bad-argument");
    say("sto\x01p", "ERR unknown-command");
    say("xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx", "ERR line-too-long");
    sim_receive_overrun(PORT_CONSOLE);
    say("stop", "ERR unknown-command");
    send("\x02Sno frame");
    assert_string_equal(sim_console(), "");
    send("\x06\x09no frame");
    assert_string_equal(sim_console(), "");
    sim_receive_overrun(PORT_CONSOLE);
    send("\x02S");
    sim_receive_overrun(PORT_CONSOLE);
    send("\x06\x09");
    assert_string_equal(sim_console(), "");
    assert_memory_equal(&before, &device.pump, sizeof before);
    assert_int_equal(device.plant.corrupt, 2u);
}

static const char *crash_line;

static void run_line(void *context)
{
    (void)context;
    send(crash_line);
}

static void test_resets_and_crashes(void **state)
{
    static const char *const crashes[] = {"crash fault", "crash hang", "crash stack"};
    (void)state;
    for (uint32_t i = 0u; i < 3u; i++) {
        crash_line = crashes[i];
        assert_false(sim_flash_powered(run_line, NULL));
        assert_string_equal(sim_console(), "OK crash\r\n");
        assert_int_equal(sim_crashes(), i + 1u);
    }
    infuse();
    crash_line = "reset";
    assert_false(sim_flash_powered(run_line, NULL));
    assert_string_equal(sim_console(), "OK reset\r\n");
    assert_int_equal(sim_resets(), 1u);
    assert_false(sim_motor());
    reset_open();
    assert_int_equal(reset_reason(), RESET_COMMAND);
}

static void make_trial(void)
{
    const struct update_slot slot0 = {.offset = SLOT0_OFFSET, .size = SLOT0_SIZE};
    assert_true(update_write_swap(&slot0, SWAP_TEST, 3u) && update_write_magic(&slot0) && update_write_copy_done(&slot0));
}

static void test_trial_confirms_itself(void **state)
{
    (void)state;
    make_trial();
    boot(NULL);
    begins("boot", "OK boot action=none swap=none refused=none confirmed=no ");
    sim_console_clear();
    run_ms(9990u);
    assert_string_equal(sim_console(), "");
    run_ms(10u);
    assert_string_equal(sim_console(), "event: image-confirmed\r\n");
    begins("boot", "OK boot action=none swap=none refused=none confirmed=yes ");
    begins("log 3", "OK log seq=3 time=10000 event=image-confirmed value=0");
}

static void test_trial_in_fault_stays_one(void **state)
{
    (void)state;
    make_trial();
    boot("sha256");
    sim_console_clear();
    run_ms(12000u);
    assert_string_equal(sim_console(), "");
    /* Nor where the flash does not take the confirmation. */
    boot(NULL);
    sim_flash_fail_from(0u);
    run_ms(100u);
    assert_true(device.trial);
    sim_flash_fail_from(UINT32_MAX);
    run_ms(100u);
    assert_false(device.trial);
}

static void send_packet(struct cbor *packet)
{
    static char lines[2048];
    cbor_end(packet);
    sim_console_clear();
    smp_frame_write(packet->bytes, packet->length);
    (void)snprintf(lines, sizeof lines, "%s", sim_console());
    sim_console_clear();
    sim_receive(PORT_CONSOLE, lines, strlen(lines));
    while (!device_turn(&device)) {
    }
}

static void send_state(int confirm)
{
    struct cbor packet;
    struct image image;
    const uint32_t offset = (confirm == 2) ? SLOT0_OFFSET : SLOT1_OFFSET;
    assert_int_equal(image_parse(port_flash_at(offset), SLOT1_SIZE, IMAGE_HEADER_SIZE, IMAGE_PROGRAM, &image), IMAGE_OK);
    cbor_begin(&packet, SMP_WRITE, 1u, 1u, 1u, 0u);
    cbor_map(&packet, 2u);
    cbor_text(&packet, "hash");
    cbor_bytes(&packet, image.digest, 32u);
    cbor_text(&packet, "confirm");
    cbor_truth(&packet, confirm);
    send_packet(&packet);
}

static void test_smp_effects(void **state)
{
    struct cbor packet;
    (void)state;
    load_program(SLOT1_OFFSET, 1u);
    send_state(0);
    say("log 2", "OK log seq=2 time=0 event=update-requested value=0");
    send_state(1);
    say("log 3", "OK log seq=3 time=0 event=update-requested value=1");
    infuse();
    const uint32_t count = device.log.count;
    send_state(0); /* refused: nothing to log */
    assert_int_equal(device.log.count, count);
    send("stop");
    /* Erasing goes on over several turns. */
    cbor_begin(&packet, SMP_WRITE, 1u, 1u, 2u, 5u);
    send_packet(&packet);
    assert_true(port_flash_blank(SLOT1_OFFSET, SLOT1_SIZE));
    make_trial();
    boot(NULL);
    send_state(2);
    assert_non_null(strstr(sim_console(), "event: image-confirmed\r\n"));
    assert_false(device.trial);
}

static void test_smp_library(void **state)
{
    struct cbor packet;
    (void)state;
    uint8_t image[1024];
    load_library(6u);
    memcpy(image, port_flash_at(LIBRARY_OFFSET), sizeof image);
    (void)start(NULL);
    const uint32_t size = IMAGE_HEADER_SIZE + 48u + 12u + 4u + 36u + 36u + 68u;
    for (uint32_t off = 0u; off < size; off += 400u) {
        cbor_begin(&packet, SMP_WRITE, 1u, 1u, off & 0xffu, 1u);
        cbor_map(&packet, (off == 0u) ? 4u : 2u);
        cbor_text(&packet, "off");
        cbor_number(&packet, off);
        if (off == 0u) {
            cbor_text(&packet, "len");
            cbor_number(&packet, size);
            cbor_text(&packet, "image");
            cbor_number(&packet, 1u);
        }
        cbor_text(&packet, "data");
        cbor_bytes(&packet, &image[off], ((size - off) < 400u) ? (size - off) : 400u);
        send_packet(&packet);
    }
    begins("library", "OK library version=1.4.0+6 drugs=1 digest=");
    say("log 2", "OK log seq=2 time=0 event=library value=1");
}

static void run_reset(void *context)
{
    struct cbor packet;
    (void)context;
    cbor_begin(&packet, SMP_WRITE, 1u, 0u, 2u, 5u);
    send_packet(&packet);
}

static void test_smp_reset(void **state)
{
    (void)state;
    assert_false(sim_flash_powered(run_reset, NULL));
    assert_int_equal(sim_resets(), 1u);
    assert_true(strlen(sim_console()) > 0u); /* the reply came before */
}

/* A sender that never stops does not keep the control loop from its ticks, and time that was lost is made up for. */
static void test_flood_and_lateness(void **state)
{
    (void)state;
    infuse();
    char flood[1024];
    memset(flood, 'x', sizeof flood);
    sim_receive(PORT_CONSOLE, flood, sizeof flood);
    const uint32_t time = device.time;
    sim_time_pass(TICK_MS);
    assert_false(device_turn(&device));
    assert_int_equal(device.time, time + TICK_MS);
    sim_time_pass(1500u);
    assert_false(device_turn(&device));
    assert_int_equal(device.time, time + TICK_MS + 1000u);
    while (!device_turn(&device)) {
    }
    assert_int_equal(device.time, time + TICK_MS + 1500u);
}

int test_device(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_identity, start),
        cmocka_unit_test_setup(test_the_bootloader_says_which_key_is_trusted, start),
        cmocka_unit_test_setup(test_failing_selftest, start),
        cmocka_unit_test_setup(test_settings_that_are_lost_are_told, start),
        cmocka_unit_test_setup(test_failed_power_on, start),
        cmocka_unit_test_setup(test_status, start),
        cmocka_unit_test_setup(test_programme, start),
        cmocka_unit_test_setup(test_starts, start),
        cmocka_unit_test_setup(test_plain_delivery, start),
        cmocka_unit_test_setup(test_bolus_limits, start),
        cmocka_unit_test_setup(test_start_after_completion, start),
        cmocka_unit_test_setup(test_config, start),
        cmocka_unit_test_setup(test_log, start),
        cmocka_unit_test_setup(test_boot_decision, start),
        cmocka_unit_test_setup(test_library_commands, start),
        cmocka_unit_test_setup(test_lines_that_are_refused, start),
        cmocka_unit_test_setup(test_resets_and_crashes, start),
        cmocka_unit_test_setup(test_trial_confirms_itself, start),
        cmocka_unit_test_setup(test_trial_in_fault_stays_one, start),
        cmocka_unit_test_setup(test_smp_effects, start),
        cmocka_unit_test_setup(test_smp_library, start),
        cmocka_unit_test_setup(test_smp_reset, start),
        cmocka_unit_test_setup(test_flood_and_lateness, start),
    };
    return cmocka_run_group_tests_name("device", tests, NULL, NULL);
}
