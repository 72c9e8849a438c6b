/*
 * SPDX-License-Identifier: Apache-2.0
 * Replies to SMP requests. See smp_reply.h.
 * @realises DSG-018
 */
#include "application/link/smp_reply.h"

#define KEY_MAX 16u      /* no key is longer */
#define ELEMENTS_MAX 16u /* of one map or list; without zcbor's canonical form it only has to be enough */

void smp_reply_begin(struct smp_reply *reply, const struct smp_header *request)
{
    uint8_t *const header = reply->packet;
    header[0] = (uint8_t)((uint32_t)(request->version << 3) | (uint32_t)(request->op + 1u));
    header[1] = 0u;
    header[4] = (uint8_t)(request->group >> 8);
    header[5] = (uint8_t)request->group;
    header[6] = request->sequence;
    header[7] = request->command;
    zcbor_new_encode_state(reply->state, 2u, &reply->packet[SMP_HEADER_SIZE], SMP_PACKET_MAX - SMP_HEADER_SIZE, 1u);
    reply->right = zcbor_map_start_encode(reply->state, ELEMENTS_MAX);
}

/* Once something did not fit, the reply is not right any more; what follows then may fit again, and does not matter. */
static void note(struct smp_reply *reply, bool fitted)
{
    if (!fitted) {
        reply->right = false;
    }
}

static void put_key(struct smp_reply *reply, const char *key)
{
    note(reply, zcbor_tstr_put_term(reply->state, key, KEY_MAX));
}

void smp_reply_number(struct smp_reply *reply, const char *key, uint32_t value)
{
    put_key(reply, key);
    note(reply, zcbor_uint32_put(reply->state, value));
}

void smp_reply_truth(struct smp_reply *reply, const char *key, bool value)
{
    put_key(reply, key);
    note(reply, zcbor_bool_put(reply->state, value));
}

void smp_reply_text(struct smp_reply *reply, const char *key, const uint8_t *text, size_t length)
{
    const struct zcbor_string string = {.value = text, .len = length};
    put_key(reply, key);
    note(reply, zcbor_tstr_encode(reply->state, &string));
}

void smp_reply_bytes(struct smp_reply *reply, const char *key, const uint8_t *bytes, size_t length)
{
    const struct zcbor_string string = {.value = bytes, .len = length};
    put_key(reply, key);
    note(reply, zcbor_bstr_encode(reply->state, &string));
}

void smp_reply_list(struct smp_reply *reply, const char *key)
{
    put_key(reply, key);
    note(reply, zcbor_list_start_encode(reply->state, ELEMENTS_MAX));
}

void smp_reply_list_map(struct smp_reply *reply)
{
    note(reply, zcbor_map_start_encode(reply->state, ELEMENTS_MAX));
}

void smp_reply_map(struct smp_reply *reply, const char *key)
{
    put_key(reply, key);
    smp_reply_list_map(reply);
}

void smp_reply_end_list(struct smp_reply *reply)
{
    note(reply, zcbor_list_end_encode(reply->state, ELEMENTS_MAX));
}

void smp_reply_end_map(struct smp_reply *reply)
{
    note(reply, zcbor_map_end_encode(reply->state, ELEMENTS_MAX));
}

void smp_reply_error(struct smp_reply *reply, const struct smp_header *request, enum smp_error error)
{
    smp_reply_begin(reply, request);
    smp_reply_number(reply, "rc", (uint32_t)error);
}

void smp_reply_group_error(struct smp_reply *reply, const struct smp_header *request, uint32_t code, enum smp_error in_version_1)
{
    if (request->version == SMP_VERSION_1) {
        smp_reply_error(reply, request, in_version_1);
    } else {
        smp_reply_begin(reply, request);
        smp_reply_map(reply, "err");
        smp_reply_number(reply, "group", request->group);
        smp_reply_number(reply, "rc", code);
        smp_reply_end_map(reply);
    }
}

size_t smp_reply_end(struct smp_reply *reply, const struct smp_header *request)
{
    smp_reply_end_map(reply);
    if (!reply->right) {
        smp_reply_error(reply, request, SMP_TOO_LARGE);
        smp_reply_end_map(reply);
    }
    const size_t length = (size_t)(reply->state[0].payload - reply->packet);
    const size_t payload = length - SMP_HEADER_SIZE;
    reply->packet[2] = (uint8_t)(payload >> 8);
    reply->packet[3] = (uint8_t)payload;
    return length;
}
