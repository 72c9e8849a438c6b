/*
 * SPDX-License-Identifier: Apache-2.0
 * What the shared part of the ports asks of the processor. Each architecture's folder implements it once.
 */
#ifndef PORT_COMMON_CPU_H
#define PORT_COMMON_CPU_H

#include <stdint.h>

/* Holds interrupts off; the result says whether they were held off before, for cpu_restore(). May be nested. */
uint32_t cpu_mask(void);
void cpu_restore(uint32_t before);
void cpu_enable(void);

/* Asleep until an interrupt is pending, held off or not. */
void cpu_wait(void);

/* No interrupt comes any more, also once they are enabled again, until one is set up anew. */
void cpu_silence(void);

/*
 * March C- over the words from block up to, not including, end, with pattern as 0 and its complement as 1:
 * (w0) up(r0,w1) up(r1,w0) down(r0,w1) down(r1,w0) (r0). The words are first copied to save, and copied back at the end. Zero if
 * every word read was the one expected, in the end too. Uses registers only, so that the block may hold its caller's stack.
 * Interrupts are held off by the caller.
 */
uint32_t cpu_march(uint32_t *block, const uint32_t *end, uint32_t *save, uint32_t pattern);

#endif
