/* SPDX-License-Identifier: BSD-2-Clause */
/* Writes a GUID partition table, both copies, onto a disk in memory. */
#ifndef FAKE_GPT_H
#define FAKE_GPT_H

#include "spec/gpt.h"

struct fake_gpt {
	u8 *disk;
	u32 block_size;
	u64 lba_count;
	u32 entry_count, entry_size;	/* 0: 128 of 128 bytes */
};

struct fake_gpt_partition {
	u64 first_lba, last_lba;
	u8 uuid_byte;		/* the UUID is this byte sixteen times */
	const char *label;	/* ASCII */
};

/* Protective MBR, and both copies of an empty table. */
void fake_gpt_init(struct fake_gpt *gpt);

/* Fills entry `index` of both copies and sets the CRCs right. */
void fake_gpt_add(struct fake_gpt *gpt, u32 index,
		  const struct fake_gpt_partition *partition);

/* Both copies in place, to be broken by a test; fake_gpt_seal() then makes
 * the CRCs right again, so that only the change itself is wrong. */
struct gpt_disk_header *fake_gpt_header(struct fake_gpt *gpt, bool backup);
struct gpt_disk_entry *fake_gpt_entry(struct fake_gpt *gpt, bool backup,
				      u32 index);
void fake_gpt_seal(struct fake_gpt *gpt);

#endif
