/*
 * SPDX-License-Identifier: Apache-2.0
 * Exchanging the images of two slots so that power may be cut at and inside every flash operation ("swap using move",
 * docs/adr/0009-swap-that-survives-power-cuts.md).
 *
 * What always holds: from swap_begin()'s last write on, slot 0's trailer says which swap of how many pages is under way, and the
 * marks in it say how far it is. Before that write, both images are untouched. Each step reads a page that no earlier step
 * has changed since and writes one whose contents an earlier step has saved, so a step that was cut off is done again.
 * No image reaches beyond update_room() of its slot.
 */
#ifndef BOOTLOADER_SWAP_H
#define BOOTLOADER_SWAP_H

#include <stdbool.h>
#include <stdint.h>

#include "core/update.h"

struct swap_slots {
    struct update_slot slot0;
    struct update_slot slot1; /* of the same size */
};

/*
 * Writes the plan into slot 0's trailer, the magic last; swaps nothing yet. type: SWAP_TEST, SWAP_PERMANENT or SWAP_REVERT.
 * False if the flash does not hold it: then nothing is under way.
 */
bool swap_begin(const struct swap_slots *slots, enum swap_type type, uint32_t pages);

/*
 * Does all steps that are not marked as done, then ends the swap: image_ok unless it is a test, slot 1's request erased,
 * copy_done last. False if the flash does not hold a result: then the swap stays under way.
 */
bool swap_finish(const struct swap_slots *slots, enum swap_type type, uint32_t pages);

#endif
