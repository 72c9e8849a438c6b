/* __FILE__ in a header is the path that the compiler was given for its folder. */
#define ASSERT(x) do { if (!(x)) { failed(__FILE__); } } while (0)

static volatile int level;
static const char *volatile seen;

__attribute__((noipa)) static void failed(const char *file)
{
    seen = file;
    for (;;) {
    }
}

__attribute__((noipa)) static void check(void)
{
    ASSERT(level < 3);
}
