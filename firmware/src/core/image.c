/*
 * SPDX-License-Identifier: Apache-2.0
 * Reading an MCUboot-format image. See image.h; constants from MCUboot's bootutil/image.h.
 * @realises DSG-031
 */
#include "core/image.h"

#include "core/bytes.h"

#define HEADER_LENGTH 32u
#define HEADER_MAGIC 0x96f3b83du
#define TLV_INFO_MAGIC 0x6907u
#define TLV_PROTECTED_INFO_MAGIC 0x6908u
#define TLV_INFO_LENGTH 4u
#define TLV_ENTRY_LENGTH 4u
#define ERASED_16 0xffffu
#define ERASED_32 0xffffffffu

#define TLV_KEYHASH 0x01u
#define TLV_SHA256 0x10u
#define TLV_ED25519 0x24u
#define TLV_DEPENDENCY 0x40u
#define TLV_SECURITY_COUNTER 0x50u

#define DEPENDENCY_LENGTH 12u /* image number, 3 bytes of padding, version */
#define FLAG_NON_BOOTABLE 0x10u

/* Takes the value of one TLV that may occur once and has one length; NULL in *slot means not seen yet. */
static enum image_result take(const uint8_t **slot, const uint8_t *value, uint32_t length, uint32_t expected)
{
    if ((*slot != NULL) || (length != expected)) {
        return IMAGE_BAD_TLV;
    }
    *slot = value;
    return IMAGE_OK;
}

static struct image_version read_version(const uint8_t *bytes)
{
    const struct image_version version = {
        .major = bytes[0],
        .minor = bytes[1],
        .revision = bytes_le16(&bytes[2]),
        .build = bytes_le32(&bytes[4]),
    };
    return version;
}

static enum image_result take_protected(struct image *image, uint32_t type, const uint8_t *value, uint32_t length)
{
    enum image_result result = IMAGE_OK;
    if (type == TLV_SECURITY_COUNTER) {
        if (image->has_counter || (length != 4u)) {
            result = IMAGE_BAD_TLV;
        } else {
            image->has_counter = true;
            image->counter = bytes_le32(value);
        }
    } else if (type == TLV_DEPENDENCY) {
        if ((length != DEPENDENCY_LENGTH) || (image->dependency_count == IMAGE_DEPENDENCIES_MAX)) {
            result = IMAGE_BAD_TLV;
        } else {
            struct image_dependency *const dependency = &image->dependencies[image->dependency_count];
            dependency->image = value[0];
            dependency->version = read_version(&value[4]);
            image->dependency_count++;
        }
    } else {
        /* Covered by the digest, and of no meaning here. */
    }
    return result;
}

static enum image_result take_entry(struct image *image, bool is_protected, uint32_t type, const uint8_t *value,
                                    uint32_t length)
{
    enum image_result result = IMAGE_OK;
    if (is_protected) {
        result = take_protected(image, type, value, length);
    } else if (type == TLV_SHA256) {
        result = take(&image->digest, value, length, SHA256_SIZE);
    } else if (type == TLV_KEYHASH) {
        result = take(&image->key_hash, value, length, SHA256_SIZE);
    } else if (type == TLV_ED25519) {
        result = take(&image->signature, value, length, IMAGE_SIGNATURE_SIZE);
    } else {
        /* Any other unprotected TLV is not trusted for anything. */
    }
    return result;
}

/* Reads one TLV area at offset, which is within the slot; *area_size receives its total length. */
static enum image_result take_area(struct image *image, uint32_t slot_size, uint32_t offset, bool is_protected,
                                   uint32_t *area_size)
{
    const uint8_t *const area = &image->base[offset];
    const uint32_t room = slot_size - offset;
    if (room < TLV_INFO_LENGTH) {
        return IMAGE_BAD_SIZE;
    }
    if (bytes_le32(area) == ERASED_32) {
        return IMAGE_BAD_SIZE;
    }
    const uint32_t total = bytes_le16(&area[2]);
    if ((bytes_le16(area) != (is_protected ? TLV_PROTECTED_INFO_MAGIC : TLV_INFO_MAGIC)) ||
        (total < TLV_INFO_LENGTH)) {
        return IMAGE_BAD_TLV;
    }
    if (total > room) {
        return IMAGE_BAD_SIZE;
    }
    uint32_t at = TLV_INFO_LENGTH;
    while (at < total) {
        if ((total - at) < TLV_ENTRY_LENGTH) {
            return IMAGE_BAD_TLV;
        }
        const uint32_t type = bytes_le16(&area[at]);
        const uint32_t length = bytes_le16(&area[at + 2u]);
        if ((type == ERASED_16) && (length == ERASED_16)) {
            return IMAGE_BAD_SIZE;
        }
        at += TLV_ENTRY_LENGTH;
        if (length > (total - at)) {
            return IMAGE_BAD_TLV;
        }
        const enum image_result result = take_entry(image, is_protected, type, &area[at], length);
        if (result != IMAGE_OK) {
            return result;
        }
        at += length;
    }
    *area_size = total;
    return IMAGE_OK;
}

enum image_result image_parse(const uint8_t *slot, uint32_t slot_size, uint32_t header_size, enum image_kind kind,
                              struct image *image)
{
    const uint32_t expected_flags = (kind == IMAGE_DATA) ? FLAG_NON_BOOTABLE : 0u;
    const uint32_t least_payload = (kind == IMAGE_DATA) ? 1u : IMAGE_VECTORS_SIZE;

    if ((slot_size < header_size) || (header_size < HEADER_LENGTH)) {
        return IMAGE_BAD_SIZE;
    }
    if (bytes_all(slot, HEADER_LENGTH, 0xffu)) {
        return IMAGE_NO_IMAGE;
    }
    /* Offsets: magic 0, load address 4, header size 8, protected TLV size 10, payload size 12, flags 16, version 20. */
    const uint32_t flags = bytes_le32(&slot[16]);
    if ((bytes_le32(&slot[0]) != HEADER_MAGIC) || (bytes_le16(&slot[8]) != header_size) || (flags != expected_flags)) {
        return IMAGE_BAD_HEADER;
    }
    const uint32_t protected_size = bytes_le16(&slot[10]);
    image->base = slot;
    image->payload_offset = header_size;
    image->payload_size = bytes_le32(&slot[12]);
    image->version = read_version(&slot[20]);
    image->has_counter = false;
    image->counter = 0u;
    image->dependency_count = 0u;
    image->digest = NULL;
    image->key_hash = NULL;
    image->signature = NULL;

    /* Subtractions from the known room instead of sums of untrusted sizes: nothing can wrap round. */
    if ((image->payload_size < least_payload) || (image->payload_size > (slot_size - header_size))) {
        return IMAGE_BAD_SIZE;
    }
    uint32_t offset = header_size + image->payload_size;
    if (protected_size > (slot_size - offset)) {
        return IMAGE_BAD_SIZE;
    }
    uint32_t area_size = 0u;
    enum image_result result = IMAGE_OK;
    if (protected_size != 0u) {
        result = take_area(image, slot_size, offset, true, &area_size);
        if ((result == IMAGE_OK) && (area_size != protected_size)) {
            result = IMAGE_BAD_TLV;
        }
        offset += protected_size;
    }
    image->hashed_size = offset;
    if (result == IMAGE_OK) {
        result = take_area(image, slot_size, offset, false, &area_size);
    }
    image->size = offset + area_size;
    return result;
}

static int32_t compare(uint32_t a, uint32_t b)
{
    return (a > b) ? 1 : ((a < b) ? -1 : 0);
}

int32_t image_compare(const struct image_version *a, const struct image_version *b)
{
    int32_t order = compare(a->major, b->major);
    if (order == 0) {
        order = compare(a->minor, b->minor);
    }
    if (order == 0) {
        order = compare(a->revision, b->revision);
    }
    if (order == 0) {
        order = compare(a->build, b->build);
    }
    return order;
}

void image_digest(const struct image *image, uint8_t digest[SHA256_SIZE])
{
    sha256_digest(image->base, image->hashed_size, digest);
}

const char *image_reason(enum image_result result)
{
    static const char *const reasons[IMAGE_RESULTS] = {
        [IMAGE_OK] = "ok",
        [IMAGE_NO_IMAGE] = "no-image",
        [IMAGE_BAD_HEADER] = "bad-header",
        [IMAGE_BAD_SIZE] = "bad-size",
        [IMAGE_BAD_TLV] = "bad-tlv",
        [IMAGE_NO_DIGEST] = "no-digest",
        [IMAGE_BAD_DIGEST] = "bad-digest",
        [IMAGE_NO_SIGNATURE] = "no-signature",
        [IMAGE_UNKNOWN_KEY] = "unknown-key",
        [IMAGE_BAD_SIGNATURE] = "bad-signature",
        [IMAGE_NO_SECURITY_COUNTER] = "no-security-counter",
        [IMAGE_DOWNGRADE] = "downgrade",
        [IMAGE_BAD_STATE] = "bad-state",
        [IMAGE_DEPENDENCY] = "dependency",
        [IMAGE_FLASH_FAILED] = "flash-failed",
    };
    return ((uint32_t)result < (uint32_t)IMAGE_RESULTS) ? reasons[result] : "unknown";
}
