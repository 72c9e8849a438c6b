/*
 * SPDX-License-Identifier: Apache-2.0
 * Flash on an array. See flash.h.
 */
#include "sim/flash.h"

#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "port/port.h"

#define FLASH_MAX (8u * 1024u * 1024u)
#define WORD ((uint32_t)sizeof(uint32_t))

static uint32_t flash[FLASH_MAX / sizeof(uint32_t)]; /* words, so that its bytes are aligned as in a device */
static uint32_t flash_size;
static uint32_t flash_page = 1u;

#define LOG_SIZE 4096u

static uint32_t operations;
static struct sim_operation operation_log[LOG_SIZE];
static uint32_t fail_from = UINT32_MAX;

static bool cut_armed;
static uint32_t cut_operation;
static enum sim_cut cut_where;
static uint32_t cut_seed;

static jmp_buf powered;
static bool is_powered;

static bool refuses;
static uint32_t breaches;

static bool breach(const char *what, uint32_t offset, uint32_t size)
{
    breaches++;
    if (!refuses) {
        (void)fprintf(stderr, "flash: %s at 0x%lx, size 0x%lx\n", what, (unsigned long)offset, (unsigned long)size);
        abort();
    }
    return false;
}

uint32_t sim_random(uint32_t *state)
{
    uint32_t value = (*state != 0u) ? *state : 0x9e3779b9u;
    value ^= value << 13;
    value ^= value >> 17;
    value ^= value << 5;
    *state = value;
    return value;
}

void sim_flash_start(uint32_t size, uint32_t page)
{
    if ((size > FLASH_MAX) || (page == 0u) || ((page % WORD) != 0u) || ((size % page) != 0u)) {
        (void)breach("impossible geometry", page, size);
        abort();
    }
    flash_size = size;
    flash_page = page;
    memset(flash, 0xff, size);
    operations = 0u;
    fail_from = UINT32_MAX;
    cut_armed = false;
    refuses = false;
    breaches = 0u;
}

uint32_t sim_flash_size(void)
{
    return flash_size;
}

void sim_flash_load(uint32_t offset, const void *bytes, size_t length)
{
    if ((offset > flash_size) || (length > (flash_size - offset))) {
        (void)breach("load outside the flash", offset, (uint32_t)length);
        return;
    }
    memcpy((uint8_t *)flash + offset, bytes, length);
}

void sim_flash_save(uint8_t *copy)
{
    memcpy(copy, flash, flash_size);
}

void sim_flash_restore(const uint8_t *copy)
{
    memcpy(flash, copy, flash_size);
}

uint32_t sim_flash_operations(void)
{
    return operations;
}

void sim_flash_count_from_zero(void)
{
    operations = 0u;
}

struct sim_operation sim_flash_operation(uint32_t operation)
{
    const struct sim_operation none = {.erase = false, .offset = 0u, .size = 0u};
    return ((operation < operations) && (operation < LOG_SIZE)) ? operation_log[operation] : none;
}

void sim_flash_cut_at(uint32_t operation, enum sim_cut where, uint32_t seed)
{
    cut_armed = true;
    cut_operation = operation;
    cut_where = where;
    cut_seed = seed;
}

bool sim_flash_powered(void (*run)(void *context), void *context)
{
    bool finished = false;
    if (setjmp(powered) == 0) {
        is_powered = true;
        run(context);
        finished = true;
    }
    is_powered = false;
    cut_armed = false;
    return finished;
}

_Noreturn void sim_flash_lose_power(void)
{
    if (!is_powered) {
        (void)fprintf(stderr, "flash: power lost outside sim_flash_powered()\n");
        abort();
    }
    longjmp(powered, 1);
}

uint32_t sim_flash_refuse(bool on)
{
    const uint32_t until_now = breaches;
    refuses = on;
    breaches = 0u;
    return until_now;
}

void sim_flash_fail_from(uint32_t operation)
{
    fail_from = operation;
}

/*
 * What a cut inside leaves of a change from `from` to `to`: only bits that differ are touched. Four kinds, by seed: any of
 * the bits; nearly none; nearly all; all up to one place and none after it, where that word is torn.
 */
static uint32_t torn(uint32_t from, uint32_t to, uint32_t index, uint32_t count, uint32_t *random)
{
    const uint32_t changing = from ^ to;
    uint32_t changed = 0u;
    switch (cut_seed % 4u) {
    case 0u:
        changed = sim_random(random);
        break;
    case 1u:
        changed = sim_random(random) & sim_random(random) & sim_random(random) & sim_random(random);
        break;
    case 2u:
        changed = sim_random(random) | sim_random(random) | sim_random(random) | sim_random(random);
        break;
    default: {
        uint32_t place_state = cut_seed * 0x9e3779b1u;
        const uint32_t place = sim_random(&place_state) % count;
        changed = (index < place) ? 0xffffffffu : ((index == place) ? sim_random(random) : 0u);
        break;
    }
    }
    return from ^ (changing & changed);
}

static uint32_t left_by_cut(uint32_t from, uint32_t to, uint32_t index, uint32_t count, uint32_t *random)
{
    uint32_t left = to;
    if (cut_where == SIM_CUT_INSIDE) {
        left = torn(from, to, index, count, random);
    } else if (cut_where == SIM_CUT_WORDS) {
        const uint32_t from_end = count - 1u - index;
        const uint32_t bit = (from_end < 31u) ? from_end : 31u;
        left = (((cut_seed >> bit) & 1u) != 0u) ? to : from;
    } else {
        /* Complete. */
    }
    return left;
}

/* One operation: words[i] for i < count, or all ones where words is NULL. */
static bool operate(uint32_t offset, const uint32_t *words, uint32_t count)
{
    uint32_t *const at = &flash[offset / WORD];
    const uint32_t operation = operations;
    const bool cut = cut_armed && (operation == cut_operation);
    if (operation < LOG_SIZE) {
        operation_log[operation] =
            (struct sim_operation){.erase = words == NULL, .offset = offset, .size = count * WORD};
    }
    operations++;
    if (cut && (cut_where == SIM_CUT_BEFORE)) {
        sim_flash_lose_power();
    }
    if (operation >= fail_from) {
        return false;
    }
    uint32_t random = (cut_seed * 2654435761u) ^ operation ^ 0x5bd1e995u;
    for (uint32_t i = 0u; i < count; i++) {
        const uint32_t to = (words != NULL) ? words[i] : 0xffffffffu;
        at[i] = cut ? left_by_cut(at[i], to, i, count, &random) : to;
    }
    if (cut) {
        sim_flash_lose_power();
    }
    return true;
}

uint32_t port_flash_page(void)
{
    return flash_page;
}

const uint8_t *port_flash_at(uint32_t offset)
{
    if (offset >= flash_size) {
        (void)breach("read outside the flash", offset, 0u);
        abort();
    }
    return (const uint8_t *)flash + offset;
}

bool port_flash_blank(uint32_t offset, uint32_t size)
{
    if ((offset > flash_size) || (size > (flash_size - offset))) {
        return breach("blank check outside the flash", offset, size);
    }
    bool blank = true;
    for (uint32_t i = 0u; blank && (i < size); i++) {
        blank = ((const uint8_t *)flash)[offset + i] == 0xffu;
    }
    return blank;
}

bool port_flash_erase(uint32_t offset)
{
    if ((offset >= flash_size) || ((offset % flash_page) != 0u)) {
        return breach("erase of no page", offset, flash_page);
    }
    return operate(offset, NULL, flash_page / WORD);
}

bool port_flash_program(uint32_t offset, const uint32_t *words, uint32_t count)
{
    if (((offset % WORD) != 0u) || (offset >= flash_size) || (count == 0u)) {
        return breach("program of no word", offset, count * WORD);
    }
    if (count > ((flash_page - (offset % flash_page)) / WORD)) {
        return breach("program beyond the page", offset, count * WORD);
    }
    for (uint32_t i = 0u; i < count; i++) {
        if ((words[i] & ~flash[(offset / WORD) + i]) != 0u) {
            return breach("program of a 1 over a 0", offset + (i * WORD), count * WORD);
        }
    }
    return operate(offset, words, count);
}
