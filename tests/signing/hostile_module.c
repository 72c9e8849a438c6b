/* A PKCS #11 module that hangs: SoftHSM2, except for the function whose number in CK_FUNCTION_LIST (from 0) HANG has. */
#include <dlfcn.h>
#include <stdlib.h>
#include <unistd.h>

struct functions {
    unsigned char major, minor;
    unsigned long (*at[68])(void);
};

static unsigned long hang(void) {
    for (;;) pause();
}

unsigned long C_GetFunctionList(struct functions **list) {
    static struct functions mine;
    struct functions *real;
    void *module = dlopen(getenv("HOSTILE_REAL"), RTLD_NOW);
    unsigned long (*get)(struct functions **) = (unsigned long (*)(struct functions **))dlsym(module, "C_GetFunctionList");
    get(&real);
    mine = *real;
    mine.at[atoi(getenv("HOSTILE_HANG"))] = hang;
    *list = &mine;
    return 0;
}
