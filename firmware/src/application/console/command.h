/*
 * SPDX-License-Identifier: Apache-2.0
 * The console commands (../../../PROTOCOL.md, "Console"): one line in, one reply line out, beginning with OK or ERR.
 */
#ifndef APPLICATION_CONSOLE_COMMAND_H
#define APPLICATION_CONSOLE_COMMAND_H

#include "application/device.h"
#include "core/text.h"

/* What the caller does once the reply is out. */
enum command_effect { COMMAND_NOTHING, COMMAND_RESETS, COMMAND_CRASHES_FAULT, COMMAND_CRASHES_HANG, COMMAND_CRASHES_STACK };

/* Carries out one command line and puts its reply, without line end, into reply. The drive follows before it returns. */
enum command_effect command_run(struct device *device, const char *line, struct text *reply);

#endif
