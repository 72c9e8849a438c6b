/*
 * SPDX-License-Identifier: Apache-2.0
 * QEMU's RISC-V `virt`: UART output, motor output, reset; for both programs. See port.h.
 */
#include "build_config.h"
#include "port/common/cpu.h"
#include "port/port.h"
#include "port/virt_rv32/virt.h"

#if PLANT_SHARES_CONSOLE != 1
#error "port/virt_rv32: the machine has one UART"
#endif

/* The machine has no output pin: this word stands in for the drive's enable line. */
static volatile uint32_t motor_enabled;

static volatile bool overrun;

uint32_t virt_uart_status(void)
{
    const uint32_t status = UART_STATUS;
    if ((status & UART_STATUS_OVERRUN) != 0u) {
        overrun = true;
    }
    return status;
}

bool virt_uart_overrun(void)
{
    const bool result = overrun;
    overrun = false;
    return result;
}

void port_init(void)
{
    const uint32_t divisor = UART_HERTZ / (16u * CONSOLE_BAUD);
    port_motor(false);
    UART_INTERRUPTS = 0u;
    UART_LINE = UART_LINE_8N1 | UART_LINE_DIVISOR;
    UART_DIVISOR_LOW = (uint8_t)(divisor & 0xffu);
    UART_DIVISOR_HIGH = (uint8_t)(divisor >> 8);
    UART_LINE = UART_LINE_8N1;
    UART_FIFO = UART_FIFO_ENABLE;
}

/* Also from an interrupt: nothing is kept between two bytes. */
void port_write(enum port_uart uart, const char *bytes, size_t length)
{
    (void)uart;
    for (size_t i = 0u; i < length; i++) {
        while ((virt_uart_status() & UART_STATUS_ROOM) == 0u) {
        }
        UART_DATA = (uint8_t)bytes[i];
    }
}

void port_motor(bool on)
{
    motor_enabled = on ? 1u : 0u;
}

_Noreturn void port_reset(void)
{
    cpu_silence();
    TEST_DEVICE = TEST_DEVICE_RESET;
    for (;;) {
        cpu_wait();
    }
}

/* The machine models no watchdog: WATCHDOG_MODELLED is 0. */
void port_watchdog_start(uint32_t milliseconds)
{
    (void)milliseconds;
}

void port_watchdog_feed(void)
{
}
