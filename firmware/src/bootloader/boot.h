/*
 * SPDX-License-Identifier: Apache-2.0
 * What the bootloader does before it starts a program: finishes a swap that was cut off, carries out or refuses what the
 * trailers ask for, and judges the image in slot 0.
 *
 * What always holds:
 * - Only a program that is signed by the key, whole, fit for this board and not older than the stored security counter is
 *   swapped in or found fit to start.
 * - Nothing of slot 0 is touched before slot 1's image was found valid.
 * - The stored counter is raised only for an image in slot 0 that runs for good, never for a trial.
 * - A trial that was not confirmed is never started again while a valid image to go back to is there; the one exception is
 *   the reset by which the application proves its watchdog, once a trial.
 */
#ifndef BOOTLOADER_BOOT_H
#define BOOTLOADER_BOOT_H

#include <stdint.h>

#include "bootloader/counter.h"
#include "bootloader/swap.h"
#include "core/data_image.h"
#include "core/ed25519.h"
#include "core/handover.h"
#include "core/image.h"

#define BOOT_LIBRARY_IMAGE 1u /* the image number by which a program names the drug library in its dependencies */

struct boot_layout {
    struct swap_slots slots;
    struct counter_store state;
    struct data_region library;
    uint32_t flash_base;  /* address of the flash's first byte */
    uint32_t header_size; /* of every image */
};

/*
 * IMAGE_OK: slot 0 is to be started now. Anything else: nothing may be started. Tells the handover what was done. Whatever
 * happens meanwhile, it may simply be called again after a reset.
 */
enum image_result boot_prepare(const struct boot_layout *layout, const uint8_t key[ED25519_KEY_SIZE],
                               struct handover *handover);

#endif
