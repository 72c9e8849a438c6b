/*
 * SPDX-License-Identifier: Apache-2.0
 * The SMP server on the console (../../../PROTOCOL.md, "SMP"): lines in, replies out, one request at a time, in fixed buffers. What
 * is no valid packet, or is a reply, is dropped without an answer.
 */
#ifndef APPLICATION_LINK_SMP_H
#define APPLICATION_LINK_SMP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "application/link/smp_frame.h"
#include "application/link/smp_image.h"
#include "application/link/smp_reply.h"

struct smp {
    struct smp_frame frame;
    struct smp_reply reply;
    struct smp_image image;
};

void smp_init(struct smp *smp);

/* Takes one line of kind LINE_SMP; answers if it completes a request. The effect is the caller's to carry out, then. */
enum smp_effect smp_take(struct smp *smp, const struct smp_view *view, const uint8_t *line, size_t length);

/* A line of kind LINE_SMP_BROKEN: the packet it belonged to is dropped. */
void smp_take_broken(struct smp *smp);

/* Goes on with what takes longer than one step. To be called once a turn of the main loop. */
void smp_work(struct smp *smp);

#endif
