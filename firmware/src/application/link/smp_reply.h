/*
 * SPDX-License-Identifier: Apache-2.0
 * A reply to an SMP request: header and one CBOR map (zcbor), in a buffer of its own. What does not fit turns the reply into an
 * error, never into a cut one.
 *
 * Errors of the protocol are {"rc"}; errors of a group are {"err": {"group", "rc"}} in version 2, and in version 1 the {"rc"} that
 * the group says stands for them.
 */
#ifndef APPLICATION_LINK_SMP_REPLY_H
#define APPLICATION_LINK_SMP_REPLY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <zcbor_encode.h>

#include "application/link/smp_frame.h"
#include "application/link/smp_request.h"

struct smp_reply {
    uint8_t packet[SMP_PACKET_MAX];
    zcbor_state_t state[2]; /* state[0] encodes; zcbor keeps what it needs in state[1] */
    bool right;             /* everything fitted so far */
};

/* Begins the reply to a request with that header, and its map. */
void smp_reply_begin(struct smp_reply *reply, const struct smp_header *request);

void smp_reply_number(struct smp_reply *reply, const char *key, uint32_t value);
void smp_reply_truth(struct smp_reply *reply, const char *key, bool value);
void smp_reply_text(struct smp_reply *reply, const char *key, const uint8_t *text, size_t length);
void smp_reply_bytes(struct smp_reply *reply, const char *key, const uint8_t *bytes, size_t length);

/* Nested: a list of maps, and a map. */
void smp_reply_list(struct smp_reply *reply, const char *key);
void smp_reply_list_map(struct smp_reply *reply);
void smp_reply_map(struct smp_reply *reply, const char *key);
void smp_reply_end_list(struct smp_reply *reply);
void smp_reply_end_map(struct smp_reply *reply);

/* Drops what was put and makes the reply an error. */
void smp_reply_error(struct smp_reply *reply, const struct smp_header *request, enum smp_error error);
void smp_reply_group_error(struct smp_reply *reply, const struct smp_header *request, uint32_t code, enum smp_error in_version_1);

/* Ends the map and the packet, which is smp_reply->packet. Returns its length. */
size_t smp_reply_end(struct smp_reply *reply, const struct smp_header *request);

#endif
