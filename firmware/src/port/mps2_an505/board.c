/*
 * SPDX-License-Identifier: Apache-2.0
 * Arm MPS2 AN505 (Cortex-M33 with TrustZone; everything runs in the secure world): where its blocks lie.
 */
#include "port/mps2_an505/interrupts.h"

const struct mps2 mps2 = {
    .uart = {0x50200000u, 0x50201000u},
    .fpgaio = 0x50302000u,
    .timer = 0x50002000u,
    .timer_interrupt = TIMER_IRQ,
    .watchdog = 0x50081000u,
};
