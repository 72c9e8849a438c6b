/*
 * SPDX-License-Identifier: Apache-2.0
 * A TCG plugin of QEMU (docs/devel/tcg-plugins.rst, API version 1) that halts the emulated processor whenever it begins the
 * instruction at an address: it writes one byte to a socket, and waits until it can read one. Meanwhile it hands UARTs their input.
 *
 * What always holds: while it waits no instruction is executed, and no time passes for the device, because the processor does not
 * sleep either; once the socket is lost it waits no more. Input that was said to be taken is with the UART, or with what takes
 * it ahead for the UART.
 *
 * Input otherwise goes through QEMU's main loop, one byte a round. For that the plugin calls functions of QEMU that are no part of
 * its API; a QEMU that is built to load modules exports them, as those of the distributions are. Without them the second socket
 * is closed, and who has its other end uses the main loop.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* What of QEMU's qemu-plugin.h is used; the header comes with its sources only. */
typedef uint64_t qemu_plugin_id_t;
struct qemu_plugin_tb;
struct qemu_plugin_insn;
void qemu_plugin_register_vcpu_tb_trans_cb(qemu_plugin_id_t id, void (*cb)(qemu_plugin_id_t, struct qemu_plugin_tb *));
size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *tb);
struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *tb, size_t index);
uint64_t qemu_plugin_insn_vaddr(const struct qemu_plugin_insn *insn);
void qemu_plugin_register_vcpu_insn_exec_cb(
    struct qemu_plugin_insn *insn, void (*cb)(unsigned int, void *), int flags, void *data);
extern int qemu_plugin_version;
int qemu_plugin_install(qemu_plugin_id_t id, const void *info, int count, char **arguments);

int qemu_plugin_version = 1;

static uint64_t address;
static int channel = -1;
static bool lost;

static void begin(unsigned int processor, void *data)
{
    (void)processor;
    (void)data;
    char byte = '.';
    if (!lost && write(channel, &byte, 1) == 1) {
        ssize_t got;
        do {
            got = read(channel, &byte, 1);
        } while (got < 0 && errno == EINTR);
        lost = got != 1;
    } else {
        lost = true;
    }
}

static void translate(qemu_plugin_id_t id, struct qemu_plugin_tb *block)
{
    (void)id;
    const size_t count = qemu_plugin_tb_n_insns(block);
    for (size_t i = 0; i < count; i++) {
        struct qemu_plugin_insn *instruction = qemu_plugin_tb_get_insn(block, i);
        if (qemu_plugin_insn_vaddr(instruction) == address) {
            qemu_plugin_register_vcpu_insn_exec_cb(instruction, begin, 0, NULL);
        }
    }
}

/* --- input ------------------------------------------------------------------------------------------------------------ */

static int input = -1;
static void *(*chardev)(const char *name);
static int (*can_take)(void *chardev);
static void (*take)(void *chardev, const uint8_t *bytes, int count);
static void (*lock)(const char *file, int line);
static void (*unlock)(void);
static void *(*main_loop)(void);
static void (*schedule)(void *loop, void (*function)(void *), void *argument, const char *name);

static bool receive(uint8_t *bytes, size_t count)
{
    while (count > 0) {
        const ssize_t got = read(input, bytes, count);
        if (got > 0) {
            bytes += got;
            count -= (size_t)got;
        } else if (got == 0 || errno != EINTR) {
            return false;
        }
    }
    return true;
}

static void tell(void *done)
{
    (void)sem_post((sem_t *)done);
}

/*
 * How much a socket's end takes is asked before the main loop waits for it: one that waits still reads a byte where there is no
 * room any more. So it has to ask again before anything can come that way.
 */
static void have_main_loop_ask_again(void)
{
    sem_t done;
    (void)sem_init(&done, 0, 0);
    schedule(main_loop(), tell, &done, "devicepipe");
    while (sem_wait(&done) != 0) {
    }
    (void)sem_destroy(&done);
}

/* A request is the UART's number, a count and so many bytes; the answer is how many of them were taken. */
static void *hand_over(void *unused)
{
    uint8_t head[2], bytes[255];
    while (receive(head, sizeof head) && receive(bytes, head[1])) {
        char name[16];
        (void)snprintf(name, sizeof name, "uart%u-base", head[0]);
        uint8_t taken = 0;
        lock(__FILE__, __LINE__);
        void *const uart = chardev(name);
        while (uart != NULL && taken < head[1] && can_take(uart) > 0) {
            take(uart, &bytes[taken], 1);
            taken++;
        }
        const bool full = uart != NULL && can_take(uart) <= 0;
        unlock();
        if (full) {
            have_main_loop_ask_again();
        }
        if (write(input, &taken, 1) != 1) {
            break;
        }
    }
    return unused;
}

static void *function(const char *name, const char *later)
{
    void *const found = dlsym(RTLD_DEFAULT, name);
    return found != NULL || later == NULL ? found : dlsym(RTLD_DEFAULT, later);
}

static void start_input(void)
{
    pthread_t thread;
    chardev = (void *(*)(const char *))function("qemu_chr_find", NULL);
    can_take = (int (*)(void *))function("qemu_chr_be_can_write", NULL);
    take = (void (*)(void *, const uint8_t *, int))function("qemu_chr_be_write", NULL);
    lock = (void (*)(const char *, int))function("qemu_mutex_lock_iothread_impl", "bql_lock_impl");
    unlock = (void (*)(void))function("qemu_mutex_unlock_iothread", "bql_unlock");
    main_loop = (void *(*)(void))function("qemu_get_aio_context", NULL);
    schedule = (void (*)(void *, void (*)(void *), void *, const char *))function("aio_bh_schedule_oneshot_full", NULL);
    const bool all = main_loop != NULL && schedule != NULL && chardev != NULL && can_take != NULL && take != NULL && lock != NULL &&
                     unlock != NULL;
    if (!all || pthread_create(&thread, NULL, hand_over, NULL) != 0) {
        (void)close(input);
    }
}

int qemu_plugin_install(qemu_plugin_id_t id, const void *info, int count, char **arguments)
{
    (void)info;
    for (int i = 0; i < count; i++) {
        if (strncmp(arguments[i], "at=", 3) == 0) {
            address = strtoull(arguments[i] + 3, NULL, 0);
        } else if (strncmp(arguments[i], "fd=", 3) == 0) {
            channel = atoi(arguments[i] + 3);
        } else if (strncmp(arguments[i], "input=", 6) == 0) {
            input = atoi(arguments[i] + 6);
        }
    }
    start_input();
    qemu_plugin_register_vcpu_tb_trans_cb(id, translate);
    return 0;
}
