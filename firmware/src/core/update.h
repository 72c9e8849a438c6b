/*
 * SPDX-License-Identifier: Apache-2.0
 * What is to be done with the two slots, read from their trailers (MCUboot, docs/design.md, "Image trailer", "Boot swap
 * types"). Shared by the bootloader, which acts on it, and the application, which reports and requests. Portable.
 *
 * Trailer, counted back from the end of a slot (BOOT_MAX_ALIGN 8): magic 16 bytes, image_ok 8, copy_done 8, swap_info 8,
 * swap_size 8; below them the swap status, one mark of 4 bytes for each step. image_ok and copy_done are MCUboot's;
 * swap_info is the type and its complement, swap_size the number of pages and its complement, so that neither an erased
 * nor a torn nor a zeroed one counts. A field counts only if its whole word is right. All of it stands in whole pages.
 *
 * Bounds: update_trailer() and the pure functions write nothing. The others write only inside the trailer they are given.
 */
#ifndef CORE_UPDATE_H
#define CORE_UPDATE_H

#include <stdbool.h>
#include <stdint.h>

enum swap_type {
    SWAP_NONE = 1,      /* start what is in slot 0 */
    SWAP_TEST = 2,      /* slot 1 was requested for one trial boot */
    SWAP_PERMANENT = 3, /* slot 1 was requested for good */
    SWAP_REVERT = 4,    /* slot 0 is a trial that was not confirmed */
    SWAP_RESUME = 5     /* a swap was cut off: finish it */
};

struct slot_trailer {
    bool magic;
    bool image_ok;
    bool copy_done;
    bool swap_known;     /* swap_info and swap_size are whole */
    enum swap_type swap; /* of the swap under way or done last; SWAP_NONE unless swap_known */
    uint32_t swap_pages; /* how many pages it exchanges; 0 unless swap_known */
};

/* One slot: its first byte's offset in flash, and its size in bytes. */
struct update_slot {
    uint32_t offset;
    uint32_t size;
};

/* Reads a slot's trailer; slot is the offset of the slot's first byte in flash. */
struct slot_trailer update_trailer(uint32_t slot, uint32_t slot_size);

/* The decision, from the trailers alone: pure. */
enum swap_type update_decide(const struct slot_trailer *slot0, const struct slot_trailer *slot1);

/* Slot 0 runs for good: it was never swapped in, or it was confirmed. */
bool update_confirmed(const struct slot_trailer *slot0);

/* The console name of a swap type; "unknown" for a number that is none. */
const char *update_swap_name(uint32_t type);

/* --- application: on the board's own slots ----------------------------------------------------------------------- */

/* Requests slot 1 for the next boot. False if the flash does not hold the request. */
bool update_request(bool permanent);

/* Confirms the running image. True also if it is confirmed already. */
bool update_confirm(void);

/* Bytes at the end of a slot that no image may use: trailer and swap status, in whole pages; and one page more to move in. */
uint32_t update_reserved(void);

/* --- the same on any slot: bootloader, tests ---------------------------------------------------------------------- */

/* Bytes of the trailer with its swap status, in whole pages. */
uint32_t update_trailer_size(uint32_t slot_size);

/* The most bytes an image in a slot of that size may have, its TLVs included; 0 where the slot is too small for any. */
uint32_t update_room(uint32_t slot_size);

/* Erases the trailer's pages. False if the flash does not hold the result. */
bool update_erase_trailer(const struct update_slot *slot);

/*
 * Writes a request into slot 1's trailer: erases it, then image_ok unless type is SWAP_TEST, then the
 * magic, last. With SWAP_REVERT it also notes that the request is the way back from a trial.
 */
bool update_request_in(const struct update_slot *slot1, enum swap_type type);

/* Writes image_ok into slot 0's trailer if it is a trial. */
bool update_confirm_in(const struct update_slot *slot0);

/* Single fields, in the order of swap.h. Each is one program of whole words. */
bool update_write_swap(const struct update_slot *slot, enum swap_type type, uint32_t pages);
bool update_write_magic(const struct update_slot *slot);
bool update_write_image_ok(const struct update_slot *slot);
bool update_write_copy_done(const struct update_slot *slot);

/* Makes swap_info and swap_size count no more, whatever an erase that is cut off then leaves of the trailer. */
bool update_forget_swap(const struct update_slot *slot);

/* The swap status: how many of the first marks are whole, and writing one; mark is below 3 * pages. */
uint32_t update_marks(const struct update_slot *slot, uint32_t pages);
bool update_write_mark(const struct update_slot *slot, uint32_t mark);

#endif
