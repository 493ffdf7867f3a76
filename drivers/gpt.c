/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * GUID partition tables: checks on headers and entries that came from a disk
 * the guest can write. Section numbers are those of UEFI 2.10.
 */
#include <errno.h>
#include <string.h>

#include "bits.h"
#include "gpt.h"
#include "spec/gpt.h"

/* More than any disk in use has, and small enough to read at start-up. */
#define ENTRY_COUNT_MAX 1024
#define ENTRY_SIZE_MAX 4096

/* The CRC of each four-bit value; polynomial 04C11DB7h, bits reflected. */
static const u32 crc_of_nibble[16] = {
	0x00000000, 0x1db71064, 0x3b6e20c8, 0x26d930ac,
	0x76dc4190, 0x6b6b51f4, 0x4db26158, 0x5005713c,
	0xedb88320, 0xf00f9344, 0xd6d6a3e8, 0xcb61b38c,
	0x9b64c2b0, 0x86d3d2d4, 0xa00ae278, 0xbdbdf21c,
};

u32 gpt_crc32(u32 crc, const void *data, size_t size)
{
	const u8 *byte = data;

	crc = ~crc;
	for (size_t i = 0; i < size; i++) {
		crc ^= byte[i];
		crc = crc >> 4 ^ crc_of_nibble[crc & 15];
		crc = crc >> 4 ^ crc_of_nibble[crc & 15];
	}
	return ~crc;
}

/* ---- Header ---------------------------------------------------------- */

static u32 header_crc(const void *block, u32 size)
{
	static const u8 zero[sizeof(u32)];
	const size_t at = offsetof(struct gpt_disk_header, header_crc);
	const u8 *bytes = block;
	u32 crc;

	crc = gpt_crc32(0, bytes, at);
	crc = gpt_crc32(crc, zero, sizeof(zero));
	return gpt_crc32(crc, bytes + at + sizeof(zero),
			 size - at - sizeof(zero));
}

/* What makes the block a header at all; NULL when nothing is wrong. */
static const char *block_fault(const struct gpt_disk_header *disk,
			       const void *block, size_t block_size, u64 lba)
{
	if (!gpt_has_signature(block))
		return "no \"EFI PART\" signature";
	if (disk->header_size < GPT_HEADER_SIZE_MIN ||
	    disk->header_size > block_size)
		return "header size is out of range";
	if (header_crc(block, disk->header_size) != disk->header_crc)
		return "header CRC is wrong";
	if (disk->revision >> 16 != GPT_REVISION_1_0 >> 16)
		return "revision is not 1.x";
	if (disk->my_lba != lba)
		return "header names another block as its own";
	return NULL;
}

static bool entry_size_is_valid(u32 size)
{
	return size >= GPT_ENTRY_SIZE_MIN && size <= ENTRY_SIZE_MAX &&
	       !(size & (size - 1));
}

/*
 * 5.3.2: headers, entries and usable blocks are apart from each other. The
 * usable blocks lie between two copies, hence not at either end of the disk.
 */
static const char *range_fault(const struct gpt_header *header,
			       size_t block_size, u64 lba_count)
{
	u64 first = header->first_usable_lba, last = header->last_usable_lba;
	u64 blocks = gpt_entries_blocks(header, block_size);

	if (first > last || first <= GPT_HEADER_LBA || last >= lba_count - 1)
		return "usable blocks are not inside the disk";
	if (header->alternate_lba >= lba_count)
		return "the other header is outside the disk";
	if (header->header_lba >= first && header->header_lba <= last)
		return "header is among the usable blocks";
	if (header->entries_lba <= GPT_HEADER_LBA ||
	    !range_inside(header->entries_lba, blocks, lba_count))
		return "entries are not inside the disk";
	if (ranges_overlap(header->entries_lba, blocks, first,
			   last - first + 1))
		return "entries are among the usable blocks";
	if (ranges_overlap(header->entries_lba, blocks, header->header_lba, 1))
		return "entries overlap the header";
	return NULL;
}

static const char *header_fault(const struct gpt_header *header,
				size_t block_size, u64 lba_count)
{
	if (!header->entry_count || header->entry_count > ENTRY_COUNT_MAX)
		return "number of entries is not 1..1024";
	if (!entry_size_is_valid(header->entry_size))
		return "entry size is not 128, 256 .. 4096";
	return range_fault(header, block_size, lba_count);
}

static void take_header(const struct gpt_disk_header *disk,
			struct gpt_header *out)
{
	*out = (struct gpt_header){
		.header_lba = disk->my_lba,
		.alternate_lba = disk->alternate_lba,
		.first_usable_lba = disk->first_usable_lba,
		.last_usable_lba = disk->last_usable_lba,
		.entries_lba = disk->entries_lba,
		.entry_count = disk->entry_count,
		.entry_size = disk->entry_size,
		.entries_crc = disk->entries_crc,
	};
}

int gpt_parse_header(const void *block, size_t block_size, u64 lba,
		     u64 lba_count, struct gpt_header *out, const char **why)
{
	struct gpt_disk_header disk;

	memcpy(&disk, block, sizeof(disk));
	*why = block_fault(&disk, block, block_size, lba);
	if (*why)
		return -EINVAL;
	take_header(&disk, out);
	*why = header_fault(out, block_size, lba_count);
	return *why ? -EINVAL : 0;
}

u64 gpt_entries_size(const struct gpt_header *header)
{
	return (u64)header->entry_count * header->entry_size;
}

u64 gpt_entries_blocks(const struct gpt_header *header, size_t block_size)
{
	return (gpt_entries_size(header) + block_size - 1) / block_size;
}

bool gpt_has_signature(const void *block)
{
	return !memcmp(block, GPT_SIGNATURE, GPT_SIGNATURE_SIZE);
}

bool gpt_mbr_is_protective(const void *block)
{
	const u8 *mbr = block, *record = mbr + MBR_RECORDS;

	if (mbr[MBR_MAGIC] != 0x55 || mbr[MBR_MAGIC + 1] != 0xaa)
		return false;
	for (int i = 0; i < MBR_RECORD_COUNT; i++) {
		if (record[MBR_RECORD_TYPE] == MBR_TYPE_PROTECTIVE)
			return true;
		record += MBR_RECORD_SIZE;
	}
	return false;
}

/* ---- Label: UTF-16 to UTF-8 ------------------------------------------ */

static char *put_utf8(char *out, u32 point)
{
	static const u8 lead[] = { 0x00, 0xc0, 0xe0, 0xf0 };
	int more = (point >= 0x80) + (point >= 0x800) + (point >= 0x10000);

	*out++ = (char)(lead[more] | point >> 6 * more);
	while (more--)
		*out++ = (char)(0x80 | (point >> 6 * more & 0x3f));
	return out;
}

static bool is_surrogate(u16 unit)
{
	return (unit & 0xf800) == 0xd800;
}

static bool is_pair(u16 high, u16 low)
{
	return (high & 0xfc00) == 0xd800 && (low & 0xfc00) == 0xdc00;
}

/* One unit makes at most three bytes and a pair four: out always fits. */
static void take_label(const u16 units[GPT_LABEL_UNITS], char *out)
{
	for (int i = 0; i < GPT_LABEL_UNITS && units[i]; i++) {
		u16 next = i + 1 < GPT_LABEL_UNITS ? units[i + 1] : 0;
		u32 point = units[i];

		if (is_pair(units[i], next)) {
			point = 0x10000 + ((units[i] & 0x3ffu) << 10) +
				(next & 0x3ffu);
			i++;
		} else if (is_surrogate(units[i])) {
			point = 0xfffd;
		}
		out = put_utf8(out, point);
	}
	*out = '\0';
}

/* ---- Entry ----------------------------------------------------------- */

int gpt_parse_entry(const struct gpt_header *header, const void *entry,
		    struct gpt_partition *out)
{
	static const u8 unused[16];
	struct gpt_disk_entry disk;

	memcpy(&disk, entry, sizeof(disk));
	if (!memcmp(disk.type, unused, sizeof(unused)))
		return -ENOENT;
	if (disk.first_lba > disk.last_lba ||
	    disk.first_lba < header->first_usable_lba ||
	    disk.last_lba > header->last_usable_lba)
		return -EINVAL;
	memcpy(out->type, disk.type, sizeof(out->type));
	memcpy(out->uuid, disk.uuid, sizeof(out->uuid));
	out->first_lba = disk.first_lba;
	out->last_lba = disk.last_lba;
	out->attributes = disk.attributes;
	take_label(disk.label, out->label);
	return 0;
}

/* ---- UUID as text ---------------------------------------------------- */

#define DASH 0xff

/*
 * Which byte on disk each pair of digits is: the first three groups are
 * stored little endian (UEFI 2.10, appendix A).
 */
static const u8 uuid_text_order[] = {
	3, 2, 1, 0, DASH, 5, 4, DASH, 7, 6, DASH, 8, 9, DASH,
	10, 11, 12, 13, 14, 15,
};

static int digit_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

/* -1 also at the end of the text: nothing past its NUL is looked at. */
static int parse_byte(const char *text)
{
	int high = digit_value(text[0]);
	int low = high < 0 ? -1 : digit_value(text[1]);

	return low < 0 ? -1 : high << 4 | low;
}

bool gpt_uuid_parse(const char *text, u8 uuid[16])
{
	for (size_t i = 0; i < ARRAY_COUNT(uuid_text_order); i++) {
		int value;

		if (uuid_text_order[i] == DASH) {
			if (*text++ != '-')
				return false;
			continue;
		}
		value = parse_byte(text);
		if (value < 0)
			return false;
		uuid[uuid_text_order[i]] = (u8)value;
		text += 2;
	}
	return *text == '\0';
}

void gpt_uuid_format(const u8 uuid[16], char text[GPT_UUID_TEXT])
{
	static const char digits[] = "0123456789abcdef";

	for (size_t i = 0; i < ARRAY_COUNT(uuid_text_order); i++) {
		u8 at = uuid_text_order[i];

		if (at == DASH) {
			*text++ = '-';
			continue;
		}
		*text++ = digits[uuid[at] >> 4];
		*text++ = digits[uuid[at] & 15];
	}
	*text = '\0';
}
