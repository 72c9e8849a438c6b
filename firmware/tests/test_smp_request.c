/*
 * SPDX-License-Identifier: Apache-2.0
 * SMP packets taken apart: what a client sends is read, what is malformed is refused as a whole, and nothing nests.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "application/link/smp_request.h"
#include "sim/cbor.h"
#include "tests.h"

static struct cbor packet;
static struct smp_request request;

static int start(void **state)
{
    (void)state;
    cbor_begin(&packet, SMP_WRITE, SMP_VERSION_2, 1u, 77u, 1u);
    return 0;
}

static enum smp_error read_length(size_t length)
{
    /* From a buffer of exactly that size, so that a byte read behind its end is found. */
    uint8_t exact[1024];
    uint8_t *const at = &exact[sizeof exact - length];
    memcpy(at, packet.bytes, length);
    memset(&request, 0xa5, sizeof request);
    assert_true(smp_request_header(at, length, &request.header));
    const enum smp_error error = smp_request_read(at, length, &request);
    for (size_t i = 0u; i < SMP_KEYS; i++) {
        if ((error == SMP_OK) && (request.values[i].string.value != NULL)) {
            assert_true((request.values[i].string.value >= at) &&
                        (request.values[i].string.value + request.values[i].string.len <= at + length));
        }
    }
    return error;
}

static enum smp_error read_packet(void)
{
    cbor_end(&packet);
    return read_length(packet.length);
}

static enum smp_error read_payload(const char *bytes, size_t length)
{
    (void)start(NULL);
    cbor_raw(&packet, bytes, length);
    return read_packet();
}

#define READ(literal) read_payload(literal, sizeof literal - 1u)

static void test_header(void **state)
{
    (void)state;
    struct smp_header header;
    cbor_begin(&packet, SMP_READ, SMP_VERSION_1, 0x1234u, 0xabu, 0xcdu);
    packet.bytes[2] = 0x56u;
    packet.bytes[3] = 0x78u;
    for (size_t length = 0u; length < SMP_HEADER_SIZE; length++) {
        assert_false(smp_request_header(packet.bytes, length, &header));
    }
    assert_true(smp_request_header(packet.bytes, SMP_HEADER_SIZE, &header));
    assert_int_equal(header.op, SMP_READ);
    assert_int_equal(header.version, SMP_VERSION_1);
    assert_int_equal(header.group, 0x1234u);
    assert_int_equal(header.sequence, 0xabu);
    assert_int_equal(header.command, 0xcdu);
    assert_int_equal(header.length, 0x5678u);
    packet.bytes[0] = 0xeau; /* reserved bits are not looked at */
    assert_true(smp_request_header(packet.bytes, SMP_HEADER_SIZE, &header));
    assert_int_equal(header.op, SMP_WRITE);
    assert_int_equal(header.version, SMP_VERSION_2);
}

static void test_all_keys(void **state)
{
    (void)state;
    cbor_map(&packet, 11u);
    cbor_text(&packet, "off");
    cbor_number(&packet, 4294967295u);
    cbor_text(&packet, "len");
    cbor_number(&packet, 70000u);
    cbor_text(&packet, "image");
    cbor_number(&packet, 1u);
    cbor_text(&packet, "slot");
    cbor_number(&packet, 24u);
    cbor_text(&packet, "force");
    cbor_number(&packet, 300u);
    cbor_text(&packet, "confirm");
    cbor_truth(&packet, 1);
    cbor_text(&packet, "upgrade");
    cbor_truth(&packet, 0);
    cbor_text(&packet, "d");
    cbor_text(&packet, "hello");
    cbor_text(&packet, "data");
    cbor_bytes(&packet, "\x01\x02\x03", 3u);
    cbor_text(&packet, "hash");
    cbor_bytes(&packet, "", 0u);
    cbor_text(&packet, "sha");
    cbor_bytes(&packet, "0123456789abcdef0123456789abcdef", 32u);
    assert_int_equal(read_packet(), SMP_OK);
    for (size_t i = 0u; i < SMP_KEYS; i++) {
        assert_true(request.values[i].there);
    }
    assert_int_equal(request.values[SMP_KEY_OFF].number, UINT32_MAX);
    assert_int_equal(request.values[SMP_KEY_LEN].number, 70000u);
    assert_int_equal(request.values[SMP_KEY_IMAGE].number, 1u);
    assert_int_equal(request.values[SMP_KEY_SLOT].number, 24u);
    assert_int_equal(request.values[SMP_KEY_FORCE].number, 300u);
    assert_int_equal(request.values[SMP_KEY_CONFIRM].number, 1u);
    assert_int_equal(request.values[SMP_KEY_UPGRADE].number, 0u);
    assert_int_equal(request.values[SMP_KEY_D].string.len, 5u);
    assert_int_equal(request.values[SMP_KEY_DATA].string.len, 3u);
    assert_int_equal(request.values[SMP_KEY_HASH].string.len, 0u);
    assert_int_equal(request.values[SMP_KEY_SHA].string.len, 32u);
}

static void test_forms_of_a_map(void **state)
{
    (void)state;
    assert_int_equal(READ(""), SMP_OK);             /* no payload: no values */
    assert_int_equal(READ("\xa0"), SMP_OK);
    assert_int_equal(READ("\xbf\xff"), SMP_OK);     /* indefinite length */
    assert_int_equal(READ("\xbf\x63off\x07\xff"), SMP_OK);
    assert_int_equal(request.values[SMP_KEY_OFF].number, 7u);
    assert_int_equal(READ("\xa1\x63off\x1a\x00\x00\x00\x07"), SMP_OK); /* not the shortest form */
    assert_int_equal(request.values[SMP_KEY_OFF].number, 7u);
}

static void test_unknown_keys_are_passed_over(void **state)
{
    (void)state;
    assert_int_equal(READ("\xa9\x61" "a\x05\x61" "b\x1b\x01\x02\x03\x04\x05\x06\x07\x08\x61" "c\x24\x61" "e\x63xyz\x61" "f\x42\x01\x02"
                          "\x61g\xf5\x61h\xf4\x61i\xf6\x63off\x09"),
                     SMP_OK);
    assert_int_equal(request.values[SMP_KEY_OFF].number, 9u);
    assert_false(request.values[SMP_KEY_D].there);
    /* Keys that only begin or end like known ones. */
    assert_int_equal(READ("\xa3\x62of\x01\x64offs\x02\x63ofg\x03"), SMP_OK);
    assert_false(request.values[SMP_KEY_OFF].there);
}

static void test_malformed(void **state)
{
    (void)state;
    assert_int_equal(READ("\xff"), SMP_INVALID);
    assert_int_equal(READ("\x05"), SMP_INVALID);
    assert_int_equal(READ("\x80"), SMP_INVALID);           /* a list */
    assert_int_equal(READ("\xa1"), SMP_INVALID);           /* cut off */
    assert_int_equal(READ("\xa1\x63off"), SMP_INVALID);
    assert_int_equal(READ("\xa1\x63of"), SMP_INVALID);
    assert_int_equal(READ("\xa1\x63off\x1a\x00\x00"), SMP_INVALID);
    assert_int_equal(READ("\xbf\x63off\x07"), SMP_INVALID); /* no end */
    assert_int_equal(READ("\xbf\x63off\xff"), SMP_INVALID); /* no value */
    assert_int_equal(READ("\xa0\x00"), SMP_INVALID);        /* something behind it */
    assert_int_equal(READ("\xa1\x63off\x01\x63len\x01"), SMP_INVALID);
    assert_int_equal(READ("\xa2\x63off\x01\x63off\x01"), SMP_INVALID); /* twice */
    assert_int_equal(READ("\xa1\x05\x01"), SMP_INVALID);               /* a key that is no text */
    assert_int_equal(READ("\xa1\x43off\x01"), SMP_INVALID);
    assert_int_equal(READ("\xa1\x63off\x20"), SMP_INVALID); /* negative */
    assert_int_equal(READ("\xa1\x63off\x1b\x00\x00\x00\x01\x00\x00\x00\x00"), SMP_INVALID); /* 2^32 */
    assert_int_equal(READ("\xa1\x63off\x41\x01"), SMP_INVALID);
    assert_int_equal(READ("\xa1\x64" "data\x61x"), SMP_INVALID);
    assert_int_equal(READ("\xa1\x61" "d\x41x"), SMP_INVALID);
    assert_int_equal(READ("\xa1\x67" "confirm\x01"), SMP_INVALID);
    assert_int_equal(READ("\xa1\x64" "data\x58\xff\x01"), SMP_INVALID); /* longer than there is */
    assert_int_equal(READ("\xa1\x64" "data\x5b\xff\xff\xff\xff\xff\xff\xff\xff\x01"), SMP_INVALID);
    assert_int_equal(READ("\xbb\xff\xff\xff\xff\xff\xff\xff\xff\x63off\x07"), SMP_INVALID);
    /* An unknown key's value that nests, is a tag or a float. */
    assert_int_equal(READ("\xa1\x61x\x80"), SMP_INVALID);
    assert_int_equal(READ("\xa1\x61x\xa0"), SMP_INVALID);
    assert_int_equal(READ("\xa1\x61x\xc1\x01"), SMP_INVALID);
    assert_int_equal(READ("\xa1\x61x\xf9\x00\x00"), SMP_INVALID);
    assert_int_equal(READ("\xa1\x61x\xf7"), SMP_INVALID);
}

/* As deep as a packet can nest: refused at the first level, with the stack of one call. */
static void test_nesting(void **state)
{
    (void)state;
    cbor_map(&packet, 1u);
    cbor_text(&packet, "x");
    for (unsigned i = 0u; i < 480u; i++) {
        cbor_raw(&packet, "\x81", 1u);
    }
    cbor_number(&packet, 0u);
    assert_int_equal(read_packet(), SMP_INVALID);
}

static void test_length_and_version(void **state)
{
    (void)state;
    cbor_map(&packet, 0u);
    cbor_end(&packet);
    packet.bytes[3] = 2u;
    assert_int_equal(read_length(packet.length), SMP_INVALID);
    packet.bytes[3] = 0u;
    assert_int_equal(read_length(packet.length), SMP_INVALID);
    for (unsigned version = 2u; version < 4u; version++) {
        cbor_begin(&packet, SMP_READ, version, 0u, 0u, 6u);
        cbor_map(&packet, 0u);
        assert_int_equal(read_packet(), SMP_VERSION_TOO_NEW);
        assert_false(request.values[SMP_KEY_OFF].there);
    }
}

int test_smp_request(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_header, start),
        cmocka_unit_test_setup(test_all_keys, start),
        cmocka_unit_test_setup(test_forms_of_a_map, start),
        cmocka_unit_test_setup(test_unknown_keys_are_passed_over, start),
        cmocka_unit_test_setup(test_malformed, start),
        cmocka_unit_test_setup(test_nesting, start),
        cmocka_unit_test_setup(test_length_and_version, start),
    };
    return cmocka_run_group_tests_name("smp_request", tests, NULL, NULL);
}
