/*
 * SPDX-License-Identifier: Apache-2.0
 * The commands that concern the pump, its alarms, settings and drug library. Each puts its whole reply into the text.
 */
#ifndef APPLICATION_CONSOLE_PUMP_COMMANDS_H
#define APPLICATION_CONSOLE_PUMP_COMMANDS_H

#include "application/console/parse.h"
#include "application/device.h"
#include "core/text.h"

void pump_command_status(const struct device *device, struct text *reply);
void pump_command_program(struct device *device, const struct command *command, struct text *reply);
void pump_command_confirm(struct device *device, const struct command *command, struct text *reply);
void pump_command_start(struct device *device, struct text *reply);
void pump_command_bolus(struct device *device, const struct command *command, struct text *reply);
void pump_command_alarm(const struct device *device, struct text *reply);
void pump_command_silence(struct device *device, struct text *reply);
void pump_command_clear(struct device *device, struct text *reply);
void pump_command_config(struct device *device, const struct command *command, struct text *reply);
void pump_command_library(const struct device *device, struct text *reply);
void pump_command_drug(const struct device *device, const struct command *command, struct text *reply);

#endif
