/*
 * SPDX-License-Identifier: Apache-2.0
 * The plant link. See plant.h.
 * @realises DSG-014
 */
#include "application/link/plant.h"

#include "application/link/crc16.h"

/* A frame from the plant: 02 S, then these fields, in hexadecimal digits. */
#define DIGITS_SEQUENCE 2u
#define DIGITS_PRESSURE 4u
#define DIGITS_POSITION 6u
#define DIGITS_FLAGS 2u
#define DIGITS_BATTERY 2u
#define DIGITS_FLOW 8u
#define DIGITS_CRC 4u

#define IN_DIGITS                                                                                                      \
    (DIGITS_SEQUENCE + DIGITS_PRESSURE + DIGITS_POSITION + DIGITS_FLAGS + DIGITS_BATTERY + DIGITS_FLOW + DIGITS_CRC)
#define IN_SIZE (2u + IN_DIGITS)

#define IN_AIR 0x01u
#define IN_DOOR_OPEN 0x02u
#define IN_SYRINGE 0x04u
#define IN_FLAGS (IN_AIR | IN_DOOR_OPEN | IN_SYRINGE)

#define LEAD 0x02u

struct frame {
    uint32_t sequence;
    uint32_t pressure;
    uint32_t position;
    uint32_t flags;
    uint32_t battery;
    uint32_t flow;
};

/* --- in ---------------------------------------------------------------------------------------------------------- */

/* The value of a lower-case hexadecimal digit; 16 if it is none. */
static uint32_t digit(uint8_t character)
{
    uint32_t value = 16u;
    if ((character >= (uint8_t)'0') && (character <= (uint8_t)'9')) {
        value = (uint32_t)character - (uint32_t)'0';
    } else if ((character >= (uint8_t)'a') && (character <= (uint8_t)'f')) {
        value = ((uint32_t)character - (uint32_t)'a') + 10u;
    } else {
        /* None. */
    }
    return value;
}

static bool all_digits(const uint8_t *characters, size_t count)
{
    bool right = true;
    for (size_t i = 0u; i < count; i++) {
        right = right && (digit(characters[i]) < 16u);
    }
    return right;
}

/* The number in the next `count` digits, which are digits; moves on past them. */
static uint32_t take(const uint8_t **at, uint32_t count)
{
    uint32_t value = 0u;
    for (uint32_t i = 0u; i < count; i++) {
        value = (value << 4) | digit((*at)[i]);
    }
    *at = &(*at)[count];
    return value;
}

static bool parse(const uint8_t *line, size_t length, struct frame *frame)
{
    const uint8_t *at = &line[2];
    if ((length != IN_SIZE) || (line[1] != (uint8_t)'S') || !all_digits(at, IN_DIGITS)) {
        return false;
    }
    frame->sequence = take(&at, DIGITS_SEQUENCE);
    frame->pressure = take(&at, DIGITS_PRESSURE);
    frame->position = take(&at, DIGITS_POSITION);
    frame->flags = take(&at, DIGITS_FLAGS);
    frame->battery = take(&at, DIGITS_BATTERY);
    frame->flow = take(&at, DIGITS_FLOW);
    return take(&at, DIGITS_CRC) == crc16_add(0u, &line[1], IN_SIZE - 1u - DIGITS_CRC);
}

static bool plausible(const struct frame *frame)
{
    return (frame->pressure <= PLANT_PRESSURE_MAX) && (frame->position <= PLANT_POSITION_MAX) &&
           (frame->battery <= PLANT_BATTERY_MAX) && ((frame->flags & ~IN_FLAGS) == 0u);
}

static uint32_t larger(uint32_t a, uint32_t b)
{
    return (a > b) ? a : b;
}

/* Frames of the sequence that did not come; the broken ones among them have been counted already. */
static uint32_t count_missing(struct plant *plant, uint32_t sequence)
{
    const uint32_t missing = plant->heard ? ((sequence - plant->last - 1u) & 0xffu) : 0u;
    if (missing > plant->broken_since) {
        plant->lost += missing - plant->broken_since;
    }
    return larger(missing, plant->broken_since);
}

static void show(struct sensors *sensors, const struct frame *frame)
{
    sensors->state = SENSORS_FRESH;
    sensors->pressure = frame->pressure;
    sensors->position = frame->position;
    sensors->air = (frame->flags & IN_AIR) != 0u;
    sensors->door_open = (frame->flags & IN_DOOR_OPEN) != 0u;
    sensors->syringe_in = (frame->flags & IN_SYRINGE) != 0u;
    sensors->battery = frame->battery;
    sensors->flow = frame->flow;
}

static void take_new(struct plant *plant, const struct frame *frame)
{
    struct sensors *const sensors = &plant->sensors;
    sensors->bad_in_a_row = larger(sensors->bad_in_a_row, count_missing(plant, frame->sequence));
    plant->broken_since = 0u;
    plant->last = (uint8_t)frame->sequence;
    plant->heard = true;
    plant->age = 0u;
    plant->implausible = !plausible(frame);
    sensors->frames++;
    if (!plant->implausible) {
        show(sensors, frame);
    } else {
        /* Before the first plausible frame there is nothing to show: the sensors go on waiting. */
        sensors->state = (sensors->state == SENSORS_WAITING) ? SENSORS_WAITING : SENSORS_FRESH;
        sensors->implausible = true;
    }
}

void plant_init(struct plant *plant)
{
    *plant = (struct plant){.sensors = {.state = SENSORS_WAITING}};
}

void plant_take(struct plant *plant, const uint8_t *line, size_t length)
{
    struct frame frame;
    if (!parse(line, length, &frame)) {
        plant_take_broken(plant);
    } else if (plant->heard && (frame.sequence == plant->last)) {
        plant->repeated++;
    } else {
        take_new(plant, &frame);
    }
}

void plant_take_broken(struct plant *plant)
{
    plant->corrupt++;
    plant->broken_since++;
    plant->sensors.bad_in_a_row = larger(plant->sensors.bad_in_a_row, plant->broken_since);
}

void plant_tick(struct plant *plant)
{
    struct sensors *const sensors = &plant->sensors;
    sensors->implausible = plant->implausible;
    sensors->bad_in_a_row = plant->broken_since;
    if (plant->age < PLANT_STALE_TICKS) {
        plant->age++;
    }
    if ((sensors->state == SENSORS_FRESH) && (plant->age >= PLANT_STALE_TICKS)) {
        sensors->state = SENSORS_STALE;
    }
}

/* --- out --------------------------------------------------------------------------------------------------------- */

static void put(char **at, uint32_t value, uint32_t count)
{
    static const char digits[] = "0123456789abcdef";
    for (uint32_t i = 0u; i < count; i++) {
        (*at)[i] = digits[(value >> (4u * (count - 1u - i))) & 15u];
    }
    *at = &(*at)[count];
}

void plant_write(struct plant *plant, uint32_t steps, uint32_t flags, char frame[PLANT_OUT_SIZE])
{
    char *at = &frame[2];
    frame[0] = (char)LEAD;
    frame[1] = 'M';
    put(&at, plant->next, 2u);
    put(&at, steps, 8u);
    put(&at, flags, 2u);
    /* The characters between the lead and the CRC itself. */
    put(&at, crc16_add(0u, (const uint8_t *)&frame[1], 13u), DIGITS_CRC);
    *at = '\n';
    plant->next = (uint8_t)(plant->next + 1u);
}
