/*
 * SPDX-License-Identifier: Apache-2.0
 * The boot decision. See boot.h.
 * @realises DSG-033
 */
#include "bootloader/boot.h"

#include "bootloader/report.h"
#include "core/verify.h"
#include "port/port.h"

/* One boot. */
struct boot {
    const struct boot_layout *layout;
    const uint8_t *key;
    enum boot_action action;
    enum swap_type swap;
    enum image_result refused; /* why slot 1's image was not taken */
    uint32_t slot0_size;       /* bytes of the image in slot 0, valid or not; 0: none that could be read */
};

/* Whether the stored counter lets an image start. */
static enum image_result check_counter(const struct boot *boot, const struct image *image)
{
    uint32_t stored = 0u;
    enum image_result result = IMAGE_OK;
    if (!counter_read(&boot->layout->state, &stored)) {
        result = IMAGE_BAD_STATE;
    } else if (image->counter < stored) {
        result = IMAGE_DOWNGRADE;
    } else {
        /* Not older than what ran for good. */
    }
    return result;
}

/* Everything that makes an image fit to be started from slot 0, wherever it lies now. size: as slot0_size. */
static enum image_result check_image(const struct boot *boot, const struct update_slot *slot, const char *name,
                                     struct image *image, uint32_t *size)
{
    const struct boot_layout *const layout = boot->layout;
    enum image_result result =
        image_parse(port_flash_at(slot->offset), update_room(slot->size), layout->header_size, IMAGE_PROGRAM, image);
    *size = 0u;
    if (result == IMAGE_OK) {
        uint8_t digest[SHA256_SIZE];
        *size = image->size;
        image_digest(image, digest);
        report_image(name, image, digest);
        result = verify_image(image, digest, boot->key);
    }
    if (result == IMAGE_OK) {
        const uint32_t run_address = layout->flash_base + layout->slots.slot0.offset + image->payload_offset;
        const bool fits = port_program_fits(&image->base[image->payload_offset], image->payload_size, run_address);
        result = fits ? check_counter(boot, image) : IMAGE_BAD_HEADER;
    }
    return result;
}

/* Judges slot 0. for_good: it is no trial, so its counter becomes the stored one. */
static enum image_result check_slot0(struct boot *boot, bool for_good)
{
    struct image image;
    enum image_result result = check_image(boot, &boot->layout->slots.slot0, "slot0", &image, &boot->slot0_size);
    if ((result == IMAGE_OK) && for_good && !counter_hold(&boot->layout->state, image.counter)) {
        result = IMAGE_BAD_STATE;
    }
    return result;
}

/* The same once a swap has ended, when slot 0's trailer tells of a trial again. */
static enum image_result check_swapped(struct boot *boot)
{
    const struct update_slot *const slot0 = &boot->layout->slots.slot0;
    const struct slot_trailer trailer = update_trailer(slot0->offset, slot0->size);
    return check_slot0(boot, update_confirmed(&trailer));
}

static bool dependencies_met(const struct boot *boot, const struct image *image)
{
    bool met = true;
    for (uint32_t i = 0u; met && (i < image->dependency_count); i++) {
        const struct image_dependency *const dependency = &image->dependencies[i];
        struct image library;
        uint32_t half;
        met = (dependency->image == BOOT_LIBRARY_IMAGE) &&
              data_image_choose(&boot->layout->library, boot->layout->header_size, boot->key, &library, &half) &&
              (image_compare(&library.version, &dependency->version) >= 0);
    }
    return met;
}

/*
 * Judges slot 1. Dependencies count only for what somebody asked for: the way back to an image that ran before must stay open
 * also when what it depends on was damaged meanwhile.
 */
static enum image_result check_slot1(const struct boot *boot, bool requested, uint32_t *size)
{
    struct image image;
    enum image_result result = check_image(boot, &boot->layout->slots.slot1, "slot1", &image, size);
    if ((result == IMAGE_OK) && requested && !dependencies_met(boot, &image)) {
        result = IMAGE_DEPENDENCY;
    }
    return result;
}

static uint32_t pages_of(const struct boot *boot, uint32_t slot1_size)
{
    const uint32_t size = (boot->slot0_size > slot1_size) ? boot->slot0_size : slot1_size;
    return ((size - 1u) / port_flash_page()) + 1u;
}

/* Swaps; slot0 is the result for slot 0 as it is now, which remains if the swap cannot even begin. */
static enum image_result swap(struct boot *boot, enum swap_type type, enum boot_action action, uint32_t slot1_size,
                              enum image_result slot0)
{
    const struct swap_slots *const slots = &boot->layout->slots;
    const uint32_t pages = pages_of(boot, slot1_size);
    enum image_result result = slot0;
    report_swap(type, pages);
    if (!swap_begin(slots, type, pages)) {
        boot->refused = IMAGE_FLASH_FAILED;
        report_slot1_refused(boot->refused);
    } else if (!swap_finish(slots, type, pages)) {
        result = IMAGE_FLASH_FAILED;
    } else {
        boot->action = action;
        boot->swap = type;
        boot->refused = IMAGE_OK;
        result = check_swapped(boot);
    }
    return result;
}

/* Slot 0 is as slot0 says and slot 1 holds a valid image of that size: the swap that was asked for, or a better one. */
static enum image_result take_slot1(struct boot *boot, enum swap_type type, uint32_t slot1_size,
                                    const struct slot_trailer *request, enum image_result slot0)
{
    enum image_result result = slot0;
    if (type == SWAP_REVERT) {
        /* The trial's trailer, which says that it is one, gets lost when the swap begins: first slot 1's says the same. */
        if ((request->magic && request->image_ok) || update_request_in(&boot->layout->slots.slot1, SWAP_REVERT)) {
            result = swap(boot, SWAP_REVERT, BOOT_REVERT, slot1_size, slot0);
        } else {
            boot->refused = IMAGE_FLASH_FAILED;
            report_slot1_refused(boot->refused);
        }
    } else if ((type == SWAP_TEST) && (slot0 != IMAGE_OK)) {
        /* A trial without an image to go back to would be none. */
        report_recovery(slot0);
        result = swap(boot, SWAP_PERMANENT, BOOT_RECOVERED, slot1_size, slot0);
    } else {
        result = swap(boot, type, (type == SWAP_TEST) ? BOOT_TEST : BOOT_PERMANENT, slot1_size, slot0);
    }
    return result;
}

static enum image_result carry_out(struct boot *boot, enum swap_type type, const struct slot_trailer *request)
{
    /*
     * Slot 0 comes first: an image that was confirmed since the last boot raises the counter that slot 1's is held
     * against. Not on the way back from a trial, whose trailer may already be lost.
     */
    enum image_result result = check_slot0(boot, type != SWAP_REVERT);
    if ((type != SWAP_NONE) && (result != IMAGE_BAD_STATE)) {
        uint32_t slot1_size = 0u;
        boot->refused = check_slot1(boot, type != SWAP_REVERT, &slot1_size);
        if (boot->refused == IMAGE_OK) {
            result = take_slot1(boot, type, slot1_size, request, result);
        } else {
            report_slot1_refused(boot->refused);
            if (request->magic) {
                (void)update_erase_trailer(&boot->layout->slots.slot1); /* if that fails, it is refused again */
            }
        }
    }
    return result;
}

static enum image_result resume(struct boot *boot, const struct slot_trailer *plan)
{
    const struct swap_slots *const slots = &boot->layout->slots;
    enum image_result result = IMAGE_FLASH_FAILED;
    report_resume(plan->swap, plan->swap_pages, update_marks(&slots->slot0, plan->swap_pages));
    if (swap_finish(slots, plan->swap, plan->swap_pages)) {
        boot->action = BOOT_RESUMED;
        boot->swap = plan->swap;
        result = check_swapped(boot);
    }
    return result;
}

/* Slot 0 is not fit to start, for that reason: slot 1's image takes its place if it is. */
static enum image_result recover(struct boot *boot, enum image_result reason)
{
    uint32_t slot1_size = 0u;
    enum image_result result = reason;
    if (check_slot1(boot, false, &slot1_size) == IMAGE_OK) {
        report_recovery(reason);
        result = swap(boot, SWAP_PERMANENT, BOOT_RECOVERED, slot1_size, reason);
    }
    return result;
}

/* The reset by which a trial proves its watchdog does not end it; the mark lets that happen once. */
static bool trial_goes_on(struct handover *handover)
{
    const bool proving = (handover->reset_mark == HANDOVER_RESET_MARK) &&
                         (handover->reset == (uint32_t)RESET_WATCHDOG_TEST) &&
                         (handover->trial_mark != HANDOVER_TRIAL_MARK);
    if (proving) {
        handover->trial_mark = HANDOVER_TRIAL_MARK;
        report_trial_goes_on();
    }
    return proving;
}

enum image_result boot_prepare(const struct boot_layout *layout, const uint8_t key[ED25519_KEY_SIZE],
                               struct handover *handover)
{
    struct boot boot = {.layout = layout, .key = key, .action = BOOT_NONE, .swap = SWAP_NONE, .refused = IMAGE_OK};
    const struct update_slot *const slot0 = &layout->slots.slot0;
    const struct update_slot *const slot1 = &layout->slots.slot1;
    const struct slot_trailer trailer0 = update_trailer(slot0->offset, slot0->size);
    const struct slot_trailer trailer1 = update_trailer(slot1->offset, slot1->size);
    const enum swap_type type = update_decide(&trailer0, &trailer1);
    enum image_result result;

    if (type == SWAP_RESUME) {
        result = resume(&boot, &trailer0);
    } else if ((type == SWAP_REVERT) && !update_confirmed(&trailer0) && trial_goes_on(handover)) {
        result = check_slot0(&boot, false);
    } else {
        result = carry_out(&boot, type, &trailer1);
    }
    if ((result != IMAGE_OK) && (result != IMAGE_FLASH_FAILED) && (result != IMAGE_BAD_STATE)) {
        result = recover(&boot, result);
    }
    if (boot.action != BOOT_NONE) {
        handover->trial_mark = 0u;
    }
    handover_tell(handover, (uint32_t)boot.action, (uint32_t)boot.swap, (uint32_t)boot.refused);
    return result;
}
