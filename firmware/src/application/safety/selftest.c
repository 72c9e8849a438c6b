/*
 * SPDX-License-Identifier: Apache-2.0
 * The device testing itself. See selftest.h.
 * @realises DSG-023
 */
#include "application/safety/selftest.h"

#include <stddef.h>

#include "application/safety/deadline.h"
#include "application/safety/reset.h"
#include "application/safety/running_image.h"
#include "build_config.h"
#include "core/bytes.h"
#include "core/sha256.h"
#include "port/port.h"

const struct config_region selftest_config_region = {.offset = CONFIG_OFFSET, .size = CONFIG_SIZE};

/* The digest of "abc": FIPS 180-4's example, NIST "SHA256.pdf". */
static bool sha256_passes(void)
{
    static const uint8_t message[3] = {0x61u, 0x62u, 0x63u};
    static const uint8_t expected[SHA256_SIZE] = {
        0xbau, 0x78u, 0x16u, 0xbfu, 0x8fu, 0x01u, 0xcfu, 0xeau, 0x41u, 0x41u, 0x40u, 0xdeu, 0x5du, 0xaeu, 0x22u, 0x23u,
        0xb0u, 0x03u, 0x61u, 0xa3u, 0x96u, 0x17u, 0x7au, 0x9cu, 0xb4u, 0x10u, 0xffu, 0x61u, 0xf2u, 0x00u, 0x15u, 0xadu,
    };
    uint8_t digest[SHA256_SIZE];
    sha256_digest(message, sizeof message, digest);
    return bytes_equal(digest, expected, SHA256_SIZE);
}

/* The rules of the monitor on one of its own: it must see what is late, what is early, and nothing else. */
static bool monitor_passes(void)
{
    struct deadline late;
    struct deadline early;
    deadline_watch(&late, 2u * TICK_MS, 0u);
    bool passes = !deadline_missed_tick(&late);
    deadline_pass(&late, TICK_MS);
    passes = passes && !deadline_missed_tick(&late) && !deadline_missed_tick(&late) && deadline_missed_tick(&late);
    deadline_watch(&early, 2u * TICK_MS, 0u);
    for (uint32_t i = 0u; i < 8u; i++) {
        deadline_pass(&early, 0u);
    }
    return passes && deadline_missed_tick(&early);
}

static bool watchdog_proven(void)
{
    return port_handover()->proven == HANDOVER_PROVEN_MARK;
}

/* Lets the watchdog bite; returns only if it does not. */
static void let_it_bite(void)
{
    const uint32_t from = port_milliseconds();
    reset_note(RESET_WATCHDOG_TEST);
    port_watchdog_start(SELFTEST_WATCHDOG_MS);
    if (WATCHDOG_MODELLED == 0u) {
        deadline_bite(SELFTEST_WATCHDOG_MS, from);
    }
    while ((port_milliseconds() - from) < SELFTEST_WATCHDOG_LIMIT_MS) {
        port_sleep(); /* nothing is fed */
    }
    reset_note(RESET_UNKNOWN);
}

/* @realises DSG-024 */
static bool prove_watchdog(void)
{
    if (!watchdog_proven()) {
        if (reset_reason() == RESET_WATCHDOG_TEST) {
            port_handover()->proven = HANDOVER_PROVEN_MARK;
        } else {
            let_it_bite();
        }
    }
    return watchdog_proven();
}

/* Loads the configuration and makes its copies two. */
static bool repair_config(struct config *config, enum config_found *found)
{
    *found = config_load(&selftest_config_region, config);
    return (*found == CONFIG_WHOLE) || config_store(&selftest_config_region, config);
}

/* All that neither resets the device nor writes: NULL or the name of the first that fails. */
static const char *first_failure(void)
{
    const char *failure = NULL;
    if (!port_ram_passes()) {
        failure = "ram";
    } else if (!sha256_passes()) {
        failure = "sha256";
    } else if (!running_image_intact()) {
        failure = "image";
    } else if (!monitor_passes()) {
        failure = "watchdog";
    } else {
        /* All pass. */
    }
    return failure;
}

const char *selftest_power_on(struct config *config, enum config_found *found)
{
    const char *failure = NULL;
    const bool proven = prove_watchdog(); /* first, as it begins anew */
    const bool repaired = repair_config(config, found);
    failure = first_failure();
    if ((failure == NULL) && !proven) {
        failure = "watchdog";
    }
    if ((failure == NULL) && !repaired) {
        failure = "config";
    }
    return failure;
}

const char *selftest_failure(void)
{
    const char *failure = first_failure();
    if ((failure == NULL) && !watchdog_proven()) {
        failure = "watchdog";
    }
    if ((failure == NULL) && (config_copies(&selftest_config_region) != 2u)) {
        failure = "config";
    }
    return failure;
}
