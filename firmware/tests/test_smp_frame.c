/*
 * SPDX-License-Identifier: Apache-2.0
 * SMP packets on console lines: what goes out comes back in, and nothing else comes in. Base64 is checked against RFC 4648's vectors.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "application/link/base64.h"
#include "application/link/smp_frame.h"
#include "sim/port.h"
#include "tests.h"

static struct smp_frame frame;
static size_t got;

static int start(void **state)
{
    (void)state;
    smp_frame_init(&frame);
    sim_console_clear();
    got = 12345u;
    return 0;
}

static const uint8_t *take(const char *line)
{
    return smp_frame_take(&frame, (const uint8_t *)line, strlen(line), &got);
}

static void test_base64(void **state)
{
    static const struct {
        const char *bytes;
        const char *characters;
    } vectors[] = {{"f", "Zg=="}, {"fo", "Zm8="}, {"foo", "Zm9v"}, {"bar", "YmFy"}, {"b", "Yg=="}, {"ba", "YmE="}};
    (void)state;
    for (size_t i = 0u; i < (sizeof vectors / sizeof vectors[0]); i++) {
        char characters[BASE64_CHARACTERS];
        uint8_t bytes[BASE64_BYTES];
        const uint32_t count = (uint32_t)strlen(vectors[i].bytes);
        base64_encode((const uint8_t *)vectors[i].bytes, count, characters);
        assert_memory_equal(characters, vectors[i].characters, BASE64_CHARACTERS);
        assert_int_equal(base64_decode((const uint8_t *)characters, bytes), count);
        assert_memory_equal(bytes, vectors[i].bytes, count);
    }
    for (uint32_t value = 0u; value < 0x1000000u; value += 4099u) {
        const uint8_t in[3] = {(uint8_t)(value >> 16), (uint8_t)(value >> 8), (uint8_t)value};
        uint8_t out[3];
        char characters[BASE64_CHARACTERS];
        for (uint32_t count = 1u; count <= 3u; count++) {
            base64_encode(in, count, characters);
            assert_int_equal(base64_decode((const uint8_t *)characters, out), count);
            assert_memory_equal(in, out, count);
        }
    }
}

static void test_no_base64(void **state)
{
    static const char *const wrong[] = {"Zg=a", "Zh==", "Zm9=", "====", "Z===", "=g==", "Z=g=", "Zm9\x80", "Zm v", "Zm9-", "\0m9v"};
    (void)state;
    for (size_t i = 0u; i < (sizeof wrong / sizeof wrong[0]); i++) {
        uint8_t bytes[BASE64_BYTES];
        assert_int_equal(base64_decode((const uint8_t *)wrong[i], bytes), 0u);
    }
}

/* The example of the smp package's documentation: "Hello, world!" in one line, and in lines of eight characters. */
static void test_known_packet(void **state)
{
    (void)state;
    const uint8_t *packet = take("\x06\x09" "AA9IZWxsbywgd29ybGQhet4=");
    assert_non_null(packet);
    assert_int_equal(got, 13u);
    assert_memory_equal(packet, "Hello, world!", 13u);
    assert_null(take("\x06\x09" "AA9I"));
    assert_null(take("\x04\x14" "ZWxs"));
    assert_null(take("\x04\x14" "bywg"));
    assert_null(take("\x04\x14" "d29y"));
    assert_null(take("\x04\x14" "bGQh"));
    packet = take("\x04\x14" "et4=");
    assert_non_null(packet);
    assert_memory_equal(packet, "Hello, world!", 13u);
    smp_frame_write((const uint8_t *)"Hello, world!", 13u);
    assert_string_equal(sim_console(), "\x06\x09" "AA9IZWxsbywgd29ybGQhet4=\n");
}

static void test_round_trip(void **state)
{
    (void)state;
    for (size_t length = 1u; length <= SMP_PACKET_MAX; length++) {
        uint8_t out[SMP_PACKET_MAX];
        const uint8_t *packet = NULL;
        for (size_t i = 0u; i < length; i++) {
            out[i] = (uint8_t)((i * 7u) + length);
        }
        sim_console_clear();
        smp_frame_write(out, length);
        const char *at = sim_console();
        while (*at != '\0') {
            const char *const end = strchr(at, '\n');
            assert_non_null(end);
            assert_true((end - at) <= 127);
            assert_null(packet);
            packet = smp_frame_take(&frame, (const uint8_t *)at, (size_t)(end - at), &got);
            at = end + 1;
        }
        assert_non_null(packet);
        assert_int_equal(got, length);
        assert_memory_equal(packet, out, length);
    }
}

static void test_broken_frames(void **state)
{
    static const char *const wrong[] = {
        "\x06\x09",                            /* nothing in it */
        "\x06\x09" "AA9IZWxsbywgd29ybGQhet4",  /* not a multiple of four */
        "\x06\x09" "AA9IZWxsbywgd29ybGQhet8=", /* CRC */
        "\x06\x09" "AA9IZWxsbywgd29ybGQhet4=AAAA", /* something behind the end */
        "\x06\x09" "AA9IZWxsbywgd29ybGQhet4A", /* one byte more than it says */
        "\x06\x09" "AA9IZWxsbywgd29y\x01GQhet4=",
        "\x06\x09" "AAAA", /* length 0 */
        "\x06\x09" "AAIA", /* length 2: no packet */
        "\x06\x09" "//8A", /* length 65535 */
        "\x06\x09" "AgMA", /* one more than the longest packet's 514 */
        "\x04\x14" "AA9IZWxsbywgd29ybGQhet4=", /* begins with a further line */
    };
    (void)state;
    for (size_t i = 0u; i < (sizeof wrong / sizeof wrong[0]); i++) {
        assert_null(take(wrong[i]));
        assert_false(frame.open);
        assert_null(take("\x04\x14" "AAAA")); /* what would go on */
        assert_non_null(take("\x06\x09" "AA9IZWxsbywgd29ybGQhet4="));
    }
    /* A short length field: one byte is no length yet. */
    assert_null(take("\x06\x09" "AA=="));
    assert_true(frame.open);
    assert_non_null(take("\x04\x14" "D0hlbGxvLCB3b3JsZCF63g=="));
    /* A broken line in between. */
    assert_null(take("\x06\x09" "AA9I"));
    smp_frame_drop(&frame);
    assert_null(take("\x04\x14" "ZWxsbywgd29ybGQhet4="));
    /* A first line begins anew. */
    assert_null(take("\x06\x09" "AA9I"));
    assert_non_null(take("\x06\x09" "AA9IZWxsbywgd29ybGQhet4="));
}

/* However long it goes on, the buffer is not left. */
static void test_endless(void **state)
{
    char line[127] = "\x06\x09" "AgI=";
    (void)state;
    memset(&line[2], 'A', 124u);
    memcpy(&line[2], "AgIA", 4u); /* 514: the longest */
    line[126] = '\0';
    assert_null(take(line));
    line[0] = '\x04';
    line[1] = '\x14';
    for (unsigned i = 0u; i < 20u; i++) {
        assert_null(take(line));
    }
    assert_false(frame.open);
}

int test_smp_frame(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_base64, start),        cmocka_unit_test_setup(test_no_base64, start),
        cmocka_unit_test_setup(test_known_packet, start),  cmocka_unit_test_setup(test_round_trip, start),
        cmocka_unit_test_setup(test_broken_frames, start), cmocka_unit_test_setup(test_endless, start),
    };
    return cmocka_run_group_tests_name("smp_frame", tests, NULL, NULL);
}
