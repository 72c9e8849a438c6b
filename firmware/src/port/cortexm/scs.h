/*
 * SPDX-License-Identifier: Apache-2.0
 * Cortex-M system control space (Armv6-M, Armv7-M and Armv8-M ARM, B3; the secure view where there are two).
 */
#ifndef PORT_CORTEXM_SCS_H
#define PORT_CORTEXM_SCS_H

#include "port/common/registers.h"

#define SYST_CSR REGISTER(0xe000e010u)
#define NVIC_ISER(n) REGISTER(0xe000e100u + (4u * (n)))
#define NVIC_ICER(n) REGISTER(0xe000e180u + (4u * (n)))
#define NVIC_ICPR(n) REGISTER(0xe000e280u + (4u * (n)))
#define NVIC_WORDS 3u /* 96 interrupts: more than any of these boards has */
#define SCB_VTOR REGISTER(0xe000ed08u)
#define SCB_AIRCR REGISTER(0xe000ed0cu)
#define SCB_AIRCR_RESET 0x05fa0004u
#define MPU_CTRL REGISTER(0xe000ed94u)
#define MPU_CTRL_ENABLE_WITH_DEFAULT 5u /* privileged code sees the default map; off in HardFault and NMI */
#define MPU_RBAR REGISTER(0xe000ed9cu)
#define MPU_RBAR_VALID 0x10u /* with region 0 */
#define MPU_RASR REGISTER(0xe000eda0u)
#define MPU_RASR_NO_ACCESS_64K 0x1000001fu

#endif
