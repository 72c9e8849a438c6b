/*
 * SPDX-License-Identifier: Apache-2.0
 * Arm MPS2 AN385 (Cortex-M3): where its blocks lie.
 */
#include "port/mps2_an385/interrupts.h"

const struct mps2 mps2 = {
    .uart = {0x40004000u, 0x40005000u},
    .fpgaio = 0x40028000u,
    .timer = 0x40002000u,
    .timer_interrupt = TIMER_IRQ,
    .watchdog = 0x40008000u,
};
