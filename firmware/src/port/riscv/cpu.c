/*
 * SPDX-License-Identifier: Apache-2.0
 * The processor, and handing over, the same on every RISC-V. See port.h and common/cpu.h.
 */
#include "port/common/cpu.h"

#include "core/bytes.h"
#include "port/port.h"
#include "port/riscv/csr.h"
#include "port/riscv/startup.h"

uint32_t cpu_mask(void)
{
    uint32_t before;
    __asm volatile("csrrci %0, mstatus, 8" : "=r"(before)::"memory");
    return before;
}

void cpu_restore(uint32_t before)
{
    CSR_SET(mstatus, before & MSTATUS_MIE);
}

void cpu_enable(void)
{
    CSR_SET(mstatus, MSTATUS_MIE);
}

void cpu_wait(void)
{
    __asm volatile("wfi" ::: "memory");
}

void cpu_silence(void)
{
    (void)cpu_mask();
    CSR_WRITE(mie, 0u);
}

_Noreturn void port_halt(void)
{
    cpu_silence();
    for (;;) {
        cpu_wait();
    }
}

/* An image built for another board or slot is refused although its signature holds. See reset_handler(). */
bool port_program_fits(const uint8_t *payload, uint32_t payload_size, uint32_t run_address)
{
    bool fits = false;
    if (payload_size >= 8u) {
        const uint32_t jump = bytes_le32(&payload[0]);
        fits = ((jump & JUMP_OPCODE_MASK) == JUMP_OPCODE) && (bytes_le32(&payload[4]) == run_address);
    }
    return fits;
}

_Noreturn void port_start_program(uint32_t run_address)
{
    cpu_silence();
    __asm volatile("fence\n\tfence.i\n\tjr %0" ::"r"(run_address) : "memory");
    __builtin_unreachable();
}

/* A leaf in assembly: no stack at all. t0: place, t1: scratch, t2: the complement, a4: every difference seen. */
__attribute__((naked)) uint32_t cpu_march(__attribute__((unused)) uint32_t *block,
                                          __attribute__((unused)) const uint32_t *end,
                                          __attribute__((unused)) uint32_t *save,
                                          __attribute__((unused)) uint32_t pattern)
{
    __asm volatile("mv t0, a0\n\t"
                   "mv t3, a2\n"
                   "1: lw t1, 0(t0)\n\t" /* save */
                   "sw t1, 0(t3)\n\t"
                   "addi t0, t0, 4\n\t"
                   "addi t3, t3, 4\n\t"
                   "bltu t0, a1, 1b\n\t"
                   "li a4, 0\n\t"
                   "not t2, a3\n\t"
                   "mv t0, a0\n"
                   "2: sw a3, 0(t0)\n\t" /* w0 */
                   "addi t0, t0, 4\n\t"
                   "bltu t0, a1, 2b\n\t"
                   "mv t0, a0\n"
                   "3: lw t1, 0(t0)\n\t" /* up r0, w1 */
                   "xor t1, t1, a3\n\t"
                   "or a4, a4, t1\n\t"
                   "sw t2, 0(t0)\n\t"
                   "addi t0, t0, 4\n\t"
                   "bltu t0, a1, 3b\n\t"
                   "mv t0, a0\n"
                   "4: lw t1, 0(t0)\n\t" /* up r1, w0 */
                   "xor t1, t1, t2\n\t"
                   "or a4, a4, t1\n\t"
                   "sw a3, 0(t0)\n\t"
                   "addi t0, t0, 4\n\t"
                   "bltu t0, a1, 4b\n\t"
                   "mv t0, a1\n"
                   "5: addi t0, t0, -4\n\t" /* down r0, w1 */
                   "lw t1, 0(t0)\n\t"
                   "xor t1, t1, a3\n\t"
                   "or a4, a4, t1\n\t"
                   "sw t2, 0(t0)\n\t"
                   "bltu a0, t0, 5b\n\t"
                   "mv t0, a1\n"
                   "6: addi t0, t0, -4\n\t" /* down r1, w0 */
                   "lw t1, 0(t0)\n\t"
                   "xor t1, t1, t2\n\t"
                   "or a4, a4, t1\n\t"
                   "sw a3, 0(t0)\n\t"
                   "bltu a0, t0, 6b\n\t"
                   "mv t0, a0\n"
                   "7: lw t1, 0(t0)\n\t" /* r0 */
                   "xor t1, t1, a3\n\t"
                   "or a4, a4, t1\n\t"
                   "addi t0, t0, 4\n\t"
                   "bltu t0, a1, 7b\n\t"
                   "mv t0, a0\n\t"
                   "mv t3, a2\n"
                   "8: lw t1, 0(t3)\n\t" /* restore, and look whether it is so */
                   "sw t1, 0(t0)\n\t"
                   "lw t2, 0(t0)\n\t"
                   "xor t2, t2, t1\n\t"
                   "or a4, a4, t2\n\t"
                   "addi t0, t0, 4\n\t"
                   "addi t3, t3, 4\n\t"
                   "bltu t0, a1, 8b\n\t"
                   "mv a0, a4\n\t"
                   "ret");
}
