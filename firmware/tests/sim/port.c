/*
 * SPDX-License-Identifier: Apache-2.0
 * The rest of port.h for host tests of the bootloader. See sim/port.h.
 */
#include "sim/port.h"

#include <string.h>

#include "core/bytes.h"
#include "port/port.h"

#define CONSOLE_SIZE 8192u

struct output {
    char bytes[CONSOLE_SIZE];
    size_t length;
};

static struct output outputs[2];

static const char *text_of(enum port_uart uart)
{
    outputs[uart].bytes[outputs[uart].length] = '\0';
    return outputs[uart].bytes;
}

const char *sim_console(void)
{
    return text_of(PORT_CONSOLE);
}

void sim_console_clear(void)
{
    outputs[PORT_CONSOLE].length = 0u;
}

const char *sim_plant(void)
{
    return text_of(PORT_PLANT);
}

void sim_plant_clear(void)
{
    outputs[PORT_PLANT].length = 0u;
}

void port_write(enum port_uart uart, const char *bytes, size_t length)
{
    struct output *const output = &outputs[uart];
    const size_t room = CONSOLE_SIZE - 1u - output->length;
    const size_t taken = (length < room) ? length : room;
    memcpy(&output->bytes[output->length], bytes, taken);
    output->length += taken;
}

struct handover *port_handover(void)
{
    static struct handover handover;
    return &handover;
}

/* A program of this board names, in its second word, the address it runs at (see signer.c). */
bool port_program_fits(const uint8_t *payload, uint32_t payload_size, uint32_t run_address)
{
    return (payload_size >= 8u) && (bytes_le32(&payload[4]) == run_address);
}
