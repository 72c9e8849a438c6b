/*
 * SPDX-License-Identifier: Apache-2.0
 * The configuration in two copies. See config.h.
 *
 * A copy is one record at the beginning of its half: magic, sequence number, the fields, CRC-32. Of two valid copies the one with
 * the higher sequence number counts; equal numbers mean equal contents, as both copies of one configuration are written alike.
 * @realises DSG-022
 */
#include "application/store/config.h"

#include "application/store/crc32.h"
#include "core/bytes.h"
#include "port/port.h"

#define MAGIC 0x31474643u /* "CFG1" */
#define RECORD_WORDS 5u

/* Words of a record. */
#define AT_MAGIC 0u
#define AT_SEQUENCE 1u
#define AT_KVO 2u
#define AT_OCCLUSION 3u
#define AT_CRC 4u

struct copy {
    uint32_t offset;
    bool valid;
    uint32_t sequence; /* 0 unless valid */
    struct config config;
};

static bool in_range(uint32_t value, uint32_t least, uint32_t most)
{
    return (value >= least) && (value <= most);
}

bool config_valid(const struct config *config)
{
    return in_range(config->kvo, CONFIG_KVO_MIN, CONFIG_KVO_MAX) &&
           in_range(config->occlusion, CONFIG_OCCLUSION_MIN, CONFIG_OCCLUSION_MAX);
}

static struct copy read_copy(uint32_t offset)
{
    const uint8_t *const stored = port_flash_at(offset);
    uint32_t record[RECORD_WORDS];
    for (uint32_t i = 0u; i < RECORD_WORDS; i++) {
        record[i] = bytes_le32(&stored[i * sizeof(uint32_t)]);
    }
    struct copy copy = {
        .offset = offset,
        .valid = false,
        .sequence = 0u,
        .config = {.kvo = record[AT_KVO], .occlusion = record[AT_OCCLUSION]},
    };
    if ((record[AT_MAGIC] == MAGIC) && (record[AT_SEQUENCE] != 0u) &&
        (record[AT_CRC] == crc32_of(record, AT_CRC * sizeof record[0])) && config_valid(&copy.config)) {
        copy.valid = true;
        copy.sequence = record[AT_SEQUENCE];
    }
    return copy;
}

static bool write_copy(uint32_t offset, uint32_t sequence, const struct config *config)
{
    uint32_t record[RECORD_WORDS] = {MAGIC, sequence, config->kvo, config->occlusion, 0u};
    record[AT_CRC] = crc32_of(record, AT_CRC * sizeof record[0]);
    return port_flash_erase(offset) && port_flash_program(offset, record, RECORD_WORDS);
}

enum config_found config_load(const struct config_region *region, struct config *config)
{
    const struct copy first = read_copy(region->offset);
    const struct copy second = read_copy(region->offset + (region->size / 2u));
    enum config_found found = CONFIG_ONE;
    config->kvo = CONFIG_KVO_DEFAULT;
    config->occlusion = CONFIG_OCCLUSION_DEFAULT;
    if (first.valid || second.valid) {
        /* An invalid copy has sequence 0. */
        *config = (first.sequence >= second.sequence) ? first.config : second.config;
        if (first.sequence == second.sequence) {
            found = CONFIG_WHOLE;
        }
    } else if (port_flash_blank(second.offset, RECORD_WORDS * sizeof(uint32_t))) {
        /* The first copy is written first: if the second one is blank, there never was a configuration, or its first writing was cut. */
        found = CONFIG_BLANK;
    } else {
        found = CONFIG_DAMAGED;
    }
    return found;
}

bool config_store(const struct config_region *region, const struct config *config)
{
    const struct copy first = read_copy(region->offset);
    const struct copy second = read_copy(region->offset + (region->size / 2u));
    const uint32_t sequence = ((first.sequence > second.sequence) ? first.sequence : second.sequence) + 1u;
    /* The copy that counts is written last; with two alike, or none, the second. */
    const bool second_first = first.sequence > second.sequence;
    return config_valid(config) && write_copy(second_first ? second.offset : first.offset, sequence, config) &&
           write_copy(second_first ? first.offset : second.offset, sequence, config);
}

uint32_t config_copies(const struct config_region *region)
{
    return (read_copy(region->offset).valid ? 1u : 0u) +
           (read_copy(region->offset + (region->size / 2u)).valid ? 1u : 0u);
}
