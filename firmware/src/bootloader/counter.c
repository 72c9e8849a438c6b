/*
 * SPDX-License-Identifier: Apache-2.0
 * The stored security counter. See counter.h for the record format and why it holds.
 * @realises DSG-035
 */
#include "bootloader/counter.h"

#include "core/bytes.h"
#include "port/port.h"

#define RECORD_SIZE ((uint32_t)sizeof(uint32_t) * COUNTER_RECORD_WORDS)

struct copy {
    uint32_t offset; /* in flash */
    uint32_t size;
    uint32_t end; /* bytes before the first erased record */
    bool intact;
    uint32_t counter; /* highest of the valid records */
};

/* The counter of a valid record. */
static bool read_record(uint32_t offset, uint32_t *counter)
{
    const uint8_t *const record = port_flash_at(offset);
    *counter = bytes_le32(&record[4]);
    return (bytes_le32(&record[0]) == COUNTER_START_MARK) && (bytes_le32(&record[8]) == ~*counter) &&
           (bytes_le32(&record[12]) == COUNTER_END_MARK);
}

static struct copy scan(uint32_t offset, uint32_t size)
{
    struct copy copy = {.offset = offset, .size = size, .end = size, .intact = true, .counter = 0u};
    for (uint32_t at = 0u; at < size; at += RECORD_SIZE) {
        uint32_t counter = 0u;
        if (port_flash_blank(offset + at, RECORD_SIZE)) {
            copy.end = (at < copy.end) ? at : copy.end;
        } else if (read_record(offset + at, &counter)) {
            copy.intact = copy.intact && (at < copy.end);
            copy.counter = (counter > copy.counter) ? counter : copy.counter;
        } else {
            copy.intact = false;
        }
    }
    return copy;
}

static struct copy scan_a(const struct counter_store *store)
{
    return scan(store->offset, store->size / 2u);
}

static struct copy scan_b(const struct counter_store *store)
{
    return scan(store->offset + (store->size / 2u), store->size / 2u);
}

static bool erase(const struct copy *copy)
{
    bool erased = true;
    for (uint32_t at = 0u; erased && (at < copy->size); at += port_flash_page()) {
        erased = port_flash_erase(copy->offset + at);
    }
    return erased;
}

/* Brings one copy to a counter. */
static bool hold(const struct copy *copy, uint32_t counter)
{
    const uint32_t record[COUNTER_RECORD_WORDS] = {COUNTER_START_MARK, counter, ~counter, COUNTER_END_MARK};
    bool held = false;
    if (copy->intact && (copy->end > 0u) && (copy->counter == counter)) {
        held = true;
    } else if (copy->intact && (copy->end < copy->size)) {
        held = port_flash_program(copy->offset + copy->end, record, COUNTER_RECORD_WORDS);
    } else {
        held = erase(copy) && port_flash_program(copy->offset, record, COUNTER_RECORD_WORDS);
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
    return hold(first, counter) && hold(second, counter);
}
