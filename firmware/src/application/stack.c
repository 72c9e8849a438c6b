/*
 * SPDX-License-Identifier: Apache-2.0
 * How much of the stack was ever used. See stack.h.
 * @realises DSG-030
 */
#include "application/stack.h"

#define PAINT 0x5ac3a53cu

void stack_paint(volatile uint32_t *lowest, size_t words)
{
    for (size_t i = 0u; i < words; i++) {
        lowest[i] = PAINT;
    }
}

uint32_t stack_used(const volatile uint32_t *lowest, size_t words)
{
    size_t painted = 0u;
    while ((painted < words) && (lowest[painted] == PAINT)) {
        painted++;
    }
    return (uint32_t)((words - painted) * sizeof(uint32_t));
}
