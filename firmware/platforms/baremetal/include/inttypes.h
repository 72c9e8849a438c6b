/*
 * SPDX-License-Identifier: Apache-2.0
 * For zcbor, which includes it and uses its formats for printing only where that is compiled in.
 */
#ifndef INTTYPES_H
#define INTTYPES_H

#include <stdint.h>

#endif
