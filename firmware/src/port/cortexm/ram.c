/*
 * SPDX-License-Identifier: Apache-2.0
 * Test of the whole RAM while the program runs. See port.h.
 *
 * Each word takes two opposite patterns and is read back, then gets its value back, with interrupts masked meanwhile.
 * Finds bits that are stuck; does not find coupling between words or faults of the address lines.
 */
#include "build_config.h"
#include "port/cortexm/scs.h"
#include "port/port.h"

static bool word_passes(volatile uint32_t *word)
{
    cpu_disable_interrupts();
    const uint32_t value = *word;
    *word = 0x55555555u;
    const uint32_t first = *word;
    *word = 0xaaaaaaaau;
    const uint32_t second = *word;
    *word = value;
    cpu_enable_interrupts();
    return (first == 0x55555555u) && (second == 0xaaaaaaaau);
}

bool port_ram_passes(void)
{
    bool passes = true;
    for (uint32_t at = 0u; at < RAM_SIZE; at += 4u) {
        if (!word_passes(&REGISTER(RAM_BASE + at))) {
            passes = false;
        }
    }
    return passes;
}
