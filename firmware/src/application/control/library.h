/*
 * SPDX-License-Identifier: Apache-2.0
 * The signed drug library in flash (../../../PROTOCOL.md, "Drug library"): read in place, after its signature and every rule of
 * its format hold. A library that breaks one is no library: nothing of it is used.
 */
#ifndef APPLICATION_CONTROL_LIBRARY_H
#define APPLICATION_CONTROL_LIBRARY_H

#include <stdbool.h>
#include <stdint.h>

#include "core/data_image.h"

#define LIBRARY_NAME_SIZE 14u
#define LIBRARY_DRUGS_MAX 32u

struct drug {
    uint16_t id;
    char name[LIBRARY_NAME_SIZE + 1u]; /* ends with NUL */
    uint16_t soft_min; /* rates in 0.1 ml/h */
    uint16_t soft_max;
    uint16_t hard_min;
    uint16_t hard_max;
    uint16_t bolus_rate;
    uint16_t lockout;   /* s */
    uint32_t bolus_max; /* µl; 0: no bolus of this drug */
    uint32_t hourly;    /* µl */
};

struct library {
    const uint8_t *drugs; /* the first of `count` entries in flash */
    uint32_t count;       /* 0: there is no valid library */
    uint32_t spare;       /* offset in flash of the half that does not count: where an upload goes */
    struct image_version version;
    uint8_t digest[SHA256_SIZE];
};

/* Chooses and checks; true if there is a library. The digest is the image's. */
bool library_load(struct library *library, const struct data_region *region, uint32_t header_size,
                  const uint8_t key[ED25519_KEY_SIZE]);

/* Checks a payload: true only if every rule of the format holds. *count receives the number of drugs. */
bool library_parse(const uint8_t *payload, uint32_t size, uint32_t *count);

/* False if there is no library or no such drug. */
bool library_drug(const struct library *library, uint32_t id, struct drug *drug);

#endif
