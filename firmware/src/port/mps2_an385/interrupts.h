/*
 * SPDX-License-Identifier: Apache-2.0
 * Interrupts of the MPS2 AN385 in the NVIC.
 */
#ifndef PORT_MPS2_AN385_INTERRUPTS_H
#define PORT_MPS2_AN385_INTERRUPTS_H

#include "port/mps2/mps2.h"

#define UART0_RX_IRQ 0u
#define UART1_RX_IRQ 2u
#define TIMER_IRQ 10u

#endif
