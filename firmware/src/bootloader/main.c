/*
 * SPDX-License-Identifier: Apache-2.0
 * The bootloader: brings slot 0 to what it shall be (boot.h) and starts it, or says why not and halts.
 */
#include "bootloader/boot.h"
#include "bootloader/report.h"
#include "build_config.h"
#include "core/text.h"
#include "core/verify.h"
#include "port/port.h"

_Static_assert(SLOT0_SIZE == SLOT1_SIZE, "images are exchanged between slots of one size");

/* Read where it lies, here as in the application: verify_trusted_key(). */
__attribute__((section(".trust"), used)) static const struct trust trust = {.key = {IMAGE_KEY_BYTES}, .kind = KEY_KIND};

static const struct boot_layout layout = {
    .slots = {.slot0 = {.offset = SLOT0_OFFSET, .size = SLOT0_SIZE},
              .slot1 = {.offset = SLOT1_OFFSET, .size = SLOT1_SIZE}},
    .state = {.offset = STATE_OFFSET, .size = STATE_SIZE},
    .library = {.offset = LIBRARY_OFFSET, .size = LIBRARY_SIZE},
    .flash_base = FLASH_BASE,
    .header_size = IMAGE_HEADER_SIZE,
};

static void print(struct text *line)
{
    text_string(line, "\r\n");
    port_write(PORT_CONSOLE, line->line, line->length);
}

static void print_banner(void)
{
    struct text line;
    uint8_t key_hash[SHA256_SIZE];
    verify_key_hash(verify_trusted_key(), key_hash);
    text_start(&line);
    text_string(&line, "boot: devicepipe bootloader board=" BOARD_NAME " version=" BUILD_VERSION " key=");
    text_string(&line, verify_trusted_kind());
    text_string(&line, " keyhash=");
    text_bytes(&line, key_hash, 8u);
    print(&line);
}

static void print_start(void)
{
    struct text line;
    text_start(&line);
    text_string(&line, "boot: start slot0");
    print(&line);
}

int main(void)
{
    port_init();
    print_banner();
    const enum image_result result = boot_prepare(&layout, verify_trusted_key(), port_handover());
    if (result != IMAGE_OK) {
        report_refused(result);
        port_halt();
    }
    print_start();
    port_start_program(FLASH_BASE + SLOT0_OFFSET + IMAGE_HEADER_SIZE);
}
