#include "idle.h"

unsigned idle_unused(unsigned value)
{
    return value * 3u;
}
