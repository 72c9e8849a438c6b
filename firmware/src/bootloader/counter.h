/*
 * SPDX-License-Identifier: Apache-2.0
 * The stored security counter: the highest counter of any image that was ever started for good. It
 * only rises; an image on trial does not raise it, so that the image before it can still be started.
 *
 * RECORD FORMAT (the region `state` of the board manifest)
 *
 * The region holds two copies of a log: copy A in its first half, copy B in its second half. Each half is a whole
 * number of flash pages. A log is a row of records of 16 bytes, four little-endian words:
 *
 *   offset 0   0x43535044   start mark, the bytes "DPSC"
 *   offset 4   counter
 *   offset 8   ~counter
 *   offset 12  0xbcacafbb   end mark, ~start mark; written last
 *
 * An erased record is 16 bytes of 0xff; a valid record has all four words right; any other record is damaged. A copy is
 * intact if it is valid records followed by erased ones, none or more of each.
 *
 *   stored counter   the highest counter of all valid records of both copies; 0 if there is none
 *   usable state     one copy is intact and has a record; or both are erased; or A is not intact and B is erased,
 *                    which is the very first write cut off
 *   unusable state   anything else: a counter may have been lost, so nothing may be started
 *
 * A copy is brought to a counter by appending a record if it is intact and has room, else by erasing it and writing
 * record 0. The copy with the lower counter goes first (if equal, the one that is not intact; else A), the other follows
 * once the first is complete. So at every moment one copy is intact and holds the counter, wherever power fails; and
 * once both are written, either may decay without lowering it.
 *
 * A programmer presets counter n by writing one record at the start of an erased region; copy B may stay erased.
 */
#ifndef BOOTLOADER_COUNTER_H
#define BOOTLOADER_COUNTER_H

#include <stdbool.h>
#include <stdint.h>

#define COUNTER_RECORD_WORDS 4u
#define COUNTER_START_MARK 0x43535044u
#define COUNTER_END_MARK 0xbcacafbbu

/* Where the log lies: the offset in flash of the region `state`, and its size; each half is whole pages. */
struct counter_store {
    uint32_t offset;
    uint32_t size;
};

/* Reads the stored counter. False if the state is unusable. */
bool counter_read(const struct counter_store *store, uint32_t *counter);

/*
 * Makes both copies intact and hold counter, which is not below the stored one; writes nothing if they do already.
 * False if it could not be stored. Only for a usable state: counter_read() returned true.
 */
bool counter_hold(const struct counter_store *store, uint32_t counter);

#endif
