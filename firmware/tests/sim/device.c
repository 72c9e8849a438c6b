/*
 * SPDX-License-Identifier: Apache-2.0
 * What main.c gives the application. See device.h.
 */
#include "sim/device.h"

#include "application/device.h"
#include "sim/flash.h"

static uint32_t sent;
static uint32_t crashes;

void sim_device_start(void)
{
    sent = 0u;
    crashes = 0u;
}

uint32_t sim_plant_sent(void)
{
    return sent;
}

uint32_t sim_crashes(void)
{
    return crashes;
}

void plant_sent(void)
{
    sent++;
}

uint32_t device_stack_used(void)
{
    return SIM_STACK_USED;
}

static _Noreturn void crash(void)
{
    crashes++;
    sim_flash_lose_power();
}

_Noreturn void device_crash_fault(void)
{
    crash();
}

_Noreturn void device_crash_hang(void)
{
    crash();
}

_Noreturn void device_crash_stack(void)
{
    crash();
}
