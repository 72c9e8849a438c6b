/*
 * SPDX-License-Identifier: Apache-2.0
 * The SMP server. See smp.h.
 * @realises DSG-018
 */
#include "application/link/smp.h"

#define GROUP_OS 0u
#define OS_ECHO 0u
#define OS_RESET 5u
#define OS_PARAMETERS 6u

void smp_init(struct smp *smp)
{
    smp_frame_init(&smp->frame);
    smp_image_init(&smp->image);
}

static void run_echo(const struct smp_request *request, struct smp_reply *reply)
{
    const struct smp_value *const text = &request->values[SMP_KEY_D];
    if (text->there) {
        smp_reply_text(reply, "r", text->string.value, text->string.len);
    } else {
        smp_reply_error(reply, &request->header, SMP_INVALID);
    }
}

static enum smp_effect run_os(const struct smp_view *view, const struct smp_request *request, struct smp_reply *reply)
{
    const bool writes = (request->header.op == (uint8_t)SMP_WRITE);
    const uint32_t command = request->header.command;
    enum smp_effect effect = SMP_NOTHING;
    if (writes && (command == OS_ECHO)) {
        run_echo(request, reply);
    } else if (!writes && (command == OS_PARAMETERS)) {
        smp_reply_number(reply, "buf_size", SMP_PACKET_MAX);
        smp_reply_number(reply, "buf_count", 1u);
    } else if (!writes || (command != OS_RESET)) {
        smp_reply_error(reply, &request->header, SMP_NOT_SUPPORTED);
    } else if (view->delivering && (request->values[SMP_KEY_FORCE].number != 1u)) {
        smp_reply_error(reply, &request->header, SMP_BUSY);
    } else {
        effect = SMP_RESET;
    }
    return effect;
}

static enum smp_effect run(struct smp *smp, const struct smp_view *view, const struct smp_request *request)
{
    struct smp_reply *const reply = &smp->reply;
    enum smp_effect effect = SMP_NOTHING;
    smp_reply_begin(reply, &request->header);
    if (request->header.group == GROUP_OS) {
        effect = run_os(view, request, reply);
    } else if (request->header.group == SMP_GROUP_IMAGE) {
        effect = smp_image_run(&smp->image, view, request, reply);
    } else {
        smp_reply_error(reply, &request->header, SMP_NOT_SUPPORTED);
    }
    return effect;
}

static void send(struct smp *smp, const struct smp_header *request)
{
    const size_t length = smp_reply_end(&smp->reply, request);
    smp_frame_write(smp->reply.packet, length);
}

static bool is_request(const struct smp_header *header)
{
    return (header->op == (uint8_t)SMP_READ) || (header->op == (uint8_t)SMP_WRITE);
}

enum smp_effect smp_take(struct smp *smp, const struct smp_view *view, const uint8_t *line, size_t length)
{
    enum smp_effect effect = SMP_NOTHING;
    struct smp_request request;
    size_t packet_length = 0u;
    const uint8_t *const packet = smp_frame_take(&smp->frame, line, length, &packet_length);
    if ((packet != NULL) && smp_request_header(packet, packet_length, &request.header) && is_request(&request.header)) {
        const bool was_erasing = smp->image.erasing.under_way;
        const enum smp_error error = smp_request_read(packet, packet_length, &request);
        if (error != SMP_OK) {
            smp_reply_error(&smp->reply, &request.header, error);
        } else {
            effect = run(smp, view, &request);
        }
        /* A request that began to erase is answered when that is done. */
        if (was_erasing || !smp->image.erasing.under_way) {
            send(smp, &request.header);
        }
    }
    return effect;
}

void smp_take_broken(struct smp *smp)
{
    smp_frame_drop(&smp->frame);
}

void smp_work(struct smp *smp)
{
    if (smp->image.erasing.under_way && smp_image_erase(&smp->image, &smp->reply)) {
        send(smp, &smp->image.erasing.request);
    }
}
