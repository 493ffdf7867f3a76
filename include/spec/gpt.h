/* SPDX-License-Identifier: BSD-2-Clause */
/* GUID partition tables on disk. Sections are those of UEFI 2.10. */
#ifndef SLUICE_SPEC_GPT_H
#define SLUICE_SPEC_GPT_H

#include "../types.h"

#define GPT_SIGNATURE "EFI PART"
#define GPT_SIGNATURE_SIZE 8
#define GPT_HEADER_LBA 1	/* the primary's; the backup's is the last */
#define GPT_REVISION_1_0 0x00010000

/* 5.3.2, table 5.5; little endian */
struct gpt_disk_header {
	char signature[GPT_SIGNATURE_SIZE];
	u32 revision;
	u32 header_size;
	u32 header_crc;		/* of header_size bytes, itself taken as 0 */
	u32 reserved;
	u64 my_lba;
	u64 alternate_lba;
	u64 first_usable_lba;
	u64 last_usable_lba;
	u8 disk_uuid[16];
	u64 entries_lba;
	u32 entry_count;
	u32 entry_size;
	u32 entries_crc;
	u32 end_of_fields;	/* reserved, and past header_size 92 */
};
#define GPT_HEADER_SIZE_MIN 92
_Static_assert(offsetof(struct gpt_disk_header, end_of_fields) ==
	       GPT_HEADER_SIZE_MIN, "5.3.2");

#define GPT_LABEL_UNITS 36	/* UTF-16 */

/* 5.3.3, table 5.6 */
struct gpt_disk_entry {
	u8 type[16];		/* all zero: not in use */
	u8 uuid[16];
	u64 first_lba;
	u64 last_lba;		/* inclusive */
	u64 attributes;
	u16 label[GPT_LABEL_UNITS];
};
#define GPT_ENTRY_SIZE_MIN 128
_Static_assert(sizeof(struct gpt_disk_entry) == GPT_ENTRY_SIZE_MIN, "5.3.3");

/* 5.2.1, 5.2.3: the master boot record in the first 512 bytes of block 0 */
#define MBR_SIZE 512
#define MBR_RECORDS 446		/* offset of four records */
#define MBR_RECORD_SIZE 16
#define MBR_RECORD_COUNT 4
#define MBR_RECORD_TYPE 4	/* offset in a record */
#define MBR_TYPE_PROTECTIVE 0xee
#define MBR_MAGIC 510		/* offset of 55h AAh */

#endif
