/*
 * SPDX-License-Identifier: Apache-2.0
 * What the MPS2 boards share (Arm DAI 0385, DAI 0505; CMSDK TRM DDI 0479: APB UART, dual timer, watchdog): the registers that are used.
 * Where the blocks lie and which interrupts they have is each board's.
 */
#ifndef PORT_MPS2_MPS2_H
#define PORT_MPS2_MPS2_H

#include "port/common/events.h"
#include "port/common/registers.h"
#include "port/cortexm/cortexm.h"

/* Given by the board. */
struct mps2 {
    uint32_t uart[UARTS];
    uint32_t fpgaio;
    uint32_t timer;
    uint32_t timer_interrupt; /* in the NVIC */
    uint32_t watchdog;
};
extern const struct mps2 mps2;

#define UART_DATA(base) REGISTER((base) + 0x00u)
#define UART_STATE(base) REGISTER((base) + 0x04u)
#define UART_CTRL(base) REGISTER((base) + 0x08u)
#define UART_INTCLEAR(base) REGISTER((base) + 0x0cu)
#define UART_BAUDDIV(base) REGISTER((base) + 0x10u)
#define UART_STATE_TX_FULL 1u
#define UART_STATE_RX_FULL 2u
#define UART_STATE_RX_OVERRUN 8u
#define UART_CTRL_TX 1u
#define UART_CTRL_RX 2u
#define UART_CTRL_RX_INTERRUPT 8u
#define UART_INT_RX 2u

#define FPGAIO_LED REGISTER(mps2.fpgaio)
#define FPGAIO_COUNTER REGISTER(mps2.fpgaio + 0x18u) /* counts up once every FPGAIO_PRESCALE + 1 cycles */
#define FPGAIO_PRESCALE REGISTER(mps2.fpgaio + 0x1cu)
#define LED_MOTOR 1u

#define TIMER_LOAD REGISTER(mps2.timer) /* starts it */
#define TIMER_CONTROL REGISTER(mps2.timer + 0x08u)
#define TIMER_INTCLEAR REGISTER(mps2.timer + 0x0cu)
#define TIMER_ONE_SHOT_WITH_INTERRUPT 0xe3u /* enabled, counts from the loaded value, 32 bits, once */

#define WATCHDOG_LOAD REGISTER(mps2.watchdog)
#define WATCHDOG_CONTROL REGISTER(mps2.watchdog + 0x08u)
#define WATCHDOG_INTCLEAR REGISTER(mps2.watchdog + 0x0cu)
#define WATCHDOG_LOCK REGISTER(mps2.watchdog + 0xc00u)
#define WATCHDOG_UNLOCK 0x1acce551u
#define WATCHDOG_RUN 3u /* count, with interrupt and reset */

/* Handlers for the vector tables. */
void mps2_console_interrupt(void);
void mps2_plant_interrupt(void);
void mps2_timer_interrupt(void);
void mps2_watchdog_interrupt(void);

#endif
