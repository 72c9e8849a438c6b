/*
 * SPDX-License-Identifier: Apache-2.0
 * A pump with sensors that a test turns, shared by the tests of the pump. The second channel agrees with the steps.
 */
#ifndef RIG_H
#define RIG_H

#include <stdint.h>

#include "application/control/pump.h"

extern struct pump pump;
extern struct config config;
extern struct library library; /* sim/drugs.h */
extern struct sensors sensors;
extern uint32_t steps;   /* of the motor since rig_start() */
extern uint32_t elapsed; /* ticks since then */

extern const struct programme saline; /* 10.0 ml/h, 1000 µl, within all limits */

int rig_start(void **state); /* after reset, with good sensors */
void rig_tick(void);         /* each tenth one has a new frame */
void rig_pass(uint32_t ticks);

void rig_event(enum event event, uint32_t value); /* the next event must be that one */
void rig_no_event(void);
void rig_drop_events(void);

uint32_t rig_program(const struct programme *programme); /* must be taken; the token */
void rig_make_ready(const struct programme *programme);
void rig_infuse(const struct programme *programme);
void rig_bring_to(enum pump_state wanted); /* from rig_start(), without events left */
struct pump_report rig_report(void);

#endif
