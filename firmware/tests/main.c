/*
 * SPDX-License-Identifier: Apache-2.0
 * Runs the host tests: all modules, or those named on the command line. `--list` prints the modules' names and runs nothing.
 */
#include <stdio.h>
#include <string.h>

#include "tests.h"

struct module {
    const char *name;
    int (*run)(void);
};

/* One line a module, in alphabetical order. */
static const struct module modules[] = {
    {"alarm", test_alarm},
    {"boot", test_boot},
    {"delivery", test_delivery},
    {"device", test_device},
    {"image", test_image},
    {"library", test_library},
    {"lines", test_lines},
    {"parse", test_parse},
    {"plant", test_plant},
    {"power_cut", test_power_cut},
    {"pump", test_pump},
    {"pump_alarms", test_pump_alarms},
    {"pump_volumes", test_pump_volumes},
    {"safety", test_safety},
    {"sim_flash", test_sim_flash},
    {"smp", test_smp},
    {"smp_frame", test_smp_frame},
    {"smp_request", test_smp_request},
    {"store", test_store},
    {"supervision", test_supervision},
    {"text", test_text},
    {"update", test_update},
};

static int is_asked_for(const char *name, int argc, char **argv)
{
    int asked = (argc < 2) ? 1 : 0;
    for (int i = 1; i < argc; i++) {
        asked = ((asked != 0) || (strcmp(argv[i], name) == 0)) ? 1 : 0;
    }
    return asked;
}

int main(int argc, char **argv)
{
    int failures = 0;
    int ran = 0;
    if ((argc == 2) && (strcmp(argv[1], "--list") == 0)) {
        for (size_t i = 0u; i < (sizeof modules / sizeof modules[0]); i++) {
            (void)printf("%s\n", modules[i].name);
        }
        return 0;
    }
    for (size_t i = 0u; i < (sizeof modules / sizeof modules[0]); i++) {
        if (is_asked_for(modules[i].name, argc, argv) != 0) {
            failures += modules[i].run();
            ran++;
        }
    }
    if (ran == 0) {
        (void)fprintf(stderr, "no such module\n");
    }
    return ((failures == 0) && (ran > 0)) ? 0 : 1;
}
