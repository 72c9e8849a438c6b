/*
 * SPDX-License-Identifier: Apache-2.0
 * The configuration, in two copies with a CRC each, in the two halves of its region of flash. One copy is written after the
 * other, the one that does not count first: wherever the power is cut, the old or the new configuration is read back.
 */
#ifndef APPLICATION_STORE_CONFIG_H
#define APPLICATION_STORE_CONFIG_H

#include <stdbool.h>
#include <stdint.h>

#define CONFIG_KVO_MIN 1u
#define CONFIG_KVO_MAX 50u
#define CONFIG_KVO_DEFAULT 10u
#define CONFIG_OCCLUSION_MIN 100u
#define CONFIG_OCCLUSION_MAX 750u
#define CONFIG_OCCLUSION_DEFAULT 517u /* 10 psi */

struct config {
    uint32_t kvo;       /* 0.1 ml/h */
    uint32_t occlusion; /* mmHg */
};

enum config_found {
    CONFIG_BLANK,   /* never written: the defaults hold */
    CONFIG_WHOLE,   /* both copies are valid and the same */
    CONFIG_ONE,     /* one counts; the other is missing, damaged or older */
    CONFIG_DAMAGED  /* was written, and no copy is valid: the defaults hold, which is to be logged */
};

struct config_region {
    uint32_t offset; /* in flash; each half is at least one whole page */
    uint32_t size;
};

/* Every field is in its range. */
bool config_valid(const struct config *config);

/* Reads what counts. */
enum config_found config_load(const struct config_region *region, struct config *config);

/* Writes both copies; the configuration must be valid. False if the flash does not hold them. */
bool config_store(const struct config_region *region, const struct config *config);

/* How many copies are valid now. */
uint32_t config_copies(const struct config_region *region);

#endif
