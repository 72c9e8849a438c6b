/*
 * SPDX-License-Identifier: Apache-2.0
 * Flash on an array, for host tests: the five port_flash_* functions of port.h with the rules of NOR flash, and power that
 * can be cut at any operation. An operation is one erase or one program that the rules allow.
 *
 * A breach of the rules (setting a bit, an unaligned word, leaving a page or the flash) is an error of the code under test:
 * it aborts the test program, unless the test asked for a refusal as a board gives it.
 */
#ifndef SIM_FLASH_H
#define SIM_FLASH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum sim_cut {
    SIM_CUT_BEFORE, /* the operation leaves no trace */
    SIM_CUT_INSIDE, /* it leaves some of the bits changed that it was to change: which ones follows from a seed */
    SIM_CUT_WORDS,  /* it leaves whole words changed, chosen by the seed's bits: see sim_flash_cut_at() */
    SIM_CUT_AFTER   /* it is complete, but its caller does not learn that */
};

/* Sets the geometry and erases everything. size and page are multiples of 4, size one of page. */
void sim_flash_start(uint32_t size, uint32_t page);

uint32_t sim_flash_size(void);

/* Puts bytes there as a bench does, past the rules and the count. */
void sim_flash_load(uint32_t offset, const void *bytes, size_t length);

/* Puts the whole flash aside, or back from there; the buffer has sim_flash_size() bytes. */
void sim_flash_save(uint8_t *copy);
void sim_flash_restore(const uint8_t *copy);

/* Operations since sim_flash_count_from_zero() or the start, an operation that was cut included. */
uint32_t sim_flash_operations(void);
void sim_flash_count_from_zero(void);

/* What operation that was; the first 4096 are kept. size 0: it never was. */
struct sim_operation {
    bool erase;
    uint32_t offset;
    uint32_t size;
};
struct sim_operation sim_flash_operation(uint32_t operation);

/*
 * Cuts the power at that operation, counted as above from 0. Holds for one sim_flash_powered(). For SIM_CUT_WORDS, bit n of the
 * seed lets the n-th word from the end of the operation change; bit 31 stands for all words before the last 31.
 */
void sim_flash_cut_at(uint32_t operation, enum sim_cut where, uint32_t seed);

/* Runs the device: false if the power was cut meanwhile. What run had on its stack is lost then, as in a device. */
bool sim_flash_powered(void (*run)(void *context), void *context);

/* Ends the present sim_flash_powered() as a cut does, outside any operation: for code that resets the device. */
_Noreturn void sim_flash_lose_power(void);

/* While on, a breach is refused with false and counted, as a board does. Returns the breaches until now and clears them. */
uint32_t sim_flash_refuse(bool on);

/* From that operation on, erase and program fail without changing anything, as worn-out flash does; UINT32_MAX: never. */
void sim_flash_fail_from(uint32_t operation);

/* The generator behind the seeds, for tests that need reproducible choices: xorshift32, never 0 for a state not 0. */
uint32_t sim_random(uint32_t *state);

#endif
