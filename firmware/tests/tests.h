/*
 * SPDX-License-Identifier: Apache-2.0
 * The host tests, one function a module: it runs its groups and returns the number of failures.
 */
#ifndef TESTS_H
#define TESTS_H

int test_alarm(void);
int test_boot(void);
int test_delivery(void);
int test_device(void);
int test_image(void);
int test_library(void);
int test_lines(void);
int test_parse(void);
int test_plant(void);
int test_power_cut(void);
int test_pump(void);
int test_pump_alarms(void);
int test_pump_volumes(void);
int test_safety(void);
int test_sim_flash(void);
int test_smp(void);
int test_smp_frame(void);
int test_smp_request(void);
int test_store(void);
int test_supervision(void);
int test_text(void);
int test_update(void);

#endif
