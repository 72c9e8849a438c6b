/*
 * SPDX-License-Identifier: Apache-2.0
 * RISC-V machine-mode control and status registers (The RISC-V Instruction Set Manual, Volume II: Privileged Architecture).
 */
#ifndef PORT_RISCV_CSR_H
#define PORT_RISCV_CSR_H

#define MSTATUS_MIE 8u
#define MIE_TIMER (1u << 7)
#define MIE_EXTERNAL (1u << 11)

#define CSR_READ(csr, value) __asm volatile("csrr %0, " #csr : "=r"(value)::"memory")
#define CSR_WRITE(csr, value) __asm volatile("csrw " #csr ", %0" ::"r"(value) : "memory")
#define CSR_SET(csr, bits) __asm volatile("csrs " #csr ", %0" ::"r"(bits) : "memory")
#define CSR_CLEAR(csr, bits) __asm volatile("csrc " #csr ", %0" ::"r"(bits) : "memory")

#endif
