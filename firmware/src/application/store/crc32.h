/*
 * SPDX-License-Identifier: Apache-2.0
 * CRC-32 as zlib computes it (reflected 0xEDB88320, initial and final inversion), for records in flash.
 */
#ifndef APPLICATION_STORE_CRC32_H
#define APPLICATION_STORE_CRC32_H

#include <stddef.h>
#include <stdint.h>

uint32_t crc32_of(const void *bytes, size_t length);

#endif
