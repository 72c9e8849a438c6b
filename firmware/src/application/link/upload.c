/*
 * SPDX-License-Identifier: Apache-2.0
 * An image on its way into flash. See upload.h.
 * @realises DSG-020
 */
#include "application/link/upload.h"

#include "core/bytes.h"
#include "port/port.h"

#define WORD 4u
#define ERASED_WORD UINT32_MAX

static void clear_block(struct upload *upload)
{
    for (uint32_t i = 0u; i < (UPLOAD_BLOCK / WORD); i++) {
        upload->block[i] = ERASED_WORD;
    }
}

void upload_init(struct upload *upload)
{
    upload->open = false;
    upload->taken = 0u;
}

void upload_begin(struct upload *upload, uint32_t image, uint32_t place, uint32_t size, const uint8_t *sha)
{
    upload->open = true;
    upload->image = image;
    upload->place = place;
    upload->size = size;
    upload->taken = 0u;
    clear_block(upload);
    upload->has_sha = (sha != NULL);
    for (uint32_t i = 0u; i < SHA256_SIZE; i++) {
        upload->sha[i] = (sha != NULL) ? sha[i] : 0u;
    }
    sha256_init(&upload->digest);
}

bool upload_is(const struct upload *upload, uint32_t image, uint32_t size, const uint8_t *sha)
{
    return upload->open && upload->has_sha && (sha != NULL) && (upload->image == image) && (upload->size == size) &&
           bytes_equal(upload->sha, sha, SHA256_SIZE);
}

/* Writes the block of which `bytes` are taken; the page that begins there is erased first. */
static bool put_block(struct upload *upload, uint32_t bytes)
{
    const uint32_t page = port_flash_page();
    const uint32_t offset = upload->place + (upload->taken - bytes);
    bool done = true;
    if (((offset % page) == 0u) && !port_flash_blank(offset, page)) {
        done = port_flash_erase(offset);
    }
    done = done && port_flash_program(offset, upload->block, (bytes + WORD - 1u) / WORD);
    clear_block(upload);
    return done;
}

bool upload_add(struct upload *upload, const uint8_t *bytes, uint32_t count)
{
    bool done = true;
    sha256_update(&upload->digest, bytes, count);
    for (uint32_t i = 0u; done && (i < count); i++) {
        const uint32_t within = upload->taken % UPLOAD_BLOCK;
        const uint32_t shift = 8u * (within % WORD);
        uint32_t *const word = &upload->block[within / WORD];
        *word = (*word & ~(0xffu << shift)) | ((uint32_t)bytes[i] << shift);
        upload->taken++;
        if ((within == (UPLOAD_BLOCK - 1u)) || (upload->taken == upload->size)) {
            done = put_block(upload, within + 1u);
        }
    }
    upload->open = done;
    return done;
}

bool upload_is_whole(const struct upload *upload)
{
    return upload->taken == upload->size;
}

bool upload_matches(const struct upload *upload)
{
    struct sha256 digest = upload->digest;
    uint8_t found[SHA256_SIZE];
    sha256_final(&digest, found);
    return bytes_equal(found, upload->sha, SHA256_SIZE);
}
