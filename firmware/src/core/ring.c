/*
 * SPDX-License-Identifier: Apache-2.0
 * Characters from an interrupt to the main loop. See ring.h.
 */
#include "core/ring.h"

void ring_put(struct ring *ring, uint8_t character)
{
    const uint32_t written = ring->written;
    ring->data[written % RING_SIZE] = character;
    ring->written = written + 1u;
}

bool ring_is_full(const struct ring *ring)
{
    const uint32_t written = ring->written;
    return (written - ring->read) >= RING_SIZE;
}

bool ring_is_empty(const struct ring *ring)
{
    const uint32_t written = ring->written;
    return written == ring->read;
}

bool ring_get(struct ring *ring, uint8_t *character)
{
    const uint32_t read = ring->read;
    const bool available = (ring->written != read);
    if (available) {
        *character = ring->data[read % RING_SIZE];
        ring->read = read + 1u;
    }
    return available;
}
