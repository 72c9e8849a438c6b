/*
 * SPDX-License-Identifier: Apache-2.0
 * An SMP packet taken apart: its header (8 bytes, big-endian) and the map of its CBOR payload (zcbor). Strict in what it knows;
 * a key it does not know is passed over if its value is a plain one. Bounded: no recursion, nothing is copied out of the packet.
 */
#ifndef APPLICATION_LINK_SMP_REQUEST_H
#define APPLICATION_LINK_SMP_REQUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <zcbor_common.h>

#define SMP_HEADER_SIZE 8u

enum smp_op { SMP_READ = 0, SMP_READ_REPLY = 1, SMP_WRITE = 2, SMP_WRITE_REPLY = 3 };

#define SMP_VERSION_1 0u
#define SMP_VERSION_2 1u

/* Errors of the protocol itself (MCUmgr, MGMT_ERR_*). */
enum smp_error {
    SMP_OK = 0,
    SMP_UNKNOWN = 1,
    SMP_NO_MEMORY = 2,
    SMP_INVALID = 3,
    SMP_NO_ENTRY = 5,
    SMP_BAD_STATE = 6,
    SMP_TOO_LARGE = 7,
    SMP_NOT_SUPPORTED = 8,
    SMP_BUSY = 10,
    SMP_VERSION_TOO_NEW = 13
};

struct smp_header {
    uint8_t op;
    uint8_t version;
    uint16_t length; /* of the payload, as it says */
    uint16_t group;
    uint8_t sequence;
    uint8_t command;
};

/* The keys that some request has. */
enum smp_key {
    SMP_KEY_D,
    SMP_KEY_DATA,
    SMP_KEY_HASH,
    SMP_KEY_SHA,
    SMP_KEY_OFF,
    SMP_KEY_LEN,
    SMP_KEY_IMAGE,
    SMP_KEY_SLOT,
    SMP_KEY_FORCE,
    SMP_KEY_CONFIRM,
    SMP_KEY_UPGRADE,
    SMP_KEYS
};

struct smp_value {
    bool there;
    uint32_t number;            /* of a number; 1 or 0 of a truth */
    struct zcbor_string string; /* of a text or a byte string, in the packet */
};

struct smp_request {
    struct smp_header header;
    struct smp_value values[SMP_KEYS];
};

/* False if the packet is too short to have a header. */
bool smp_request_header(const uint8_t *packet, size_t length, struct smp_header *header);

/* The values of a packet with that header; SMP_OK, SMP_INVALID or SMP_VERSION_TOO_NEW. */
enum smp_error smp_request_read(const uint8_t *packet, size_t length, struct smp_request *request);

#endif
