/*
 * SPDX-License-Identifier: Apache-2.0
 * The device testing itself: RAM, the running image, the hash function.
 */
#ifndef APPLICATION_SELFTEST_H
#define APPLICATION_SELFTEST_H

/* NULL if everything passes, else the name of the first thing that fails: "ram", "sha256" or "image". */
const char *selftest_failure(void);

#endif
