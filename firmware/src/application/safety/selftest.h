/*
 * SPDX-License-Identifier: Apache-2.0
 * The device testing itself: RAM, SHA-256, the running image, the watchdog and the configuration.
 *
 * After power-up the watchdog is proven by letting it bite once: the hardware watchdog where the machine models one, the
 * deadline monitor elsewhere. The device resets for that, with RESET_WATCHDOG_TEST; the handover keeps the proof until the power goes.
 */
#ifndef APPLICATION_SAFETY_SELFTEST_H
#define APPLICATION_SAFETY_SELFTEST_H

#include "application/store/config.h"

#define SELFTEST_WATCHDOG_MS 50u       /* set to bite after that */
#define SELFTEST_WATCHDOG_LIMIT_MS 500u /* and failed if it has not by then */

/* Where the configuration lies. */
extern const struct config_region selftest_config_region;

/*
 * At power-on, after reset_open() and port_start(), before deadline_start(). Loads the configuration into *config and repairs its copies; *found
 * says what was there. NULL if everything passes, else the name of the first thing that fails: "ram", "sha256", "image",
 * "watchdog" or "config". May reset the device.
 */
const char *selftest_power_on(struct config *config, enum config_found *found);

/* The same at any time later, without the bite: NULL, or the name of the first thing that fails. */
const char *selftest_failure(void);

#endif
