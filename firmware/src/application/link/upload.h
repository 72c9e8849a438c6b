/*
 * SPDX-License-Identifier: Apache-2.0
 * An image on its way into flash, piece by piece: pages are erased as they are reached, so that no step takes longer than the
 * erasing of a few pages. Flash is written in blocks of whole words, whatever the pieces' lengths; nothing outside the image's pages and,
 * for a slot, its trailer is touched.
 */
#ifndef APPLICATION_LINK_UPLOAD_H
#define APPLICATION_LINK_UPLOAD_H

#include <stdbool.h>
#include <stdint.h>

#include "core/sha256.h"

#define UPLOAD_BLOCK 128u /* bytes written at once; divides a page of any flash */

struct upload {
    bool open;
    uint32_t image;         /* its number */
    uint32_t place;         /* offset in flash of its first byte, where a page begins */
    uint32_t size;          /* of the whole image */
    uint32_t taken;         /* bytes so far */
    uint32_t block[UPLOAD_BLOCK / 4u]; /* the last taken % UPLOAD_BLOCK bytes of them, which are not in flash yet */
    bool has_sha;
    uint8_t sha[SHA256_SIZE]; /* of the whole file, as the sender says */
    struct sha256 digest;     /* of the bytes taken */
};

void upload_init(struct upload *upload);

/* Begins anew, for an image of `size` bytes at that place; sha is NULL or SHA256_SIZE bytes. Writes nothing yet. */
void upload_begin(struct upload *upload, uint32_t image, uint32_t place, uint32_t size, const uint8_t *sha);

/* An upload of the same image is under way: the same number, size and SHA-256. */
bool upload_is(const struct upload *upload, uint32_t image, uint32_t size, const uint8_t *sha);

/* The next bytes, at most size - taken of them. False, and the upload is closed, if the flash does not hold them. */
bool upload_add(struct upload *upload, const uint8_t *bytes, uint32_t count);

/* All bytes are taken. */
bool upload_is_whole(const struct upload *upload);

/* Of a whole upload with a SHA-256: it is the one of the bytes that came. */
bool upload_matches(const struct upload *upload);

#endif
