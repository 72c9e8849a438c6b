#include "idle.h" /* compiled and archived, but nothing of it is called */
#include "tiny.h"

extern unsigned char stack_top[];

static volatile unsigned total = 5;

_Noreturn void reset(void);

_Noreturn void reset(void)
{
    for (;;) {
        total = tiny_divide(total, 3u);
    }
}

__attribute__((section(".vectors"), used)) static const void *const vectors[] = {stack_top, (const void *)reset};
