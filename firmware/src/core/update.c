/*
 * SPDX-License-Identifier: Apache-2.0
 * The slots' trailers. See update.h.
 * @realises DSG-034
 */
#include "core/update.h"

#include "build_config.h"
#include "core/bytes.h"
#include "port/port.h"

#define WORD 4u

/* Distances from the end of the slot. */
#define MAGIC_AT 16u
#define IMAGE_OK_AT 24u
#define COPY_DONE_AT 32u
#define SWAP_INFO_AT 40u
#define SWAP_SIZE_AT 48u
#define FIELDS_SIZE 48u

#define MAGIC_WORDS 4u
#define FLAG_SET 0xffffff01u /* one byte 0x01, padded as erased flash */
#define MARK 0x4b52414du     /* "MARK" */
#define MARKS_A_PAGE 3u

static const uint32_t magic[MAGIC_WORDS] = {0xf395c277u, 0x7fefd260u, 0x0f505235u, 0x8079b62cu};

static uint32_t round_up(uint32_t size)
{
    const uint32_t page = port_flash_page();
    return ((size + page - 1u) / page) * page;
}

static uint32_t read_word(uint32_t offset)
{
    return bytes_le32(port_flash_at(offset));
}

static uint32_t field(const struct update_slot *slot, uint32_t distance)
{
    return slot->offset + slot->size - distance;
}

/* A number whose complement follows it; `missing` where it does not. */
static uint32_t read_pair(uint32_t offset, uint32_t missing)
{
    const uint32_t value = read_word(offset);
    return (read_word(offset + WORD) == ~value) ? value : missing;
}

static enum swap_type swap_of(uint32_t value)
{
    enum swap_type type = SWAP_NONE;
    if (value == (uint32_t)SWAP_TEST) {
        type = SWAP_TEST;
    } else if (value == (uint32_t)SWAP_PERMANENT) {
        type = SWAP_PERMANENT;
    } else if (value == (uint32_t)SWAP_REVERT) {
        type = SWAP_REVERT;
    } else {
        /* No swap that could be under way. */
    }
    return type;
}

uint32_t update_trailer_size(uint32_t slot_size)
{
    return round_up(FIELDS_SIZE + (MARKS_A_PAGE * WORD * (slot_size / port_flash_page())));
}

uint32_t update_room(uint32_t slot_size)
{
    const uint32_t reserved = update_trailer_size(slot_size) + port_flash_page();
    return (reserved < slot_size) ? (slot_size - reserved) : 0u;
}

struct slot_trailer update_trailer(uint32_t slot, uint32_t slot_size)
{
    const struct update_slot place = {.offset = slot, .size = slot_size};
    struct slot_trailer trailer = {.swap = SWAP_NONE};
    trailer.magic = true;
    for (uint32_t i = 0u; i < MAGIC_WORDS; i++) {
        trailer.magic = trailer.magic && (read_word(field(&place, MAGIC_AT) + (i * WORD)) == magic[i]);
    }
    trailer.image_ok = read_word(field(&place, IMAGE_OK_AT)) == FLAG_SET;
    trailer.copy_done = read_word(field(&place, COPY_DONE_AT)) == FLAG_SET;
    const enum swap_type swap = swap_of(read_pair(field(&place, SWAP_INFO_AT), 0u));
    const uint32_t pages = read_pair(field(&place, SWAP_SIZE_AT), 0u);
    if ((swap != SWAP_NONE) && (pages > 0u) && (pages <= (update_room(slot_size) / port_flash_page()))) {
        trailer.swap_known = true;
        trailer.swap = swap;
        trailer.swap_pages = pages;
    }
    return trailer;
}

enum swap_type update_decide(const struct slot_trailer *slot0, const struct slot_trailer *slot1)
{
    enum swap_type type = SWAP_NONE;
    if (slot0->magic && slot0->swap_known && !slot0->copy_done) {
        type = SWAP_RESUME;
    } else if (!update_confirmed(slot0)) {
        /* Whatever slot 1 requests: a trial that was not confirmed never becomes what a later trial falls back to. */
        type = SWAP_REVERT;
    } else if (slot1->magic && slot1->image_ok) {
        type = (slot1->swap == SWAP_REVERT) ? SWAP_REVERT : SWAP_PERMANENT;
    } else if (slot1->magic) {
        type = SWAP_TEST;
    } else {
        /* Nobody asks for anything. */
    }
    return type;
}

bool update_confirmed(const struct slot_trailer *slot0)
{
    /* swap_known: a trailer that the next swap has begun to erase has lost its swap fields first and may look like a trial. */
    return !(slot0->magic && slot0->swap_known && slot0->copy_done && !slot0->image_ok);
}

const char *update_swap_name(uint32_t type)
{
    static const char *const names[(uint32_t)SWAP_RESUME + 1u] = {
        [SWAP_NONE] = "none",     [SWAP_TEST] = "test",     [SWAP_PERMANENT] = "permanent",
        [SWAP_REVERT] = "revert", [SWAP_RESUME] = "resume",
    };
    return ((type >= (uint32_t)SWAP_NONE) && (type <= (uint32_t)SWAP_RESUME)) ? names[type] : "unknown";
}

bool update_erase_trailer(const struct update_slot *slot)
{
    const uint32_t size = update_trailer_size(slot->size);
    bool erased = true;
    for (uint32_t at = 0u; erased && (at < size); at += port_flash_page()) {
        erased = port_flash_erase(field(slot, size) + at);
    }
    return erased;
}

bool update_write_swap(const struct update_slot *slot, enum swap_type type, uint32_t pages)
{
    const uint32_t words[4] = {pages, ~pages, (uint32_t)type, ~(uint32_t)type};
    return port_flash_program(field(slot, SWAP_SIZE_AT), words, 4u);
}

bool update_forget_swap(const struct update_slot *slot)
{
    static const uint32_t zero[4] = {0u, 0u, 0u, 0u};
    return port_flash_program(field(slot, SWAP_SIZE_AT), zero, 4u);
}

bool update_write_magic(const struct update_slot *slot)
{
    return port_flash_program(field(slot, MAGIC_AT), magic, MAGIC_WORDS);
}

static bool write_flag(const struct update_slot *slot, uint32_t distance)
{
    static const uint32_t set = FLAG_SET;
    return port_flash_program(field(slot, distance), &set, 1u);
}

bool update_write_image_ok(const struct update_slot *slot)
{
    return write_flag(slot, IMAGE_OK_AT);
}

bool update_write_copy_done(const struct update_slot *slot)
{
    return write_flag(slot, COPY_DONE_AT);
}

uint32_t update_marks(const struct update_slot *slot, uint32_t pages)
{
    const uint32_t first = field(slot, update_trailer_size(slot->size));
    uint32_t marks = 0u;
    while ((marks < (MARKS_A_PAGE * pages)) && (read_word(first + (marks * WORD)) == MARK)) {
        marks++;
    }
    return marks;
}

bool update_write_mark(const struct update_slot *slot, uint32_t mark)
{
    static const uint32_t word = MARK;
    return port_flash_program(field(slot, update_trailer_size(slot->size)) + (mark * WORD), &word, 1u);
}

bool update_request_in(const struct update_slot *slot1, enum swap_type type)
{
    bool written = update_erase_trailer(slot1);
    if (written && (type == SWAP_REVERT)) {
        written = update_write_swap(slot1, SWAP_REVERT, 1u);
    }
    if (written && (type != SWAP_TEST)) {
        written = update_write_image_ok(slot1);
    }
    return written && update_write_magic(slot1);
}

bool update_confirm_in(const struct update_slot *slot0)
{
    const struct slot_trailer trailer = update_trailer(slot0->offset, slot0->size);
    return update_confirmed(&trailer) || update_write_image_ok(slot0);
}

bool update_request(bool permanent)
{
    const struct update_slot slot1 = {.offset = SLOT1_OFFSET, .size = SLOT1_SIZE};
    return update_request_in(&slot1, permanent ? SWAP_PERMANENT : SWAP_TEST);
}

bool update_confirm(void)
{
    const struct update_slot slot0 = {.offset = SLOT0_OFFSET, .size = SLOT0_SIZE};
    return update_confirm_in(&slot0);
}

uint32_t update_reserved(void)
{
    return SLOT1_SIZE - update_room(SLOT1_SIZE);
}
