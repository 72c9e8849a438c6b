/*
 * SPDX-License-Identifier: Apache-2.0
 * SMP's image group (../../../PROTOCOL.md, "SMP"): what lies in the slots and in the two copies of the drug library, requests and
 * confirmation, upload, erasing.
 *
 * What always holds: slot 0 and the library that counts are never written; nothing is written while the pump delivers, nor slot 1
 * while the running image is a trial that may have to go back to what lies there.
 */
#ifndef APPLICATION_LINK_SMP_IMAGE_H
#define APPLICATION_LINK_SMP_IMAGE_H

#include <stdbool.h>
#include <stdint.h>

#include "application/control/library.h"
#include "application/link/smp_reply.h"
#include "application/link/smp_request.h"
#include "application/link/upload.h"

#define SMP_GROUP_IMAGE 1u
#define SMP_IMAGE_STATE 0u
#define SMP_IMAGE_UPLOAD 1u
#define SMP_IMAGE_ERASE 5u

#define SMP_IMAGE_PROGRAM 0u /* image numbers */
#define SMP_IMAGE_LIBRARY 1u

/* Errors of the group (MCUmgr, IMG_MGMT_ERR_*). */
enum smp_image_error {
    SMP_IMAGE_HASH_NOT_FOUND = 8,
    SMP_IMAGE_NO_FREE_SLOT = 9,
    SMP_IMAGE_FLASH_WRITE_FAILED = 12,
    SMP_IMAGE_FLASH_ERASE_FAILED = 13,
    SMP_IMAGE_INVALID_SLOT = 14,
    SMP_IMAGE_INVALID_OFFSET = 20,
    SMP_IMAGE_INVALID_LENGTH = 21,
    SMP_IMAGE_INVALID_HEADER = 22,
    SMP_IMAGE_INVALID_MAGIC = 23,
    SMP_IMAGE_INVALID_HASH = 24,
    SMP_IMAGE_VERSION_IS_NEWER = 27,
    SMP_IMAGE_ALREADY_PENDING = 28,
    SMP_IMAGE_TOO_LARGE = 30,
    SMP_IMAGE_OVERRUN = 31,
    SMP_IMAGE_CONFIRMATION_DENIED = 32,
    SMP_IMAGE_TEST_OF_ACTIVE_DENIED = 33
};

/* What the device is at, as far as it matters here. */
struct smp_view {
    bool delivering;
    bool trial; /* the running image is one, not confirmed */
    const struct library *library;
};

/* What a request did, for the caller to go on with once the reply is out. */
enum smp_effect {
    SMP_NOTHING,
    SMP_RESET,               /* reset the device */
    SMP_REQUESTED_TEST,      /* slot 1 is requested for a trial */
    SMP_REQUESTED_PERMANENT, /* slot 1 is requested for good */
    SMP_CONFIRMED,           /* the running image is confirmed */
    SMP_LIBRARY_CHANGED      /* a library was uploaded: choose again */
};

/* The erasing of a slot or of a copy of the library, a page at a time. */
struct smp_erasing {
    bool under_way;
    uint32_t place; /* offset in flash */
    uint32_t left;  /* bytes, from the place */
    struct smp_header request;
};

struct smp_image {
    struct upload upload;
    struct smp_erasing erasing;
};

void smp_image_init(struct smp_image *image);

/*
 * Carries out a request of this group into `reply`. Where it began to erase (image->erasing.under_way), there is no reply yet:
 * smp_image_erase() makes it.
 */
enum smp_effect smp_image_run(struct smp_image *image, const struct smp_view *view, const struct smp_request *request,
                              struct smp_reply *reply);

/* Erases the next page. True if that was the last one, or failed: the reply is made then. */
bool smp_image_erase(struct smp_image *image, struct smp_reply *reply);

#endif
