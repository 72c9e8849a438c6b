/*
 * SPDX-License-Identifier: Apache-2.0
 * The application's start and its main loop: a syringe infusion pump's controller. Demonstration, not a medical device.
 */
#include "application/device.h"
#include "application/safety/deadline.h"
#include "application/safety/reset.h"
#include "application/safety/selftest.h"
#include "application/stack.h"
#include "build_config.h"
#include "port/port.h"

#define STACK_WORDS (STACK_SIZE / sizeof(uint32_t))
#define STACK_MARGIN 256u /* bytes below main()'s own variables that are left alone when the stack is painted */

static struct device device;

/* The stack lies at the bottom of RAM, so that what runs over its end leaves RAM. */
static volatile uint32_t *stack_lowest(void)
{
    return (volatile uint32_t *)(uintptr_t)RAM_BASE;
}

uint32_t device_stack_used(void)
{
    return stack_used(stack_lowest(), STACK_WORDS);
}

_Noreturn void device_crash_fault(void)
{
    __builtin_trap();
}

_Noreturn void device_crash_hang(void)
{
    for (;;) {
        /* The control loop stands still; the tick goes on. */
    }
}

/* As functions that call ever deeper do: writes from the stack pointer down, over the stack's end. */
_Noreturn void device_crash_stack(void)
{
    volatile uint32_t here = 0u;
    uintptr_t at = (uintptr_t)&here;
    for (;;) {
        at -= sizeof(uint32_t);
        *(volatile uint32_t *)at = 0u;
    }
}

/* Not to be inlined or merged with another: a bench sets a breakpoint at it. */
__attribute__((noinline, used)) void plant_sent(void)
{
    __asm__ volatile("");
}

void tick_interrupt(void)
{
    deadline_interrupt();
}

int main(void)
{
    struct config config;
    enum config_found found;
    volatile uint32_t here = 0u;
    port_init();
    reset_open();
    stack_paint(stack_lowest(), ((uintptr_t)&here - RAM_BASE - STACK_MARGIN) / sizeof(uint32_t));
    port_start();
    const char *const failure = selftest_power_on(&config, &found);
    device_start(&device, &config, found, failure);
    deadline_start(port_milliseconds());
    for (;;) {
        if (device_turn(&device)) {
            port_sleep();
        }
    }
}
