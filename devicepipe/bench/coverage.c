/*
 * SPDX-License-Identifier: Apache-2.0
 * A TCG plugin of QEMU (docs/devel/tcg-plugins.rst, API version 1) that counts, in memory shared with the bench, how often the
 * emulated processor begins each instruction of the programs under test, and how often it goes from the last instruction of a block
 * to the first of the next. The layout of that memory stands in coverage_map.py, which makes it.
 *
 * What always holds: an instruction is counted only where its bytes are those of the program, so that another image never passes for
 * the one under test (`foreign` tells how many were not); a way is counted only where the instruction that it begins at was begun; a
 * count is never lowered, so that who reads while the processor runs misses nothing. What no longer fits is told (`overflow`).
 *
 * Code outside the flash is copied there by the program that uses it, and two programs may use one place: such code is the program's
 * that was executing when QEMU translated it. QEMU translates anew what was written.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

/* What of QEMU's qemu-plugin.h is used; the header comes with its sources only. */
typedef uint64_t qemu_plugin_id_t;
struct qemu_plugin_tb;
struct qemu_plugin_insn;
enum { QEMU_PLUGIN_CB_NO_REGS };
enum { QEMU_PLUGIN_INLINE_ADD_U64 };
void qemu_plugin_register_vcpu_tb_trans_cb(qemu_plugin_id_t id, void (*cb)(qemu_plugin_id_t, struct qemu_plugin_tb *));
void qemu_plugin_register_vcpu_tb_exec_cb(
    struct qemu_plugin_tb *tb, void (*cb)(unsigned int, void *), int flags, void *data);
void qemu_plugin_register_vcpu_insn_exec_inline(struct qemu_plugin_insn *insn, int op, void *counter, uint64_t value);
size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *tb);
struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *tb, size_t index);
uint64_t qemu_plugin_insn_vaddr(const struct qemu_plugin_insn *insn);
size_t qemu_plugin_insn_size(const struct qemu_plugin_insn *insn);
const void *qemu_plugin_insn_data(const struct qemu_plugin_insn *insn);
extern int qemu_plugin_version;
int qemu_plugin_install(qemu_plugin_id_t id, const void *info, int count, char **arguments);

int qemu_plugin_version = 1;

#define MAGIC UINT64_C(0x31766f6365706970)
#define OUTSIDE UINT32_MAX

struct range {
    uint64_t base;
    uint32_t size;
    uint32_t program;
    uint32_t copied; /* lies outside the flash: another program may have another range here */
    uint32_t slot;   /* of its first two bytes; its code stands at twice that in `code` */
};

struct way {
    uint32_t from;
    uint32_t to;
    uint64_t count;
};

static struct header {
    uint64_t magic;
    uint32_t ranges;
    uint32_t slots;    /* two bytes of code each */
    uint32_t capacity; /* for ways: a power of two less than twice the size of the index */
    uint32_t range_at, code_at, count_at, way_at, index_at; /* offsets in the memory */
    uint32_t ways;
    uint32_t overflow;
    uint64_t foreign;
    uint64_t attached;
} *header;

static const struct range *ranges;
static const uint8_t *code;
static uint64_t *counts;
static struct way *ways;
static uint32_t *index_; /* 0: free, else one more than the number of a way */

/*
 * A block of instructions as QEMU translates it. One that ends outside the programs has a count that never changes; the way that
 * was gone last is at hand, since most blocks go one way again and again.
 */
struct block {
    uint32_t first, last;
    const uint64_t *last_count;
    struct way *gone;
    struct way *gone_before;
    uint32_t program; /* that it belongs to, in the flash; else OUTSIDE */
};

static const uint64_t never;
static struct way nowhere = {OUTSIDE, OUTSIDE - 1, 0};
static struct block nothing = {OUTSIDE, OUTSIDE, &never, &nowhere, &nowhere, OUTSIDE};
static struct block *previous = &nothing;
static uint64_t previous_count;
static uint32_t current = OUTSIDE;

static struct way *way_of(uint32_t from, uint32_t to)
{
    const uint32_t mask = 2 * header->capacity - 1;
    uint32_t place = (from * UINT32_C(2654435761) ^ to * UINT32_C(2246822519)) >> 7 & mask;
    for (; index_[place] != 0; place = (place + 1) & mask) {
        struct way *way = &ways[index_[place] - 1];
        if (way->from == from && way->to == to) {
            return way;
        }
    }
    if (header->ways == header->capacity) {
        header->overflow = 1;
        return NULL;
    }
    struct way *way = &ways[header->ways];
    *way = (struct way){from, to, 0};
    /* Who reads takes the number first, and must find the way complete. */
    __atomic_store_n(&header->ways, header->ways + 1, __ATOMIC_RELEASE);
    index_[place] = header->ways;
    return way;
}

static __attribute__((noinline)) void go_another_way(struct block *block, uint32_t to)
{
    struct way *way = block->gone_before->to == to ? block->gone_before : way_of(block->last, to);
    if (way != NULL) {
        way->count++;
        block->gone_before = block->gone;
        block->gone = way;
    }
}

static void enter(unsigned int processor, void *data)
{
    (void)processor;
    struct block *block = data;
    /* A block that was left in its middle has not come to its last instruction. */
    if (*previous->last_count != previous_count) {
        if (previous->gone->to == block->first) {
            previous->gone->count++;
        } else {
            go_another_way(previous, block->first);
        }
    }
    previous = block;
    previous_count = *block->last_count;
    current = block->program;
}

static const struct range *range_of(uint64_t address)
{
    for (uint32_t i = 0; i < header->ranges; i++) {
        if (address - ranges[i].base < ranges[i].size && (!ranges[i].copied || ranges[i].program == current)) {
            return &ranges[i];
        }
    }
    return NULL;
}

static uint32_t slot_of(const struct qemu_plugin_insn *instruction, uint32_t *program)
{
    const uint64_t address = qemu_plugin_insn_vaddr(instruction);
    const struct range *range = range_of(address);
    if (range == NULL) {
        return OUTSIDE;
    }
    const uint32_t offset = (uint32_t)(address - range->base);
    const size_t size = qemu_plugin_insn_size(instruction);
    if (size > range->size - offset ||
        memcmp(code + 2 * range->slot + offset, qemu_plugin_insn_data(instruction), size) != 0) {
        header->foreign++;
        return OUTSIDE;
    }
    *program = range->program;
    return range->slot + offset / 2;
}

static void translate(qemu_plugin_id_t id, struct qemu_plugin_tb *tb)
{
    (void)id;
    const size_t count = qemu_plugin_tb_n_insns(tb);
    /* QEMU frees no block for good before it ends, and tells of none that it frees. */
    struct block *block = malloc(sizeof *block);
    if (block == NULL || count == 0) {
        header->overflow |= block == NULL;
        free(block);
        return;
    }
    *block = nothing;
    block->program = current;
    for (size_t i = 0; i < count; i++) {
        struct qemu_plugin_insn *instruction = qemu_plugin_tb_get_insn(tb, i);
        const uint32_t slot = slot_of(instruction, &block->program);
        if (slot != OUTSIDE) {
            qemu_plugin_register_vcpu_insn_exec_inline(instruction, QEMU_PLUGIN_INLINE_ADD_U64, &counts[slot], 1);
        }
        block->first = i == 0 ? slot : block->first;
        block->last = slot;
    }
    if (block->last != OUTSIDE) {
        block->last_count = &counts[block->last];
    }
    qemu_plugin_register_vcpu_tb_exec_cb(tb, enter, QEMU_PLUGIN_CB_NO_REGS, block);
}

int qemu_plugin_install(qemu_plugin_id_t id, const void *info, int count, char **arguments)
{
    (void)info;
    int file = -1;
    for (int i = 0; i < count; i++) {
        if (strncmp(arguments[i], "fd=", 3) == 0) {
            file = atoi(arguments[i] + 3);
        }
    }
    struct stat status;
    if (file < 0 || fstat(file, &status) != 0 || (size_t)status.st_size < sizeof *header) {
        return -1;
    }
    uint8_t *memory = mmap(NULL, (size_t)status.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    if (memory == MAP_FAILED) {
        return -1;
    }
    header = (struct header *)memory;
    if (header->magic != MAGIC) {
        return -1;
    }
    ranges = (const struct range *)(memory + header->range_at);
    code = memory + header->code_at;
    counts = (uint64_t *)(memory + header->count_at);
    ways = (struct way *)(memory + header->way_at);
    index_ = (uint32_t *)(memory + header->index_at);
    header->attached++;
    qemu_plugin_register_vcpu_tb_trans_cb(id, translate);
    return 0;
}
