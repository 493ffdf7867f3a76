/* SPDX-License-Identifier: BSD-2-Clause */
/* Partition tables as a partitioning tool would write them. */
#include <string.h>

#include "fake_gpt.h"

/* The definition, bit by bit: not the code under test. */
static u32 crc32(const void *data, size_t size)
{
	const u8 *byte = data;
	u32 crc = ~0u;

	while (size--) {
		crc ^= *byte++;
		for (int bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ (crc & 1 ? 0xedb88320 : 0);
	}
	return ~crc;
}

static u8 *block(struct fake_gpt *gpt, u64 lba)
{
	return gpt->disk + lba * gpt->block_size;
}

static u32 entries_size(const struct fake_gpt *gpt)
{
	return gpt->entry_count * gpt->entry_size;
}

static u64 entries_blocks(const struct fake_gpt *gpt)
{
	return (entries_size(gpt) + gpt->block_size - 1) / gpt->block_size;
}

static u64 entries_lba(const struct fake_gpt *gpt, bool backup)
{
	return backup ? gpt->lba_count - 1 - entries_blocks(gpt) : 2;
}

struct gpt_disk_header *fake_gpt_header(struct fake_gpt *gpt, bool backup)
{
	return (void *)block(gpt, backup ? gpt->lba_count - 1 : 1);
}

struct gpt_disk_entry *fake_gpt_entry(struct fake_gpt *gpt, bool backup,
				      u32 index)
{
	return (void *)(block(gpt, entries_lba(gpt, backup)) +
			index * gpt->entry_size);
}

static void seal(struct fake_gpt *gpt, bool backup)
{
	struct gpt_disk_header *header = fake_gpt_header(gpt, backup);

	header->entries_crc = crc32(fake_gpt_entry(gpt, backup, 0),
				    entries_size(gpt));
	header->header_crc = 0;
	header->header_crc = crc32(header, header->header_size);
}

void fake_gpt_seal(struct fake_gpt *gpt)
{
	seal(gpt, false);
	seal(gpt, true);
}

static void write_header(struct fake_gpt *gpt, bool backup)
{
	struct gpt_disk_header *header = fake_gpt_header(gpt, backup);
	u64 last = gpt->lba_count - 1;

	memset(header, 0, sizeof(*header));
	memcpy(header->signature, GPT_SIGNATURE, GPT_SIGNATURE_SIZE);
	header->revision = GPT_REVISION_1_0;
	header->header_size = GPT_HEADER_SIZE_MIN;
	header->my_lba = backup ? last : 1;
	header->alternate_lba = backup ? 1 : last;
	header->first_usable_lba = 2 + entries_blocks(gpt);
	header->last_usable_lba = last - 1 - entries_blocks(gpt);
	header->entries_lba = entries_lba(gpt, backup);
	header->entry_count = gpt->entry_count;
	header->entry_size = gpt->entry_size;
}

void fake_gpt_init(struct fake_gpt *gpt)
{
	if (!gpt->entry_count)
		gpt->entry_count = gpt->entry_size = 128;
	gpt->disk[MBR_RECORDS + MBR_RECORD_TYPE] = MBR_TYPE_PROTECTIVE;
	gpt->disk[MBR_MAGIC] = 0x55;
	gpt->disk[MBR_MAGIC + 1] = 0xaa;
	write_header(gpt, false);
	write_header(gpt, true);
	fake_gpt_seal(gpt);
}

static void write_entry(struct gpt_disk_entry *entry,
			const struct fake_gpt_partition *partition)
{
	memset(entry->type, 0x11, sizeof(entry->type));
	memset(entry->uuid, partition->uuid_byte, sizeof(entry->uuid));
	entry->first_lba = partition->first_lba;
	entry->last_lba = partition->last_lba;
	for (size_t i = 0; partition->label[i]; i++)
		entry->label[i] = (u8)partition->label[i];
}

void fake_gpt_add(struct fake_gpt *gpt, u32 index,
		  const struct fake_gpt_partition *partition)
{
	write_entry(fake_gpt_entry(gpt, false, index), partition);
	write_entry(fake_gpt_entry(gpt, true, index), partition);
	fake_gpt_seal(gpt);
}
