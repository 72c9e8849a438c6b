/*
 * SPDX-License-Identifier: Apache-2.0
 * Console lines from characters, in a fixed buffer. LF, CR and CRLF end a line; empty lines are no lines.
 */
#ifndef APPLICATION_LINE_H
#define APPLICATION_LINE_H

#include <stdbool.h>
#include <stdint.h>

#define LINE_MAX 63u /* characters of a command line, without its end */

enum line_result {
    LINE_PENDING,  /* not ended yet */
    LINE_COMPLETE, /* line->text holds it, ended by NUL, until the next character is taken */
    LINE_TOO_LONG, /* ended, but longer than LINE_MAX: dropped */
    LINE_GARBLED   /* ended, but with characters lost or unprintable: dropped */
};

struct line {
    char text[LINE_MAX + 1u];
    uint32_t length; /* characters since the line began, also those that did not fit */
    bool garbled;
};

void line_init(struct line *line);
enum line_result line_take(struct line *line, uint8_t character);

/* Some characters of the line under way were lost. */
void line_lost(struct line *line);

#endif
