/*
 * SPDX-License-Identifier: Apache-2.0
 * The stored security counter. See counter.h for the record format and why it holds.
 */
#include "bootloader/counter.h"

#define ERASED 0xffffffffu

struct copy {
    const uint32_t *start;
    uint32_t words;
    uint32_t end; /* words before the first erased record */
    bool intact;
    uint32_t counter; /* highest of the valid records */
};

static bool is_erased(const uint32_t *record)
{
    return (record[0] == ERASED) && (record[1] == ERASED) && (record[2] == ERASED) && (record[3] == ERASED);
}

static bool is_valid(const uint32_t *record)
{
    return (record[0] == COUNTER_START_MARK) && (record[1] == ~record[2]) && (record[3] == COUNTER_END_MARK);
}

static struct copy scan(const uint32_t *start, uint32_t words)
{
    struct copy copy = {.start = start, .words = words, .end = words, .intact = true, .counter = 0u};
    for (uint32_t at = 0u; at < words; at += COUNTER_RECORD_WORDS) {
        const uint32_t *const record = &start[at];
        if (is_erased(record)) {
            copy.end = (at < copy.end) ? at : copy.end;
        } else if (is_valid(record)) {
            copy.intact = copy.intact && (at < copy.end);
            copy.counter = (record[1] > copy.counter) ? record[1] : copy.counter;
        } else {
            copy.intact = false;
        }
    }
    return copy;
}

static struct copy scan_a(const struct counter_store *store)
{
    return scan(store->region, store->region_size / (2u * (uint32_t)sizeof(uint32_t)));
}

static struct copy scan_b(const struct counter_store *store)
{
    const uint32_t words = store->region_size / (2u * (uint32_t)sizeof(uint32_t));
    return scan(&store->region[words], words);
}

/* Brings one copy to a counter. */
static bool hold(const struct counter_store *store, const struct copy *copy, uint32_t counter)
{
    const uint32_t record[COUNTER_RECORD_WORDS] = {COUNTER_START_MARK, counter, ~counter, COUNTER_END_MARK};
    bool held = false;
    if (copy->intact && (copy->end > 0u) && (copy->counter == counter)) {
        held = true;
    } else if (copy->intact && (copy->end < copy->words)) {
        held = store->program(&copy->start[copy->end], record, COUNTER_RECORD_WORDS);
    } else {
        held = store->erase(copy->start, copy->words * (uint32_t)sizeof(uint32_t)) &&
               store->program(copy->start, record, COUNTER_RECORD_WORDS);
    }
    return held;
}

bool counter_read(const struct counter_store *store, uint32_t *counter)
{
    const struct copy a = scan_a(store);
    const struct copy b = scan_b(store);
    const bool a_holds = a.intact && (a.end > 0u);
    const bool b_holds = b.intact && (b.end > 0u);
    const bool a_erased = a.intact && (a.end == 0u);
    const bool b_erased = b.intact && (b.end == 0u);
    *counter = (a.counter > b.counter) ? a.counter : b.counter;
    return a_holds || b_holds || (a_erased && b_erased) || (!a.intact && b_erased);
}

bool counter_hold(const struct counter_store *store, uint32_t counter)
{
    const struct copy a = scan_a(store);
    const struct copy b = scan_b(store);
    const bool b_first = (b.counter < a.counter) || ((b.counter == a.counter) && a.intact && !b.intact);
    const struct copy *const first = b_first ? &b : &a;
    const struct copy *const second = b_first ? &a : &b;
    return hold(store, first, counter) && hold(store, second, counter);
}
