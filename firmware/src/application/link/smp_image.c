/*
 * SPDX-License-Identifier: Apache-2.0
 * SMP's image group. See smp_image.h.
 * @realises DSG-019
 */
#include "application/link/smp_image.h"

#include "application/link/smp_images.h"
#include "build_config.h"
#include "core/bytes.h"
#include "core/update.h"
#include "port/port.h"

/* Of the image header (MCUboot, struct image_header). */
#define HEADER_SIZE 32u
#define HEADER_MAGIC 0x96f3b83du
#define FLAGS_AT 16u
#define VERSION_AT 20u
#define FLAG_NON_BOOTABLE 0x10u

#define SLOTS 4u /* as erasing counts them: two of each image */

static const struct update_slot slot1 = {.offset = SLOT1_OFFSET, .size = SLOT1_SIZE};

/* What version 1 says for an error of the group. */
static enum smp_error in_version_1(enum smp_image_error error)
{
    enum smp_error general = SMP_INVALID;
    if ((error == SMP_IMAGE_NO_FREE_SLOT) || (error == SMP_IMAGE_VERSION_IS_NEWER) ||
        (error == SMP_IMAGE_ALREADY_PENDING)) {
        general = SMP_BAD_STATE;
    } else if ((error == SMP_IMAGE_HASH_NOT_FOUND) || (error == SMP_IMAGE_FLASH_WRITE_FAILED) ||
               (error == SMP_IMAGE_FLASH_ERASE_FAILED)) {
        general = SMP_UNKNOWN;
    } else {
        /* The request is wrong. */
    }
    return general;
}

static void fail(struct smp_reply *reply, const struct smp_header *request, enum smp_image_error error)
{
    smp_reply_group_error(reply, request, (uint32_t)error, in_version_1(error));
}

void smp_image_init(struct smp_image *image)
{
    upload_init(&image->upload);
    image->erasing.under_way = false;
}

/* --- state -------------------------------------------------------------------------------------------------------- */

/* Requests or confirms what lies where the hash was found. Returns the error, 0 if there is none. */
static uint32_t set_state(const struct smp_view *view, enum smp_place place, bool confirm, enum smp_effect *effect)
{
    uint32_t error = 0u;
    bool done = true;
    if (place == SMP_PLACE_NONE) {
        error = SMP_IMAGE_HASH_NOT_FOUND;
    } else if (place == SMP_PLACE_SPARE) {
        /* A library counts by its version alone. */
        error = SMP_IMAGE_CONFIRMATION_DENIED;
    } else if ((place == SMP_PLACE_SLOT1) && view->trial) {
        error = SMP_IMAGE_ALREADY_PENDING;
    } else if (place == SMP_PLACE_SLOT1) {
        done = update_request(confirm);
        *effect = confirm ? SMP_REQUESTED_PERMANENT : SMP_REQUESTED_TEST;
    } else if (!confirm) {
        error = SMP_IMAGE_TEST_OF_ACTIVE_DENIED;
    } else if ((place == SMP_PLACE_SLOT0) && view->trial) {
        done = update_confirm();
        *effect = SMP_CONFIRMED;
    } else {
        /* It is confirmed already. */
    }
    if (!done) {
        error = SMP_IMAGE_FLASH_WRITE_FAILED;
        *effect = SMP_NOTHING;
    }
    return error;
}

static enum smp_effect write_state(const struct smp_view *view, const struct smp_request *request, struct smp_reply *reply)
{
    const struct zcbor_string *const hash = &request->values[SMP_KEY_HASH].string;
    const bool confirm = request->values[SMP_KEY_CONFIRM].number != 0u;
    enum smp_effect effect = SMP_NOTHING;
    uint32_t error;
    if (hash->len == SHA256_SIZE) {
        error = set_state(view, smp_images_find(view->library, hash->value), confirm, &effect);
    } else if ((hash->len == 0u) && confirm) {
        error = set_state(view, SMP_PLACE_SLOT0, true, &effect);
    } else {
        error = SMP_IMAGE_INVALID_HASH;
    }
    if (error != 0u) {
        fail(reply, &request->header, (enum smp_image_error)error);
    } else {
        smp_images_list(view->library, reply, &request->header);
    }
    return effect;
}

/* --- upload ------------------------------------------------------------------------------------------------------- */

static bool is_there(const struct smp_request *request, enum smp_key key)
{
    return request->values[key].there;
}

static uint32_t number_of(const struct smp_request *request, enum smp_key key)
{
    return request->values[key].number;
}

/* The version in a header lies above the one that runs, or counts, now. */
static bool is_newer(const struct smp_view *view, uint32_t image, const uint8_t *header)
{
    const struct image_version version = {
        .major = header[VERSION_AT],
        .minor = header[VERSION_AT + 1u],
        .revision = bytes_le16(&header[VERSION_AT + 2u]),
        .build = bytes_le32(&header[VERSION_AT + 4u]),
    };
    struct image running;
    bool newer = true;
    if (image == SMP_IMAGE_LIBRARY) {
        newer = (view->library->count == 0u) || (image_compare(&version, &view->library->version) > 0);
    } else if (smp_images_read(SMP_PLACE_SLOT0, view->library, &running)) {
        newer = image_compare(&version, &running.version) > 0;
    } else {
        /* Nothing to compare it with. */
    }
    return newer;
}

/* What is wrong with the first piece of an upload; 0 if nothing. */
static uint32_t check_first(const struct smp_view *view, const struct smp_request *request)
{
    const struct zcbor_string *const data = &request->values[SMP_KEY_DATA].string;
    const uint32_t image = number_of(request, SMP_KEY_IMAGE);
    const uint32_t size = number_of(request, SMP_KEY_LEN);
    const struct zcbor_string *const sha = &request->values[SMP_KEY_SHA].string;
    const uint32_t flags = (image == SMP_IMAGE_LIBRARY) ? FLAG_NON_BOOTABLE : 0u;
    uint32_t error = 0u;
    if (image > SMP_IMAGE_LIBRARY) {
        error = SMP_IMAGE_INVALID_SLOT;
    } else if ((image == SMP_IMAGE_PROGRAM) && view->trial) {
        error = SMP_IMAGE_NO_FREE_SLOT;
    } else if (!is_there(request, SMP_KEY_LEN)) {
        error = SMP_IMAGE_INVALID_LENGTH;
    } else if (size > ((image == SMP_IMAGE_LIBRARY) ? (LIBRARY_SIZE / 2u) : update_room(SLOT1_SIZE))) {
        error = SMP_IMAGE_TOO_LARGE;
    } else if ((data->len < HEADER_SIZE) || (size < HEADER_SIZE)) {
        error = SMP_IMAGE_INVALID_HEADER;
    } else if (bytes_le32(data->value) != HEADER_MAGIC) {
        error = SMP_IMAGE_INVALID_MAGIC;
    } else if ((bytes_le32(&data->value[FLAGS_AT]) & FLAG_NON_BOOTABLE) != flags) {
        error = SMP_IMAGE_INVALID_HEADER;
    } else if (is_there(request, SMP_KEY_SHA) && (sha->len != SHA256_SIZE)) {
        error = SMP_IMAGE_INVALID_HASH;
    } else if ((number_of(request, SMP_KEY_UPGRADE) != 0u) && !is_newer(view, image, data->value)) {
        error = SMP_IMAGE_VERSION_IS_NEWER;
    } else {
        /* It may begin. */
    }
    return error;
}

/* Begins an upload, or goes on with one of the same image. */
static uint32_t begin_upload(struct upload *upload, const struct smp_view *view, const struct smp_request *request)
{
    const uint32_t image = number_of(request, SMP_KEY_IMAGE);
    const uint32_t size = number_of(request, SMP_KEY_LEN);
    const uint8_t *const sha = request->values[SMP_KEY_SHA].string.value;
    uint32_t error = check_first(view, request);
    if ((error == 0u) && !upload_is(upload, image, size, sha)) {
        upload_begin(upload, image, (image == SMP_IMAGE_LIBRARY) ? view->library->spare : SLOT1_OFFSET, size, sha);
        /* What was requested before must not stand beside an image it was not meant for. */
        if ((image == SMP_IMAGE_PROGRAM) && !update_erase_trailer(&slot1)) {
            upload->open = false;
            error = SMP_IMAGE_FLASH_ERASE_FAILED;
        }
    }
    return error;
}

static uint32_t take_piece(struct upload *upload, const struct smp_request *request)
{
    const struct zcbor_string *const data = &request->values[SMP_KEY_DATA].string;
    uint32_t error = 0u;
    if (number_of(request, SMP_KEY_OFF) != upload->taken) {
        /* A piece that came twice, or after one that was lost: the reply says where to go on. */
    } else if (data->len > (upload->size - upload->taken)) {
        error = SMP_IMAGE_OVERRUN;
    } else if (!upload_add(upload, data->value, (uint32_t)data->len)) {
        error = SMP_IMAGE_FLASH_WRITE_FAILED;
    } else {
        /* Taken. */
    }
    return error;
}

static enum smp_effect run_upload(struct upload *upload, const struct smp_view *view, const struct smp_request *request,
                                  struct smp_reply *reply)
{
    enum smp_effect effect = SMP_NOTHING;
    uint32_t error = 0u;
    if (!is_there(request, SMP_KEY_OFF)) {
        error = SMP_IMAGE_INVALID_OFFSET;
    } else if (number_of(request, SMP_KEY_OFF) == 0u) {
        error = begin_upload(upload, view, request);
    } else {
        /* A further piece. */
    }
    if ((error == 0u) && upload->open) {
        error = take_piece(upload, request);
    }
    smp_reply_begin(reply, &request->header);
    if (error != 0u) {
        fail(reply, &request->header, (enum smp_image_error)error);
    } else if (!upload->open) {
        smp_reply_number(reply, "off", 0u);
    } else {
        smp_reply_number(reply, "off", upload->taken);
        if (upload_is_whole(upload)) {
            if (upload->has_sha) {
                smp_reply_truth(reply, "match", upload_matches(upload));
            }
            upload->open = false;
            effect = (upload->image == SMP_IMAGE_LIBRARY) ? SMP_LIBRARY_CHANGED : SMP_NOTHING;
        }
    }
    return effect;
}

/* --- erasing ------------------------------------------------------------------------------------------------------ */

static void begin_erase(struct smp_image *image, const struct smp_view *view, const struct smp_request *request,
                        struct smp_reply *reply)
{
    const uint32_t slot = is_there(request, SMP_KEY_SLOT) ? number_of(request, SMP_KEY_SLOT) : 1u;
    if (slot >= SLOTS) {
        fail(reply, &request->header, SMP_IMAGE_INVALID_SLOT);
    } else if (((slot % 2u) == 0u) || ((slot == 1u) && view->trial)) {
        fail(reply, &request->header, SMP_IMAGE_NO_FREE_SLOT);
    } else {
        struct smp_erasing *const erasing = &image->erasing;
        erasing->under_way = true;
        erasing->request = request->header;
        erasing->place = (slot == 1u) ? SLOT1_OFFSET : view->library->spare;
        erasing->left = (slot == 1u) ? SLOT1_SIZE : (LIBRARY_SIZE / 2u);
        image->upload.open = false;
    }
}

bool smp_image_erase(struct smp_image *image, struct smp_reply *reply)
{
    struct smp_erasing *const erasing = &image->erasing;
    const uint32_t page = port_flash_page();
    /* From the end: a request goes before the image that it asks for. */
    const uint32_t place = erasing->place + erasing->left - page;
    const bool done = port_flash_blank(place, page) || port_flash_erase(place);
    erasing->left -= page;
    const bool over = !done || (erasing->left == 0u);
    if (over) {
        erasing->under_way = false;
        smp_reply_begin(reply, &erasing->request);
        if (!done) {
            fail(reply, &erasing->request, SMP_IMAGE_FLASH_ERASE_FAILED);
        }
    }
    return over;
}

/* --- dispatch ----------------------------------------------------------------------------------------------------- */

enum smp_effect smp_image_run(struct smp_image *image, const struct smp_view *view, const struct smp_request *request,
                              struct smp_reply *reply)
{
    const bool reads = (request->header.op == (uint8_t)SMP_READ);
    const uint32_t command = request->header.command;
    enum smp_effect effect = SMP_NOTHING;
    if (reads && (command == SMP_IMAGE_STATE)) {
        smp_images_list(view->library, reply, &request->header);
    } else if (reads || ((command != SMP_IMAGE_STATE) && (command != SMP_IMAGE_UPLOAD) && (command != SMP_IMAGE_ERASE))) {
        smp_reply_error(reply, &request->header, SMP_NOT_SUPPORTED);
    } else if (view->delivering || image->erasing.under_way) {
        smp_reply_error(reply, &request->header, SMP_BUSY);
    } else if (command == SMP_IMAGE_STATE) {
        effect = write_state(view, request, reply);
    } else if (command == SMP_IMAGE_UPLOAD) {
        effect = run_upload(&image->upload, view, request, reply);
    } else {
        begin_erase(image, view, request, reply);
    }
    return effect;
}
