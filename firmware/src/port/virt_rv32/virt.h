/*
 * SPDX-License-Identifier: Apache-2.0
 * QEMU's RISC-V machine `virt`: the registers that are used (docs/system/riscv/virt; 16550 UART; SiFive CLINT, PLIC and test
 * device) and the commands of its flash (Intel command set: two 16-bit chips side by side in each 32-bit word).
 */
#ifndef PORT_VIRT_RV32_VIRT_H
#define PORT_VIRT_RV32_VIRT_H

#include <stdbool.h>
#include <stdint.h>

#include "port/common/registers.h"

#define TEST_DEVICE REGISTER(0x00100000u)
#define TEST_DEVICE_RESET 0x7777u

#define TIMER_HERTZ 10000000u
#define TIMER_COMPARE_LOW REGISTER(0x02004000u)
#define TIMER_COMPARE_HIGH REGISTER(0x02004004u)
#define TIMER_LOW REGISTER(0x0200bff8u)
#define TIMER_HIGH REGISTER(0x0200bffcu)

#define UART_IRQ 10u
#define PLIC_PRIORITY(irq) REGISTER(0x0c000000u + (4u * (irq)))
#define PLIC_ENABLE REGISTER(0x0c002000u) /* interrupts 0 to 31, machine mode of hart 0 */
#define PLIC_THRESHOLD REGISTER(0x0c200000u)
#define PLIC_CLAIM REGISTER(0x0c200004u)

#define UART_HERTZ 3686400u
#define UART_DATA REGISTER8(0x10000000u)
#define UART_INTERRUPTS REGISTER8(0x10000001u)
#define UART_FIFO REGISTER8(0x10000002u)
#define UART_LINE REGISTER8(0x10000003u)
#define UART_STATUS REGISTER8(0x10000005u)
#define UART_DIVISOR_LOW UART_DATA        /* while UART_LINE_DIVISOR is set */
#define UART_DIVISOR_HIGH UART_INTERRUPTS /* while UART_LINE_DIVISOR is set */
#define UART_INTERRUPT_RECEIVE 1u
#define UART_FIFO_ENABLE 1u
#define UART_LINE_8N1 3u
#define UART_LINE_DIVISOR 0x80u
#define UART_STATUS_RECEIVED 1u
#define UART_STATUS_OVERRUN 2u
#define UART_STATUS_ROOM 0x20u

#define BOTH(command) ((command) | ((command) << 16))
#define FLASH_READ BOTH(0xffu)
#define FLASH_ERASE BOTH(0x20u)
#define FLASH_BUFFERED BOTH(0xe8u)
#define FLASH_CONFIRM BOTH(0xd0u)
#define FLASH_CLEAR_STATUS BOTH(0x50u)
#define FLASH_READY BOTH(0x80u)

/* UART_STATUS, read so that an overrun, which reading clears, is kept; and whether there was one since this was asked last. */
uint32_t virt_uart_status(void);
bool virt_uart_overrun(void);

#endif
