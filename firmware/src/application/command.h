/*
 * SPDX-License-Identifier: Apache-2.0
 * The console commands. One line in, one reply line out, starting with OK or ERR. Protocol: firmware/README.md.
 */
#ifndef APPLICATION_COMMAND_H
#define APPLICATION_COMMAND_H

#include "application/pump.h"
#include "core/text.h"

/* What the main loop does once the reply is out. */
enum command_effect {
    COMMAND_NONE,
    COMMAND_RESET,          /* reset the device */
    COMMAND_OCCLUSION_EVENT /* report that the occlusion alarm was raised */
};

/* Carries out one command line and puts its reply, without line end, into reply. The motor follows before it returns. */
enum command_effect command_run(const char *line, struct pump *pump, struct text *reply);

#endif
