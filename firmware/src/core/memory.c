/*
 * SPDX-License-Identifier: Apache-2.0
 * The four functions GCC may call even in a freestanding program (GCC manual, "Standards"), and the two more of <string.h> that
 * third-party code here asks for, so that no C library is linked. They must not be compiled into calls of themselves: see
 * -fno-tree-loop-distribute-patterns.
 * @realises DSG-023
 */
#include <string.h>

#include <stdint.h>

void *memcpy(void *restrict to, const void *restrict from, size_t length)
{
    uint8_t *const d = to;
    const uint8_t *const s = from;
    for (size_t i = 0u; i < length; i++) {
        d[i] = s[i];
    }
    return to;
}

void *memmove(void *to, const void *from, size_t length)
{
    uint8_t *const d = to;
    const uint8_t *const s = from;
    if ((uintptr_t)to < (uintptr_t)from) {
        for (size_t i = 0u; i < length; i++) {
            d[i] = s[i];
        }
    } else {
        for (size_t i = length; i > 0u; i--) {
            d[i - 1u] = s[i - 1u];
        }
    }
    return to;
}

void *memset(void *to, int value, size_t length)
{
    uint8_t *const d = to;
    for (size_t i = 0u; i < length; i++) {
        d[i] = (uint8_t)value;
    }
    return to;
}

int memcmp(const void *a, const void *b, size_t length)
{
    const uint8_t *const p = a;
    const uint8_t *const q = b;
    int result = 0;
    for (size_t i = 0u; (i < length) && (result == 0); i++) {
        result = (int)p[i] - (int)q[i];
    }
    return result;
}

size_t strnlen(const char *string, size_t limit)
{
    size_t length = 0u;
    while ((length < limit) && (string[length] != '\0')) {
        length++;
    }
    return length;
}

size_t strlen(const char *string)
{
    return strnlen(string, SIZE_MAX);
}
