/*
 * SPDX-License-Identifier: Apache-2.0
 * The processor, and halting, resetting and handing over, the same on every Cortex-M. See port.h, common/cpu.h, cortexm.h.
 */
#include "port/common/cpu.h"

#include "build_config.h"
#include "core/bytes.h"
#include "port/common/events.h"
#include "port/cortexm/cortexm.h"
#include "port/cortexm/scs.h"

uint32_t cpu_mask(void)
{
    uint32_t before;
    __asm volatile("mrs %0, primask\n\tcpsid i" : "=r"(before)::"memory");
    return before;
}

void cpu_restore(uint32_t before)
{
    __asm volatile("msr primask, %0" ::"r"(before) : "memory");
}

void cpu_enable(void)
{
    __asm volatile("cpsie i" ::: "memory");
}

void cpu_wait(void)
{
    __asm volatile("dsb\n\twfi" ::: "memory");
}

void cpu_silence(void)
{
    (void)cpu_mask();
    SYST_CSR = 0u;
    for (uint32_t word = 0u; word < NVIC_WORDS; word++) {
        NVIC_ICER(word) = 0xffffffffu;
        NVIC_ICPR(word) = 0xffffffffu;
    }
}

void cortexm_interrupt(uint32_t number, bool on)
{
    if (on) {
        NVIC_ISER(number / 32u) = 1u << (number % 32u);
    } else {
        NVIC_ICER(number / 32u) = 1u << (number % 32u);
    }
}

void board_receive(uint32_t uart, bool on)
{
    cortexm_interrupt(board_receive_interrupt[uart], on);
}

_Noreturn void port_halt(void)
{
    cpu_silence();
    board_watchdog_stop();
    for (;;) {
        cpu_wait();
    }
}

_Noreturn void port_reset(void)
{
    (void)cpu_mask();
    __asm volatile("dsb\n\tisb" ::: "memory");
    SCB_AIRCR = SCB_AIRCR_RESET;
    for (;;) {
        cpu_wait();
    }
}

/* An image built for another board or slot is refused although its signature holds. */
bool port_program_fits(const uint8_t *payload, uint32_t payload_size, uint32_t run_address)
{
    bool fits = false;
    if (payload_size >= 8u) {
        const uint32_t stack = bytes_le32(&payload[0]);
        const uint32_t reset = bytes_le32(&payload[4]);
        const bool stack_in_ram = ((stack - RAM_BASE) <= RAM_SIZE) && ((stack % 8u) == 0u);
        fits = stack_in_ram && ((reset - run_address) < payload_size) && ((reset % 2u) == 1u);
    }
    return fits;
}

_Noreturn void cortexm_start_program(uint32_t table, volatile uint32_t *table_register)
{
    const uint32_t stack = REGISTER(table);
    const uint32_t reset = REGISTER(table + 4u);
    cpu_silence();
    *table_register = table;
    __asm volatile("dsb\n\tisb" ::: "memory");
    cpu_enable(); /* as after a reset */
    __asm volatile("msr msp, %0\n\tbx %1" ::"r"(stack), "r"(reset) : "memory");
    __builtin_unreachable();
}

/* Instructions of Armv6-M only. r4: place, r5: scratch, r6: the complement, r7: every difference seen. */
__attribute__((naked)) uint32_t cpu_march(__attribute__((unused)) uint32_t *block,
                                          __attribute__((unused)) const uint32_t *end,
                                          __attribute__((unused)) uint32_t *save,
                                          __attribute__((unused)) uint32_t pattern)
{
    __asm volatile("push {r4, r5, r6, r7, lr}\n\t"
                   "subs r5, r1, r0\n\t"
                   "movs r4, #0\n"
                   "1: ldr r6, [r0, r4]\n\t" /* save */
                   "str r6, [r2, r4]\n\t"
                   "adds r4, #4\n\t"
                   "cmp r4, r5\n\t"
                   "blo 1b\n\t"
                   "movs r7, #0\n\t"
                   "mvns r6, r3\n\t"
                   "mov r4, r0\n"
                   "2: stmia r4!, {r3}\n\t" /* w0 */
                   "cmp r4, r1\n\t"
                   "blo 2b\n\t"
                   "mov r4, r0\n"
                   "3: ldr r5, [r4]\n\t" /* up r0, w1 */
                   "eors r5, r3\n\t"
                   "orrs r7, r5\n\t"
                   "stmia r4!, {r6}\n\t"
                   "cmp r4, r1\n\t"
                   "blo 3b\n\t"
                   "mov r4, r0\n"
                   "4: ldr r5, [r4]\n\t" /* up r1, w0 */
                   "eors r5, r6\n\t"
                   "orrs r7, r5\n\t"
                   "stmia r4!, {r3}\n\t"
                   "cmp r4, r1\n\t"
                   "blo 4b\n\t"
                   "mov r4, r1\n"
                   "5: subs r4, #4\n\t" /* down r0, w1 */
                   "ldr r5, [r4]\n\t"
                   "eors r5, r3\n\t"
                   "orrs r7, r5\n\t"
                   "str r6, [r4]\n\t"
                   "cmp r4, r0\n\t"
                   "bhi 5b\n\t"
                   "mov r4, r1\n"
                   "6: subs r4, #4\n\t" /* down r1, w0 */
                   "ldr r5, [r4]\n\t"
                   "eors r5, r6\n\t"
                   "orrs r7, r5\n\t"
                   "str r3, [r4]\n\t"
                   "cmp r4, r0\n\t"
                   "bhi 6b\n\t"
                   "mov r4, r0\n"
                   "7: ldmia r4!, {r5}\n\t" /* r0 */
                   "eors r5, r3\n\t"
                   "orrs r7, r5\n\t"
                   "cmp r4, r1\n\t"
                   "blo 7b\n\t"
                   "subs r5, r1, r0\n\t"
                   "movs r4, #0\n"
                   "8: ldr r6, [r2, r4]\n\t" /* restore, and look whether it is so */
                   "str r6, [r0, r4]\n\t"
                   "ldr r3, [r0, r4]\n\t"
                   "eors r3, r6\n\t"
                   "orrs r7, r3\n\t"
                   "adds r4, #4\n\t"
                   "cmp r4, r5\n\t"
                   "blo 8b\n\t"
                   "mov r0, r7\n\t"
                   "pop {r4, r5, r6, r7, pc}");
}
