/*
 * SPDX-License-Identifier: Apache-2.0
 * SMP packets on console lines. See smp_frame.h.
 * @realises DSG-017
 */
#include "application/link/smp_frame.h"

#include "application/link/base64.h"
#include "application/link/crc16.h"
#include "application/link/lines.h"
#include "port/port.h"

#define LEAD 2u         /* bytes that say what a line is */
#define LENGTH_SIZE 2u  /* of the length in front */
#define CRC_SIZE 2u
#define LINE_CHARACTERS ((SMP_LINE_BYTES / BASE64_BYTES) * BASE64_CHARACTERS)

void smp_frame_init(struct smp_frame *frame)
{
    smp_frame_drop(frame);
}

void smp_frame_drop(struct smp_frame *frame)
{
    frame->length = 0u;
    frame->open = false;
}

/* Adds what the characters are. False if they are not base64 throughout, or more than the frame can be. */
static bool add(struct smp_frame *frame, const uint8_t *characters, size_t count)
{
    bool right = (count > 0u) && ((count % BASE64_CHARACTERS) == 0u);
    uint32_t got = BASE64_BYTES;
    for (size_t i = 0u; right && (i < count); i += BASE64_CHARACTERS) {
        uint8_t bytes[BASE64_BYTES];
        /* Fewer bytes than three are the end of the line. */
        right = (got == BASE64_BYTES);
        got = base64_decode(&characters[i], bytes);
        right = right && (got > 0u) && ((frame->length + got) <= sizeof frame->bytes);
        for (uint32_t j = 0u; right && (j < got); j++) {
            frame->bytes[frame->length] = bytes[j];
            frame->length++;
        }
    }
    return right;
}

/* Bytes of the whole frame as its length field says; 0 while that has not come. */
static uint32_t announced(const struct smp_frame *frame)
{
    uint32_t length = 0u;
    if (frame->length >= LENGTH_SIZE) {
        length = LENGTH_SIZE + (((uint32_t)frame->bytes[0] << 8) | frame->bytes[1]);
    }
    return length;
}

static bool may_grow(const struct smp_frame *frame)
{
    const uint32_t whole = announced(frame);
    return (whole == 0u) || ((whole > SMP_FRAME_OVERHEAD) && (whole <= sizeof frame->bytes) && (frame->length <= whole));
}

const uint8_t *smp_frame_take(struct smp_frame *frame, const uint8_t *line, size_t length, size_t *packet_length)
{
    const uint8_t *packet = NULL;
    if (line[0] == LINES_SMP_START_0) {
        frame->length = 0u;
        frame->open = true;
    }
    frame->open = frame->open && add(frame, &line[LEAD], length - LEAD) && may_grow(frame);
    if (frame->open && (frame->length == announced(frame))) {
        if (crc16_add(0u, &frame->bytes[LENGTH_SIZE], frame->length - LENGTH_SIZE) == 0u) {
            packet = &frame->bytes[LENGTH_SIZE];
            *packet_length = frame->length - SMP_FRAME_OVERHEAD;
        }
        frame->open = false;
    }
    return packet;
}

/* --- out --------------------------------------------------------------------------------------------------------- */

/* Byte `at` of the frame that a packet with that CRC makes. */
static uint8_t byte_of(const uint8_t *packet, size_t length, uint32_t crc, size_t at)
{
    const size_t announced_length = length + CRC_SIZE;
    uint8_t byte;
    if (at == 0u) {
        byte = (uint8_t)(announced_length >> 8);
    } else if (at == 1u) {
        byte = (uint8_t)announced_length;
    } else if (at < (LENGTH_SIZE + length)) {
        byte = packet[at - LENGTH_SIZE];
    } else if (at == (LENGTH_SIZE + length)) {
        byte = (uint8_t)(crc >> 8);
    } else {
        byte = (uint8_t)crc;
    }
    return byte;
}

/* The next bytes of the frame as characters, at most a unit of base64. */
static void put_unit(const uint8_t *packet, size_t length, uint32_t crc, size_t at, char characters[BASE64_CHARACTERS])
{
    const size_t left = (length + SMP_FRAME_OVERHEAD) - at;
    const uint32_t count = (left < BASE64_BYTES) ? (uint32_t)left : BASE64_BYTES;
    uint8_t bytes[BASE64_BYTES] = {0u, 0u, 0u};
    for (uint32_t i = 0u; i < count; i++) {
        bytes[i] = byte_of(packet, length, crc, at + i);
    }
    base64_encode(bytes, count, characters);
}

void smp_frame_write(const uint8_t *packet, size_t length)
{
    const size_t whole = length + SMP_FRAME_OVERHEAD;
    const uint32_t crc = crc16_add(0u, packet, length);
    size_t at = 0u;
    while (at < whole) {
        char line[LEAD + LINE_CHARACTERS + 1u];
        size_t used = LEAD;
        line[0] = (char)((at == 0u) ? LINES_SMP_START_0 : LINES_SMP_CONTINUE_0);
        line[1] = (char)((at == 0u) ? LINES_SMP_START_1 : LINES_SMP_CONTINUE_1);
        while ((at < whole) && (used < (LEAD + LINE_CHARACTERS))) {
            put_unit(packet, length, crc, at, &line[used]);
            at += BASE64_BYTES;
            used += BASE64_CHARACTERS;
        }
        line[used] = '\n';
        port_write(PORT_CONSOLE, line, used + 1u);
    }
}
