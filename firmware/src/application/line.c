/*
 * SPDX-License-Identifier: Apache-2.0
 * Console lines from characters. See line.h.
 */
#include "application/line.h"

void line_init(struct line *line)
{
    line->length = 0u;
    line->garbled = false;
}

void line_lost(struct line *line)
{
    line->garbled = true;
}

enum line_result line_take(struct line *line, uint8_t character)
{
    enum line_result result = LINE_PENDING;
    if ((character == (uint8_t)'\n') || (character == (uint8_t)'\r')) {
        if (line->length > LINE_MAX) {
            result = LINE_TOO_LONG;
        } else if (line->garbled) {
            result = LINE_GARBLED;
        } else if (line->length > 0u) {
            line->text[line->length] = '\0';
            result = LINE_COMPLETE;
        } else {
            /* An empty line, or the LF of a CRLF. */
        }
        line_init(line);
    } else if ((character < 0x20u) || (character > 0x7eu)) {
        line->garbled = true;
    } else if (line->length < LINE_MAX) {
        line->text[line->length] = (char)character;
        line->length++;
    } else {
        line->length = LINE_MAX + 1u;
    }
    return result;
}
