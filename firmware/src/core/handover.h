/*
 * SPDX-License-Identifier: Apache-2.0
 * What one program leaves in RAM for the next one, over any reset but a power cycle: the bootloader's decision for the
 * application, and the reason of the application's own reset for itself. 64 bytes at the end of RAM, left alone by the
 * start-up code, the RAM test's result and the linker.
 */
#ifndef CORE_HANDOVER_H
#define CORE_HANDOVER_H

#include <stdbool.h>
#include <stdint.h>

#define HANDOVER_SIZE 64u

/* What the bootloader did before it started the application. */
enum boot_action {
    BOOT_NONE = 1,   /* started what was there */
    BOOT_TEST = 2,   /* swapped a new image in, on trial */
    BOOT_PERMANENT = 3, /* swapped a new image in, for good */
    BOOT_REVERT = 4, /* swapped the previous image back: the trial was not confirmed */
    BOOT_RESUMED = 5, /* finished a swap that a reset had cut off (swap_type says which) */
    BOOT_RECOVERED = 6 /* slot 0 held no valid image: swapped in the valid one of slot 1, for good */
};

/* Why the application was reset last, as it said before. */
enum reset_reason {
    RESET_UNKNOWN = 0,       /* power, pin, or a fault before anything could be noted */
    RESET_COMMAND = 1,       /* console or SMP */
    RESET_DEADLINE = 2,      /* the deadline monitor or the watchdog bit */
    RESET_WATCHDOG_TEST = 3, /* the watchdog was made to bite by the power-on self-test */
    RESET_FAULT = 4          /* a processor fault */
};

struct handover {
    uint32_t vectors;   /* Cortex-M0 only: the table that the bootloader's handlers forward to; 0: the bootloader runs */
    uint32_t boot_mark; /* HANDOVER_BOOT_MARK: the four words after it are valid */
    uint32_t action;    /* enum boot_action */
    uint32_t swap_type; /* enum swap_type (core/update.h) of the swap that action tells of */
    uint32_t refused;   /* enum image_result why the image waiting in slot 1 was not taken; IMAGE_OK: none waited, or taken */
    uint32_t boot_check; /* action ^ swap_type ^ refused ^ HANDOVER_BOOT_MARK */
    uint32_t reset_mark; /* HANDOVER_RESET_MARK: reset is valid */
    uint32_t reset;      /* enum reset_reason */
    uint32_t proven;     /* HANDOVER_PROVEN_MARK: the watchdog was proven to bite since power-up */
    uint32_t detail;     /* of the reset: program counter of a fault, else 0 */
    uint32_t trial_mark; /* HANDOVER_TRIAL_MARK: this trial went on over the reset of the watchdog's test, once */
    uint32_t reserved[5];
};

#define HANDOVER_BOOT_MARK 0x544f4f42u   /* "BOOT" */
#define HANDOVER_RESET_MARK 0x54534552u  /* "REST" */
#define HANDOVER_PROVEN_MARK 0x4e565250u /* "PRVN" */
#define HANDOVER_TRIAL_MARK 0x4c525454u  /* "TTRL" */

/* Bootloader: tells the application what it did. */
void handover_tell(struct handover *handover, uint32_t action, uint32_t swap_type, uint32_t refused);

/* Whether the four words of what the bootloader did are what it wrote. */
bool handover_told(const struct handover *handover);

/* The console name of an action; "unknown" for a number that is none. */
const char *handover_action(uint32_t action);

_Static_assert(sizeof(struct handover) == HANDOVER_SIZE, "the linker script reserves 64 bytes");

#endif
