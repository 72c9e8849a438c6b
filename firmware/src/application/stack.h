/*
 * SPDX-License-Identifier: Apache-2.0
 * How much of the stack was ever used: the unused part is painted once, and what is still painted was never written. The stack
 * grows downwards. Portable; main.c says where it is.
 */
#ifndef APPLICATION_STACK_H
#define APPLICATION_STACK_H

#include <stddef.h>
#include <stdint.h>

/* Paints `words` words from the stack's lowest one up: all that is not in use now. */
void stack_paint(volatile uint32_t *lowest, size_t words);

/* Bytes ever used of a stack of that many words, of which the painted ones were painted. */
uint32_t stack_used(const volatile uint32_t *lowest, size_t words);

#endif
