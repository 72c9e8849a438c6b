/*
 * SPDX-License-Identifier: Apache-2.0
 * The image this application runs from, as it lies in flash now.
 */
#ifndef APPLICATION_SAFETY_RUNNING_IMAGE_H
#define APPLICATION_SAFETY_RUNNING_IMAGE_H

#include <stdbool.h>

#include "core/image.h"

/* Reads slot 0 and computes its digest. False if there is no well-formed image. */
bool running_image_read(struct image *image, uint8_t digest[SHA256_SIZE]);

/* True if the image's SHA-256 TLV is the digest of what is there. */
bool running_image_intact(void);

#endif
