/*
 * SPDX-License-Identifier: Apache-2.0
 * Power cuts over the whole life of a device: upload, request, swap, trial, confirmation, revert, refusal, recovery. Every
 * flash operation of every session is cut before it, after it, and inside it with several seeds; in addition the boots that
 * recover from a cut are cut again, up to three times.
 *
 * After each: the device starts a whole image that was one of the two at hand, the other one is still there where it must be, a
 * trial that was not confirmed goes back, the stored security counter is that of what runs for good, and a further boot
 * changes nothing. POWER_CUT_SEEDS in the environment says how many seeds to try inside each operation (default 2).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "bootloader/boot.h"
#include "port/port.h"
#include "sim/flash.h"
#include "sim/port.h"
#include "sim/signer.h"
#include "tests.h"

#define IMAGES 5u
#define NOTHING IMAGES
#define BUFFER 8192u
#define NESTED 3u
#define MOST_OPERATIONS 1024u

/* A flash as a board has it; slots of some pages behind one page of bootloader. */
struct geometry {
    const char *name;
    uint32_t page;
    uint32_t slot_pages;
    uint32_t payload[IMAGES];
};

static const struct geometry small_pages = {
    /* 24 pages of status and fields take two pages of trailer, as on a micro:bit */
    .name = "small pages", .page = 256u, .slot_pages = 24u, .payload = {1000u, 1300u, 700u, 1100u, 900u},
};
static const struct geometry big_sectors = {
    /* one page of image, one to move in, one of trailer, as on a flash of big sectors */
    .name = "big sectors", .page = 2048u, .slot_pages = 3u, .payload = {1500u, 1790u, 900u, 1200u, 1000u},
};

static struct boot_layout layout;
static uint8_t images[IMAGES][BUFFER];
static uint32_t sizes[IMAGES];
static uint32_t counters[IMAGES];
static enum image_result last_result;

static uint32_t points; /* cut points tried, of all scenarios */
static uint32_t cuts;   /* power cuts that happened in them */

static uint32_t seeds(void)
{
    const char *const asked = getenv("POWER_CUT_SEEDS");
    return (asked != NULL) ? (uint32_t)strtoul(asked, NULL, 10) : 2u;
}

static void make_device(const struct geometry *geometry)
{
    const uint32_t page = geometry->page;
    const uint32_t slot_size = page * geometry->slot_pages;
    layout.slots.slot0 = (struct update_slot){.offset = page, .size = slot_size};
    layout.slots.slot1 = (struct update_slot){.offset = page + slot_size, .size = slot_size};
    layout.state = (struct counter_store){.offset = page + (2u * slot_size), .size = 2u * page};
    layout.library = (struct data_region){.offset = (3u * page) + (2u * slot_size), .size = 4u * page};
    layout.flash_base = 0x20000000u;
    layout.header_size = 32u;
    sim_flash_start((7u * page) + (2u * slot_size), page);
    for (uint32_t i = 0u; i < IMAGES; i++) {
        const struct signer_image wanted = {
            .version = {.major = 1u, .minor = (uint8_t)i},
            .header_size = layout.header_size,
            .payload_size = geometry->payload[i],
            .seed = 100u + i,
            .counter = i + 1u,
            .run_address = layout.flash_base + layout.slots.slot0.offset + layout.header_size,
            .bad_signature = i == 4u, /* the last one is the one to be refused */
        };
        counters[i] = wanted.counter;
        sizes[i] = signer_make(&wanted, images[i]);
        assert_true(sizes[i] <= update_room(slot_size));
    }
}

static bool holds(const struct update_slot *slot, uint32_t image)
{
    return memcmp(port_flash_at(slot->offset), images[image], sizes[image]) == 0;
}

/* Which image a slot holds, whole. */
static uint32_t found(const struct update_slot *slot)
{
    uint32_t image = 0u;
    while ((image < IMAGES) && !holds(slot, image)) {
        image++;
    }
    return image;
}

static bool on_trial(void)
{
    const struct slot_trailer trailer = update_trailer(layout.slots.slot0.offset, layout.slots.slot0.size);
    return !update_confirmed(&trailer);
}

/* --- what a device does while it has power --------------------------------------------------------------------- */

static void boot(void *context)
{
    (void)context;
    last_result = IMAGE_RESULTS;
    last_result = boot_prepare(&layout, signer_key(), port_handover());
}

/* As the application does it: the trailer goes first, so that an old request never meets a new image. */
static void upload(uint32_t image)
{
    const struct update_slot *const slot = &layout.slots.slot1;
    const uint32_t page = port_flash_page();
    const uint32_t used = (sizes[image] + page - 1u) / page;
    assert_true(update_erase_trailer(slot));
    for (uint32_t i = 0u; i < used; i++) {
        assert_true(port_flash_erase(slot->offset + (i * page)));
    }
    for (uint32_t at = 0u; at < sizes[image]; at += 256u) {
        uint32_t words[64];
        memset(words, 0xff, sizeof words);
        memcpy(words, &images[image][at], ((sizes[image] - at) < 256u) ? (sizes[image] - at) : 256u);
        assert_true(port_flash_program(slot->offset + at, words, 64u));
    }
}

struct session {
    uint32_t image; /* to be uploaded; NOTHING: none */
    enum swap_type request;
    bool confirm;
};

static void run_session(void *context)
{
    const struct session *const session = context;
    if (session->image != NOTHING) {
        upload(session->image);
    }
    if (session->request != SWAP_NONE) {
        assert_true(update_request_in(&layout.slots.slot1, session->request));
    }
    if (session->confirm) {
        assert_true(update_confirm_in(&layout.slots.slot0));
    }
    boot(NULL);
}

/* --- what must hold afterwards ---------------------------------------------------------------------------------- */

struct scenario {
    const char *name;
    struct session session;
    uint32_t before; /* what runs if the session left no trace, for good; NOTHING: the session always goes through */
    uint32_t after;  /* what runs once it went through */
    bool trial;      /* and that is a trial, behind which `before` waits */
    uint32_t other;  /* what slot 1 holds then; NOTHING: not said */
    enum boot_action action; /* what a session that is not cut says it did */
    enum image_result refused;
};

/* The point being tried, told where a test fails. */
static struct {
    const char *scenario; /* NULL: none */
    uint32_t operation;
    enum sim_cut where;
    uint32_t seed;
    uint32_t nested;
} point;

static uint32_t stored_counter(void)
{
    uint32_t counter = 0u;
    assert_true(counter_read(&layout.state, &counter));
    return counter;
}

static void lose_ram(void)
{
    memset(port_handover(), 0x5a, sizeof(struct handover));
    sim_console_clear();
}

/* What slot 0 holds after a boot that went through. */
static uint32_t started(void)
{
    const uint32_t image = found(&layout.slots.slot0);
    if (last_result != IMAGE_OK) {
        fail_msg("does not start: %s", image_reason(last_result));
    }
    if (image == NOTHING) {
        fail_msg("starts a mixture");
    }
    assert_true(handover_told(port_handover()));
    return image;
}

/* A boot that nothing cuts off: the image it starts. */
static uint32_t boot_whole(void)
{
    lose_ram();
    assert_true(sim_flash_powered(boot, NULL));
    return started();
}

/* Boots that must find everything done: that image runs for good. */
static void check_steady(uint32_t image)
{
    assert_false(on_trial());
    assert_int_equal(stored_counter(), counters[image]);
    sim_flash_count_from_zero();
    assert_int_equal(boot_whole(), image);
    assert_int_equal(sim_flash_operations(), 0u);
    assert_int_equal(port_handover()->action, BOOT_NONE);
}

/* `image` was just started after whatever was cut. */
static void check_started(const struct scenario *scenario, uint32_t image)
{
    const bool is_after = image == scenario->after;
    const bool trial = is_after && scenario->trial;
    assert_true(is_after || (image == scenario->before));
    assert_int_equal(on_trial(), trial);
    assert_int_equal(stored_counter(), counters[trial ? scenario->before : image]);
    if (is_after && (scenario->other != NOTHING)) {
        assert_true(holds(&layout.slots.slot1, scenario->other));
    }
}

/* And goes on until nothing changes any more. */
static void check_to_the_end(const struct scenario *scenario, uint32_t image)
{
    uint32_t last = image;
    if (on_trial()) {
        last = boot_whole();
        assert_int_equal(last, scenario->before);
        assert_int_equal(port_handover()->action, BOOT_REVERT);
        assert_int_equal(port_handover()->swap_type, SWAP_REVERT);
        assert_true(holds(&layout.slots.slot1, image));
    }
    check_steady(last);
}

/* Cuts the session, then up to `nested` of the boots after it, then lets the device come to rest. */
static void try_point(const struct scenario *scenario, const uint8_t *start, uint32_t operation, enum sim_cut where,
                      uint32_t seed, uint32_t nested)
{
    struct session session = scenario->session;
    uint32_t random = (seed * 7919u) + (operation * 104729u) + 1u;
    bool trial_started = false;
    point.scenario = scenario->name;
    point.operation = operation;
    point.where = where;
    point.seed = seed;
    point.nested = nested;
    points++;

    sim_flash_restore(start);
    sim_flash_count_from_zero();
    lose_ram();
    sim_flash_cut_at(operation, where, seed);
    assert_false(sim_flash_powered(run_session, &session));
    cuts++;
    for (uint32_t i = 0u; i < nested; i++) {
        const uint32_t at = sim_random(&random) % ((operation < 24u) ? 24u : operation);
        const enum sim_cut how = ((sim_random(&random) % 4u) == 0u) ? SIM_CUT_BEFORE : SIM_CUT_INSIDE;
        lose_ram();
        sim_flash_count_from_zero();
        sim_flash_cut_at(at, how, sim_random(&random));
        if (!sim_flash_powered(boot, NULL)) {
            cuts++;
        } else if (!trial_started) {
            const uint32_t image = started();
            check_started(scenario, image);
            trial_started = on_trial();
        } else {
            assert_int_equal(started(), scenario->before);
        }
    }
    const uint32_t image = boot_whole();
    if (trial_started) {
        assert_int_equal(image, scenario->before);
        assert_true(holds(&layout.slots.slot1, scenario->after));
        check_steady(image);
    } else {
        check_started(scenario, image);
        check_to_the_end(scenario, image);
    }
    point.scenario = NULL;
}

static bool is_end_of_slot(const struct sim_operation *operation)
{
    const uint32_t end = operation->offset + operation->size;
    return (end == (layout.slots.slot0.offset + layout.slots.slot0.size)) ||
           (end == (layout.slots.slot1.offset + layout.slots.slot1.size));
}

/* An erase of a trailer that takes some of the fields and leaves others: every choice of them. */
static void try_fields(const struct scenario *scenario, const uint8_t *start, uint32_t operation)
{
    /* magic, image_ok, copy_done, swap_info, swap_size, and all before them */
    static const uint32_t fields[] = {0x0000000fu, 0x00000030u, 0x000000c0u, 0x00000300u, 0x00000c00u, 0xfffff000u};
    for (uint32_t choice = 0u; choice < (1u << 6); choice++) {
        uint32_t words = 0u;
        for (uint32_t i = 0u; i < 6u; i++) {
            words |= (((choice >> i) & 1u) != 0u) ? fields[i] : 0u;
        }
        try_point(scenario, start, operation, SIM_CUT_WORDS, words, 0u);
    }
}

/* Every operation of the scenario's session; afterwards the flash is as after an undisturbed session. */
static void try_all(const struct scenario *scenario)
{
    static uint8_t start[64u * 1024u];
    static uint8_t end[64u * 1024u];
    static struct sim_operation plan[MOST_OPERATIONS];
    struct session session = scenario->session;
    assert_true(sim_flash_size() <= sizeof start);
    sim_flash_save(start);

    sim_flash_count_from_zero();
    lose_ram();
    assert_true(sim_flash_powered(run_session, &session));
    const uint32_t operations = sim_flash_operations();
    assert_in_range(operations, 1u, MOST_OPERATIONS);
    assert_int_equal(started(), scenario->after);
    assert_int_equal(port_handover()->action, scenario->action);
    assert_int_equal(port_handover()->refused, scenario->refused);
    sim_flash_save(end);
    for (uint32_t operation = 0u; operation < operations; operation++) {
        plan[operation] = sim_flash_operation(operation);
    }
    check_started(scenario, scenario->after);
    check_to_the_end(scenario, scenario->after);

    for (uint32_t operation = 0u; operation < operations; operation++) {
        try_point(scenario, start, operation, SIM_CUT_BEFORE, 0u, 0u);
        try_point(scenario, start, operation, SIM_CUT_AFTER, 0u, 0u);
        for (uint32_t i = 0u; i < seeds(); i++) {
            const uint32_t seed = i + (operation * 5u);
            try_point(scenario, start, operation, SIM_CUT_INSIDE, seed, 0u);
            try_point(scenario, start, operation, SIM_CUT_INSIDE, seed + 1u, 1u + (i % NESTED));
        }
        if (plan[operation].erase && is_end_of_slot(&plan[operation])) {
            try_fields(scenario, start, operation);
        }
    }
    sim_flash_restore(end);
}

/* --- the life of a device --------------------------------------------------------------------------------------- */

static void live(const struct geometry *geometry)
{
    const struct session only_boot = {.image = NOTHING, .request = SWAP_NONE};
    static uint8_t kept[64u * 1024u];
    make_device(geometry);
    sim_flash_load(layout.slots.slot0.offset, images[0], sizes[0]);

    const struct scenario first_boot = {
        .name = "first boot", .session = only_boot, .before = NOTHING, .after = 0u, .other = NOTHING, .action = BOOT_NONE};
    try_all(&first_boot);

    const struct scenario update = {.name = "upload, test",
                                    .session = {.image = 1u, .request = SWAP_TEST},
                                    .before = 0u,
                                    .after = 1u,
                                    .trial = true,
                                    .other = 0u, .action = BOOT_TEST};
    try_all(&update);
    sim_flash_save(kept); /* 1 on trial, 0 behind it */

    const struct scenario revert = {
        .name = "revert", .session = only_boot, .before = NOTHING, .after = 0u, .other = 1u, .action = BOOT_REVERT};
    try_all(&revert);

    /* The image that ran for good decays; the other one was never confirmed, but it is all there is. */
    const uint8_t zeros[16] = {0u};
    sim_flash_load(layout.slots.slot0.offset + 200u, zeros, sizeof zeros);
    const struct scenario recovery = {
        .name = "recovery", .session = only_boot, .before = NOTHING, .after = 1u, .other = NOTHING, .action = BOOT_RECOVERED};
    try_all(&recovery);

    sim_flash_restore(kept);
    sim_flash_load(layout.slots.slot0.offset + 200u, zeros, sizeof zeros);
    const struct scenario revert_damaged = {
        .name = "revert of a damaged trial", .session = only_boot, .before = NOTHING, .after = 0u, .other = NOTHING, .action = BOOT_REVERT};
    try_all(&revert_damaged);

    sim_flash_restore(kept);
    const struct scenario asked_on_trial = {.name = "test requested on trial",
                                            .session = {.image = NOTHING, .request = SWAP_TEST},
                                            .before = NOTHING,
                                            .after = 0u,
                                            .other = 1u, .action = BOOT_REVERT};
    try_all(&asked_on_trial);

    sim_flash_restore(kept);
    const struct scenario confirm = {.name = "confirm",
                                     .session = {.image = NOTHING, .request = SWAP_NONE, .confirm = true},
                                     .before = 0u,
                                     .after = 1u,
                                     .other = NOTHING, .action = BOOT_NONE};
    try_all(&confirm);

    const struct scenario next = {.name = "next update",
                                  .session = {.image = 2u, .request = SWAP_TEST},
                                  .before = 1u,
                                  .after = 2u,
                                  .trial = true,
                                  .other = 1u, .action = BOOT_TEST};
    try_all(&next);

    const struct scenario back = {
        .name = "revert to a confirmed update", .session = only_boot, .before = NOTHING, .after = 1u, .other = 2u, .action = BOOT_REVERT};
    try_all(&back);

    const struct scenario permanent = {.name = "permanent",
                                       .session = {.image = 3u, .request = SWAP_PERMANENT},
                                       .before = 1u,
                                       .after = 3u,
                                       .other = 1u, .action = BOOT_PERMANENT};
    try_all(&permanent);

    const struct scenario unsigned_one = {.name = "refused signature",
                                          .session = {.image = 4u, .request = SWAP_TEST},
                                          .before = 3u,
                                          .after = 3u,
                                          .other = NOTHING, .action = BOOT_NONE, .refused = IMAGE_BAD_SIGNATURE};
    try_all(&unsigned_one);

    const struct scenario older = {.name = "refused downgrade",
                                   .session = {.image = 2u, .request = SWAP_PERMANENT},
                                   .before = 3u,
                                   .after = 3u,
                                   .other = NOTHING, .action = BOOT_NONE, .refused = IMAGE_DOWNGRADE};
    try_all(&older);
    print_message("[ power cut ] %s: %u points, %u cuts\n", geometry->name, points, cuts);
    points = 0u;
    cuts = 0u;
}

static void test_small_pages(void **state)
{
    (void)state;
    live(&small_pages);
}

static void test_big_sectors(void **state)
{
    (void)state;
    live(&big_sectors);
}

static int tell_point(void **state)
{
    static const char *const names[] = {"before", "inside", "words", "after"};
    (void)state;
    if (point.scenario != NULL) {
        print_error("%s: operation %u, %s, seed %u, nested %u; the device says\n%s", point.scenario, point.operation,
                    names[point.where], point.seed, point.nested, sim_console());
        point.scenario = NULL;
    }
    return 0;
}

int test_power_cut(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_small_pages, tell_point),
        cmocka_unit_test_teardown(test_big_sectors, tell_point),
    };
    return cmocka_run_group_tests_name("power_cut", tests, NULL, NULL);
}
