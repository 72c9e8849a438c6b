/*
 * SPDX-License-Identifier: Apache-2.0
 * A drug library in memory. See drugs.h.
 */
#include "sim/drugs.h"

static const uint8_t payload[SIM_DRUGS_SIZE] = {
    'D', 'L', 'I', 'B', 1, 0, 3, 0,
    /* 1 morphine-1mg: soft 5 to 50, hard 1 to 100, bolus to 1000 µl at 500, lockout 600 s, hourly 4000 µl */
    1, 0, 'm', 'o', 'r', 'p', 'h', 'i', 'n', 'e', '-', '1', 'm', 'g', 0, 0, 5, 0, 50, 0, 1, 0, 100, 0,
    0xe8, 0x03, 0, 0, 0xf4, 0x01, 0x58, 0x02, 0xa0, 0x0f, 0, 0, 0, 0, 0, 0,
    /* 2 saline-test: soft 1 to 800, hard 1 to 1000, bolus to 100 µl at 400, lockout 5 s, hourly 200 µl */
    2, 0, 's', 'a', 'l', 'i', 'n', 'e', '-', 't', 'e', 's', 't', 0, 0, 0, 1, 0, 0x20, 0x03, 1, 0, 0xe8, 0x03,
    0x64, 0, 0, 0, 0x90, 0x01, 5, 0, 0xc8, 0, 0, 0, 0, 0, 0, 0,
    /* 3 heparin: soft 10 to 100, hard 5 to 200, no bolus */
    3, 0, 'h', 'e', 'p', 'a', 'r', 'i', 'n', 0, 0, 0, 0, 0, 0, 0, 10, 0, 100, 0, 5, 0, 0xc8, 0,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
};

const uint8_t *sim_drugs_payload(void)
{
    return payload;
}

void sim_drugs(struct library *library)
{
    library->drugs = &payload[8];
    library->count = 3u;
    library->spare = 0u;
    library->version = (struct image_version){.major = 1u, .minor = 0u, .revision = 0u, .build = 0u};
    for (uint32_t i = 0u; i < SHA256_SIZE; i++) {
        library->digest[i] = (uint8_t)i;
    }
}
