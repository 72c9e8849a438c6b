/*
 * SPDX-License-Identifier: Apache-2.0
 * Fuzzer of the SMP server, from lines to flash. The first byte says what the device is at (bit 0: delivering, bit 1: on trial) and
 * how the rest is meant: with bit 2 as the UART's bytes; else as packets, each with its length (two bytes, big-endian) before it,
 * which are put into right frames, so that what is behind the CRC is reached.
 *
 * Claims: slot 0's image, the library that counts and every region that is not SMP's are never written; nothing is while delivering,
 * nor slot 1 on trial; each reply is one right frame that answers the request; a packet that is none has no reply.
 */
#include <string.h>

#include "application/link/lines.h"
#include "application/link/smp.h"
#include "build_config.h"
#include "core/update.h"
#include "fuzz.h"
#include "port/port.h"
#include "sim/flash.h"
#include "sim/port.h"

#define DELIVERING 1u
#define TRIAL 2u
#define AS_BYTES 4u
#define HALF (LIBRARY_SIZE / 2u)

static struct smp fresh;
static struct smp smp;
static struct library library = {.count = 1u, .spare = LIBRARY_OFFSET + HALF, .version = {.major = 1u, .build = 2u}};
static struct smp_view view = {.library = &library};
static struct smp_frame client;
static char sent[8192];

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    fuzz_flash_make();
    smp_init(&fresh);
    return 0;
}

/* --- the judge of lines --------------------------------------------------------------------------------------------- */

static uint8_t frame[8192]; /* what the lines since the last first one are, decoded */
static size_t frame_length;
static bool frame_begun;

/* Adds a line's characters bit by bit; whether they are right base64 is for the CRC to say. */
static void judge_line(const uint8_t *line, size_t length)
{
    static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    uint32_t bits = 0u;
    uint32_t count = 0u;
    if (line[0] == 0x06u) {
        frame_begun = true;
        frame_length = 0u;
    }
    for (size_t i = 2u; i < length; i++) {
        const char *const at = (line[i] != 0u) ? strchr(alphabet, line[i]) : NULL;
        if (at != NULL) {
            bits = (bits << 6) | (uint32_t)(at - alphabet);
            count += 6u;
        }
        if ((count >= 8u) && (frame_length < sizeof frame)) {
            count -= 8u;
            frame[frame_length] = (uint8_t)(bits >> count);
            frame_length++;
        }
    }
}

/* The lines so far are one whole packet. */
static bool is_packet(void)
{
    uint32_t crc = 0u;
    for (size_t i = 16u; i < (frame_length * 8u); i++) {
        const uint32_t bit = ((uint32_t)frame[i / 8u] >> (7u - (i % 8u))) & 1u;
        crc = ((crc << 1) & 0xffffu) ^ (((((crc >> 15) & 1u) ^ bit) != 0u) ? 0x1021u : 0u);
    }
    return frame_begun && (frame_length > 4u) && (frame_length == (2u + (((size_t)frame[0] << 8) | frame[1]))) && (crc == 0u);
}

/* --- the run -------------------------------------------------------------------------------------------------------- */

/* Takes the reply apart; 0 if there was none. */
static size_t reply_of(const uint8_t **packet)
{
    size_t length = 0u;
    *packet = NULL;
    smp_frame_init(&client);
    for (const char *at = sim_console(); *at != '\0';) {
        const char *const end = strchr(at, '\n');
        CLAIM(end != NULL);
        CLAIM((end - at) <= 127);
        CLAIM(*packet == NULL); /* one frame, no more */
        *packet = smp_frame_take(&client, (const uint8_t *)at, (size_t)(end - at), &length);
        at = end + 1;
    }
    CLAIM((*packet != NULL) == (sim_console()[0] != '\0'));
    return (*packet != NULL) ? length : 0u;
}

static void check_flash(uint32_t operations)
{
    CLAIM(fuzz_unchanged(0u, SLOT0_OFFSET + SLOT0_SIZE - update_trailer_size(SLOT0_SIZE)));
    CLAIM(fuzz_unchanged(STATE_OFFSET, LIBRARY_OFFSET + HALF - STATE_OFFSET));
    CLAIM(!view.delivering || (operations == sim_flash_operations()));
    CLAIM(!view.trial || fuzz_unchanged(SLOT1_OFFSET, SLOT1_SIZE));
}

static void take_line(const uint8_t *line, size_t length, const uint8_t *request)
{
    const uint32_t operations = sim_flash_operations();
    const uint8_t *packet;
    sim_console_clear();
    const enum smp_effect effect = smp_take(&smp, &view, line, length);
    const size_t replied = reply_of(&packet);
    if (replied > 0u) {
        CLAIM(replied >= SMP_HEADER_SIZE);
        CLAIM((((size_t)packet[2] << 8) | packet[3]) == (replied - SMP_HEADER_SIZE));
        CLAIM((packet[SMP_HEADER_SIZE] == 0xbfu) && (packet[replied - 1u] == 0xffu));
    }
    if ((replied > 0u) && (request != NULL)) {
        CLAIM((packet[0] & 7u) == ((request[0] & 7u) + 1u));
        CLAIM(memcmp(&packet[4], &request[4], 4u) == 0);
    }
    CLAIM((effect == SMP_NOTHING) || (replied > 0u));
    check_flash(operations);
}

static void work(void)
{
    for (uint32_t i = 0u; smp.image.erasing.under_way && (i < 200u); i++) {
        const uint8_t *packet;
        sim_console_clear();
        smp_work(&smp);
        CLAIM((reply_of(&packet) > 0u) == !smp.image.erasing.under_way);
    }
    CLAIM(!smp.image.erasing.under_way);
    check_flash(sim_flash_operations());
}

static void run_bytes(const uint8_t *data, size_t size)
{
    static struct lines lines;
    frame_begun = false;
    lines_init(&lines);
    for (size_t i = 0u; i < size; i++) {
        const enum line_kind kind = lines_take(&lines, data[i]);
        if (kind == LINE_SMP) {
            size_t length;
            const uint8_t *const line = lines_bytes(&lines, &length);
            judge_line(line, length);
            take_line(line, length, NULL);
            CLAIM((sim_console()[0] == '\0') || is_packet());
        } else if (kind == LINE_SMP_BROKEN) {
            smp_take_broken(&smp);
            frame_begun = false;
        } else {
            /* Not SMP's. */
        }
    }
}

static void run_packet(const uint8_t *packet, size_t length)
{
    sim_console_clear();
    smp_frame_write(packet, length);
    (void)strcpy(sent, sim_console());
    for (const char *at = sent; *at != '\0';) {
        const char *const end = strchr(at, '\n');
        take_line((const uint8_t *)at, (size_t)(end - at), (length >= SMP_HEADER_SIZE) ? packet : NULL);
        at = end + 1;
    }
}

static void run_packets(const uint8_t *data, size_t size)
{
    size_t at = 0u;
    while ((at + 2u) <= size) {
        size_t length = (((size_t)data[at] << 8) | data[at + 1u]) % (SMP_PACKET_MAX + 8u);
        at += 2u;
        if (length > (size - at)) {
            length = size - at;
        }
        if (length > 0u) {
            run_packet(&data[at], length);
        }
        if ((length > 7u) && (data[at + 6u] < 0x80u)) {
            work(); /* other requests come while it erases */
        }
        at += length;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size > 0u) {
        fuzz_flash_restore();
        smp = fresh;
        view.delivering = (data[0] & DELIVERING) != 0u;
        view.trial = (data[0] & TRIAL) != 0u;
        if ((data[0] & AS_BYTES) != 0u) {
            run_bytes(&data[1], size - 1u);
        } else {
            run_packets(&data[1], size - 1u);
        }
    }
    return 0;
}
