#ifndef TINY_H
#define TINY_H

unsigned tiny_divide(unsigned value, unsigned by);

#endif
