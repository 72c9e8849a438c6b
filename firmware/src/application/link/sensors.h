/*
 * SPDX-License-Identifier: Apache-2.0
 * What the plant link tells of the world, as of its last valid frame (../../../PROTOCOL.md, "Plant link").
 */
#ifndef APPLICATION_LINK_SENSORS_H
#define APPLICATION_LINK_SENSORS_H

#include <stdbool.h>
#include <stdint.h>

enum sensors_state { SENSORS_WAITING, SENSORS_FRESH, SENSORS_STALE };

struct sensors {
    enum sensors_state state;
    uint32_t pressure; /* mmHg */
    uint32_t position; /* µm above empty */
    bool air;
    bool door_open;
    bool syringe_in;
    uint32_t battery;  /* % */
    uint32_t flow;     /* nl of the second channel, modulo 2^32 */
    bool implausible;  /* the last frame held a value that cannot be; the fields above are those of the last plausible one */
    uint32_t bad_in_a_row; /* consecutive invalid or lost frames up to now */
    uint32_t frames;   /* valid new frames since reset: changes when there is something new */
};

#endif
