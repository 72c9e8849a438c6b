extern unsigned char stack_top[];

_Noreturn void reset(void);

_Noreturn void reset(void)
{
    for (;;) {
    }
}

__attribute__((section(".vectors"), used)) static const void *const vectors[] = {stack_top, (const void *)reset};
