/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * GUID partition tables (UEFI 2.10, 5.3). Pure: works on buffers, knows
 * nothing of where they came from, and believes none of it.
 */
#ifndef SLUICE_GPT_H
#define SLUICE_GPT_H

#include "types.h"

#define GPT_LABEL_MAX 109	/* 36 UTF-16 units as UTF-8, and a NUL */
#define GPT_UUID_TEXT 37	/* 8-4-4-4-12 and a NUL */

struct gpt_header {
	u64 header_lba;
	u64 alternate_lba;
	u64 first_usable_lba, last_usable_lba;
	u64 entries_lba;
	u32 entry_count;	/* 1..1024 */
	u32 entry_size;		/* 128 << n, at most 4096 */
	u32 entries_crc;
};

struct gpt_partition {
	u8 type[16], uuid[16];	/* as on disk, mixed-endian */
	u64 first_lba, last_lba;	/* both inside the partition */
	u64 attributes;
	char label[GPT_LABEL_MAX];	/* UTF-8; bad units become U+FFFD */
};

/*
 * Checks one block read from `lba` of a disk with `lba_count` blocks:
 * signature, size, CRC, own LBA, ranges. 0, or -EINVAL and `*why` says what
 * is wrong ("header CRC is wrong": a constant string).
 */
int gpt_parse_header(const void *block, size_t block_size, u64 lba,
		     u64 lba_count, struct gpt_header *out, const char **why);

/* Bytes and blocks of the whole entry array. */
u64 gpt_entries_size(const struct gpt_header *header);
u64 gpt_entries_blocks(const struct gpt_header *header, size_t block_size);

/*
 * CRC-32 (UEFI 2.10, 5.3.2), in pieces: begin with 0, go on with what the
 * last piece returned. Over gpt_entries_size() bytes it is entries_crc.
 */
u32 gpt_crc32(u32 crc, const void *data, size_t size);

/*
 * One entry of entry_size bytes. 0; -ENOENT when it is unused; -EINVAL when
 * its range is reversed or outside the usable blocks.
 */
int gpt_parse_entry(const struct gpt_header *header, const void *entry,
		    struct gpt_partition *out);

/*
 * Was there ever a table? The signature of a header, good or not; and a
 * protective entry in the MBR, the first 512 bytes of block 0.
 */
bool gpt_has_signature(const void *block);
bool gpt_mbr_is_protective(const void *block);

/* 8-4-4-4-12 hexadecimal, either case; false when it is not one. */
bool gpt_uuid_parse(const char *text, u8 uuid[16]);
void gpt_uuid_format(const u8 uuid[16], char text[GPT_UUID_TEXT]);

#endif
