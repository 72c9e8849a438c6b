/*
 * SPDX-License-Identifier: Apache-2.0
 * What the fuzzers share: a simulated device whose flash holds a program, an update and a drug library, and claims that abort.
 */
#ifndef FUZZ_H
#define FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Ends the program with the claim that did not hold: a finding. */
#define CLAIM(holds) ((holds) ? (void)0 : fuzz_fail(#holds, __FILE__, __LINE__))

_Noreturn void fuzz_fail(const char *claim, const char *file, int line);

/* Flash as it is before each input: made once, then copied back. */
void fuzz_flash_make(void);
void fuzz_flash_restore(void);

/* A region of the flash holds what it held then. */
bool fuzz_unchanged(uint32_t offset, uint32_t size);

#endif
