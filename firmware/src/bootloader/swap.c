/*
 * SPDX-License-Identifier: Apache-2.0
 * Exchanging the images of two slots. See swap.h.
 * @realises DSG-034
 */
#include "bootloader/swap.h"

#include "core/bytes.h"
#include "port/port.h"

#define WORD ((uint32_t)sizeof(uint32_t))
#define CHUNK_WORDS 64u /* programmed at once; the copy in RAM lets a driver program the very bank that is read */

/* At least one word. */
static bool copy_chunk(uint32_t to, uint32_t from, uint32_t count)
{
    uint32_t words[CHUNK_WORDS];
    uint32_t read = 0u;
    do {
        words[read] = bytes_le32(port_flash_at(from + (read * WORD)));
        read++;
    } while (read < count);
    return port_flash_program(to, words, count);
}

/* The target is always erased, also where it reads as blank: an erase that was cut off may look complete. */
static bool copy_page(uint32_t to, uint32_t from)
{
    const uint32_t page = port_flash_page();
    bool copied = port_flash_erase(to);
    uint32_t at = 0u;
    while (copied && (at < page)) {
        const uint32_t left = (page - at) / WORD;
        const uint32_t count = (left < CHUNK_WORDS) ? left : CHUNK_WORDS;
        if (!port_flash_blank(from + at, count * WORD)) {
            copied = copy_chunk(to + at, from + at, count);
        }
        at += count * WORD;
    }
    return copied;
}

/*
 * Steps 0 to pages - 1 move slot 0's pages up by one, the last page first. Then two steps a page: slot 1's page into slot 0,
 * and slot 0's own, which lies one higher, into slot 1.
 */
static bool do_step(const struct swap_slots *slots, uint32_t pages, uint32_t step)
{
    const uint32_t size = port_flash_page();
    uint32_t to;
    uint32_t from;
    if (step < pages) {
        from = slots->slot0.offset + ((pages - 1u - step) * size);
        to = from + size;
    } else {
        const uint32_t page = ((step - pages) / 2u) * size;
        if (((step - pages) % 2u) == 0u) {
            from = slots->slot1.offset + page;
            to = slots->slot0.offset + page;
        } else {
            from = slots->slot0.offset + page + size;
            to = slots->slot1.offset + page;
        }
    }
    return copy_page(to, from) && update_write_mark(&slots->slot0, step);
}

bool swap_begin(const struct swap_slots *slots, enum swap_type type, uint32_t pages)
{
    /*
     * A half-erased trailer may keep its magic while it loses copy_done: the old swap would seem to be under way. So its swap
     * fields are made invalid before the erase.
     */
    return update_forget_swap(&slots->slot0) && update_erase_trailer(&slots->slot0) &&
           update_write_swap(&slots->slot0, type, pages) && update_write_magic(&slots->slot0);
}

bool swap_finish(const struct swap_slots *slots, enum swap_type type, uint32_t pages)
{
    bool held = true;
    for (uint32_t step = update_marks(&slots->slot0, pages); held && (step < (3u * pages)); step++) {
        held = do_step(slots, pages, step);
    }
    if (held && (type != SWAP_TEST)) {
        held = update_write_image_ok(&slots->slot0);
    }
    return held && update_erase_trailer(&slots->slot1) && update_write_copy_done(&slots->slot0);
}
