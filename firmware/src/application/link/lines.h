/*
 * SPDX-License-Identifier: Apache-2.0
 * Lines from the bytes of one UART, and what each one is (../../../PROTOCOL.md, "Lines"): the first bytes of a line say it, and
 * nothing that follows can change it. One fixed buffer; LF, CR and CRLF end a line; empty lines are no lines. Portable.
 */
#ifndef APPLICATION_LINK_LINES_H
#define APPLICATION_LINK_LINES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LINES_CONSOLE_MAX 63u /* characters of a console line, without its end */
#define LINES_FRAME_MAX 128u  /* bytes of any other line, without its end */

#define LINES_SMP_START_0 0x06u
#define LINES_SMP_START_1 0x09u
#define LINES_SMP_CONTINUE_0 0x04u
#define LINES_SMP_CONTINUE_1 0x14u
#define LINES_PLANT 0x02u

enum line_kind {
    LINE_NONE,        /* not ended yet, or empty */
    LINE_CONSOLE,     /* printable ASCII; ended by NUL in lines_text() */
    LINE_TOO_LONG,    /* a console line of more than LINES_CONSOLE_MAX characters: dropped */
    LINE_GARBLED,     /* a console line with characters lost or unprintable: dropped */
    LINE_SMP,         /* as it came, with its two first bytes */
    LINE_SMP_BROKEN,  /* bytes were lost, or it is too long: dropped */
    LINE_PLANT,       /* as it came, with its first byte */
    LINE_PLANT_BROKEN /* bytes were lost, or it is too long: dropped */
};

struct lines {
    uint8_t bytes[LINES_FRAME_MAX + 1u];
    uint32_t length;  /* bytes since the line began, at most LINES_FRAME_MAX + 1; the top bit: it has ended */
    bool unprintable; /* there is one among them: no console line */
    bool lost;        /* bytes before or among them were lost */
};

void lines_init(struct lines *lines);

/* Takes one byte. Unless LINE_NONE, a line has ended; it stays readable until the next byte is taken. */
enum line_kind lines_take(struct lines *lines, uint8_t byte);

/* Some bytes between those taken so far and the next one were lost. */
void lines_lose(struct lines *lines);

/* The line that ended last: as text where it was LINE_CONSOLE, else as bytes. */
const char *lines_text(const struct lines *lines);
const uint8_t *lines_bytes(const struct lines *lines, size_t *length);

#endif
