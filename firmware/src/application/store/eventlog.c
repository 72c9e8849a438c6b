/*
 * SPDX-License-Identifier: Apache-2.0
 * The event log in flash. See eventlog.h.
 *
 * Records fill a page from its beginning, one page after the other, round the region. A slot that a cut left torn is skipped; its
 * sequence number is used again, so that the numbers of what counts have no gap. When a page is full the next one is erased at
 * once: the page being filled always lies before one that is wholly erased, or is the one found half-erased at the next start.
 * @realises DSG-021
 */
#include "application/store/eventlog.h"

#include "application/store/crc32.h"
#include "core/bytes.h"
#include "port/port.h"

#define RECORD_SIZE 16u
#define RECORD_WORDS 4u
#define CRC_AT 12u

/* Whether the slot at that offset holds a record that counts. */
static bool read_slot(uint32_t offset, struct eventlog_record *record)
{
    const uint8_t *const slot = port_flash_at(offset);
    record->sequence = bytes_le32(&slot[0]);
    record->time = bytes_le32(&slot[4]);
    record->event = bytes_le16(&slot[8]);
    record->value = bytes_le16(&slot[10]);
    return (record->sequence != 0u) && (record->sequence != UINT32_MAX) &&
           (bytes_le32(&slot[CRC_AT]) == crc32_of(slot, CRC_AT));
}

static uint32_t page_of(uint32_t offset)
{
    return offset - (offset % port_flash_page());
}

static uint32_t page_after(const struct eventlog *log, uint32_t page)
{
    const uint32_t next = page + port_flash_page();
    return (next < (log->offset + log->size)) ? next : log->offset;
}

/* The slot of the newest record in the region; false if none counts. */
static bool find_newest(const struct eventlog *log, uint32_t *slot, uint32_t *sequence)
{
    struct eventlog_record record;
    *sequence = 0u;
    for (uint32_t at = log->offset; at < (log->offset + log->size); at += RECORD_SIZE) {
        if (read_slot(at, &record) && (record.sequence > *sequence)) {
            *slot = at;
            *sequence = record.sequence;
        }
    }
    return *sequence != 0u;
}

/* Sets oldest and count: the oldest record is the first one after the place of the next record, round the region. */
static void find_oldest(struct eventlog *log, uint32_t newest)
{
    struct eventlog_record record = {.sequence = 0u};
    const uint32_t last = page_of(log->next);
    uint32_t page = last;
    bool found = false;
    do {
        page = page_after(log, page);
        for (uint32_t at = page; !found && (at < (page + port_flash_page())); at += RECORD_SIZE) {
            found = read_slot(at, &record);
        }
    } while (!found && (page != last));
    log->oldest = found ? record.sequence : 0u;
    log->count = found ? ((newest - record.sequence) + 1u) : 0u;
}

/* Puts the place of the next record to a slot, or past the last slot of a page: then into the next page, erased. */
static bool move_to(struct eventlog *log, uint32_t page, uint32_t slot)
{
    bool ready = true;
    log->next = slot;
    if (slot == (page + port_flash_page())) {
        log->next = page_after(log, page);
        if (!port_flash_blank(log->next, port_flash_page())) {
            ready = port_flash_erase(log->next);
        }
    }
    return ready;
}

void eventlog_open(struct eventlog *log, uint32_t offset, uint32_t size)
{
    uint32_t slot = offset;
    uint32_t newest = 0u;
    log->offset = offset;
    log->size = size;
    if (find_newest(log, &slot, &newest)) {
        slot += RECORD_SIZE;
    }
    const uint32_t page = (slot == offset) ? offset : page_of(slot - 1u);
    const uint32_t end = page + port_flash_page();
    while ((slot < end) && !port_flash_blank(slot, end - slot)) {
        slot += RECORD_SIZE; /* torn */
    }
    (void)move_to(log, page, slot); /* if the flash fails now, it will when the next record is added */
    find_oldest(log, newest);
}

bool eventlog_add(struct eventlog *log, uint32_t time, enum event event, uint16_t value)
{
    const uint32_t sequence = eventlog_newest(log) + 1u;
    const uint32_t page = page_of(log->next);
    uint32_t words[RECORD_WORDS] = {sequence, time, (uint32_t)event | ((uint32_t)value << 16), 0u};
    words[RECORD_WORDS - 1u] = crc32_of(words, CRC_AT);
    const bool added = port_flash_program(log->next, words, RECORD_WORDS);
    const bool ready = move_to(log, page, log->next + RECORD_SIZE);
    if (added) {
        log->count++;
        if (log->oldest == 0u) {
            log->oldest = sequence;
        }
    }
    if (page_of(log->next) != page) {
        find_oldest(log, eventlog_newest(log));
    }
    return added && ready;
}

uint32_t eventlog_newest(const struct eventlog *log)
{
    return (log->count > 0u) ? ((log->oldest + log->count) - 1u) : 0u;
}

bool eventlog_read(const struct eventlog *log, uint32_t sequence, struct eventlog_record *record)
{
    bool found = false;
    for (uint32_t at = log->offset; !found && (at < (log->offset + log->size)); at += RECORD_SIZE) {
        found = (bytes_le32(port_flash_at(at)) == sequence) && read_slot(at, record);
    }
    return found;
}

const char *eventlog_name(uint32_t event)
{
    static const char *const names[(uint32_t)EVENT_SELFTEST_FAILED + 1u] = {
        [0] = "unknown",
        [EVENT_BOOT] = "boot",
        [EVENT_PROGRAM] = "program",
        [EVENT_CONFIRM] = "confirm",
        [EVENT_START] = "start",
        [EVENT_STOP] = "stop",
        [EVENT_BOLUS] = "bolus",
        [EVENT_COMPLETE] = "complete",
        [EVENT_ALARM] = "alarm",
        [EVENT_ENDED] = "ended",
        [EVENT_SILENCE] = "silence",
        [EVENT_CONFIG] = "config",
        [EVENT_UPDATE_REQUESTED] = "update-requested",
        [EVENT_IMAGE_CONFIRMED] = "image-confirmed",
        [EVENT_LIBRARY] = "library",
        [EVENT_SELFTEST_FAILED] = "selftest-failed",
    };
    return names[(event <= (uint32_t)EVENT_SELFTEST_FAILED) ? event : 0u];
}
