/* SPDX-License-Identifier: BSD-2-Clause */
/* Partition tables with some fields changed, their CRCs made right again. */
#include "fake_gpt.h"
#include "fuzz.h"
#include "gpt.h"

#define BLOCKS 100u
#define BLOCK_SIZE 512u

static u8 disk[BLOCKS * BLOCK_SIZE] __attribute__((aligned(8)));

static struct fake_gpt make(void)
{
	struct fake_gpt gpt = {
		.disk = disk, .block_size = BLOCK_SIZE, .lba_count = BLOCKS,
		.entry_count = 16, .entry_size = 128,
	};

	fake_gpt_init(&gpt);
	fake_gpt_add(&gpt, 0, &(struct fake_gpt_partition){ 40, 49, 1, "one" });
	fake_gpt_add(&gpt, 1, &(struct fake_gpt_partition){ 50, 59, 2, "two" });
	return gpt;
}

static void check_entry(const struct gpt_header *header, const u8 *entry)
{
	u8 *copy = malloc(header->entry_size), uuid[16];
	struct gpt_partition partition;
	char text[GPT_UUID_TEXT];

	memcpy(copy, entry, header->entry_size);
	if (!gpt_parse_entry(header, copy, &partition)) {
		CHECK(partition.first_lba <= partition.last_lba);
		CHECK(partition.first_lba >= header->first_usable_lba);
		CHECK(partition.last_lba <= header->last_usable_lba);
		CHECK(memchr(partition.label, 0, sizeof(partition.label)));
		gpt_uuid_format(partition.uuid, text);
		CHECK(gpt_uuid_parse(text, uuid));
		CHECK(!memcmp(uuid, partition.uuid, sizeof(uuid)));
	}
	free(copy);
}

static void check_entries(const struct gpt_header *header)
{
	u64 blocks = gpt_entries_blocks(header, BLOCK_SIZE);

	CHECK(range_inside(header->entries_lba, blocks, BLOCKS));
	CHECK(gpt_entries_size(header) <= blocks * BLOCK_SIZE);
	for (u32 i = 0; i < header->entry_count; i++)
		check_entry(header, disk + header->entries_lba * BLOCK_SIZE +
			    (u64)i * header->entry_size);
}

static void check(u64 lba)
{
	u8 *block = malloc(BLOCK_SIZE);
	struct gpt_header header;
	const char *why = NULL;

	memcpy(block, disk + lba * BLOCK_SIZE, BLOCK_SIZE);
	if (!gpt_parse_header(block, BLOCK_SIZE, lba, BLOCKS, &header, &why))
		check_entries(&header);
	else
		CHECK(why && *why);
	gpt_has_signature(block);
	gpt_mbr_is_protective(block);
	free(block);
}

/* fake_gpt_seal() believes the size it finds. */
static void seal(struct fake_gpt *gpt)
{
	if (fake_gpt_header(gpt, false)->header_size <= BLOCK_SIZE &&
	    fake_gpt_header(gpt, true)->header_size <= BLOCK_SIZE)
		fake_gpt_seal(gpt);
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	static u8 good[sizeof(disk)];
	static struct fake_gpt gpt;
	struct input in = { data, size };

	if (!gpt.disk) {
		gpt = make();
		memcpy(good, disk, sizeof(disk));
	}
	memcpy(disk, good, sizeof(disk));
	input_patch(&in, fake_gpt_header(&gpt, false),
		    sizeof(struct gpt_disk_header));
	input_patch(&in, fake_gpt_entry(&gpt, false, 0), 512);
	input_patch(&in, disk, sizeof(disk));
	seal(&gpt);
	check(1);
	check(BLOCKS - 1);
	return 0;
}
