/* A PKCS #11 module that hangs, or answers HOSTILE_ANSWER: SoftHSM2, but for the function whose number in CK_FUNCTION_LIST (from 0)
   is HOSTILE_HANG. Each call of that adds a byte to the file HOSTILE_CALLS. */
#include <dlfcn.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

struct functions {
    unsigned char major, minor;
    unsigned long (*at[68])(void);
};

static unsigned long hang(void) {
    int calls = open(getenv("HOSTILE_CALLS"), O_WRONLY | O_CREAT | O_APPEND, 0600);
    if (write(calls, "!", 1) != 1) abort();
    close(calls);
    if (getenv("HOSTILE_ANSWER")) return strtoul(getenv("HOSTILE_ANSWER"), NULL, 16);
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
