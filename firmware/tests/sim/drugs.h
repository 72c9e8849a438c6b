/*
 * SPDX-License-Identifier: Apache-2.0
 * A drug library in memory, for tests that need drugs and not their signature: the three drugs of library/drug-library.toml.
 */
#ifndef SIM_DRUGS_H
#define SIM_DRUGS_H

#include <stdint.h>

#include "application/control/library.h"

#define SIM_DRUGS_SIZE 128u /* bytes of the payload */

/* The payload as library/compile.py makes it. */
const uint8_t *sim_drugs_payload(void);

/* A library of it, of version 1.0.0+0, with the digest 0, 1, 2 ... */
void sim_drugs(struct library *library);

#endif
