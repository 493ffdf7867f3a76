/* SPDX-License-Identifier: BSD-2-Clause */
/* nvme_io_read_partitions() on whole, broken and absent tables. */
#include <string.h>

#include "fake_gpt.h"
#include "fake_nvme_io.h"
#include "test.h"

static struct nvme_host host = { .name = "nvme0", .serial = "QF0" };

/* A copy of what `done` was given. */
static struct {
	u32 count;
	u32 nsid;
	struct nvme_io_table_info info;
	struct nvme_io_partition partitions[4];
} seen;

static void done(struct nvme_host *from, u32 nsid,
		 const struct nvme_io_table_info *info, void *arg)
{
	CHECK(from == &host);
	CHECK(arg == &seen);
	seen.count++;
	seen.nsid = nsid;
	seen.info = *info;
	for (u32 i = 0; i < info->n_partitions && i < 4; i++)
		seen.partitions[i] = info->partitions[i];
}

static enum nvme_io_table read_table(void)
{
	seen.count = 0;
	CHECK(nvme_io_read_partitions(&host, 1, done, &seen));
	CHECK_EQ(seen.count, 0);
	fake_complete_all();
	CHECK_EQ(seen.count, 1);
	CHECK_EQ(seen.nsid, 1);
	return seen.info.state;
}

static const struct fake_gpt_partition open_part = { 40, 99, 0xaa, "open" };
static const struct fake_gpt_partition data_part = { 100, 199, 0xbb, "data" };

static struct fake_gpt make_table(u32 lba_size, u32 entry_count,
				  u32 entry_size, u64 n_lbas)
{
	struct fake_gpt gpt = {
		.disk = fake_add_namespace(&host, 1, n_lbas, lba_size),
		.block_size = lba_size, .lba_count = n_lbas,
		.entry_count = entry_count, .entry_size = entry_size,
	};

	fake_gpt_init(&gpt);
	return gpt;
}

/* Entries 1 and 3 of a usual table; usable blocks 34..266. */
static struct fake_gpt make_usual(void)
{
	struct fake_gpt gpt = make_table(512, 128, 128, 300);

	fake_gpt_add(&gpt, 0, &open_part);
	fake_gpt_add(&gpt, 2, &data_part);
	return gpt;
}

static void break_header(struct fake_gpt *gpt, bool backup)
{
	fake_gpt_header(gpt, backup)->header_crc ^= 1;
}

static void break_entries(struct fake_gpt *gpt, bool backup)
{
	fake_gpt_entry(gpt, backup, 100)->attributes ^= 1;
}

static void check_usual(void)
{
	const struct nvme_io_partition *data = &seen.partitions[1];

	CHECK_EQ(seen.info.n_partitions, 2);
	CHECK_EQ(seen.info.head_lbas, 34);
	CHECK_EQ(seen.info.tail_lba, 267);
	CHECK_EQ(seen.partitions[0].index, 1);
	CHECK_STR(seen.partitions[0].label, "open");
	CHECK_EQ(data->index, 3);
	CHECK_EQ(data->first_lba, 100);
	CHECK_EQ(data->last_lba, 199);
	CHECK_EQ(data->uuid[0], 0xbb);
	CHECK_EQ(data->uuid[15], 0xbb);
	CHECK_EQ(data->type[7], 0x11);
	CHECK_STR(data->label, "data");
}

TEST(a_good_table_is_read_without_a_word)
{
	make_usual();
	CHECK_EQ(read_table(), NVME_IO_TABLE_GOOD);
	check_usual();
	CHECK(seen.info.is_complete);
	/* Of each copy the header, and 16 KiB in two pieces. */
	CHECK_EQ(host.read_count, 6);
	CHECK_EQ(fake_log_count(""), 0);
}

TEST(a_table_of_4096_byte_blocks_is_read)
{
	struct fake_gpt gpt = make_table(4096, 128, 128, 300);

	fake_gpt_add(&gpt, 127, &data_part);
	CHECK_EQ(read_table(), NVME_IO_TABLE_GOOD);
	CHECK_EQ(seen.info.n_partitions, 1);
	CHECK_EQ(seen.info.head_lbas, 6);
	CHECK_EQ(seen.info.tail_lba, 295);
	CHECK_EQ(seen.partitions[0].index, 128);
}

TEST(the_largest_table_is_read_in_pieces)
{
	struct fake_gpt gpt = make_table(512, 1024, 4096, 20000);
	struct fake_gpt_partition last = { 9000, 9001, 1, "last" };

	fake_gpt_add(&gpt, 1023, &last);
	CHECK_EQ(read_table(), NVME_IO_TABLE_GOOD);
	CHECK_EQ(host.read_count, 2 * (1 + 512));
	CHECK_EQ(seen.info.n_partitions, 1);
	CHECK_EQ(seen.partitions[0].index, 1024);
	CHECK_EQ(seen.partitions[0].first_lba, 9000);
}

TEST(a_table_with_every_entry_in_use_is_read)
{
	struct fake_gpt gpt = make_table(512, 1024, 128, 3000);

	for (u32 i = 0; i < 1024; i++) {
		*fake_gpt_entry(&gpt, false, i) = (struct gpt_disk_entry){
			.type = { 1 }, .first_lba = 300 + i,
			.last_lba = 300 + i,
		};
	}
	fake_gpt_seal(&gpt);
	CHECK_EQ(read_table(), NVME_IO_TABLE_GOOD);
	CHECK_EQ(seen.info.n_partitions, 1024);
}

TEST(a_number_of_entries_that_fills_no_block_is_read)
{
	struct fake_gpt gpt = make_table(4096, 5, 256, 300);

	fake_gpt_add(&gpt, 4, &data_part);
	CHECK_EQ(read_table(), NVME_IO_TABLE_GOOD);
	CHECK_EQ(seen.partitions[0].index, 5);
}

TEST(a_bad_primary_header_leads_to_the_backup_and_is_told)
{
	struct fake_gpt gpt = make_usual();

	break_header(&gpt, false);
	CHECK_EQ(read_table(), NVME_IO_TABLE_BACKUP);
	check_usual();
	CHECK(!seen.info.is_complete);
	CHECK_EQ(fake_log_count("nvme0: n1: partition table taken from the "
				"backup: primary: header CRC is wrong"), 1);
}

TEST(bad_primary_entries_lead_to_the_backup)
{
	struct fake_gpt gpt = make_usual();

	break_entries(&gpt, false);
	CHECK_EQ(read_table(), NVME_IO_TABLE_BACKUP);
	check_usual();
	CHECK_EQ(fake_log_count("primary: CRC of the entries is wrong"), 1);
}

TEST(a_table_whose_backup_is_not_the_same_is_good_but_not_complete)
{
	struct fake_gpt gpt = make_usual();

	fake_gpt_entry(&gpt, true, 0)->type[0] = 0;
	CHECK_EQ(read_table(), NVME_IO_TABLE_GOOD);
	CHECK(!seen.info.is_complete);
	check_usual();
	CHECK_EQ(fake_log_count("nvme0: n1: backup of the partition table: "
				"CRC of the entries is wrong"), 1);
	fake_gpt_seal(&gpt);
	CHECK_EQ(read_table(), NVME_IO_TABLE_GOOD);
	CHECK(!seen.info.is_complete);
	check_usual();
	CHECK_EQ(fake_log_count("table: differs from the primary"), 1);
	break_header(&gpt, true);
	CHECK_EQ(read_table(), NVME_IO_TABLE_GOOD);
	CHECK(!seen.info.is_complete);
	check_usual();
	CHECK_EQ(fake_log_count("table: header CRC is wrong"), 1);
}

TEST(an_unreadable_backup_leaves_the_table_good_but_not_complete)
{
	static const u64 lbas[] = { 267, 298, 299 };

	make_usual();
	for (size_t i = 0; i < ARRAY_COUNT(lbas); i++) {
		host.faults[0] = (struct fake_fault){
			lbas[i], NVME_IO_STATUS(2, 0x81),
		};
		CHECK_EQ(read_table(), NVME_IO_TABLE_GOOD);
		CHECK(!seen.info.is_complete);
		check_usual();
	}
}

TEST(a_table_without_a_protective_record_is_not_complete)
{
	struct fake_gpt gpt = make_usual();

	memset(gpt.disk, 0, 512);
	CHECK_EQ(read_table(), NVME_IO_TABLE_GOOD);
	CHECK(!seen.info.is_complete);
	CHECK_EQ(fake_log_count(""), 0);
}

TEST(a_wiped_primary_leads_to_the_backup)
{
	struct fake_gpt gpt = make_usual();

	memset(gpt.disk, 0, 34 * 512);
	CHECK_EQ(read_table(), NVME_IO_TABLE_BACKUP);
	check_usual();
}

TEST(an_unreadable_primary_leads_to_the_backup)
{
	static const u64 lbas[] = { 0, 1, 2, 33 };

	make_usual();
	for (size_t i = 0; i < ARRAY_COUNT(lbas); i++) {
		host.faults[0] = (struct fake_fault){
			lbas[i], NVME_IO_STATUS(2, 0x81),
		};
		CHECK_EQ(read_table(), NVME_IO_TABLE_BACKUP);
		check_usual();
	}
	CHECK_EQ(fake_log_count("reading the partition table: status 0281"),
		 ARRAY_COUNT(lbas));
	CHECK_EQ(fake_log_count("primary: cannot be read"), ARRAY_COUNT(lbas));
}

TEST(on_a_disk_that_has_grown_the_primary_says_where_the_backup_is)
{
	struct fake_gpt gpt = make_usual();

	host.namespaces[0].info.n_lbas = 400;
	break_entries(&gpt, false);
	CHECK_EQ(read_table(), NVME_IO_TABLE_BACKUP);
	check_usual();
}

TEST(a_disk_without_a_table_has_none)
{
	make_table(512, 0, 0, 300);
	memset(host.namespaces[0].disk, 0, 300 * 512);
	CHECK_EQ(read_table(), NVME_IO_TABLE_NONE);
	CHECK_EQ(fake_log_count("nvme0: n1: no partition table"), 1);
	CHECK_EQ(fake_log_count(""), 1);
}

TEST(a_disk_of_one_block_has_none)
{
	fake_add_namespace(&host, 1, 1, 512);
	CHECK_EQ(read_table(), NVME_IO_TABLE_NONE);
}

TEST(a_master_boot_record_alone_is_no_table)
{
	struct fake_gpt gpt = make_usual();

	memset(gpt.disk + 512, 0, 299 * 512);
	gpt.disk[MBR_RECORDS + MBR_RECORD_TYPE] = 0x83;
	CHECK_EQ(read_table(), NVME_IO_TABLE_NONE);
}

TEST(a_protective_record_alone_is_a_bad_table)
{
	struct fake_gpt gpt = make_usual();

	memset(gpt.disk + 512, 0, 299 * 512);
	CHECK_EQ(read_table(), NVME_IO_TABLE_BAD);
	CHECK_EQ(fake_log_count("no usable partition table: primary: "
				"no \"EFI PART\" signature; backup: no"), 1);
}

TEST(two_bad_copies_are_a_bad_table_whatever_the_boot_record)
{
	struct fake_gpt gpt = make_usual();

	break_header(&gpt, true);
	break_entries(&gpt, false);
	memset(gpt.disk, 0, 512);
	CHECK_EQ(read_table(), NVME_IO_TABLE_BAD);
	CHECK_EQ(seen.info.n_partitions, 0);
	CHECK_EQ(fake_log_count("primary: CRC of the entries is wrong; "
				"backup: header CRC is wrong"), 1);
}

TEST(a_device_that_cannot_read_leaves_the_table_unread)
{
	make_usual();
	host.faults[0] = (struct fake_fault){ 0, NVME_IO_TIMED_OUT };
	host.faults[1] = (struct fake_fault){ 299, NVME_IO_TIMED_OUT };
	CHECK_EQ(read_table(), NVME_IO_TABLE_UNREAD);
	CHECK_EQ(fake_log_count("the partition table was not read"), 1);
}

TEST(no_table_at_one_end_and_no_answer_at_the_other_is_unread)
{
	make_table(512, 0, 0, 300);
	memset(host.namespaces[0].disk, 0, 300 * 512);
	host.faults[0] = (struct fake_fault){ 299, NVME_IO_INTERNAL_ERROR };
	CHECK_EQ(read_table(), NVME_IO_TABLE_UNREAD);
}

TEST(a_controller_reset_ends_the_reading_at_once)
{
	make_usual();
	host.faults[0] = (struct fake_fault){ 1, NVME_IO_ABORTED };
	CHECK_EQ(read_table(), NVME_IO_TABLE_UNREAD);
	CHECK_EQ(host.read_count, 1);
}

TEST(entries_outside_the_usable_blocks_are_left_out_and_counted)
{
	struct fake_gpt gpt = make_usual();
	struct fake_gpt_partition bad = { 200, 270, 1, "bad" };

	fake_gpt_add(&gpt, 1, &bad);
	fake_gpt_add(&gpt, 5, &bad);
	CHECK_EQ(read_table(), NVME_IO_TABLE_GOOD);
	check_usual();
	CHECK_EQ(fake_log_count("n1: partition entries outside the usable "
				"blocks: 2 left out"), 1);
}

TEST(what_cannot_be_read_is_refused_with_the_reason)
{
	static const struct {
		struct nvme_io_namespace ns;
		const char *why;
	} rows[] = {
		{ { .lba_size = 256, .n_lbas = 9 }, "512 to 4096 bytes" },
		{ { .lba_size = 8192, .n_lbas = 9 }, "512 to 4096 bytes" },
		{ { .lba_size = 520, .n_lbas = 9 }, "512 to 4096 bytes" },
		{ { .lba_size = 0, .n_lbas = 9 }, "512 to 4096 bytes" },
		{ { .lba_size = 512, .n_lbas = 0 }, "no blocks" },
		{ { .lba_size = 512, .n_lbas = 9, .metadata_size = 8 },
		  "metadata" },
	};

	fake_add_namespace(&host, 1, 1, 512);
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		host.namespaces[0].info = rows[i].ns;
		host.namespaces[0].info.nsid = 1;
		fake_log_clear();
		CHECK(!nvme_io_read_partitions(&host, 1, done, &seen));
		CHECK_EQ(fake_log_count(rows[i].why), 1);
	}
	CHECK(!nvme_io_read_partitions(&host, 2, done, &seen));
	CHECK_EQ(fake_log_count("n2: the partition table is not read: there "
				"is no such namespace"), 1);
	CHECK_EQ(seen.count, 0);
}

TEST(a_refused_request_refuses_the_reading)
{
	make_usual();
	host.refuses_requests = true;
	CHECK(!nvme_io_read_partitions(&host, 1, done, &seen));
	host.refuses_requests = false;
	CHECK_EQ(read_table(), NVME_IO_TABLE_GOOD);
}

TEST(sixteen_tables_are_read_at_once_and_one_more_is_refused)
{
	make_usual();
	for (int i = 0; i < 16; i++)
		CHECK(nvme_io_read_partitions(&host, 1, done, &seen));
	CHECK(!nvme_io_read_partitions(&host, 1, done, &seen));
	fake_complete_all();
	CHECK_EQ(seen.count, 16);
	CHECK_EQ(read_table(), NVME_IO_TABLE_GOOD);
}

TEST(nothing_of_one_table_shows_in_the_next)
{
	struct fake_gpt gpt = make_usual();

	CHECK_EQ(read_table(), NVME_IO_TABLE_GOOD);
	memset(gpt.disk, 0, 300 * 512);
	CHECK_EQ(read_table(), NVME_IO_TABLE_NONE);
	CHECK_EQ(seen.info.n_partitions, 0);
	CHECK_EQ(seen.info.head_lbas, 2);
	CHECK_EQ(seen.info.tail_lba, 299);
}
