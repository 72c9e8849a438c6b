/*
 * SPDX-License-Identifier: Apache-2.0
 * The bootloader's lines. See report.h.
 */
#include "bootloader/report.h"

#include "core/text.h"
#include "port/port.h"

static void print(struct text *line)
{
    text_string(line, "\r\n");
    port_write(PORT_CONSOLE, line->line, line->length);
}

static void print_reason(const char *start, enum image_result reason)
{
    struct text line;
    text_start(&line);
    text_string(&line, start);
    text_string(&line, image_reason(reason));
    print(&line);
}

static void add_number(struct text *line, const char *name, uint32_t value)
{
    text_string(line, name);
    text_unsigned(line, value);
}

void report_image(const char *slot, const struct image *image, const uint8_t digest[SHA256_SIZE])
{
    struct text line;
    text_start(&line);
    text_string(&line, "boot: ");
    text_string(&line, slot);
    add_number(&line, " version=", image->version.major);
    add_number(&line, ".", image->version.minor);
    add_number(&line, ".", image->version.revision);
    add_number(&line, "+", image->version.build);
    if (image->has_counter) {
        add_number(&line, " counter=", image->counter);
    } else {
        text_string(&line, " counter=none");
    }
    text_string(&line, " digest=");
    text_bytes(&line, digest, SHA256_SIZE);
    print(&line);
}

void report_slot1_refused(enum image_result reason)
{
    print_reason("boot: slot1 refused ", reason);
}

void report_swap(enum swap_type type, uint32_t pages)
{
    struct text line;
    text_start(&line);
    text_string(&line, "boot: swap type=");
    text_string(&line, update_swap_name((uint32_t)type));
    add_number(&line, " pages=", pages);
    print(&line);
}

void report_resume(enum swap_type type, uint32_t pages, uint32_t done)
{
    struct text line;
    text_start(&line);
    text_string(&line, "boot: swap type=resume of=");
    text_string(&line, update_swap_name((uint32_t)type));
    add_number(&line, " pages=", pages);
    add_number(&line, " done=", done);
    print(&line);
}

void report_recovery(enum image_result reason)
{
    print_reason("boot: recover slot1 because=", reason);
}

void report_trial_goes_on(void)
{
    struct text line;
    text_start(&line);
    text_string(&line, "boot: trial goes on after watchdog test");
    print(&line);
}

void report_refused(enum image_result reason)
{
    print_reason("boot: refused ", reason);
}
