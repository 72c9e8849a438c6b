/*
 * SPDX-License-Identifier: Apache-2.0
 * Interrupts of the MPS2 AN505 in the NVIC.
 */
#ifndef PORT_MPS2_AN505_INTERRUPTS_H
#define PORT_MPS2_AN505_INTERRUPTS_H

#include "port/mps2/mps2.h"

#define UART0_RX_IRQ 32u
#define UART1_RX_IRQ 34u
#define TIMER_IRQ 5u

#endif
