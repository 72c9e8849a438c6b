/*
 * SPDX-License-Identifier: Apache-2.0
 * March C- over all of RAM while the program runs. See port.h, and cpu_march() for the march itself.
 *
 * RAM is taken in overlapping blocks, so that every word is marched together with its neighbours on both sides, with two
 * patterns, with interrupts held off for one block at a time, and each block gets its contents back. Finds stuck bits, transition
 * faults and coupling between words of a block; not coupling between words further apart, nor between bits that the two
 * patterns give the same value.
 */
#include "build_config.h"
#include "port/common/cpu.h"
#include "port/common/registers.h"
#include "port/port.h"

#define BLOCK_WORDS 32u
#define BLOCK_BYTES (BLOCK_WORDS * 4u)

/* Where a block's contents wait. It is a part of RAM too: its own blocks wait on the stack. */
static uint32_t store[BLOCK_WORDS];

static bool overlaps(uintptr_t block, const uint32_t *other)
{
    return (block < ((uintptr_t)other + BLOCK_BYTES)) && ((uintptr_t)other < (block + BLOCK_BYTES));
}

static bool block_passes(uintptr_t block, uint32_t *save)
{
    uint32_t *const first = (uint32_t *)block;
    const uint32_t before = cpu_mask();
    uint32_t wrong = cpu_march(first, &first[BLOCK_WORDS], save, 0u);
    wrong |= cpu_march(first, &first[BLOCK_WORDS], save, 0x55555555u);
    cpu_restore(before);
    return wrong == 0u;
}

bool port_ram_passes(void)
{
    uint32_t on_stack[BLOCK_WORDS];
    bool passes = true;
    for (uintptr_t at = RAM_BASE; passes && (at <= (RAM_BASE + RAM_SIZE - BLOCK_BYTES)); at += BLOCK_BYTES / 2u) {
        /* The march saves the block there before it reads it back. */
        passes = block_passes(at, overlaps(at, store) ? on_stack : store);
    }
    return passes;
}
