/*
 * SPDX-License-Identifier: Apache-2.0
 * Memory and registers by their address: the one place where a number becomes a pointer to a device.
 */
#ifndef PORT_COMMON_REGISTERS_H
#define PORT_COMMON_REGISTERS_H

#include <stdint.h>

#define REGISTER(address) (*(volatile uint32_t *)(uintptr_t)(address))
#define REGISTER8(address) (*(volatile uint8_t *)(uintptr_t)(address))

#endif
