/*
 * SPDX-License-Identifier: Apache-2.0
 * Motor steps from a rate and a syringe's geometry, and the account of what was delivered. Integers only. Portable.
 *
 * A rate of r (0.1 ml/h) is r * 2500 / 9 picolitres each tick of 10 ms. What was asked for is summed in ninths of a
 * picolitre, so no sum is ever rounded: after n ticks the steps made are floor(sum / step), and the account (steps times the
 * volume of a step) is behind rate times time by less than one step, for as long as the pump runs. The only inexact number is
 * the volume of a step itself, rounded to a picolitre: off by less than 1 part in a million.
 */
#ifndef APPLICATION_CONTROL_DELIVERY_H
#define APPLICATION_CONTROL_DELIVERY_H

#include <stdbool.h>
#include <stdint.h>

#define DELIVERY_TICKS_PER_SECOND 100u
#define DELIVERY_PICOLITRES_PER_MICROLITRE 1000000u
#define DELIVERY_RATE_MIN 1u    /* 0.1 ml/h */
#define DELIVERY_VTBI_MIN 100u  /* µl */
#define DELIVERY_BOLUS_MIN 10u  /* µl */
#define DELIVERY_STEP_NANOMETRES 2500u /* the plunger's way in one motor step */

struct syringe {
    uint32_t id;
    uint32_t volume;   /* µl */
    uint32_t rate_max; /* 0.1 ml/h */
    uint32_t step;     /* picolitres that one motor step delivers */
};

/* The syringe of that id, or NULL. */
const struct syringe *delivery_syringe(uint32_t id);

struct delivery {
    uint32_t step;      /* picolitres of one motor step */
    uint32_t due;       /* asked for but not delivered yet, in ninths of a picolitre; below one step after each tick */
    uint64_t delivered; /* picolitres: steps made times step, exact */
    uint64_t bolus;     /* asked for by the bolus under way and not due yet, in ninths of a picolitre */
    uint32_t bolus_rate; /* 0.1 ml/h */
};

/* Nothing delivered, nothing due. */
void delivery_start(struct delivery *delivery, const struct syringe *syringe);

/* Adds a bolus of that many µl at that rate, on top of the rate of each tick. */
void delivery_bolus(struct delivery *delivery, uint32_t volume, uint32_t rate);

/* Drops what is left of the bolus. */
void delivery_end_bolus(struct delivery *delivery);

bool delivery_has_bolus(const struct delivery *delivery);

/* Whole µl left of the bolus, rounded up. */
uint32_t delivery_bolus_left(const struct delivery *delivery);

/* One tick at that rate (0.1 ml/h), and of the bolus. Returns the motor steps of this tick. */
uint32_t delivery_tick(struct delivery *delivery, uint32_t rate);

/* Whole µl delivered, rounded down. */
uint32_t delivery_volume(const struct delivery *delivery);

/* That many µl or more are delivered. */
bool delivery_reached(const struct delivery *delivery, uint32_t volume);

#endif
