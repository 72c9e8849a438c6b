/*
 * SPDX-License-Identifier: Apache-2.0
 * What the fuzzers share. See fuzz.h.
 */
#include "fuzz.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "application/store/config.h"
#include "build_config.h"
#include "port/port.h"
#include "sim/flash.h"
#include "sim/signer.h"

static uint8_t *contents;
static uint32_t operations; /* of the flash when it was last as in `contents` */

_Noreturn void fuzz_fail(const char *claim, const char *file, int line)
{
    (void)fprintf(stderr, "%s:%d: does not hold: %s\n", file, line, claim);
    abort();
}

static void load(uint32_t offset, const struct signer_image *image)
{
    static uint8_t buffer[8192];
    sim_flash_load(offset, buffer, signer_make(image, buffer));
}

/* One drug, with wide limits, so that programmes are taken. */
static void load_library(uint32_t offset, uint32_t build)
{
    static const uint8_t payload[48] = {
        'D', 'L', 'I', 'B', 1u, 0u, 1u, 0u, 1u, 0u, 'd', 'r', 'u', 'g', 0u, 0u, 0u, 0u, 0u, 0u, 0u, 0u, 0u, 0u,
        1u,  0u,  0xe8u, 3u, 1u, 0u, 0xe8u, 3u, 200u, 0u, 0u, 0u, 200u, 0u, 5u, 0u, 44u, 1u, 0u, 0u, 0u, 0u, 0u, 0u,
    };
    load(offset, &(struct signer_image){.version = {.major = 1u, .build = build},
                                        .header_size = IMAGE_HEADER_SIZE,
                                        .payload = payload,
                                        .payload_size = sizeof payload,
                                        .kind = IMAGE_DATA});
}

void fuzz_flash_make(void)
{
    static const struct config config = {.kvo = CONFIG_KVO_DEFAULT, .occlusion = CONFIG_OCCLUSION_DEFAULT};
    struct signer_image program = {.version = {.major = 1u},
                                   .header_size = IMAGE_HEADER_SIZE,
                                   .payload_size = 2000u,
                                   .run_address = FLASH_BASE + SLOT0_OFFSET + IMAGE_HEADER_SIZE};
    sim_flash_start(FLASH_SIZE, FLASH_PAGE_SIZE);
    signer_trust();
    load(SLOT0_OFFSET, &program);
    program.version.build = 1u;
    program.seed = 1u;
    load(SLOT1_OFFSET, &program);
    load_library(LIBRARY_OFFSET, 2u);
    load_library(LIBRARY_OFFSET + (LIBRARY_SIZE / 2u), 1u);
    (void)config_store(&(struct config_region){.offset = CONFIG_OFFSET, .size = CONFIG_SIZE}, &config);
    contents = malloc(sim_flash_size());
    CLAIM(contents != NULL);
    sim_flash_save(contents);
    operations = sim_flash_operations();
}

void fuzz_flash_restore(void)
{
    if (sim_flash_operations() != operations) {
        sim_flash_restore(contents);
        operations = sim_flash_operations();
    }
}

bool fuzz_unchanged(uint32_t offset, uint32_t size)
{
    return memcmp(port_flash_at(offset), &contents[offset], size) == 0;
}
