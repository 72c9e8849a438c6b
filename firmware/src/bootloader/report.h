/*
 * SPDX-License-Identifier: Apache-2.0
 * What the bootloader says on the console while it decides and swaps. One line each, beginning with `boot: `.
 */
#ifndef BOOTLOADER_REPORT_H
#define BOOTLOADER_REPORT_H

#include <stdint.h>

#include "core/image.h"
#include "core/update.h"

/* `slot0` or `slot1`, version, counter and digest of the image found there, before it is judged. */
void report_image(const char *slot, const struct image *image, const uint8_t digest[SHA256_SIZE]);

/* The request for slot 1 is not carried out. */
void report_slot1_refused(enum image_result reason);

/* A swap begins, or goes on after `done` of its steps. */
void report_swap(enum swap_type type, uint32_t pages);
void report_resume(enum swap_type type, uint32_t pages, uint32_t done);

/* Slot 0 does not hold a valid image; slot 1's takes its place. */
void report_recovery(enum image_result reason);

/* A trial goes on over the reset of the watchdog's own test. */
void report_trial_goes_on(void);

/* Slot 0 is not started. */
void report_refused(enum image_result reason);

#endif
