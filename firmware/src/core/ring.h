/*
 * SPDX-License-Identifier: Apache-2.0
 * Characters on their way from an interrupt (the only writer) to the main loop (the only reader).
 */
#ifndef CORE_RING_H
#define CORE_RING_H

#include <stdbool.h>
#include <stdint.h>

#define RING_SIZE 128u /* a power of two */

struct ring {
    volatile uint8_t data[RING_SIZE];
    volatile uint32_t written; /* characters ever written; wraps */
    volatile uint32_t read;    /* characters ever read; wraps */
};

/* Only while the ring is not full. */
void ring_put(struct ring *ring, uint8_t character);

bool ring_is_full(const struct ring *ring);
bool ring_is_empty(const struct ring *ring);

/* False if the ring is empty. */
bool ring_get(struct ring *ring, uint8_t *character);

#endif
