/*
 * SPDX-License-Identifier: Apache-2.0
 * The stored security counter. See counter.h for the record format and why it holds.
 */
#include "bootloader/counter.h"

#define ERASED 0xffffffffu

enum record_kind { RECORD_ERASED, RECORD_VALID, RECORD_DAMAGED };

static enum record_kind classify(const uint32_t *record)
{
    enum record_kind kind = RECORD_DAMAGED;
    if ((record[0] == ERASED) && (record[1] == ERASED) && (record[2] == ERASED) && (record[3] == ERASED)) {
        kind = RECORD_ERASED;
    } else if ((record[0] == COUNTER_START_MARK) && (record[1] == ~record[2]) && (record[3] == COUNTER_END_MARK)) {
        kind = RECORD_VALID;
    } else {
        /* Damaged: neither erased nor whole. */
    }
    return kind;
}

static uint32_t copy_words(const struct counter_store *store)
{
    return store->region_size / (2u * (uint32_t)sizeof(uint32_t));
}

static const uint32_t *copy_a(const struct counter_store *store)
{
    return store->region;
}

static const uint32_t *copy_b(const struct counter_store *store)
{
    return &store->region[copy_words(store)];
}

/* The highest counter of the valid records of one copy. */
static uint32_t highest(const struct counter_store *store, const uint32_t *copy)
{
    uint32_t counter = 0u;
    for (uint32_t at = 0u; at < copy_words(store); at += COUNTER_RECORD_WORDS) {
        if ((classify(&copy[at]) == RECORD_VALID) && (copy[at + 1u] > counter)) {
            counter = copy[at + 1u];
        }
    }
    return counter;
}

bool counter_read(const struct counter_store *store, uint32_t *counter)
{
    const uint32_t a = highest(store, copy_a(store));
    const uint32_t b = highest(store, copy_b(store));
    bool sound = true;
    *counter = (a > b) ? a : b;
    for (uint32_t at = 0u; at < copy_words(store); at += COUNTER_RECORD_WORDS) {
        if ((classify(&copy_b(store)[at]) == RECORD_DAMAGED) && (classify(&copy_a(store)[at]) != RECORD_VALID)) {
            sound = false;
        }
    }
    return sound;
}

/* Word offset, within a copy, of the first pair from which on both copies are erased. */
static uint32_t free_offset(const struct counter_store *store)
{
    uint32_t at = copy_words(store);
    bool is_free = true;
    while ((at > 0u) && is_free) {
        const uint32_t before = at - COUNTER_RECORD_WORDS;
        is_free = (classify(&copy_a(store)[before]) == RECORD_ERASED) &&
                  (classify(&copy_b(store)[before]) == RECORD_ERASED);
        if (is_free) {
            at = before;
        }
    }
    return at;
}

bool counter_hold(const struct counter_store *store, uint32_t counter)
{
    const uint32_t record[COUNTER_RECORD_WORDS] = {COUNTER_START_MARK, counter, ~counter, COUNTER_END_MARK};
    const uint32_t a = highest(store, copy_a(store));
    const uint32_t b = highest(store, copy_b(store));
    const uint32_t at = free_offset(store);
    bool held = false;
    if ((a == counter) && (b == counter)) {
        held = true;
    } else if (at < copy_words(store)) {
        held = store->program(&copy_a(store)[at], record, COUNTER_RECORD_WORDS) &&
               store->program(&copy_b(store)[at], record, COUNTER_RECORD_WORDS);
    } else {
        const uint32_t copy_size = store->region_size / 2u;
        const uint32_t *const first = (a >= b) ? copy_b(store) : copy_a(store);
        const uint32_t *const second = (a >= b) ? copy_a(store) : copy_b(store);
        held = store->erase(first, copy_size) && store->program(first, record, COUNTER_RECORD_WORDS) &&
               store->erase(second, copy_size) && store->program(second, record, COUNTER_RECORD_WORDS);
    }
    return held;
}
