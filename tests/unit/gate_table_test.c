/* SPDX-License-Identifier: BSD-2-Clause */
/* The gate plug-in: partition tables that the guest writes at run time. */
#include <string.h>

#include "fake_gated.h"

#define RULE "none PARTLABEL=secret"
#define SECRET_LBA 200

static const struct fake_gpt_partition secret = {
	SECRET_LBA, 219, 0xcc, "secret",
};

static struct nvme_request make(u8 opcode, u32 nsid, u64 lba, u32 n_lbas)
{
	return (struct nvme_request){ .command = {
		.opcode = opcode, .nsid = nsid, .lba = lba, .n_lbas = n_lbas,
		.effects = opcode == 2 ? NVME_IO_READS : NVME_IO_WRITES,
	} };
}

static void send(struct nvme_request *req)
{
	fake_send(&gated_host, req);
}

static void check_passed(const struct nvme_request *req)
{
	CHECK(!req->is_held);
	CHECK_EQ(req->completion.status, PASSED);
}

static void complete(struct nvme_request *req)
{
	check_passed(req);
	fake_complete_command(&gated_host, req, NVME_IO_SUCCESS);
}

/* A write of the guest from beginning to end; the test does what it does. */
static void write_blocks(u32 nsid, u64 lba, u32 n_lbas)
{
	struct nvme_request req = make(1, nsid, lba, n_lbas);

	send(&req);
	fake_complete_all();
	complete(&req);
}

/* The same for a read: what it is answered when all is said and done. */
static u16 read_blocks(u32 nsid, u64 lba)
{
	struct nvme_request req = make(2, nsid, lba, 1);

	send(&req);
	fake_complete_all();
	CHECK(!req.is_held);
	return req.completion.status;
}

static u32 reads_of(u32 nsid, u64 lba)
{
	u32 before = gated_host.read_count;

	read_blocks(nsid, lba);
	return gated_host.read_count - before;
}

/* ---- From nothing to a rule ------------------------------------------- */

TEST(a_partition_made_at_run_time_has_its_rule_at_once)
{
	struct fake_gpt gpt = gated_start_with(RULE);
	struct nvme_request req = make(2, 1, SECRET_LBA, 1);

	CHECK_EQ(read_blocks(1, SECRET_LBA), PASSED);
	fake_gpt_add(&gpt, 2, &secret);
	write_blocks(1, 0, 34);
	send(&req);
	CHECK(req.is_held);
	CHECK_EQ(fake_pending_count(), 1);
	fake_complete_all();
	CHECK(!req.is_held);
	CHECK_EQ(req.completion.status, DENIED);
	CHECK_EQ(fake_log_count("gate: n1: none PARTUUID=cccccccc-cccc-cccc-"
				"cccc-cccccccccccc PARTLABEL=\"secret\""), 1);
}

TEST(the_table_is_closed_as_soon_as_the_rule_holds)
{
	struct fake_gpt gpt = gated_start_with(RULE);

	fake_gpt_add(&gpt, 2, &secret);
	write_blocks(1, 0, 34);
	CHECK_EQ(read_blocks(1, 50), PASSED);
	CHECK_EQ(gated_write(0, 1), PROTECTED);
	CHECK_EQ(gated_write(299, 1), PROTECTED);
	CHECK_EQ(gated_write(50, 1), PASSED);
	CHECK_EQ(reads_of(1, 50), 0);
}

TEST(a_rule_by_number_holds_for_a_partition_that_comes)
{
	struct fake_gpt gpt = gated_start_with("none QF0:n1:p3");

	fake_gpt_add(&gpt, 2, &secret);
	write_blocks(1, 0, 34);
	CHECK_EQ(read_blocks(1, SECRET_LBA), DENIED);
	CHECK_EQ(read_blocks(1, 100), PASSED);
}

/* The disk that was empty when the guest started has a table now. */
static struct fake_gpt start_with_empty_disk(void)
{
	struct fake_gpt gpt = {
		.block_size = 512, .lba_count = 300,
	};

	gated_start_with(RULE);
	gpt.disk = gated_host.namespaces[1].disk;
	fake_gpt_init(&gpt);
	fake_gpt_add(&gpt, 0, &secret);
	return gpt;
}

TEST(a_table_on_an_empty_disk_is_found_whatever_is_written_first)
{
	start_with_empty_disk();
	write_blocks(2, 2, 297);
	CHECK_EQ(reads_of(2, SECRET_LBA), 0);
	write_blocks(2, 1, 1);
	CHECK_EQ(read_blocks(2, SECRET_LBA), DENIED);
}

TEST(a_backup_alone_is_found_on_an_empty_disk_and_holds_when_both_do)
{
	struct fake_gpt gpt = start_with_empty_disk();

	fake_gpt_header(&gpt, false)->signature[0] ^= 1;
	write_blocks(2, 299, 1);
	CHECK(reads_of(2, SECRET_LBA) > 0);
	CHECK_EQ(read_blocks(2, SECRET_LBA), PASSED);
	fake_gpt_header(&gpt, false)->signature[0] ^= 1;
	write_blocks(2, 1, 1);
	CHECK_EQ(read_blocks(2, SECRET_LBA), DENIED);
}

/* ---- In the middle of writing ----------------------------------------- */

TEST(the_guest_can_finish_a_table_in_any_pieces)
{
	struct fake_gpt gpt = gated_make();
	u8 before[300 * 512], after[300 * 512];
	static const struct {
		u64 lba;
		u32 n_lbas;
		u16 seen;
	} pieces[] = {
		{ 267, 32, PASSED },	/* backup: entries */
		{ 299, 1, PASSED },	/* and header */
		{ 2, 32, PASSED },	/* primary: entries */
		{ 1, 1, DENIED },
	};

	memcpy(before, gpt.disk, sizeof(before));
	fake_gpt_add(&gpt, 2, &secret);
	memcpy(after, gpt.disk, sizeof(after));
	memcpy(gpt.disk, before, sizeof(before));
	gated_rule(RULE);
	gated_start(&gated_host);
	for (size_t i = 0; i < ARRAY_COUNT(pieces); i++) {
		memcpy(gpt.disk + pieces[i].lba * 512,
		       after + pieces[i].lba * 512, pieces[i].n_lbas * 512);
		write_blocks(1, pieces[i].lba, pieces[i].n_lbas);
		CHECK_EQ(read_blocks(1, SECRET_LBA), pieces[i].seen);
	}
	CHECK_EQ(gated_write(1, 1), PROTECTED);
}

TEST(the_backup_can_still_be_written_when_the_primary_holds)
{
	struct fake_gpt gpt = gated_start_with(RULE);
	u8 backup[33 * 512];

	memcpy(backup, gpt.disk + 267 * 512, sizeof(backup));
	fake_gpt_add(&gpt, 2, &secret);
	memcpy(gpt.disk + 267 * 512, backup, sizeof(backup));
	write_blocks(1, 0, 34);
	CHECK_EQ(read_blocks(1, SECRET_LBA), DENIED);
	CHECK_EQ(gated_write(1, 1), PASSED);
	fake_gpt_add(&gpt, 2, &secret);
	write_blocks(1, 267, 33);
	CHECK_EQ(read_blocks(1, SECRET_LBA), DENIED);
	CHECK_EQ(gated_write(1, 1), PROTECTED);
	CHECK_EQ(fake_log_count("PARTLABEL=\"secret\""), 1);
	CHECK_EQ(fake_log_count("matches more than once"), 0);
}

TEST(half_a_table_closes_nothing_and_every_write_may_complete_it)
{
	struct fake_gpt gpt = gated_start_with(RULE);

	fake_gpt_header(&gpt, false)->header_crc ^= 1;
	fake_gpt_header(&gpt, true)->header_crc ^= 1;
	write_blocks(1, 0, 34);
	CHECK_EQ(read_blocks(1, SECRET_LBA), PASSED);
	fake_gpt_add(&gpt, 2, &secret);
	write_blocks(1, 150, 1);
	CHECK_EQ(read_blocks(1, SECRET_LBA), DENIED);
}

TEST(a_rule_that_holds_goes_on_until_the_next_start)
{
	struct fake_gpt gpt = gated_start_with(RULE);

	fake_gpt_add(&gpt, 2, &secret);
	memset(gpt.disk, 0, 512);	/* no boot record: not complete */
	write_blocks(1, 0, 34);
	CHECK_EQ(read_blocks(1, SECRET_LBA), DENIED);
	memset(fake_gpt_entry(&gpt, false, 2), 0, 128);
	memset(fake_gpt_entry(&gpt, true, 2), 0, 128);
	fake_gpt_seal(&gpt);
	write_blocks(1, 0, 34);
	CHECK_EQ(read_blocks(1, SECRET_LBA), DENIED);
	gated_start(&gated_host);
	CHECK_EQ(read_blocks(1, SECRET_LBA), PASSED);
}

/* ---- What is read again, and when -------------------------------------- */

TEST(only_writes_of_the_table_are_followed_by_a_reading)
{
	gated_start_with(RULE);
	write_blocks(1, 34, 233);
	CHECK_EQ(reads_of(1, 50), 0);
	write_blocks(2, 2, 297);
	CHECK_EQ(reads_of(2, 50), 0);
	write_blocks(1, 33, 1);
	CHECK_EQ(reads_of(1, 50), 6);
	CHECK_EQ(reads_of(1, 50), 0);
	write_blocks(1, 266, 2);
	CHECK_EQ(reads_of(1, 50), 6);
	write_blocks(1, ~0ull, 2);
	CHECK_EQ(reads_of(1, 50), 6);
}

TEST(commands_of_no_known_range_are_followed_by_a_reading)
{
	static const struct nvme_io_command commands[] = {
		{ .admin = true, .opcode = 0x80, .nsid = 2,
		  .effects = NVME_IO_WHOLE },
		{ .opcode = 0x83, .nsid = 1, .effects = NVME_IO_UNKNOWN },
		{ .opcode = 0x01, .nsid = 0xffffffff, .lba = 1, .n_lbas = 1,
		  .effects = NVME_IO_WRITES },
	};

	gated_start_with(RULE);
	for (size_t i = 0; i < ARRAY_COUNT(commands); i++) {
		struct nvme_request req = { .command = commands[i] };

		fake_complete_command(&gated_host, &req, NVME_IO_SUCCESS);
		CHECK(reads_of(1, 50) >= 6);
	}
}

TEST(reads_and_discards_are_followed_by_no_reading)
{
	struct nvme_request read = make(2, 1, 0, 34);
	struct nvme_request discard = make(9, 1, 0, 0);

	discard.command.effects = NVME_IO_RANGES;
	gated_start_with(RULE);
	complete(&read);
	complete(&discard);
	CHECK_EQ(reads_of(1, 50), 0);
}

TEST(everything_but_the_harmless_waits_for_the_reading)
{
	static const u8 opcodes[] = { 0x01, 0x02, 0x05, 0x08, 0x83 };
	struct nvme_request req[ARRAY_COUNT(opcodes)];
	struct nvme_request flush = make(0, 1, 0, 0);
	struct nvme_request elsewhere = make(2, 2, 50, 1);

	gated_start_with(RULE);
	write_blocks(1, 0, 1);
	for (size_t i = 0; i < ARRAY_COUNT(opcodes); i++) {
		req[i] = make(opcodes[i], 1, 50, 1);
		send(&req[i]);
		CHECK(req[i].is_held);
	}
	send(&flush);
	check_passed(&flush);
	send(&elsewhere);
	check_passed(&elsewhere);
	CHECK_EQ(fake_pending_count(), 1);
	fake_complete_all();
	for (size_t i = 0; i < ARRAY_COUNT(opcodes); i++)
		check_passed(&req[i]);
}

TEST(discards_and_copies_wait_for_the_reading)
{
	struct nvme_request discard = make(9, 1, 0, 0);
	struct nvme_request copy = make(0x19, 1, 50, 1);
	struct nvme_io_copy_source source = { .lba_start = 60, .n_lbas = 1 };
	struct nvme_io_range range = { .lba_start = 50, .n_lbas = 1 };
	struct nvme_io_interceptor *gate;

	gated_start_with(RULE);
	gate = gated_host.interceptor;
	write_blocks(1, 0, 1);
	discard.host = copy.host = &gated_host;
	CHECK_EQ(gate->on_data_management(gate->interceptor, &discard, 1,
					  &range, sizeof(range), 1), 1);
	CHECK(discard.is_held);
	CHECK_EQ(gate->on_copy(gate->interceptor, &copy, &copy.command,
			       &source, 1), NVME_IO_HOLD);
	fake_complete_all();
	check_passed(&discard);
	check_passed(&copy);
}

TEST(all_is_clear_while_an_open_table_is_as_it_was_read)
{
	gated_start_with(RULE);
	CHECK(gated_is_clear(1, 0, 0, ~0ull));
	CHECK(gated_is_clear(2, SECRET_LBA, 0, ~0ull));
	fake_asked_again = 0;
	write_blocks(1, 50, 1);
	CHECK_EQ(fake_asked_again, 0);
}

/* Another CPU, as soon as it may learn anew. */
static void find_nothing_clear(void)
{
	CHECK(gated_is_clear(2, SECRET_LBA, 1, 0));
}

TEST(nothing_is_clear_from_a_write_of_the_table_until_it_is_read)
{
	gated_start_with(RULE);
	fake_asked_again = 0;
	fake_asking_again = find_nothing_clear;
	write_blocks(1, 0, 1);
	CHECK_EQ(fake_asked_again, 1);
	find_nothing_clear();
	CHECK_EQ(read_blocks(1, SECRET_LBA), PASSED);
	CHECK(gated_is_clear(2, SECRET_LBA, 0, ~0ull));
}

TEST(what_a_new_partition_leaves_is_clear_when_its_table_is_closed)
{
	struct fake_gpt gpt = gated_start_with(RULE);

	fake_gpt_add(&gpt, 2, &secret);
	write_blocks(1, 0, 34);
	CHECK_EQ(read_blocks(1, SECRET_LBA), DENIED);
	CHECK(gated_is_clear(2, 50, 0, SECRET_LBA - 1));
	CHECK(gated_is_clear(1, 50, 34, SECRET_LBA - 1));
}

TEST(a_table_of_another_namespace_is_not_waited_for)
{
	gated_start_with(RULE);
	write_blocks(2, 0, 1);
	CHECK(gated_is_clear(2, SECRET_LBA, 0, ~0ull));
}

TEST(two_tables_are_read_one_after_the_other)
{
	struct nvme_request first = make(2, 1, 50, 1);
	struct nvme_request second = make(2, 2, 50, 1);
	struct nvme_request all = make(2, 0xffffffff, 50, 1);

	gated_start_with(RULE);
	write_blocks(1, 0, 1);
	write_blocks(2, 0, 1);
	send(&first);
	send(&second);
	send(&all);
	CHECK(first.is_held && second.is_held && all.is_held);
	CHECK_EQ(fake_pending_count(), 1);
	fake_complete_all();
	check_passed(&first);
	check_passed(&second);
	check_passed(&all);
}

/* Of an empty disk only the headers are watched; the entries, under way since
 * before, come too late for the reading. */
TEST(what_is_written_during_a_reading_is_read_once_more)
{
	struct fake_gpt gpt = { .block_size = 512, .lba_count = 300 };
	struct nvme_request late = make(1, 2, 2, 32);
	struct nvme_request req = make(2, 2, SECRET_LBA, 1);

	gated_start_with(RULE);
	gpt.disk = gated_host.namespaces[1].disk;
	send(&late);
	write_blocks(2, 0, 2);
	send(&req);
	CHECK_EQ(fake_pending_count(), 1);
	fake_complete_one();
	CHECK_EQ(fake_pending_count(), 1);
	fake_gpt_init(&gpt);
	fake_gpt_add(&gpt, 0, &secret);
	complete(&late);
	fake_complete_all();
	CHECK(!req.is_held);
	CHECK_EQ(req.completion.status, DENIED);
}

/* ---- Trouble ------------------------------------------------------------ */

TEST(a_reading_that_fails_changes_nothing_and_is_made_up_for)
{
	struct fake_gpt gpt = gated_start_with(RULE);

	fake_gpt_add(&gpt, 2, &secret);
	gated_host.faults[0] = (struct fake_fault){ 1, NVME_IO_TIMED_OUT };
	gated_host.faults[1] = (struct fake_fault){ 299, NVME_IO_TIMED_OUT };
	write_blocks(1, 0, 34);
	CHECK_EQ(read_blocks(1, SECRET_LBA), PASSED);
	gated_host.faults[0].status = gated_host.faults[1].status = 0;
	write_blocks(1, 50, 1);
	CHECK_EQ(read_blocks(1, SECRET_LBA), DENIED);
}

TEST(a_reading_that_cannot_begin_holds_nobody_up)
{
	struct fake_gpt gpt = gated_start_with(RULE);

	fake_gpt_add(&gpt, 2, &secret);
	gated_host.refuses_requests = true;
	write_blocks(1, 0, 34);
	CHECK_EQ(read_blocks(1, SECRET_LBA), PASSED);
	gated_host.refuses_requests = false;
	write_blocks(1, 50, 1);
	CHECK_EQ(read_blocks(1, SECRET_LBA), DENIED);
}

TEST(a_reset_during_a_reading_lets_go_of_what_waits)
{
	struct fake_gpt gpt = gated_start_with(RULE);
	struct nvme_request req = make(2, 1, SECRET_LBA, 1);

	fake_gpt_add(&gpt, 2, &secret);
	write_blocks(1, 0, 34);
	send(&req);
	CHECK(req.is_held);
	gated_host.faults[0] = (struct fake_fault){ 1, NVME_IO_ABORTED };
	fake_complete_all();
	CHECK(!req.is_held);
	gated_host.faults[0].status = 0;
	gated_start(&gated_host);
	CHECK_EQ(read_blocks(1, SECRET_LBA), DENIED);
	CHECK_EQ(gated_write(1, 1), PROTECTED);
}
