/*
 * SPDX-License-Identifier: Apache-2.0
 * Reading an MCUboot-format image (MCUboot, docs/design.md, "Image format") where it lies in memory.
 *
 *   header (32 bytes, padded to header_size) | payload | protected TLVs | TLVs
 *
 * The digest covers header, payload and protected TLVs. Sizes come from the image and are not trusted: every sum is
 * checked against the slot before it is used. Nothing is copied; the view points into the slot.
 */
#ifndef CORE_IMAGE_H
#define CORE_IMAGE_H

#include <stdbool.h>
#include <stdint.h>

#include "core/sha256.h"

#define IMAGE_SIGNATURE_SIZE 64u
#define IMAGE_VECTORS_SIZE 8u      /* the least payload of a program: initial stack pointer and reset handler */
#define IMAGE_DEPENDENCIES_MAX 2u  /* an image that names more is refused as malformed */

/* What an image may be for: a program, or data (MCUboot's flag NON_BOOTABLE). One is never taken for the other. */
enum image_kind {
    IMAGE_PROGRAM,
    IMAGE_DATA
};

/* Why an image is not started. The names on the console are image_reason()'s. */
enum image_result {
    IMAGE_OK,
    IMAGE_NO_IMAGE,            /* the header area is erased */
    IMAGE_BAD_HEADER,          /* magic, header size, flags or kind; a payload that cannot be a program of this board */
    IMAGE_BAD_SIZE,            /* larger than the slot, or cut off: erased flash where TLVs must be */
    IMAGE_BAD_TLV,             /* a TLV area or entry is malformed, or a TLV that must be unique is not */
    IMAGE_NO_DIGEST,           /* no SHA-256 TLV */
    IMAGE_BAD_DIGEST,          /* the SHA-256 TLV is not the digest of what is there */
    IMAGE_NO_SIGNATURE,        /* no Ed25519 TLV */
    IMAGE_UNKNOWN_KEY,         /* signed, but KEYHASH is missing or names another key */
    IMAGE_BAD_SIGNATURE,       /* the signature does not hold for the digest */
    IMAGE_NO_SECURITY_COUNTER, /* no security counter among the protected TLVs */
    IMAGE_DOWNGRADE,           /* security counter below the stored one */
    IMAGE_BAD_STATE,           /* the stored security counter cannot be read or raised */
    IMAGE_DEPENDENCY,          /* it needs another image that is not there, or not in that version */
    IMAGE_FLASH_FAILED,        /* the flash did not hold what was written to it */
    IMAGE_RESULTS              /* how many results there are */
};

struct image_version {
    uint8_t major;
    uint8_t minor;
    uint16_t revision;
    uint32_t build;
};

/* The image of that number must be there in that version or a higher one (MCUboot's struct image_dependency). */
struct image_dependency {
    uint8_t image;
    struct image_version version;
};

struct image {
    const uint8_t *base;
    uint32_t payload_offset;
    uint32_t payload_size;
    uint32_t hashed_size; /* bytes from base that the digest covers */
    uint32_t size;        /* bytes from base to the end of the last TLV */
    struct image_version version;
    bool has_counter;
    uint32_t counter;
    uint32_t dependency_count;
    struct image_dependency dependencies[IMAGE_DEPENDENCIES_MAX];
    const uint8_t *digest;    /* SHA256_SIZE bytes, or NULL */
    const uint8_t *key_hash;  /* SHA256_SIZE bytes, or NULL */
    const uint8_t *signature; /* IMAGE_SIGNATURE_SIZE bytes, or NULL */
};

/*
 * Reads an image of that kind in a slot: IMAGE_OK (only then image is complete), _NO_IMAGE, _BAD_HEADER, _BAD_SIZE or
 * _BAD_TLV. It must end within slot_size bytes.
 */
enum image_result image_parse(const uint8_t *slot, uint32_t slot_size, uint32_t header_size, enum image_kind kind,
                              struct image *image);

/* Below 0, 0 or above 0 as version a is lower than, equal to or higher than b; the build number counts last. */
int32_t image_compare(const struct image_version *a, const struct image_version *b);

/* The digest of what a parsed image holds, computed now. */
void image_digest(const struct image *image, uint8_t digest[SHA256_SIZE]);

/* The console name of a result; "unknown" for a number that is none. */
const char *image_reason(enum image_result result);

#endif
