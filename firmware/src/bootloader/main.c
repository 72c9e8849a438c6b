/*
 * SPDX-License-Identifier: Apache-2.0
 * The bootloader: starts the image in slot 0 if it is ours, unaltered and not older than one started before; otherwise it
 * says why and halts. What it checks is in core/image.h, verify.h and counter.h.
 */
#include "bootloader/counter.h"
#include "bootloader/verify.h"
#include "build_config.h"
#include "core/bytes.h"
#include "core/image.h"
#include "core/text.h"
#include "port/port.h"

static const uint8_t image_key[ED25519_KEY_SIZE] = {IMAGE_KEY_BYTES};

static void print(struct text *line)
{
    text_string(line, "\r\n");
    port_write(line->line, line->length);
}

static void print_banner(void)
{
    struct text line;
    uint8_t key_hash[SHA256_SIZE];
    verify_key_hash(image_key, key_hash);
    text_start(&line);
    text_string(&line, "boot: devicepipe bootloader board=" BOARD_NAME " version=" BUILD_VERSION " key=" KEY_KIND);
    text_string(&line, " keyhash=");
    text_bytes(&line, key_hash, 8u);
    print(&line);
}

static void print_image(const struct image *image, const uint8_t digest[SHA256_SIZE])
{
    struct text line;
    text_start(&line);
    text_string(&line, "boot: slot0 version=");
    text_unsigned(&line, image->version.major);
    text_string(&line, ".");
    text_unsigned(&line, image->version.minor);
    text_string(&line, ".");
    text_unsigned(&line, image->version.revision);
    text_string(&line, "+");
    text_unsigned(&line, image->version.build);
    text_string(&line, " counter=");
    if (image->has_counter) {
        text_unsigned(&line, image->counter);
    } else {
        text_string(&line, "none");
    }
    text_string(&line, " digest=");
    text_bytes(&line, digest, SHA256_SIZE);
    print(&line);
}

/* An image built for another board or slot is refused although its signature holds. */
static enum image_result check_vectors(const struct image *image)
{
    const uint8_t *const vectors = &image->base[image->payload_offset];
    const uint32_t stack = bytes_le32(&vectors[0]);
    const uint32_t reset = bytes_le32(&vectors[4]);
    const uint32_t payload = SLOT0_ADDRESS + image->payload_offset;
    const bool stack_in_ram = ((stack - RAM_BASE) <= RAM_SIZE) && ((stack % 8u) == 0u);
    const bool reset_in_payload = ((reset - payload) < image->payload_size) && ((reset % 2u) == 1u);
    return (stack_in_ram && reset_in_payload) ? IMAGE_OK : IMAGE_BAD_HEADER;
}

static enum image_result check_counter(const struct image *image)
{
    const struct counter_store store = {
        .region = (const uint32_t *)STATE_ADDRESS,
        .region_size = STATE_SIZE,
        .erase = port_flash_erase,
        .program = port_flash_program,
    };
    uint32_t stored = 0u;
    if (!counter_read(&store, &stored)) {
        return IMAGE_BAD_STATE;
    }
    if (image->counter < stored) {
        return IMAGE_DOWNGRADE;
    }
    return counter_hold(&store, image->counter) ? IMAGE_OK : IMAGE_BAD_STATE;
}

static enum image_result check_slot0(struct image *image)
{
    enum image_result result = image_parse((const uint8_t *)SLOT0_ADDRESS, SLOT0_SIZE, IMAGE_HEADER_SIZE, image);
    if (result == IMAGE_OK) {
        uint8_t digest[SHA256_SIZE];
        image_digest(image, digest);
        print_image(image, digest);
        result = verify_image(image, digest, image_key);
    }
    if (result == IMAGE_OK) {
        result = check_vectors(image);
    }
    if (result == IMAGE_OK) {
        result = check_counter(image);
    }
    return result;
}

int main(void)
{
    struct text line;
    struct image image;

    port_init();
    print_banner();
    const enum image_result result = check_slot0(&image);
    text_start(&line);
    if (result != IMAGE_OK) {
        text_string(&line, "boot: refused ");
        text_string(&line, image_reason(result));
        print(&line);
        port_halt();
    }
    text_string(&line, "boot: start slot0");
    print(&line);
    port_start_program((const uint32_t *)(SLOT0_ADDRESS + IMAGE_HEADER_SIZE));
}
