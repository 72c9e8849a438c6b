/*
 * SPDX-License-Identifier: Apache-2.0
 * SMP packets taken apart. See smp_request.h.
 * @realises DSG-018
 */
#include "application/link/smp_request.h"

#include <zcbor_decode.h>

#include "core/bytes.h"

#define OP_MASK 0x07u
#define VERSION_SHIFT 3u
#define VERSION_MASK 0x03u

enum kind { TEXT, BYTES, NUMBER, TRUTH };

struct key {
    const char *name;
    size_t length;
    enum kind kind;
};

static const struct key keys[SMP_KEYS] = {
    [SMP_KEY_D] = {"d", 1u, TEXT},
    [SMP_KEY_DATA] = {"data", 4u, BYTES},
    [SMP_KEY_HASH] = {"hash", 4u, BYTES},
    [SMP_KEY_SHA] = {"sha", 3u, BYTES},
    [SMP_KEY_OFF] = {"off", 3u, NUMBER},
    [SMP_KEY_LEN] = {"len", 3u, NUMBER},
    [SMP_KEY_IMAGE] = {"image", 5u, NUMBER},
    [SMP_KEY_SLOT] = {"slot", 4u, NUMBER},
    [SMP_KEY_FORCE] = {"force", 5u, NUMBER},
    [SMP_KEY_CONFIRM] = {"confirm", 7u, TRUTH},
    [SMP_KEY_UPGRADE] = {"upgrade", 7u, TRUTH},
};

bool smp_request_header(const uint8_t *packet, size_t length, struct smp_header *header)
{
    const bool there = (length >= SMP_HEADER_SIZE);
    if (there) {
        header->op = packet[0] & OP_MASK;
        header->version = (uint8_t)(packet[0] >> VERSION_SHIFT) & VERSION_MASK;
        header->length = (uint16_t)(((uint32_t)packet[2] << 8) | packet[3]);
        header->group = (uint16_t)(((uint32_t)packet[4] << 8) | packet[5]);
        header->sequence = packet[6];
        header->command = packet[7];
    }
    return there;
}

static uint32_t find_key(const struct zcbor_string *name)
{
    uint32_t key = 0u;
    while ((key < (uint32_t)SMP_KEYS) &&
           !((name->len == keys[key].length) && bytes_equal(name->value, (const uint8_t *)keys[key].name, name->len))) {
        key++;
    }
    return key;
}

static bool read_value(zcbor_state_t *state, enum kind kind, struct smp_value *value)
{
    bool truth = false;
    bool right;
    if (kind == TEXT) {
        right = zcbor_tstr_decode(state, &value->string);
    } else if (kind == BYTES) {
        right = zcbor_bstr_decode(state, &value->string);
    } else if (kind == NUMBER) {
        right = zcbor_uint32_decode(state, &value->number);
    } else {
        right = zcbor_bool_decode(state, &truth);
        value->number = truth ? 1u : 0u;
    }
    /* Each key at most once. */
    right = right && !value->there;
    value->there = true;
    return right;
}

/*
 * Passes over a value of no interest: a number, a text, a byte string, a truth or null. zcbor_any_skip() would take nested values
 * too, but calls itself as deep as they nest.
 */
static bool pass_over(zcbor_state_t *state)
{
    struct zcbor_string string;
    uint64_t positive;
    int64_t number;
    bool truth;
    return zcbor_uint64_decode(state, &positive) || zcbor_int64_decode(state, &number) ||
           zcbor_tstr_decode(state, &string) || zcbor_bstr_decode(state, &string) || zcbor_bool_decode(state, &truth) ||
           zcbor_nil_expect(state, NULL);
}

static bool read_map(const uint8_t *payload, size_t length, struct smp_value *values)
{
    ZCBOR_STATE_D(state, 1u, payload, length, 1u, 0u);
    bool right = zcbor_map_start_decode(state);
    while (right && !zcbor_array_at_end(state)) {
        struct zcbor_string name = {.value = NULL, .len = 0u};
        right = zcbor_tstr_decode(state, &name);
        if (right) {
            const uint32_t key = find_key(&name);
            right = (key < (uint32_t)SMP_KEYS) ? read_value(state, keys[key].kind, &values[key]) : pass_over(state);
        }
    }
    const bool ended = right && zcbor_map_end_decode(state); /* LCOV_EXCL_BR_LINE: where the loop ended, it cannot fail */
    return ended && (state->payload == &payload[length]);
}

enum smp_error smp_request_read(const uint8_t *packet, size_t length, struct smp_request *request)
{
    enum smp_error error = SMP_OK;
    for (uint32_t i = 0u; i < (uint32_t)SMP_KEYS; i++) {
        request->values[i] = (struct smp_value){.there = false};
    }
    if (request->header.version > SMP_VERSION_2) {
        error = SMP_VERSION_TOO_NEW;
    } else if (request->header.length != (length - SMP_HEADER_SIZE)) {
        error = SMP_INVALID;
    } else if ((request->header.length > 0u) &&
               !read_map(&packet[SMP_HEADER_SIZE], request->header.length, request->values)) {
        error = SMP_INVALID;
    } else {
        /* As it should be; without a payload it has no values. */
    }
    return error;
}
