/*
 * SPDX-License-Identifier: Apache-2.0
 * The part of <string.h> that this firmware has: src/core/memory.c. No C library is linked, and what is not declared here
 * cannot be called by mistake.
 */
#ifndef STRING_H
#define STRING_H

#include <stddef.h>

void *memcpy(void *restrict to, const void *restrict from, size_t length);
void *memmove(void *to, const void *from, size_t length);
void *memset(void *to, int value, size_t length);
int memcmp(const void *a, const void *b, size_t length);
size_t strlen(const char *string);
size_t strnlen(const char *string, size_t limit);

#endif
