/*
 * SPDX-License-Identifier: Apache-2.0
 * A signed data image (MCUboot's flag NON_BOOTABLE) that a region of flash holds twice, in its two halves, so that one copy is
 * whole while the other is written. The valid copy with the higher version counts; of two equal ones the first.
 */
#ifndef CORE_DATA_IMAGE_H
#define CORE_DATA_IMAGE_H

#include <stdbool.h>
#include <stdint.h>

#include "core/ed25519.h"
#include "core/image.h"

/* Offset in flash and size; each half is whole pages. */
struct data_region {
    uint32_t offset;
    uint32_t size;
};

/* Reads and verifies the image at that offset, within that size: IMAGE_OK, or why it does not count. */
enum image_result data_image_check(uint32_t offset, uint32_t size, uint32_t header_size,
                                   const uint8_t key[ED25519_KEY_SIZE], struct image *image);

/* The copy that counts, with the offset of its half; false if neither is valid. */
bool data_image_choose(const struct data_region *region, uint32_t header_size, const uint8_t key[ED25519_KEY_SIZE],
                       struct image *image, uint32_t *half);

#endif
