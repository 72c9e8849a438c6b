/*
 * SPDX-License-Identifier: Apache-2.0
 * SMP packets on console lines (MCUmgr's serial transport): `u16be length | packet | CRC-16/XMODEM`, base64 in lines that begin
 * with 06 09 (first) or 04 14 (further ones). Bounded: one buffer, nothing is copied behind its end.
 *
 * What always holds: a packet comes out only if every line of it was right, in order, and length and CRC hold.
 */
#ifndef APPLICATION_LINK_SMP_FRAME_H
#define APPLICATION_LINK_SMP_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SMP_PACKET_MAX 512u
#define SMP_FRAME_OVERHEAD 4u /* length and CRC */
#define SMP_LINE_BYTES 93u    /* of a frame, in one line: 124 characters */

struct smp_frame {
    uint8_t bytes[SMP_PACKET_MAX + SMP_FRAME_OVERHEAD];
    uint32_t length;
    bool open; /* a first line came, and the frame is neither complete nor broken */
};

void smp_frame_init(struct smp_frame *frame);

/*
 * Takes one line of kind LINE_SMP. Returns the packet if it completes one, which stays until the next line is taken; else NULL.
 * A line that is not right drops the frame it belongs to.
 */
const uint8_t *smp_frame_take(struct smp_frame *frame, const uint8_t *line, size_t length, size_t *packet_length);

/* Drops what was begun: a line was lost. */
void smp_frame_drop(struct smp_frame *frame);

/* Writes a packet to the console, at most SMP_PACKET_MAX bytes. */
void smp_frame_write(const uint8_t *packet, size_t length);

#endif
