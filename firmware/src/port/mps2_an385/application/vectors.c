/*
 * SPDX-License-Identifier: Apache-2.0
 * Arm MPS2 AN385 (Cortex-M3): the application's vector table, and which interrupts receive.
 */
#include "port/mps2_an385/interrupts.h"

#define NMI 2u
#define VECTORS (SYSTEM_VECTORS + 32u)

const uint32_t board_receive_interrupt[UARTS] = {UART0_RX_IRQ, UART1_RX_IRQ};

__attribute__((section(".vectors"), used)) static const union vector vectors[VECTORS] = {
    [0] = {.stack = &__stack_top},
    [1] = {.handler = reset_handler},
    [NMI] = {.handler = mps2_watchdog_interrupt},
    [NMI + 1u ... SYSTEM_VECTORS - 1u] = {.handler = fault_handler},
    [SYSTEM_VECTORS + UART0_RX_IRQ] = {.handler = mps2_console_interrupt},
    [SYSTEM_VECTORS + UART0_RX_IRQ + 1u] = {.handler = fault_handler},
    [SYSTEM_VECTORS + UART1_RX_IRQ] = {.handler = mps2_plant_interrupt},
    [SYSTEM_VECTORS + UART1_RX_IRQ + 1u ... SYSTEM_VECTORS + TIMER_IRQ - 1u] = {.handler = fault_handler},
    [SYSTEM_VECTORS + TIMER_IRQ] = {.handler = mps2_timer_interrupt},
    [SYSTEM_VECTORS + TIMER_IRQ + 1u ... VECTORS - 1u] = {.handler = fault_handler},
};
