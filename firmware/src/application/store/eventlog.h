/*
 * SPDX-License-Identifier: Apache-2.0
 * The event log in flash: a ring of pages with records of 16 bytes (../../../PROTOCOL.md, "Event log"). A record counts only if
 * its CRC holds, so that a cut of the power at any moment costs at most the record being written, or the oldest page of a full
 * ring. What is in it is read back from flash, never from RAM.
 */
#ifndef APPLICATION_STORE_EVENTLOG_H
#define APPLICATION_STORE_EVENTLOG_H

#include <stdbool.h>
#include <stdint.h>

enum event {
    EVENT_BOOT = 1,
    EVENT_PROGRAM = 2,
    EVENT_CONFIRM = 3,
    EVENT_START = 4,
    EVENT_STOP = 5,
    EVENT_BOLUS = 6,
    EVENT_COMPLETE = 7,
    EVENT_ALARM = 8,
    EVENT_ENDED = 9,
    EVENT_SILENCE = 10,
    EVENT_CONFIG = 11,
    EVENT_UPDATE_REQUESTED = 12,
    EVENT_IMAGE_CONFIRMED = 13,
    EVENT_LIBRARY = 14,
    EVENT_SELFTEST_FAILED = 15
};

struct eventlog_record {
    uint32_t sequence;
    uint32_t time; /* ms since reset */
    uint16_t event;
    uint16_t value;
};

struct eventlog {
    uint32_t offset; /* of the region in flash */
    uint32_t size;
    uint32_t next;   /* offset in flash where the next record goes, within a page that is being filled */
    uint32_t oldest; /* sequence numbers; the log is empty where count is 0 */
    uint32_t count;
};

/* Finds the records in the region, which is at least two whole pages. Erases the next page where a cut left it half-erased. */
void eventlog_open(struct eventlog *log, uint32_t offset, uint32_t size);

/* Adds one; its sequence number is the newest plus 1, from 1 on. False if the flash does not hold it. */
bool eventlog_add(struct eventlog *log, uint32_t time, enum event event, uint16_t value);

uint32_t eventlog_newest(const struct eventlog *log); /* 0 if it is empty, as is `oldest` */

/* False if there is no such record. */
bool eventlog_read(const struct eventlog *log, uint32_t sequence, struct eventlog_record *record);

/* The console name; "unknown" for a number that is none. */
const char *eventlog_name(uint32_t event);

#endif
