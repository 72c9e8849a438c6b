/*
 * SPDX-License-Identifier: Apache-2.0
 * For zcbor, which includes it. There is no such function: a program that calls it does not link.
 */
#ifndef STDIO_H
#define STDIO_H

int printf(const char *restrict format, ...);

#endif
