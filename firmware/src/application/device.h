/*
 * SPDX-License-Identifier: Apache-2.0
 * The application as a whole: what comes in on the UARTs, the control ticks that are due, and what goes out. main.c starts it and
 * calls device_turn() for ever; fuzzers and host tests do the same.
 *
 * What always holds: a line changes something only as what its first bytes say it is; the drive's enable follows the pump within
 * the same step.
 */
#ifndef APPLICATION_DEVICE_H
#define APPLICATION_DEVICE_H

#include <stdbool.h>
#include <stdint.h>

#include "application/control/library.h"
#include "application/control/pump.h"
#include "application/link/lines.h"
#include "application/link/plant.h"
#include "application/link/smp.h"
#include "application/store/config.h"
#include "application/store/eventlog.h"
#include "port/port.h"

#define DEVICE_UARTS 2u
#define DEVICE_CONFIRM_MS 10000u /* a trial confirms itself after that time without a fault */

struct device {
    struct config config;
    struct library library;
    struct pump pump;
    struct eventlog log;
    struct lines lines[DEVICE_UARTS];
    struct plant plant;
    struct smp smp;
    uint32_t steps;       /* motor steps since reset, modulo 2^32 */
    uint32_t time;        /* ms since reset up to which control ticks have been made */
    uint32_t frame_ticks; /* until the next frame to the plant */
    bool trial;           /* the running image is one, not confirmed */
};

/*
 * After the power-on self-test, which found the configuration. failure: what failed in it, or NULL; then the device is in its
 * safe state for good.
 */
void device_start(struct device *device, const struct config *config, enum config_found found, const char *failure);

/* One turn of the main loop. False if there is more to do at once. */
bool device_turn(struct device *device);

/* One byte that came in on a UART. */
void device_receive(struct device *device, enum port_uart uart, uint8_t byte);

/* Chooses the drug library anew. */
void device_load_library(struct device *device);

/* Does what the pump's last call asked for outside: the drive, and the events that came of it. */
void device_follow(struct device *device);

/*
 * Called after each frame to the plant. Does nothing: a bench that runs the device in lock-step with a model of the plant halts it
 * there.
 */
void plant_sent(void);

/* Given by main.c: how much of the stack was used, and the ways to crash. */
uint32_t device_stack_used(void);
_Noreturn void device_crash_fault(void);
_Noreturn void device_crash_hang(void);
_Noreturn void device_crash_stack(void);

#endif
