/*
 * SPDX-License-Identifier: Apache-2.0
 * A pump with sensors that a test turns. See rig.h.
 */
#include "rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "sim/drugs.h"


struct pump pump;
struct config config;
struct library library;
struct sensors sensors;
uint32_t steps;   /* of the motor since the start */
uint32_t elapsed; /* ticks */

const struct programme saline = {.syringe = 2u, .drug = 2u, .rate = 100u, .vtbi = 1000u};

int rig_start(void **state)
{
    (void)state;
    config = (struct config){.kvo = CONFIG_KVO_DEFAULT, .occlusion = CONFIG_OCCLUSION_DEFAULT};
    sim_drugs(&library);
    sensors = (struct sensors){.state = SENSORS_FRESH, .pressure = 20u, .position = 60000u, .syringe_in = true, .battery = 80u};
    steps = 0u;
    elapsed = 0u;
    pump_init(&pump, &config, &library);
    return 0;
}

/* A tick; each tenth has a new frame in which the second channel agrees with the steps. */
void rig_tick(void)
{
    static uint32_t told;
    elapsed++;
    if ((elapsed % 10u) == 0u) {
        sensors.frames++;
    }
    if (elapsed == 1u) {
        told = 0u;
    }
    steps += pump_tick(&pump, &sensors);
    sensors.flow += (uint32_t)((pump.delivery.step * (uint64_t)(steps - told)) / 1000u);
    told = steps;
}

void rig_pass(uint32_t ticks)
{
    for (uint32_t i = 0u; i < ticks; i++) {
        rig_tick();
    }
}

/* The next event is that one. */
void rig_event(enum event event, uint32_t value)
{
    struct pump_event found = {0u, 0u};
    assert_true(pump_next_event(&pump, &found));
    assert_int_equal(found.event, event);
    assert_int_equal(found.value, value);
}

void rig_no_event(void)
{
    struct pump_event found;
    assert_false(pump_next_event(&pump, &found));
}

void rig_drop_events(void)
{
    struct pump_event event;
    while (pump_next_event(&pump, &event)) {
    }
}

uint32_t rig_program(const struct programme *programme)
{
    uint32_t token = 0u;
    bool soft = false;
    assert_int_equal(pump_program(&pump, programme, &token, &soft), PUMP_DONE);
    return token;
}

void rig_make_ready(const struct programme *programme)
{
    assert_int_equal(pump_confirm(&pump, rig_program(programme), true), PUMP_DONE);
    assert_int_equal(pump.state, PUMP_READY);
}

void rig_infuse(const struct programme *programme)
{
    rig_make_ready(programme);
    rig_tick();
    assert_int_equal(pump_start(&pump, &sensors), PUMP_DONE);
    rig_drop_events();
}

struct pump_report rig_report(void)
{
    struct pump_report now;
    pump_report(&pump, &now);
    return now;
}

/* Brings the pump into a state, from its start. */
void rig_bring_to(enum pump_state wanted)
{
    uint32_t left;
    rig_start(NULL);
    rig_tick();
    switch (wanted) {
    case PUMP_PROGRAMMED:
        (void)rig_program(&saline);
        break;
    case PUMP_READY:
        rig_make_ready(&saline);
        break;
    case PUMP_INFUSING:
        rig_infuse(&saline);
        break;
    case PUMP_BOLUS:
        rig_infuse(&saline);
        assert_int_equal(pump_bolus(&pump, 100u, &left), PUMP_DONE);
        break;
    case PUMP_KVO:
        rig_infuse(&(struct programme){.syringe = 2u, .drug = 2u, .rate = 1000u, .vtbi = 100u});
        rig_pass(4u * DELIVERY_TICKS_PER_SECOND);
        break;
    case PUMP_ALARM:
        rig_infuse(&saline);
        sensors.air = true;
        rig_tick();
        break;
    case PUMP_FAULT:
        pump_fault(&pump);
        break;
    case PUMP_IDLE:
    default:
        break;
    }
    rig_drop_events();
    assert_int_equal(pump.state, wanted);
}
