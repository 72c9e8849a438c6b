/*
 * SPDX-License-Identifier: Apache-2.0
 * Handing over to another program.
 */
#ifndef PORT_CORTEXM_CPU_H
#define PORT_CORTEXM_CPU_H

#include <stdint.h>

/* Starts the program with this vector table, which *table_register (VTOR, or what stands in for it) is told of. */
_Noreturn void cpu_start_program(const uint32_t *vectors, volatile uint32_t *table_register);

#endif
