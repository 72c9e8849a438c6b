/*
 * SPDX-License-Identifier: Apache-2.0
 * The running image. See running_image.h.
 * @realises DSG-027
 */
#include "application/safety/running_image.h"

#include "build_config.h"
#include "core/bytes.h"
#include "port/port.h"

bool running_image_read(struct image *image, uint8_t digest[SHA256_SIZE])
{
    const enum image_result result =
        image_parse(port_flash_at(SLOT0_OFFSET), SLOT0_SIZE, IMAGE_HEADER_SIZE, IMAGE_PROGRAM, image);
    if (result == IMAGE_OK) {
        image_digest(image, digest);
    }
    return result == IMAGE_OK;
}

bool running_image_intact(void)
{
    struct image image;
    uint8_t digest[SHA256_SIZE];
    return running_image_read(&image, digest) && (image.digest != NULL) &&
           bytes_equal(image.digest, digest, SHA256_SIZE);
}
