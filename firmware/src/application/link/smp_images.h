/*
 * SPDX-License-Identifier: Apache-2.0
 * What lies in the slots and in the two copies of the drug library, as SMP shows it. Reads only; whether an image would be taken
 * is the bootloader's and the library's own judgement.
 */
#ifndef APPLICATION_LINK_SMP_IMAGES_H
#define APPLICATION_LINK_SMP_IMAGES_H

#include <stdbool.h>
#include <stdint.h>

#include "application/control/library.h"
#include "application/link/smp_reply.h"
#include "core/image.h"

/* Where an image can lie: image 0 in slot 0 or 1; image 1 in the copy that counts or the spare one. */
enum smp_place { SMP_PLACE_SLOT0, SMP_PLACE_SLOT1, SMP_PLACE_LIBRARY, SMP_PLACE_SPARE, SMP_PLACE_NONE };

/* False if no well-formed image with a digest lies there. */
bool smp_images_read(enum smp_place place, const struct library *library, struct image *image);

/* The first place with an image of that hash (SHA256_SIZE bytes), or SMP_PLACE_NONE. */
enum smp_place smp_images_find(const struct library *library, const uint8_t *hash);

/* Begins the reply to a request and puts the list of all images into it. */
void smp_images_list(const struct library *library, struct smp_reply *reply, const struct smp_header *request);

#endif
