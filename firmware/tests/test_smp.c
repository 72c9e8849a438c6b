/*
 * SPDX-License-Identifier: Apache-2.0
 * The SMP server on simulated flash: requests as lines, replies as lines, and what is in the slots afterwards.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "application/link/smp.h"
#include "application/link/smp_images.h"
#include "build_config.h"
#include "core/bytes.h"
#include "core/update.h"
#include "port/port.h"
#include "sim/cbor.h"
#include "sim/flash.h"
#include "sim/port.h"
#include "sim/signer.h"
#include "tests.h"

#define OS 0u
#define IMAGE 1u
#define PIECE 400u
#define IMAGE_MAX 20000u
#define HALF (LIBRARY_SIZE / 2u)

static struct smp smp;
static struct library library;
static struct smp_view view;
static struct cbor packet;
static uint8_t reply[SMP_PACKET_MAX];
static size_t reply_length;
static uint8_t buffer[IMAGE_MAX + 1024u];
static unsigned sequence;

static uint32_t make(enum image_kind kind, uint32_t build, uint32_t payload)
{
    const struct signer_image wanted = {
        .version = {.major = 1u, .minor = 2u, .revision = 3u, .build = build},
        .header_size = IMAGE_HEADER_SIZE,
        .payload_size = payload,
        .seed = build + 1u,
        .kind = kind,
        .run_address = FLASH_BASE + SLOT0_OFFSET + IMAGE_HEADER_SIZE,
    };
    return signer_make(&wanted, buffer);
}

static uint32_t put(uint32_t offset, enum image_kind kind, uint32_t build, uint32_t payload)
{
    const uint32_t size = make(kind, build, payload);
    sim_flash_load(offset, buffer, size);
    return size;
}

static int start(void **state)
{
    (void)state;
    sim_flash_start(FLASH_SIZE, FLASH_PAGE_SIZE);
    (void)put(SLOT0_OFFSET, IMAGE_PROGRAM, 0u, 3000u);
    (void)put(LIBRARY_OFFSET, IMAGE_DATA, 7u, 300u);
    library = (struct library){.count = 3u, .spare = LIBRARY_OFFSET + HALF, .version = {1u, 2u, 3u, 7u}};
    view = (struct smp_view){.library = &library};
    smp_init(&smp);
    sequence = 0u;
    sim_console_clear();
    return 0;
}

/* What came out on the console since the last call, put together; 0 if nothing did. */
static size_t collect(void)
{
    static struct smp_frame client;
    const uint8_t *found = NULL;
    size_t length = 0u;
    smp_frame_init(&client);
    for (const char *at = sim_console(); *at != '\0';) {
        const char *const end = strchr(at, '\n');
        assert_non_null(end);
        found = smp_frame_take(&client, (const uint8_t *)at, (size_t)(end - at), &length);
        at = end + 1;
    }
    reply_length = (found != NULL) ? length : 0u;
    if (found != NULL) {
        memcpy(reply, found, length);
    }
    sim_console_clear();
    return reply_length;
}

/* Sends what is in the packet. */
static enum smp_effect send(void)
{
    static char lines[4096];
    enum smp_effect effect = SMP_NOTHING;
    cbor_end(&packet);
    sim_console_clear();
    smp_frame_write(packet.bytes, packet.length);
    (void)snprintf(lines, sizeof lines, "%s", sim_console());
    sim_console_clear();
    for (const char *at = lines; *at != '\0';) {
        const char *const end = strchr(at, '\n');
        assert_int_equal(effect, SMP_NOTHING);
        effect = smp_take(&smp, &view, (const uint8_t *)at, (size_t)(end - at));
        at = end + 1;
    }
    if (collect() > 0u) {
        /* The reply is to this request: op, version, group, sequence, command, length. */
        assert_int_equal(reply[0], packet.bytes[0] + 1u);
        assert_memory_equal(&reply[4], &packet.bytes[4], 4u);
        assert_int_equal(((size_t)reply[2] << 8) | reply[3], reply_length - 8u);
    }
    return effect;
}

static void begin(unsigned op, unsigned version, unsigned group, unsigned command)
{
    sequence++;
    cbor_begin(&packet, op, version, group, sequence & 0xffu, command);
}

static void assert_payload(const char *bytes, size_t length)
{
    assert_int_equal(reply_length, length + 8u);
    assert_memory_equal(&reply[8], bytes, length);
}

#define ASSERT_REPLY(literal) assert_payload(literal, sizeof literal - 1u)

static void assert_rc(unsigned rc)
{
    const char expected[] = {(char)0xbf, 0x62, 'r', 'c', (char)rc, (char)0xff};
    assert_payload(expected, sizeof expected);
}

static void assert_group_error(unsigned rc)
{
    char expected[32] = "\xbf\x63" "err\xbf\x65group\x01\x62rc";
    size_t length = strlen(expected);
    if (rc >= 24u) {
        expected[length] = 0x18;
        length++;
    }
    expected[length] = (char)rc;
    expected[length + 1u] = (char)0xff;
    expected[length + 2u] = (char)0xff;
    assert_payload(expected, length + 3u);
}

/* --- os ------------------------------------------------------------------------------------------------------------- */

static void test_echo(void **state)
{
    (void)state;
    for (unsigned version = 0u; version < 2u; version++) {
        begin(SMP_WRITE, version, OS, 0u);
        cbor_map(&packet, 1u);
        cbor_text(&packet, "d");
        cbor_text(&packet, "hello");
        assert_int_equal(send(), SMP_NOTHING);
        ASSERT_REPLY("\xbf\x61r\x65hello\xff");
    }
    begin(SMP_WRITE, 1u, OS, 0u);
    cbor_map(&packet, 0u);
    (void)send();
    assert_rc(SMP_INVALID);
}

/* A reply that does not fit is an error, not a cut one. */
static void test_longest_echo(void **state)
{
    char text[600];
    (void)state;
    for (size_t length = 480u; length < 499u; length++) {
        memset(text, 'x', length);
        text[length] = '\0';
        begin(SMP_WRITE, 1u, OS, 0u);
        cbor_map(&packet, 1u);
        cbor_text(&packet, "d");
        cbor_text(&packet, text);
        (void)send();
        if (packet.length < SMP_PACKET_MAX) {
            assert_int_equal(reply_length, packet.length + 1u);
        } else {
            assert_rc(SMP_TOO_LARGE);
        }
    }
    /* One byte more is no packet. */
    memset(text, 'x', 499u);
    text[499] = '\0';
    begin(SMP_WRITE, 1u, OS, 0u);
    cbor_map(&packet, 1u);
    cbor_text(&packet, "d");
    cbor_text(&packet, text);
    assert_int_equal(packet.length, SMP_PACKET_MAX + 1u);
    (void)send();
    assert_int_equal(reply_length, 0u);
}

static void test_parameters(void **state)
{
    (void)state;
    begin(SMP_READ, 1u, OS, 6u);
    cbor_map(&packet, 0u);
    assert_int_equal(send(), SMP_NOTHING);
    ASSERT_REPLY("\xbf\x68" "buf_size\x19\x02\x00\x69" "buf_count\x01\xff");
}

static void test_reset(void **state)
{
    (void)state;
    begin(SMP_WRITE, 1u, OS, 5u);
    assert_int_equal(send(), SMP_RESET);
    ASSERT_REPLY("\xbf\xff");
    view.delivering = true;
    begin(SMP_WRITE, 1u, OS, 5u);
    cbor_map(&packet, 0u);
    assert_int_equal(send(), SMP_NOTHING);
    assert_rc(SMP_BUSY);
    begin(SMP_WRITE, 1u, OS, 5u);
    cbor_map(&packet, 1u);
    cbor_text(&packet, "force");
    cbor_number(&packet, 1u);
    assert_int_equal(send(), SMP_RESET);
}

static void test_not_supported(void **state)
{
    static const unsigned wrong[][3] = {
        {SMP_READ, OS, 0u},     {SMP_READ, OS, 5u},    {SMP_WRITE, OS, 6u},    {SMP_WRITE, OS, 1u},  {SMP_READ, OS, 2u},
        {SMP_READ, IMAGE, 1u},  {SMP_READ, IMAGE, 5u}, {SMP_WRITE, IMAGE, 2u}, {SMP_READ, IMAGE, 3u}, {SMP_WRITE, IMAGE, 4u},
        {SMP_READ, 2u, 0u},     {SMP_WRITE, 8u, 0u},   {SMP_WRITE, 64u, 0u},   {SMP_WRITE, 0xffffu, 255u},
    };
    (void)state;
    for (size_t i = 0u; i < (sizeof wrong / sizeof wrong[0]); i++) {
        for (unsigned version = 0u; version < 2u; version++) {
            begin(wrong[i][0], version, wrong[i][1], wrong[i][2]);
            cbor_map(&packet, 0u);
            assert_int_equal(send(), SMP_NOTHING);
            assert_rc(SMP_NOT_SUPPORTED);
        }
    }
}

static void test_no_request(void **state)
{
    (void)state;
    static const unsigned ops[] = {SMP_READ_REPLY, SMP_WRITE_REPLY, 4u, 7u};
    for (size_t i = 0u; i < 4u; i++) {
        begin(ops[i], 1u, OS, 5u);
        cbor_map(&packet, 0u);
        assert_int_equal(send(), SMP_NOTHING);
        assert_int_equal(reply_length, 0u);
    }
    packet.length = 7u; /* no header; cbor_end() writes into it */
    assert_int_equal(send(), SMP_NOTHING);
    assert_int_equal(reply_length, 0u);
    begin(SMP_WRITE, 1u, OS, 5u);
    cbor_raw(&packet, "\xa1", 1u);
    assert_int_equal(send(), SMP_NOTHING);
    assert_rc(SMP_INVALID);
    begin(SMP_WRITE, 2u, OS, 5u);
    assert_int_equal(send(), SMP_NOTHING);
    assert_rc(SMP_VERSION_TOO_NEW);
}

static void test_broken_line_drops_the_packet(void **state)
{
    (void)state;
    static const char first[] = "\x06\x09" "AAwC";
    static const char rest[] = "\x04\x14" "AAAAAABNBaA=";
    assert_int_equal(smp_take(&smp, &view, (const uint8_t *)first, sizeof first - 1u), SMP_NOTHING);
    assert_true(smp.frame.open);
    smp_take_broken(&smp);
    assert_false(smp.frame.open);
    assert_int_equal(smp_take(&smp, &view, (const uint8_t *)rest, sizeof rest - 1u), SMP_NOTHING);
    assert_int_equal(collect(), 0u);
}

/* --- state ---------------------------------------------------------------------------------------------------------- */

static void read_state(void)
{
    begin(SMP_READ, 1u, IMAGE, 0u);
    cbor_map(&packet, 0u);
    assert_int_equal(send(), SMP_NOTHING);
}

static uint8_t *expect_image(uint8_t *at, unsigned image, unsigned slot, const char *version, uint32_t offset, enum image_kind kind,
                             const char *flags)
{
    struct image parsed;
    assert_int_equal(image_parse(port_flash_at(offset), SLOT0_SIZE, IMAGE_HEADER_SIZE, kind, &parsed), IMAGE_OK);
    at += sprintf((char *)at, "\xbf\x65image%c\x64slot%c\x67version%c%s\x64hash\x58 ", (image == 0u) ? 1 : (int)image,
                  (slot == 0u) ? 1 : (int)slot, (int)(0x60u + strlen(version)), version);
    memcpy(at, parsed.digest, 32u);
    at += 32;
    for (const char *flag = flags; *flag != '\0';) {
        const size_t length = strcspn(flag, " ");
        *at = (uint8_t)(0x60u + length);
        memcpy(&at[1], flag, length);
        at[1u + length] = 0xf5u;
        at += 2u + length;
        flag += length + ((flag[length] == ' ') ? 1u : 0u);
    }
    *at = 0xffu;
    return at + 1;
}

/* sprintf() cannot write a zero: 0 was written as 1. */
static void put_numbers(uint8_t *expected, size_t length, unsigned image, unsigned slot, unsigned which)
{
    unsigned seen = 0u;
    for (size_t i = 0u; i + 6u < length; i++) {
        if (memcmp(&expected[i], "\x65image", 6u) == 0) {
            if (seen == which) {
                expected[i + 6u] = (uint8_t)image;
                expected[i + 12u] = (uint8_t)slot;
            }
            seen++;
        }
    }
}

static void test_state(void **state)
{
    (void)state;
    uint8_t expected[512] = "\xbf\x66images\x9f";
    uint8_t *at = &expected[9];
    read_state();
    at = expect_image(at, 0u, 0u, "1.2.3", SLOT0_OFFSET, IMAGE_PROGRAM, "bootable confirmed active");
    at = expect_image(at, 1u, 0u, "1.2.3.7", LIBRARY_OFFSET, IMAGE_DATA, "confirmed active");
    *at++ = 0xffu;
    *at++ = 0xffu;
    put_numbers(expected, (size_t)(at - expected), 0u, 0u, 0u);
    put_numbers(expected, (size_t)(at - expected), 1u, 0u, 1u);
    assert_payload((const char *)expected, (size_t)(at - expected));
}

/* The longest there can be still fits: four images, the longest versions, all flags. */
static void test_longest_state(void **state)
{
    (void)state;
    struct signer_image wanted = {
        .version = {255u, 255u, 65535u, UINT32_MAX}, .header_size = IMAGE_HEADER_SIZE, .payload_size = 200u, .seed = 1u};
    sim_flash_load(SLOT0_OFFSET, buffer, signer_make(&wanted, buffer));
    wanted.seed = 2u;
    sim_flash_load(SLOT1_OFFSET, buffer, signer_make(&wanted, buffer));
    wanted.kind = IMAGE_DATA;
    sim_flash_load(LIBRARY_OFFSET, buffer, signer_make(&wanted, buffer));
    sim_flash_load(LIBRARY_OFFSET + HALF, buffer, signer_make(&wanted, buffer));
    assert_true(update_request(true));
    read_state();
    assert_true(reply_length > 400u);
    assert_memory_equal(&reply[8], "\xbf\x66images\x9f", 9u);
    uint8_t expected[512] = "\xbf\x66images\x9f";
    static const char version[] = "255.255.65535.4294967295";
    uint8_t *at = &expected[9];
    at = expect_image(at, 0u, 0u, version, SLOT0_OFFSET, IMAGE_PROGRAM, "bootable confirmed active");
    at = expect_image(at, 0u, 1u, version, SLOT1_OFFSET, IMAGE_PROGRAM, "bootable pending permanent");
    at = expect_image(at, 1u, 0u, version, LIBRARY_OFFSET, IMAGE_DATA, "confirmed active");
    at = expect_image(at, 1u, 1u, version, LIBRARY_OFFSET + HALF, IMAGE_DATA, "");
    /* A text of 24 bytes has its length in a byte of its own. */
    (void)at;
    assert_int_equal(reply[reply_length - 1u], 0xffu);
    assert_int_equal(reply[reply_length - 2u], 0xffu);
}

static const uint8_t *digest_at(uint32_t offset, enum image_kind kind)
{
    static struct image parsed;
    assert_int_equal(image_parse(port_flash_at(offset), SLOT0_SIZE, IMAGE_HEADER_SIZE, kind, &parsed), IMAGE_OK);
    return parsed.digest;
}

static enum smp_effect write_state(unsigned version, const uint8_t *hash, size_t length, int confirm)
{
    begin(SMP_WRITE, version, IMAGE, 0u);
    cbor_map(&packet, (hash != NULL) ? 2u : 1u);
    if (hash != NULL) {
        cbor_text(&packet, "hash");
        cbor_bytes(&packet, hash, length);
    }
    cbor_text(&packet, "confirm");
    cbor_truth(&packet, confirm);
    return send();
}

static struct slot_trailer trailer1(void)
{
    return update_trailer(SLOT1_OFFSET, SLOT1_SIZE);
}

static void test_requests(void **state)
{
    (void)state;
    (void)put(SLOT1_OFFSET, IMAGE_PROGRAM, 1u, 3000u);
    const uint8_t *const hash = digest_at(SLOT1_OFFSET, IMAGE_PROGRAM);
    assert_int_equal(write_state(1u, hash, 32u, 0), SMP_REQUESTED_TEST);
    assert_true(trailer1().magic && !trailer1().image_ok);
    assert_memory_equal(&reply[8], "\xbf\x66images", 8u);
    assert_int_equal(write_state(1u, hash, 32u, 1), SMP_REQUESTED_PERMANENT);
    assert_true(trailer1().magic && trailer1().image_ok);
    assert_int_equal(write_state(1u, hash, 32u, 0), SMP_REQUESTED_TEST); /* and back */
    assert_true(trailer1().magic && !trailer1().image_ok);
    sim_flash_fail_from(0u);
    assert_int_equal(write_state(1u, hash, 32u, 0), SMP_NOTHING);
    assert_group_error(SMP_IMAGE_FLASH_WRITE_FAILED);
    assert_int_equal(write_state(0u, hash, 32u, 0), SMP_NOTHING);
    assert_rc(SMP_UNKNOWN);
    sim_flash_fail_from(UINT32_MAX);
}

static void test_refused_requests(void **state)
{
    (void)state;
    static const uint8_t nowhere[32] = {1u};
    (void)put(SLOT1_OFFSET, IMAGE_PROGRAM, 1u, 3000u);
    (void)put(LIBRARY_OFFSET + HALF, IMAGE_DATA, 5u, 300u);
    uint8_t *const flash = test_malloc(sim_flash_size());
    uint8_t *const after = test_malloc(sim_flash_size());
    sim_flash_save(flash);
    (void)write_state(1u, nowhere, 32u, 0);
    assert_group_error(SMP_IMAGE_HASH_NOT_FOUND);
    (void)write_state(0u, nowhere, 32u, 0);
    assert_rc(SMP_UNKNOWN);
    (void)write_state(1u, nowhere, 31u, 1);
    assert_group_error(SMP_IMAGE_INVALID_HASH);
    (void)write_state(0u, nowhere, 31u, 1);
    assert_rc(SMP_INVALID);
    (void)write_state(1u, NULL, 0u, 0);
    assert_group_error(SMP_IMAGE_INVALID_HASH);
    (void)write_state(1u, nowhere, 0u, 0);
    assert_group_error(SMP_IMAGE_INVALID_HASH);
    (void)write_state(1u, digest_at(SLOT0_OFFSET, IMAGE_PROGRAM), 32u, 0);
    assert_group_error(SMP_IMAGE_TEST_OF_ACTIVE_DENIED);
    (void)write_state(1u, digest_at(LIBRARY_OFFSET, IMAGE_DATA), 32u, 0);
    assert_group_error(SMP_IMAGE_TEST_OF_ACTIVE_DENIED);
    (void)write_state(1u, digest_at(LIBRARY_OFFSET + HALF, IMAGE_DATA), 32u, 1);
    assert_group_error(SMP_IMAGE_CONFIRMATION_DENIED);
    /* Nothing to do: done. */
    assert_int_equal(write_state(1u, digest_at(SLOT0_OFFSET, IMAGE_PROGRAM), 32u, 1), SMP_NOTHING);
    assert_memory_equal(&reply[8], "\xbf\x66images", 8u);
    assert_int_equal(write_state(1u, digest_at(LIBRARY_OFFSET, IMAGE_DATA), 32u, 1), SMP_NOTHING);
    assert_memory_equal(&reply[8], "\xbf\x66images", 8u);
    assert_int_equal(write_state(1u, NULL, 0u, 1), SMP_NOTHING);
    assert_memory_equal(&reply[8], "\xbf\x66images", 8u);
    sim_flash_save(after);
    assert_memory_equal(flash, after, sim_flash_size());
    test_free(flash);
    test_free(after);
}

static void test_trial(void **state)
{
    (void)state;
    const struct update_slot slot0 = {.offset = SLOT0_OFFSET, .size = SLOT0_SIZE};
    (void)put(SLOT1_OFFSET, IMAGE_PROGRAM, 1u, 3000u);
    assert_true(update_write_swap(&slot0, SWAP_TEST, 3u) && update_write_magic(&slot0) && update_write_copy_done(&slot0));
    view.trial = true;
    (void)write_state(1u, digest_at(SLOT1_OFFSET, IMAGE_PROGRAM), 32u, 0);
    assert_group_error(SMP_IMAGE_ALREADY_PENDING);
    (void)write_state(0u, digest_at(SLOT1_OFFSET, IMAGE_PROGRAM), 32u, 1);
    assert_rc(SMP_BAD_STATE);
    assert_false(trailer1().magic);
    read_state();
    sim_flash_fail_from(0u);
    assert_int_equal(write_state(1u, NULL, 0u, 1), SMP_NOTHING);
    assert_group_error(SMP_IMAGE_FLASH_WRITE_FAILED);
    sim_flash_fail_from(UINT32_MAX);
    assert_int_equal(write_state(1u, NULL, 0u, 1), SMP_CONFIRMED);
    assert_true(update_trailer(SLOT0_OFFSET, SLOT0_SIZE).image_ok);
}

/* What has no digest cannot be named, and is not shown. */
static void test_image_without_digest(void **state)
{
    (void)state;
    const uint32_t size = put(SLOT1_OFFSET, IMAGE_PROGRAM, 1u, 3000u);
    const uint8_t other_type = 0xa0u;
    struct image image;
    assert_true(smp_images_read(SMP_PLACE_SLOT1, &library, &image));
    sim_flash_load(SLOT1_OFFSET + (uint32_t)(image.digest - image.base) - 4u, &other_type, 1u);
    assert_int_equal(image_parse(port_flash_at(SLOT1_OFFSET), SLOT1_SIZE, IMAGE_HEADER_SIZE, IMAGE_PROGRAM, &image), IMAGE_OK);
    assert_int_equal(image.size, size);
    assert_false(smp_images_read(SMP_PLACE_SLOT1, &library, &image));
}

static void test_no_library_counts(void **state)
{
    (void)state;
    library.count = 0u;
    library.spare = LIBRARY_OFFSET;
    read_state();
    /* What lies in the spare copy is shown, and does not count. */
    uint8_t expected[512] = "\xbf\x66images\x9f";
    uint8_t *at = &expected[9];
    at = expect_image(at, 0u, 0u, "1.2.3", SLOT0_OFFSET, IMAGE_PROGRAM, "bootable confirmed active");
    at = expect_image(at, 1u, 1u, "1.2.3.7", LIBRARY_OFFSET, IMAGE_DATA, "");
    *at++ = 0xffu;
    *at++ = 0xffu;
    put_numbers(expected, (size_t)(at - expected), 0u, 0u, 0u);
    assert_payload((const char *)expected, (size_t)(at - expected));
    /* And from the second half, where that is the one that counts. */
    (void)put(LIBRARY_OFFSET + HALF, IMAGE_DATA, 9u, 300u);
    library.count = 3u;
    read_state();
    assert_int_equal(smp_images_find(&library, digest_at(LIBRARY_OFFSET + HALF, IMAGE_DATA)), SMP_PLACE_LIBRARY);
}

/* --- upload --------------------------------------------------------------------------------------------------------- */

struct piece {
    unsigned version;
    unsigned image;
    uint32_t off;
    uint32_t count;
    uint32_t size;      /* of the whole; only sent with off 0 */
    const uint8_t *sha;
    size_t sha_length;
    int upgrade;        /* -1: not sent */
};

static enum smp_effect send_piece(const struct piece *piece)
{
    const int first = (piece->off == 0u);
    begin(SMP_WRITE, piece->version, IMAGE, 1u);
    cbor_map(&packet, 2u + (first ? 2u + ((piece->sha != NULL) ? 1u : 0u) + ((piece->upgrade >= 0) ? 1u : 0u) : 0u));
    cbor_text(&packet, "off");
    cbor_number(&packet, piece->off);
    if (first) {
        cbor_text(&packet, "len");
        cbor_number(&packet, piece->size);
        cbor_text(&packet, "image");
        cbor_number(&packet, piece->image);
        if (piece->sha != NULL) {
            cbor_text(&packet, "sha");
            cbor_bytes(&packet, piece->sha, piece->sha_length);
        }
        if (piece->upgrade >= 0) {
            cbor_text(&packet, "upgrade");
            cbor_truth(&packet, piece->upgrade);
        }
    }
    cbor_text(&packet, "data");
    cbor_bytes(&packet, &buffer[piece->off], piece->count);
    return send();
}

/* The offset in an {"off"} reply. */
static uint32_t replied(void)
{
    assert_memory_equal(&reply[8], "\xbf\x63off", 5u);
    const uint8_t *const at = &reply[13];
    return (at[0] < 24u) ? at[0] : (at[0] == 0x18u) ? at[1] : (at[0] == 0x19u) ? (uint32_t)((at[1] << 8) | at[2]) : bytes_be32(&at[1]);
}

static enum smp_effect upload(unsigned image, uint32_t size, const uint8_t *sha, uint32_t piece)
{
    enum smp_effect effect = SMP_NOTHING;
    uint32_t off = 0u;
    while (off < size) {
        const uint32_t count = (piece < (size - off)) ? piece : (size - off);
        const struct piece sent = {1u, image, off, (count < 32u) ? 32u : count, size, sha, 32u, 0};
        assert_int_equal(effect, SMP_NOTHING);
        effect = send_piece(&sent);
        off = replied();
    }
    return effect;
}

static void test_upload(void **state)
{
    (void)state;
    static const uint32_t pieces[] = {33u, 100u, 127u, 128u, 255u, 400u};
    for (size_t i = 0u; i < 6u; i++) {
        for (uint32_t extra = 0u; extra < 4u; extra++) {
            (void)start(NULL);
            (void)put(SLOT1_OFFSET, IMAGE_PROGRAM, 3u, 9000u); /* what was there before */
            const uint32_t size = make(IMAGE_PROGRAM, 1u, 5000u + extra);
            assert_true(update_request(true));
            uint32_t left = size;
            uint32_t off = 0u;
            while (left > 0u) {
                const uint32_t count = (left < pieces[i]) ? left : pieces[i];
                const struct piece sent = {1u, 0u, off, count, size, NULL, 0u, -1};
                assert_int_equal(send_piece(&sent), SMP_NOTHING);
                off += count;
                left -= count;
                assert_int_equal(replied(), off);
            }
            assert_memory_equal(port_flash_at(SLOT1_OFFSET), buffer, size);
            assert_false(trailer1().magic);
            assert_false(smp.image.upload.open);
        }
    }
}

static void test_upload_with_sha(void **state)
{
    (void)state;
    uint8_t sha[32];
    const uint32_t size = make(IMAGE_PROGRAM, 1u, 5000u);
    sha256_digest(buffer, size, sha);
    assert_int_equal(upload(0u, size, sha, PIECE), SMP_NOTHING);
    assert_memory_equal(&reply[reply_length - 8u], "\x65match\xf5\xff", 8u);
    sha[0] ^= 1u;
    assert_int_equal(upload(0u, size, sha, PIECE), SMP_NOTHING);
    assert_memory_equal(&reply[reply_length - 8u], "\x65match\xf4\xff", 8u);
}

static void test_upload_of_a_library(void **state)
{
    (void)state;
    const uint32_t size = make(IMAGE_DATA, 8u, 300u);
    assert_int_equal(upload(1u, size, NULL, PIECE), SMP_LIBRARY_CHANGED);
    assert_memory_equal(port_flash_at(LIBRARY_OFFSET + HALF), buffer, size);
    assert_true(port_flash_blank(SLOT1_OFFSET, SLOT1_SIZE));
}

/* A piece twice, one left out, an upload begun again, with and without a hash. */
static void test_resume(void **state)
{
    (void)state;
    uint8_t sha[32];
    const uint32_t size = make(IMAGE_PROGRAM, 1u, 2000u);
    sha256_digest(buffer, size, sha);
    struct piece piece = {1u, 0u, 0u, 400u, size, sha, 32u, 0};
    (void)send_piece(&piece);
    assert_int_equal(replied(), 400u);
    piece.off = 400u;
    (void)send_piece(&piece);
    assert_int_equal(replied(), 800u);
    (void)send_piece(&piece);
    assert_int_equal(replied(), 800u); /* had it */
    piece.off = 1200u;
    (void)send_piece(&piece);
    assert_int_equal(replied(), 800u); /* misses one */
    piece.off = 0u;
    (void)send_piece(&piece);
    assert_int_equal(replied(), 800u); /* goes on where it was */
    piece.off = 800u;
    piece.count = 0u;
    (void)send_piece(&piece);
    assert_int_equal(replied(), 800u);
    /* Another size, another hash, no hash: begins anew. */
    piece = (struct piece){1u, 0u, 0u, 400u, size + 1u, sha, 32u, 0};
    (void)send_piece(&piece);
    assert_int_equal(replied(), 400u);
    piece.size = size;
    (void)send_piece(&piece);
    piece.off = 400u;
    (void)send_piece(&piece);
    assert_int_equal(replied(), 800u);
    uint8_t other[32] = {0u};
    piece = (struct piece){1u, 0u, 0u, 300u, size, other, 32u, 0};
    (void)send_piece(&piece);
    assert_int_equal(replied(), 300u);
    piece = (struct piece){1u, 0u, 0u, 200u, size, NULL, 0u, 0};
    (void)send_piece(&piece);
    assert_int_equal(replied(), 200u);
    (void)send_piece(&piece);
    assert_int_equal(replied(), 200u);
    /* One of a library with the same size and hash is another. */
    piece = (struct piece){1u, 0u, 0u, 200u, size, sha, 32u, 0};
    (void)send_piece(&piece);
    assert_int_equal(replied(), 200u);
    const uint32_t data = make(IMAGE_DATA, 1u, 2000u);
    assert_int_equal(data, size);
    piece = (struct piece){1u, 1u, 0u, 100u, size, sha, 32u, 0};
    (void)send_piece(&piece);
    assert_int_equal(replied(), 100u);
    /* After a reset nothing is under way: from the beginning. */
    smp_init(&smp);
    piece = (struct piece){1u, 0u, 400u, 400u, size, sha, 32u, 0};
    (void)send_piece(&piece);
    assert_int_equal(replied(), 0u);
}

static void assert_refused(struct piece piece, unsigned rc, unsigned rc_in_version_1)
{
    const uint32_t operations = sim_flash_operations();
    assert_int_equal(send_piece(&piece), SMP_NOTHING);
    assert_group_error(rc);
    piece.version = 0u;
    assert_int_equal(send_piece(&piece), SMP_NOTHING);
    assert_rc(rc_in_version_1);
    assert_int_equal(sim_flash_operations(), operations);
}

static void test_refused_uploads(void **state)
{
    (void)state;
    static const uint8_t sha[33] = {0u};
    const uint32_t room = SLOT1_SIZE - update_reserved();
    const struct piece good = {1u, 0u, 0u, 100u, make(IMAGE_PROGRAM, 1u, 2000u), NULL, 0u, -1};
    struct piece piece = good;
    piece.image = 2u;
    assert_refused(piece, SMP_IMAGE_INVALID_SLOT, SMP_INVALID);
    piece = good;
    piece.size = room + 1u;
    assert_refused(piece, SMP_IMAGE_TOO_LARGE, SMP_INVALID);
    piece.size = UINT32_MAX;
    assert_refused(piece, SMP_IMAGE_TOO_LARGE, SMP_INVALID);
    piece = good;
    piece.count = 31u;
    assert_refused(piece, SMP_IMAGE_INVALID_HEADER, SMP_INVALID);
    piece = good;
    piece.size = 31u;
    assert_refused(piece, SMP_IMAGE_INVALID_HEADER, SMP_INVALID);
    piece = good;
    piece.sha = sha;
    piece.sha_length = 31u;
    assert_refused(piece, SMP_IMAGE_INVALID_HASH, SMP_INVALID);
    piece.sha_length = 33u;
    assert_refused(piece, SMP_IMAGE_INVALID_HASH, SMP_INVALID);
    piece = good;
    piece.image = 1u; /* a program is no library */
    assert_refused(piece, SMP_IMAGE_INVALID_HEADER, SMP_INVALID);
    (void)make(IMAGE_DATA, 1u, 2000u);
    assert_refused(good, SMP_IMAGE_INVALID_HEADER, SMP_INVALID); /* nor the other way */
    piece = good;
    piece.image = 1u;
    piece.size = HALF + 1u;
    assert_refused(piece, SMP_IMAGE_TOO_LARGE, SMP_INVALID);
    (void)make(IMAGE_PROGRAM, 1u, 2000u);
    buffer[0] ^= 1u;
    assert_refused(good, SMP_IMAGE_INVALID_MAGIC, SMP_INVALID);
    buffer[0] ^= 1u;
    view.trial = true;
    assert_refused(good, SMP_IMAGE_NO_FREE_SLOT, SMP_BAD_STATE);
    view.trial = false;
    /* More than was announced. */
    piece = good;
    piece.size = 50u;
    (void)send_piece(&piece);
    assert_group_error(SMP_IMAGE_OVERRUN);
    /* The longest that fits begins. */
    piece = good;
    piece.size = room;
    (void)send_piece(&piece);
    assert_int_equal(replied(), 100u);
    /* No offset, no length. */
    begin(SMP_WRITE, 1u, IMAGE, 1u);
    cbor_map(&packet, 1u);
    cbor_text(&packet, "data");
    cbor_bytes(&packet, buffer, 100u);
    (void)send();
    assert_group_error(SMP_IMAGE_INVALID_OFFSET);
    begin(SMP_WRITE, 1u, IMAGE, 1u);
    cbor_map(&packet, 2u);
    cbor_text(&packet, "off");
    cbor_number(&packet, 0u);
    cbor_text(&packet, "data");
    cbor_bytes(&packet, buffer, 100u);
    (void)send();
    assert_group_error(SMP_IMAGE_INVALID_LENGTH);
}

static void test_upgrade_only(void **state)
{
    (void)state;
    struct piece piece = {1u, 0u, 0u, 100u, make(IMAGE_PROGRAM, 0u, 2000u), NULL, 0u, 1};
    assert_refused(piece, SMP_IMAGE_VERSION_IS_NEWER, SMP_BAD_STATE);
    (void)make(IMAGE_PROGRAM, 1u, 2000u);
    (void)send_piece(&piece);
    assert_int_equal(replied(), 100u);
    (void)make(IMAGE_DATA, 7u, 2000u);
    piece.image = 1u;
    assert_refused(piece, SMP_IMAGE_VERSION_IS_NEWER, SMP_BAD_STATE);
    (void)make(IMAGE_DATA, 8u, 2000u);
    (void)send_piece(&piece);
    assert_int_equal(replied(), 100u);
    library.count = 0u;
    (void)make(IMAGE_DATA, 1u, 2000u);
    (void)send_piece(&piece);
    assert_int_equal(replied(), 100u);
    /* Nothing runs that could be newer: only on a host. */
    sim_flash_load(SLOT0_OFFSET, sha256_digest, 4u);
    (void)make(IMAGE_PROGRAM, 0u, 2000u);
    piece.image = 0u;
    (void)send_piece(&piece);
    assert_int_equal(replied(), 100u);
}

static void test_flash_that_fails(void **state)
{
    (void)state;
    const struct piece piece = {1u, 0u, 0u, 400u, make(IMAGE_PROGRAM, 1u, 2000u), NULL, 0u, -1};
    (void)put(SLOT1_OFFSET, IMAGE_PROGRAM, 1u, 2000u);
    sim_flash_count_from_zero();
    sim_flash_fail_from(0u); /* the trailer cannot be erased */
    (void)send_piece(&piece);
    assert_group_error(SMP_IMAGE_FLASH_ERASE_FAILED);
    assert_false(smp.image.upload.open);
    for (uint32_t from = 2u; from < 6u; from++) { /* a trailer of two pages, then the image's first page, then a block */
        sim_flash_count_from_zero();
        sim_flash_fail_from(from);
        (void)put(SLOT1_OFFSET, IMAGE_PROGRAM, 1u, 2000u);
        (void)send_piece(&piece);
        if (smp.image.upload.open) {
            break;
        }
        assert_group_error(SMP_IMAGE_FLASH_WRITE_FAILED);
    }
    sim_flash_fail_from(UINT32_MAX);
}

static void test_busy(void **state)
{
    (void)state;
    (void)put(SLOT1_OFFSET, IMAGE_PROGRAM, 1u, 3000u);
    const struct piece piece = {1u, 0u, 0u, 100u, make(IMAGE_PROGRAM, 1u, 2000u), NULL, 0u, -1};
    view.delivering = true;
    const uint32_t operations = sim_flash_operations();
    (void)send_piece(&piece);
    assert_rc(SMP_BUSY);
    (void)write_state(1u, digest_at(SLOT1_OFFSET, IMAGE_PROGRAM), 32u, 0);
    assert_rc(SMP_BUSY);
    begin(SMP_WRITE, 0u, IMAGE, 5u);
    (void)send();
    assert_rc(SMP_BUSY);
    assert_int_equal(sim_flash_operations(), operations);
    read_state(); /* reading is not refused */
    assert_memory_equal(&reply[8], "\xbf\x66images", 8u);
}

/* --- erasing -------------------------------------------------------------------------------------------------------- */

static void erase(unsigned version, int slot)
{
    begin(SMP_WRITE, version, IMAGE, 5u);
    cbor_map(&packet, (slot >= 0) ? 1u : 0u);
    if (slot >= 0) {
        cbor_text(&packet, "slot");
        cbor_number(&packet, (uint64_t)slot);
    }
    assert_int_equal(send(), SMP_NOTHING);
}

static unsigned work(void)
{
    unsigned steps = 0u;
    assert_int_equal(reply_length, 0u); /* no answer before it is done */
    while (reply_length == 0u) {
        assert_true(steps < 1000u);
        smp_work(&smp);
        (void)collect();
        steps++;
    }
    return steps;
}

static void test_erase(void **state)
{
    (void)state;
    for (int slot = -1; slot < 2; slot += 2) {
        (void)put(SLOT1_OFFSET, IMAGE_PROGRAM, 1u, 3000u);
        assert_true(update_request(false));
        erase(1u, slot);
        smp_work(&smp);
        assert_false(trailer1().magic); /* first of all */
        begin(SMP_READ, 1u, OS, 6u);
        (void)send();
        assert_memory_equal(&reply[8], "\xbf\x68" "buf_size", 10u);
        begin(SMP_WRITE, 1u, IMAGE, 5u);
        (void)send();
        assert_rc(SMP_BUSY);
        reply_length = 0u;
        assert_int_equal(work(), (SLOT1_SIZE / FLASH_PAGE_SIZE) - 1u);
        ASSERT_REPLY("\xbf\xff");
        assert_true(port_flash_blank(SLOT1_OFFSET, SLOT1_SIZE));
        smp_work(&smp); /* nothing more */
        assert_int_equal(collect(), 0u);
    }
    (void)put(LIBRARY_OFFSET + HALF, IMAGE_DATA, 1u, 300u);
    erase(0u, 3);
    (void)work();
    assert_true(port_flash_blank(LIBRARY_OFFSET + HALF, HALF));
    assert_false(port_flash_blank(LIBRARY_OFFSET, HALF));
}

static void test_refused_erase(void **state)
{
    (void)state;
    (void)put(SLOT1_OFFSET, IMAGE_PROGRAM, 1u, 3000u);
    erase(1u, 0);
    assert_group_error(SMP_IMAGE_NO_FREE_SLOT);
    erase(1u, 2);
    assert_group_error(SMP_IMAGE_NO_FREE_SLOT);
    erase(0u, 2);
    assert_rc(SMP_BAD_STATE);
    erase(1u, 4);
    assert_group_error(SMP_IMAGE_INVALID_SLOT);
    view.trial = true;
    erase(1u, 1);
    assert_group_error(SMP_IMAGE_NO_FREE_SLOT);
    erase(1u, 3); /* the library's may be */
    (void)work();
    view.trial = false;
    sim_flash_fail_from(0u);
    erase(1u, 1);
    (void)work();
    assert_group_error(SMP_IMAGE_FLASH_ERASE_FAILED);
    sim_flash_fail_from(UINT32_MAX);
}

int test_smp(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_echo, start),
        cmocka_unit_test_setup(test_longest_echo, start),
        cmocka_unit_test_setup(test_parameters, start),
        cmocka_unit_test_setup(test_reset, start),
        cmocka_unit_test_setup(test_not_supported, start),
        cmocka_unit_test_setup(test_no_request, start),
        cmocka_unit_test_setup(test_broken_line_drops_the_packet, start),
        cmocka_unit_test_setup(test_state, start),
        cmocka_unit_test_setup(test_longest_state, start),
        cmocka_unit_test_setup(test_requests, start),
        cmocka_unit_test_setup(test_refused_requests, start),
        cmocka_unit_test_setup(test_trial, start),
        cmocka_unit_test_setup(test_image_without_digest, start),
        cmocka_unit_test_setup(test_no_library_counts, start),
        cmocka_unit_test_setup(test_upload, start),
        cmocka_unit_test_setup(test_upload_with_sha, start),
        cmocka_unit_test_setup(test_upload_of_a_library, start),
        cmocka_unit_test_setup(test_resume, start),
        cmocka_unit_test_setup(test_refused_uploads, start),
        cmocka_unit_test_setup(test_upgrade_only, start),
        cmocka_unit_test_setup(test_flash_that_fails, start),
        cmocka_unit_test_setup(test_busy, start),
        cmocka_unit_test_setup(test_erase, start),
        cmocka_unit_test_setup(test_refused_erase, start),
    };
    return cmocka_run_group_tests_name("smp", tests, NULL, NULL);
}
