/*
 * SPDX-License-Identifier: Apache-2.0
 * Motor steps and the account of what was delivered. See delivery.h.
 */
#include "application/control/delivery.h"

#include <stddef.h>

/*
 * r * 0.1 ml/h is r * 100,000,000 picolitres in 360,000 ticks: r * 2500 / 9 in each. In ninths of a picolitre nothing is left
 * to round.
 */
#define NINTHS 9u
#define NINTHS_PER_TICK 2500u /* of a picolitre, for each 0.1 ml/h */
#define RATE_MAX 1000u        /* of any syringe, the bolus included */
#define NINTHS_PER_MICROLITRE (NINTHS * DELIVERY_PICOLITRES_PER_MICROLITRE)

/* Volume of a step: pi / 4 * bore^2 * 2.5 µm, rounded to a picolitre, which is off by less than 1e-6 of it. */
static const struct syringe syringes[] = {
    {.id = 1u, .volume = 5000u, .rate_max = 500u, .step = 285578u},   /* bore 12.06 mm */
    {.id = 2u, .volume = 10000u, .rate_max = 1000u, .step = 412825u}, /* bore 14.50 mm */
    {.id = 3u, .volume = 20000u, .rate_max = 1000u, .step = 718555u}, /* bore 19.13 mm */
    {.id = 4u, .volume = 50000u, .rate_max = 1000u, .step = 1401854u}, /* bore 26.72 mm */
};

/* due stays below two steps and one tick. */
_Static_assert((2uLL * NINTHS * 1410000uLL) + ((uint64_t)RATE_MAX * NINTHS_PER_TICK) < UINT32_MAX, "due must not overflow");

/* @realises DSG-006 */
const struct syringe *delivery_syringe(uint32_t id)
{
    const struct syringe *found = NULL;
    for (size_t i = 0u; i < (sizeof(syringes) / sizeof(syringes[0])); i++) {
        if (syringes[i].id == id) {
            found = &syringes[i];
        }
    }
    return found;
}

void delivery_start(struct delivery *delivery, const struct syringe *syringe)
{
    delivery->step = syringe->step;
    delivery->due = 0u;
    delivery->delivered = 0u;
    delivery->bolus = 0u;
    delivery->bolus_rate = 0u;
}

void delivery_bolus(struct delivery *delivery, uint32_t volume, uint32_t rate)
{
    delivery->bolus = (uint64_t)volume * NINTHS_PER_MICROLITRE;
    delivery->bolus_rate = rate;
}

void delivery_end_bolus(struct delivery *delivery)
{
    delivery->bolus = 0u;
}

bool delivery_has_bolus(const struct delivery *delivery)
{
    return delivery->bolus > 0u;
}

uint32_t delivery_bolus_left(const struct delivery *delivery)
{
    return (uint32_t)((delivery->bolus + (NINTHS_PER_MICROLITRE - 1u)) / NINTHS_PER_MICROLITRE);
}

/* @realises DSG-005 */
uint32_t delivery_tick(struct delivery *delivery, uint32_t rate)
{
    const uint32_t step = NINTHS * delivery->step;
    const uint32_t bolus_tick = delivery->bolus_rate * NINTHS_PER_TICK;
    const uint32_t bolus = (delivery->bolus < bolus_tick) ? (uint32_t)delivery->bolus : bolus_tick;
    uint32_t steps = 0u;

    delivery->bolus -= bolus;
    delivery->due += (rate * NINTHS_PER_TICK) + bolus;
    while (delivery->due >= step) {
        delivery->due -= step;
        delivery->delivered += delivery->step;
        steps++;
    }
    return steps;
}

uint32_t delivery_volume(const struct delivery *delivery)
{
    return (uint32_t)(delivery->delivered / DELIVERY_PICOLITRES_PER_MICROLITRE);
}

bool delivery_reached(const struct delivery *delivery, uint32_t volume)
{
    return delivery->delivered >= ((uint64_t)volume * DELIVERY_PICOLITRES_PER_MICROLITRE);
}
