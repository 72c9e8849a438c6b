/*
 * SPDX-License-Identifier: Apache-2.0
 * What lies in the slots and library copies. See smp_images.h.
 * @realises DSG-019
 */
#include "application/link/smp_images.h"

#include "build_config.h"
#include "core/bytes.h"
#include "core/text.h"
#include "core/update.h"
#include "port/port.h"

#define LIBRARY_HALF (LIBRARY_SIZE / 2u)

/* The offset of the copy that counts: it is the one that is not spare. */
static uint32_t counting_copy(const struct library *library)
{
    return (library->spare == LIBRARY_OFFSET) ? (LIBRARY_OFFSET + LIBRARY_HALF) : LIBRARY_OFFSET;
}

bool smp_images_read(enum smp_place place, const struct library *library, struct image *image)
{
    enum image_result result = IMAGE_NO_IMAGE;
    if (place == SMP_PLACE_SLOT0) {
        result = image_parse(port_flash_at(SLOT0_OFFSET), SLOT0_SIZE, IMAGE_HEADER_SIZE, IMAGE_PROGRAM, image);
    } else if (place == SMP_PLACE_SLOT1) {
        result = image_parse(port_flash_at(SLOT1_OFFSET), SLOT1_SIZE, IMAGE_HEADER_SIZE, IMAGE_PROGRAM, image);
    } else if (place == SMP_PLACE_SPARE) {
        result = image_parse(port_flash_at(library->spare), LIBRARY_HALF, IMAGE_HEADER_SIZE, IMAGE_DATA, image);
    } else if (library->count > 0u) {
        result =
            image_parse(port_flash_at(counting_copy(library)), LIBRARY_HALF, IMAGE_HEADER_SIZE, IMAGE_DATA, image);
    } else {
        /* No library counts. */
    }
    return (result == IMAGE_OK) && (image->digest != NULL);
}

enum smp_place smp_images_find(const struct library *library, const uint8_t *hash)
{
    enum smp_place found = SMP_PLACE_NONE;
    for (uint32_t place = (uint32_t)SMP_PLACE_SLOT0; place < (uint32_t)SMP_PLACE_NONE; place++) {
        struct image image;
        if ((found == SMP_PLACE_NONE) && smp_images_read((enum smp_place)place, library, &image) &&
            bytes_equal(image.digest, hash, SHA256_SIZE)) {
            found = (enum smp_place)place;
        }
    }
    return found;
}

/* As MCUmgr writes it: the build number only if it is not 0. */
static void put_version(struct smp_reply *reply, const struct image_version *version)
{
    struct text text;
    text_start(&text);
    text_unsigned(&text, version->major);
    text_string(&text, ".");
    text_unsigned(&text, version->minor);
    text_string(&text, ".");
    text_unsigned(&text, version->revision);
    if (version->build != 0u) {
        text_string(&text, ".");
        text_unsigned(&text, version->build);
    }
    smp_reply_text(reply, "version", (const uint8_t *)text.line, text.length);
}

/* A flag that does not hold is left out, so that four images fit a packet. */
static void put_flag(struct smp_reply *reply, const char *key, bool holds)
{
    if (holds) {
        smp_reply_truth(reply, key, true);
    }
}

static void put_flags(struct smp_reply *reply, enum smp_place place)
{
    const struct slot_trailer slot0 = update_trailer(SLOT0_OFFSET, SLOT0_SIZE);
    const struct slot_trailer slot1 = update_trailer(SLOT1_OFFSET, SLOT1_SIZE);
    const bool second = (place == SMP_PLACE_SLOT1);
    const bool active = (place == SMP_PLACE_SLOT0) || (place == SMP_PLACE_LIBRARY);
    put_flag(reply, "bootable", (place == SMP_PLACE_SLOT0) || second);
    put_flag(reply, "pending", second && slot1.magic);
    put_flag(reply, "permanent", second && slot1.magic && slot1.image_ok);
    put_flag(reply, "confirmed", active && ((place == SMP_PLACE_LIBRARY) || update_confirmed(&slot0)));
    put_flag(reply, "active", active);
}

void smp_images_list(const struct library *library, struct smp_reply *reply, const struct smp_header *request)
{
    smp_reply_begin(reply, request);
    smp_reply_list(reply, "images");
    for (uint32_t place = (uint32_t)SMP_PLACE_SLOT0; place < (uint32_t)SMP_PLACE_NONE; place++) {
        struct image image;
        if (smp_images_read((enum smp_place)place, library, &image)) {
            smp_reply_list_map(reply);
            smp_reply_number(reply, "image", place / 2u);
            smp_reply_number(reply, "slot", place % 2u);
            put_version(reply, &image.version);
            smp_reply_bytes(reply, "hash", image.digest, SHA256_SIZE);
            put_flags(reply, (enum smp_place)place);
            smp_reply_end_map(reply);
        }
    }
    smp_reply_end_list(reply);
}
