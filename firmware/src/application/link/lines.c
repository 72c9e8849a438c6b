/*
 * SPDX-License-Identifier: Apache-2.0
 * Lines and what they are. See lines.h.
 * @realises DSG-013
 */
#include "application/link/lines.h"

#define ENDED 0x80000000u /* in `length`: the line has ended, the next byte begins another */

static void begin(struct lines *lines)
{
    lines->length = 0u;
    lines->unprintable = false;
    lines->lost = false;
}

void lines_init(struct lines *lines)
{
    begin(lines);
}

void lines_lose(struct lines *lines)
{
    if (lines->length >= ENDED) {
        begin(lines);
    }
    lines->lost = true;
}

static enum line_kind console_kind(const struct lines *lines)
{
    enum line_kind kind = LINE_CONSOLE;
    if (lines->length > LINES_CONSOLE_MAX) {
        kind = LINE_TOO_LONG;
    } else if (lines->lost || lines->unprintable) {
        kind = LINE_GARBLED;
    } else if (lines->length == 0u) {
        kind = LINE_NONE;
    } else {
        /* A whole line. */
    }
    return kind;
}

static bool begins_smp(const struct lines *lines)
{
    const bool start = (lines->bytes[0] == LINES_SMP_START_0) && (lines->bytes[1] == LINES_SMP_START_1);
    const bool more = (lines->bytes[0] == LINES_SMP_CONTINUE_0) && (lines->bytes[1] == LINES_SMP_CONTINUE_1);
    return (lines->length >= 2u) && (start || more);
}

static enum line_kind kind_of(const struct lines *lines)
{
    const bool broken = lines->lost || (lines->length > LINES_FRAME_MAX);
    enum line_kind kind;
    if ((lines->length >= 1u) && (lines->bytes[0] == LINES_PLANT)) {
        kind = broken ? LINE_PLANT_BROKEN : LINE_PLANT;
    } else if (begins_smp(lines)) {
        kind = broken ? LINE_SMP_BROKEN : LINE_SMP;
    } else {
        kind = console_kind(lines);
    }
    return kind;
}

enum line_kind lines_take(struct lines *lines, uint8_t byte)
{
    enum line_kind kind = LINE_NONE;
    if (lines->length >= ENDED) {
        begin(lines);
    }
    if ((byte == (uint8_t)'\n') || (byte == (uint8_t)'\r')) {
        kind = kind_of(lines);
        if (kind == LINE_NONE) {
            begin(lines);
        } else {
            lines->bytes[(lines->length <= LINES_FRAME_MAX) ? lines->length : LINES_FRAME_MAX] = 0u;
            lines->length |= ENDED;
        }
    } else if (lines->length < LINES_FRAME_MAX) {
        lines->bytes[lines->length] = byte;
        lines->length++;
        lines->unprintable = lines->unprintable || (byte < 0x20u) || (byte > 0x7eu);
    } else {
        lines->length = LINES_FRAME_MAX + 1u;
    }
    return kind;
}

const char *lines_text(const struct lines *lines)
{
    return (const char *)lines->bytes;
}

const uint8_t *lines_bytes(const struct lines *lines, size_t *length)
{
    *length = lines->length & ~ENDED;
    return lines->bytes;
}
