/*
 * SPDX-License-Identifier: Apache-2.0
 * The signed drug library. See library.h.
 * @realises DSG-012
 */
#include "application/control/library.h"

#include <stddef.h>

#include "application/control/delivery.h"
#include "core/bytes.h"
#include "port/port.h"

/* Payload: magic 4, format 2, count 2, then entries. */
#define HEAD_SIZE 8u
#define ENTRY_SIZE 40u
#define FORMAT 1u
#define MAGIC 0x42494c44u /* "DLIB" */

/* An entry: id 0, name 2, soft-min 16, soft-max 18, hard-min 20, hard-max 22, bolus-max 24, bolus-rate 28, lockout 30, hourly 32, 0 36. */
#define NAME_AT 2u
#define RESERVED_AT 36u
#define RESERVED_SIZE 4u

/* Limits of a library's own numbers: what no syringe allows is a mistake. */
#define RATE_MAX 1000u          /* 0.1 ml/h */
#define MICROLITRES_MAX 50000u  /* so that an hour of boluses fits pump.c's 16 bit */

static void read_entry(const uint8_t *entry, struct drug *drug)
{
    drug->id = bytes_le16(&entry[0]);
    for (uint32_t i = 0u; i < LIBRARY_NAME_SIZE; i++) {
        drug->name[i] = (char)entry[NAME_AT + i];
    }
    drug->name[LIBRARY_NAME_SIZE] = '\0';
    drug->soft_min = bytes_le16(&entry[16]);
    drug->soft_max = bytes_le16(&entry[18]);
    drug->hard_min = bytes_le16(&entry[20]);
    drug->hard_max = bytes_le16(&entry[22]);
    drug->bolus_max = bytes_le32(&entry[24]);
    drug->bolus_rate = bytes_le16(&entry[28]);
    drug->lockout = bytes_le16(&entry[30]);
    drug->hourly = bytes_le32(&entry[32]);
}

/* Lower-case letters, digits and '-', at least one, then only NUL: what a console line can show as one word. */
static bool name_valid(const uint8_t *name)
{
    uint32_t length = 0u;
    while ((length < LIBRARY_NAME_SIZE) &&
           (((name[length] >= (uint8_t)'a') && (name[length] <= (uint8_t)'z')) ||
            ((name[length] >= (uint8_t)'0') && (name[length] <= (uint8_t)'9')) || (name[length] == (uint8_t)'-'))) {
        length++;
    }
    return (length > 0u) && bytes_all(&name[length], LIBRARY_NAME_SIZE - length, 0u);
}

static bool rates_valid(const struct drug *drug)
{
    return (drug->hard_min >= DELIVERY_RATE_MIN) && (drug->hard_min <= drug->soft_min) &&
           (drug->soft_min <= drug->soft_max) && (drug->soft_max <= drug->hard_max) && (drug->hard_max <= RATE_MAX);
}

/* Either no bolus at all, with every number 0, or one whose numbers fit each other. */
static bool bolus_valid(const struct drug *drug)
{
    bool valid = (drug->bolus_rate == 0u) && (drug->lockout == 0u) && (drug->hourly == 0u);
    if (drug->bolus_max != 0u) {
        valid = (drug->bolus_max >= DELIVERY_BOLUS_MIN) && (drug->bolus_rate >= DELIVERY_RATE_MIN) &&
                (drug->bolus_rate <= RATE_MAX) && (drug->bolus_max <= drug->hourly) &&
                (drug->hourly <= MICROLITRES_MAX);
    }
    return valid;
}

/* The entry of that id among the first count ones, or NULL. */
static const uint8_t *find(const uint8_t *entries, uint32_t count, uint32_t id)
{
    const uint8_t *found = NULL;
    for (uint32_t i = 0u; (found == NULL) && (i < count); i++) {
        if (bytes_le16(&entries[i * ENTRY_SIZE]) == id) {
            found = &entries[i * ENTRY_SIZE];
        }
    }
    return found;
}

static bool entry_valid(const uint8_t *entries, uint32_t index)
{
    const uint8_t *const entry = &entries[index * ENTRY_SIZE];
    struct drug drug;
    read_entry(entry, &drug);
    return (drug.id != 0u) && (find(entries, index, drug.id) == NULL) && name_valid(&entry[NAME_AT]) &&
           rates_valid(&drug) && bolus_valid(&drug) && bytes_all(&entry[RESERVED_AT], RESERVED_SIZE, 0u);
}

bool library_parse(const uint8_t *payload, uint32_t size, uint32_t *count)
{
    bool valid = false;
    *count = 0u;
    if ((size >= HEAD_SIZE) && (bytes_le32(&payload[0]) == MAGIC) && (bytes_le16(&payload[4]) == FORMAT)) {
        const uint32_t drugs = bytes_le16(&payload[6]);
        valid = (drugs >= 1u) && (drugs <= LIBRARY_DRUGS_MAX) && (size == (HEAD_SIZE + (drugs * ENTRY_SIZE)));
        for (uint32_t i = 0u; valid && (i < drugs); i++) {
            valid = entry_valid(&payload[HEAD_SIZE], i);
        }
        *count = valid ? drugs : 0u;
    }
    return valid;
}

bool library_load(struct library *library, const struct data_region *region, uint32_t header_size,
                  const uint8_t key[ED25519_KEY_SIZE])
{
    struct image image;
    uint32_t half = region->offset;
    const uint32_t second = region->offset + (region->size / 2u);
    const bool chosen = data_image_choose(region, header_size, key, &image, &half);

    library->drugs = NULL;
    library->count = 0u;
    library->spare = (chosen && (half == region->offset)) ? second : region->offset;
    if (chosen) {
        const uint8_t *const payload = &image.base[image.payload_offset];
        if (library_parse(payload, image.payload_size, &library->count)) {
            library->drugs = &payload[HEAD_SIZE];
            library->version = image.version;
            for (uint32_t i = 0u; i < SHA256_SIZE; i++) {
                library->digest[i] = image.digest[i]; /* verified: it is the digest of what is there */
            }
        }
    }
    return library->count > 0u;
}

bool library_drug(const struct library *library, uint32_t id, struct drug *drug)
{
    const uint8_t *const entry = find(library->drugs, library->count, id);
    if (entry != NULL) {
        read_entry(entry, drug);
    }
    return entry != NULL;
}
