/*
 * SPDX-License-Identifier: Apache-2.0
 * A signed data image in two copies. See data_image.h.
 * @realises DSG-012
 */
#include "core/data_image.h"

#include "core/verify.h"
#include "port/port.h"

enum image_result data_image_check(uint32_t offset, uint32_t size, uint32_t header_size,
                                   const uint8_t key[ED25519_KEY_SIZE], struct image *image)
{
    enum image_result result = image_parse(port_flash_at(offset), size, header_size, IMAGE_DATA, image);
    if (result == IMAGE_OK) {
        uint8_t digest[SHA256_SIZE];
        image_digest(image, digest);
        result = verify_image(image, digest, key);
    }
    return result;
}

bool data_image_choose(const struct data_region *region, uint32_t header_size, const uint8_t key[ED25519_KEY_SIZE],
                       struct image *image, uint32_t *half)
{
    const uint32_t size = region->size / 2u;
    struct image second;
    const bool first_valid = data_image_check(region->offset, size, header_size, key, image) == IMAGE_OK;
    const bool second_valid = data_image_check(region->offset + size, size, header_size, key, &second) == IMAGE_OK;
    *half = region->offset;
    if (second_valid && (!first_valid || (image_compare(&second.version, &image->version) > 0))) {
        *image = second;
        *half = region->offset + size;
    }
    return first_valid || second_valid;
}
