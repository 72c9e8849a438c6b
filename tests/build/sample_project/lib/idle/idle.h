#ifndef IDLE_H
#define IDLE_H

unsigned idle_unused(unsigned value);

#endif
