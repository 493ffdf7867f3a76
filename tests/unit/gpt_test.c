/* SPDX-License-Identifier: BSD-2-Clause */
/* GUID partition tables, good and hostile. */
#include <errno.h>
#include <string.h>

#include "fake_gpt.h"
#include "gpt.h"
#include "test.h"

#define LBA_COUNT 300u

static u8 disk[LBA_COUNT * 4096] __attribute__((aligned(8)));

static struct fake_gpt make_disk(u32 block_size)
{
	struct fake_gpt gpt = {
		.disk = disk, .block_size = block_size, .lba_count = LBA_COUNT,
	};

	fake_gpt_init(&gpt);
	return gpt;
}

static int parse(struct fake_gpt *gpt, bool backup, struct gpt_header *out,
		 const char **why)
{
	return gpt_parse_header(fake_gpt_header(gpt, backup), gpt->block_size,
				backup ? LBA_COUNT - 1 : 1, LBA_COUNT, out,
				why);
}

TEST(crc_is_that_of_the_standard_and_may_come_in_pieces)
{
	u32 crc = gpt_crc32(0, "123456789", 9);

	CHECK_EQ(crc, 0xcbf43926);
	CHECK_EQ(gpt_crc32(gpt_crc32(0, "1234", 4), "56789", 5), crc);
	CHECK_EQ(gpt_crc32(0, "", 0), 0);
}

static void check_good(u32 block_size, bool backup, u64 array_blocks)
{
	struct fake_gpt gpt = make_disk(block_size);
	struct gpt_header header;
	const char *why;

	CHECK_EQ(parse(&gpt, backup, &header, &why), 0);
	CHECK(!why);
	CHECK_EQ(header.header_lba, backup ? LBA_COUNT - 1 : 1);
	CHECK_EQ(header.alternate_lba, backup ? 1 : LBA_COUNT - 1);
	CHECK_EQ(header.first_usable_lba, 2 + array_blocks);
	CHECK_EQ(header.last_usable_lba, LBA_COUNT - 2 - array_blocks);
	CHECK_EQ(header.entries_lba,
		 backup ? LBA_COUNT - 1 - array_blocks : 2);
	CHECK_EQ(gpt_entries_size(&header), 16384);
	CHECK_EQ(gpt_entries_blocks(&header, block_size), array_blocks);
	CHECK_EQ(gpt_crc32(0, fake_gpt_entry(&gpt, backup, 0), 16384),
		 header.entries_crc);
}

TEST(both_copies_are_understood_with_either_block_size)
{
	check_good(512, false, 32);
	check_good(512, true, 32);
	check_good(4096, false, 4);
	check_good(4096, true, 4);
}

/* One field of a good primary header set to a bad value. */
struct bad_header {
	const char *why;
	size_t offset;
	size_t size;
	u64 value;
};

#define BAD(field, value, why)                                     \
	{ why, offsetof(struct gpt_disk_header, field),            \
	  sizeof(((struct gpt_disk_header *)0)->field), value }

/* With 512-byte blocks: entries 2..33, usable 34..266, backup 267..299. */
static const struct bad_header bad_headers[] = {
	BAD(signature, 0, "no \"EFI PART\" signature"),
	BAD(header_size, 0, "header size is out of range"),
	BAD(header_size, 91, "header size is out of range"),
	BAD(header_size, 513, "header size is out of range"),
	BAD(header_size, 0xffffffff, "header size is out of range"),
	BAD(revision, 0x00020000, "revision is not 1.x"),
	BAD(my_lba, 2, "header names another block as its own"),
	BAD(alternate_lba, 300, "the other header is outside the disk"),
	BAD(alternate_lba, ~0ull, "the other header is outside the disk"),
	BAD(entry_count, 0, "number of entries is not 1..1024"),
	BAD(entry_count, 1025, "number of entries is not 1..1024"),
	BAD(entry_count, 0xffffffff, "number of entries is not 1..1024"),
	BAD(entry_size, 0, "entry size is not 128, 256 .. 4096"),
	BAD(entry_size, 64, "entry size is not 128, 256 .. 4096"),
	BAD(entry_size, 136, "entry size is not 128, 256 .. 4096"),
	BAD(entry_size, 8192, "entry size is not 128, 256 .. 4096"),
	BAD(entry_size, 0x80000000, "entry size is not 128, 256 .. 4096"),
	BAD(first_usable_lba, 267, "usable blocks are not inside the disk"),
	BAD(first_usable_lba, 1, "usable blocks are not inside the disk"),
	BAD(last_usable_lba, 33, "usable blocks are not inside the disk"),
	BAD(last_usable_lba, 299, "usable blocks are not inside the disk"),
	BAD(last_usable_lba, ~0ull, "usable blocks are not inside the disk"),
	BAD(entries_lba, 1, "entries are not inside the disk"),
	BAD(entries_lba, 269, "entries are not inside the disk"),
	BAD(entries_lba, ~0ull, "entries are not inside the disk"),
	BAD(entries_lba, 3, "entries are among the usable blocks"),
	BAD(entries_lba, 266, "entries are among the usable blocks"),
	BAD(entry_count, 129, "entries are among the usable blocks"),
};

/* Sets a field without sealing what would then read past the block. */
static void break_header(struct fake_gpt *gpt, const struct bad_header *bad)
{
	u8 *header = (u8 *)fake_gpt_header(gpt, false);
	u32 size;

	memcpy(header + bad->offset, &bad->value, bad->size);
	size = fake_gpt_header(gpt, false)->header_size;
	fake_gpt_header(gpt, false)->header_crc = 0;
	if (size <= gpt->block_size)
		fake_gpt_header(gpt, false)->header_crc =
			gpt_crc32(0, header, size);
}

TEST(every_bad_header_field_is_named)
{
	for (size_t i = 0; i < ARRAY_COUNT(bad_headers); i++) {
		struct fake_gpt gpt = make_disk(512);
		struct gpt_header header;
		const char *why;

		break_header(&gpt, &bad_headers[i]);
		CHECK_EQ(parse(&gpt, false, &header, &why), -EINVAL);
		CHECK_STR(why, bad_headers[i].why);
	}
}

TEST(every_flipped_bit_of_a_header_is_noticed)
{
	struct fake_gpt gpt = make_disk(512);
	u8 *header = (u8 *)fake_gpt_header(&gpt, false);
	struct gpt_header out;
	const char *why;

	for (u32 bit = 0; bit < GPT_HEADER_SIZE_MIN * 8; bit++) {
		header[bit / 8] ^= (u8)(1 << bit % 8);
		CHECK_EQ(parse(&gpt, false, &out, &why), -EINVAL);
		header[bit / 8] ^= (u8)(1 << bit % 8);
	}
	CHECK_EQ(parse(&gpt, false, &out, &why), 0);
}

TEST(entries_on_the_header_itself_are_refused)
{
	struct fake_gpt gpt = make_disk(512);
	struct gpt_header header;
	const char *why;

	fake_gpt_header(&gpt, true)->entries_lba = 268;
	fake_gpt_seal(&gpt);
	CHECK_EQ(parse(&gpt, true, &header, &why), -EINVAL);
	CHECK_STR(why, "entries overlap the header");
}

TEST(a_header_among_the_usable_blocks_is_refused)
{
	struct fake_gpt gpt = make_disk(512);
	struct gpt_header header;
	const char *why;

	fake_gpt_header(&gpt, false)->my_lba = 40;
	fake_gpt_seal(&gpt);
	CHECK_EQ(gpt_parse_header(fake_gpt_header(&gpt, false), 512, 40,
				  LBA_COUNT, &header, &why), -EINVAL);
	CHECK_STR(why, "header is among the usable blocks");
}

TEST(a_header_is_refused_on_a_disk_too_small_for_it)
{
	struct fake_gpt gpt = make_disk(512);
	struct gpt_header header;
	const char *why;

	for (u64 lba_count = 0; lba_count < LBA_COUNT; lba_count++)
		CHECK_EQ(gpt_parse_header(fake_gpt_header(&gpt, false), 512, 1,
					  lba_count, &header, &why), -EINVAL);
}

TEST(a_longer_header_of_a_later_revision_is_taken)
{
	struct fake_gpt gpt = make_disk(512);
	struct gpt_header header;
	const char *why;

	fake_gpt_header(&gpt, false)->header_size = 512;
	fake_gpt_header(&gpt, false)->revision = 0x00010005;
	fake_gpt_seal(&gpt);
	CHECK_EQ(parse(&gpt, false, &header, &why), 0);
}

/* ---- Entries --------------------------------------------------------- */

static const struct gpt_header bounds = {
	.first_usable_lba = 34, .last_usable_lba = 266, .entry_size = 128,
};

TEST(an_entry_is_taken_only_inside_the_usable_blocks)
{
	static const struct {
		u64 first, last;
		int result;
	} rows[] = {
		{ 34, 266, 0 }, { 34, 34, 0 }, { 266, 266, 0 },
		{ 33, 40, -EINVAL }, { 40, 267, -EINVAL },
		{ 41, 40, -EINVAL }, { 0, ~0ull, -EINVAL },
		{ ~0ull, 0, -EINVAL }, { ~0ull, ~0ull, -EINVAL },
	};

	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		struct gpt_disk_entry entry = {
			.type = { 1 }, .uuid = { 2 }, .attributes = 5,
			.first_lba = rows[i].first, .last_lba = rows[i].last,
		};
		struct gpt_partition out = { 0 };

		CHECK_EQ(gpt_parse_entry(&bounds, &entry, &out),
			 rows[i].result);
		CHECK_EQ(out.last_lba, rows[i].result ? 0 : rows[i].last);
	}
}

TEST(an_entry_without_a_type_is_unused)
{
	struct gpt_disk_entry entry = { .first_lba = 40, .last_lba = 50 };
	struct gpt_partition out;

	CHECK_EQ(gpt_parse_entry(&bounds, &entry, &out), -ENOENT);
}

static const char *label_of(const u16 *units, size_t count)
{
	static struct gpt_partition out;
	struct gpt_disk_entry entry = {
		.type = { 1 }, .first_lba = 34, .last_lba = 34,
	};

	memcpy(entry.label, units, count * sizeof(*units));
	CHECK_EQ(gpt_parse_entry(&bounds, &entry, &out), 0);
	return out.label;
}

#define LABEL_OF(...)                                      \
	label_of((const u16[]){ __VA_ARGS__ },             \
		 ARRAY_COUNT(((const u16[]){ __VA_ARGS__ })))

TEST(labels_become_utf8_and_bad_units_replacement_characters)
{
	CHECK_STR(LABEL_OF(0), "");
	CHECK_STR(LABEL_OF('d', 'a', 't', 'a'), "data");
	CHECK_STR(LABEL_OF('a', 0, 'b'), "a");
	CHECK_STR(LABEL_OF(0x7f, 0x80, 0x7ff, 0x800, 0xffff),
		  "\x7f\xc2\x80\xdf\xbf\xe0\xa0\x80\xef\xbf\xbf");
	CHECK_STR(LABEL_OF(0xd800, 0xdc00, 0xdbff, 0xdfff),
		  "\xf0\x90\x80\x80\xf4\x8f\xbf\xbf");
	CHECK_STR(LABEL_OF(0xd800, 'a'), "\xef\xbf\xbd" "a");
	CHECK_STR(LABEL_OF(0xdc00, 0xd800), "\xef\xbf\xbd\xef\xbf\xbd");
}

TEST(the_longest_label_fits)
{
	u16 units[GPT_LABEL_UNITS];
	const char *label;

	for (int i = 0; i < GPT_LABEL_UNITS; i++)
		units[i] = 0x20ac;
	label = label_of(units, GPT_LABEL_UNITS);
	CHECK_EQ(strlen(label), GPT_LABEL_MAX - 1);
	units[GPT_LABEL_UNITS - 1] = 0xd800;
	label = label_of(units, GPT_LABEL_UNITS);
	CHECK_STR(label + GPT_LABEL_MAX - 4, "\xef\xbf\xbd");
}

/* ---- Was there a table? ---------------------------------------------- */

TEST(a_protective_record_counts_in_any_place_of_a_valid_mbr)
{
	for (int i = 0; i < MBR_RECORD_COUNT; i++) {
		u8 mbr[MBR_SIZE] = { 0 };

		mbr[MBR_RECORDS + i * MBR_RECORD_SIZE + MBR_RECORD_TYPE] =
			MBR_TYPE_PROTECTIVE;
		CHECK(!gpt_mbr_is_protective(mbr));
		mbr[MBR_MAGIC] = 0x55;
		mbr[MBR_MAGIC + 1] = 0xaa;
		CHECK(gpt_mbr_is_protective(mbr));
		mbr[MBR_RECORDS + i * MBR_RECORD_SIZE + MBR_RECORD_TYPE] = 0x83;
		CHECK(!gpt_mbr_is_protective(mbr));
	}
}

TEST(a_signature_is_seen_without_the_rest_being_right)
{
	CHECK(gpt_has_signature("EFI PART and nothing else"));
	CHECK(!gpt_has_signature("EFI PARK"));
}

/* ---- UUID ------------------------------------------------------------ */

static const u8 esp[16] = {
	0x28, 0x73, 0x2a, 0xc1, 0x1f, 0xf8, 0xd2, 0x11,
	0xba, 0x4b, 0x00, 0xa0, 0xc9, 0x3e, 0xc9, 0x3b,
};

TEST(uuids_are_read_and_written_in_the_order_of_the_disk)
{
	char text[GPT_UUID_TEXT];
	u8 uuid[16];

	CHECK(gpt_uuid_parse("C12A7328-f81f-11d2-BA4B-00A0C93EC93B", uuid));
	CHECK(!memcmp(uuid, esp, sizeof(esp)));
	gpt_uuid_format(uuid, text);
	CHECK_STR(text, "c12a7328-f81f-11d2-ba4b-00a0c93ec93b");
}

TEST(what_is_not_a_uuid_is_refused)
{
	static const char *const rows[] = {
		"", "c12a7328", "c12a7328-f81f-11d2-ba4b-00a0c93ec93",
		"c12a7328-f81f-11d2-ba4b-00a0c93ec93b0",
		"c12a7328-f81f-11d2-ba4b00a0c93ec93b",
		"c12a7328-f81f-11d2-ba4b-00a0c93ec93g",
		"c12a7328-f81f-11d2-ba4b-00a0c93ec93b ",
		"{12a7328-f81f-11d2-ba4b-00a0c93ec93b}",
		"-c12a7328-f81f-11d2-ba4b-00a0c93ec93b",
	};
	u8 uuid[16];

	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		char *exact = strdup(rows[i]);

		CHECK(!gpt_uuid_parse(exact, uuid));
		free(exact);
	}
}
