/* SPDX-License-Identifier: BSD-2-Clause */
/* The fault plug-in in the driver as it is. */
#include <string.h>

#include "fake_gpt.h"
#include "fake_guest.h"
#include "fake_log.h"
#include "fake_machine.h"
#include "fake_nvme.h"
#include "test.h"

#define LBAS 16384

static struct guest_cq cq;
static struct guest_sq sq;
static u8 *image, *buffer;

static void start(void)
{
	static const struct fake_gpt_partition data = {
		4096, 8191, 0xbb, "data",
	};
	struct fake_gpt gpt = { .block_size = 512, .lba_count = LBAS };

	image = gpt.disk = fake_nvme.namespaces[0].data;
	fake_gpt_init(&gpt);
	fake_gpt_add(&gpt, 0, &data);
	CHECK_EQ(fake_machine_attach(), 0);
	CHECK(guest_enable(0));
	CHECK_EQ(guest_create_cq(&cq, 1, 16, true), 0);
	CHECK_EQ(guest_create_sq(&sq, 1, 16, &cq), 0);
	buffer = fake_ram(65536, 4096);
	memset(buffer, 0x5a, 65536);
}

static void rule(const char *value)
{
	if (fake_configure("fault", value))
		FAIL("%s: %s", value, fake_machine.boot_info.error);
}

static void start_with(const char *value)
{
	guest_boot();
	rule(value);
	start();
}

static u16 run(u8 opcode, u64 lba, u32 n_lbas)
{
	struct nvme_sqe sqe = guest_rw(opcode, lba, n_lbas, buffer);

	return guest_run(&sq, &sqe, NULL);
}

static u16 read_at(u64 lba)
{
	return run(NVME_CMD_READ, lba, 8);
}

static u16 write_at(u64 lba, u32 n_lbas)
{
	return run(NVME_CMD_WRITE, lba, n_lbas);
}

/* One at `lba`, nobody waits for it. */
static void send(u8 opcode, u64 lba, u32 n_lbas)
{
	struct nvme_sqe sqe = guest_rw(opcode, lba, n_lbas, buffer);

	guest_put(&sq, &sqe);
	guest_ring(&sq);
}

static u32 blocks_written(u64 lba, u32 n_lbas)
{
	u32 count = 0;

	for (u32 i = 0; i < n_lbas; i++)
		count += image[(lba + i) * 512] == 0x5a &&
			 image[(lba + i) * 512 + 511] == 0x5a;
	return count;
}

/* ---- Lines -------------------------------------------------------------- */

TEST(what_is_no_rule_is_answered_with_what_was_expected)
{
	static const struct {
		const char *value, *why;
	} rows[] = {
		{ "", "expected what is to happen" },
		{ "on=read", "expected what is to happen" },
		{ "drop error=0x281", "expected drop or error=, not both" },
		{ "error=0", "expected error=" },
		{ "error=0x8000", "expected error=" },
		{ "error=0x281,", "expected error=" },
		{ "tear=3", "expected on=write with tear=" },
		{ "tear=3 on=admin", "expected on=write with tear=" },
		{ "tear=65536 on=write", "expected tear=" },
		{ "drop on=reed", "expected on=" },
		{ "drop on=256", "expected on=" },
		{ "drop lba=9-8", "expected lba=" },
		{ "drop lba=-8", "expected lba=" },
		{ "drop nth=0", "expected nth=" },
		{ "drop every=x", "expected every=" },
		{ "drop one-in=0", "expected one-in=" },
		{ "drop times=", "expected times=" },
		{ "drops", "expected PARTUUID=" },
		{ "drop PARTLABEL=a on=read", "expected PARTUUID=" },
	};

	guest_boot();
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		CHECK(fake_configure("fault", rows[i].value));
		if (!strstr(fake_machine.boot_info.error, rows[i].why))
			FAIL("%s: %s", rows[i].value,
			     fake_machine.boot_info.error);
	}
	CHECK(fake_configure("fault.seed", "x"));
	CHECK(fake_configure("fault.other", "1"));
}

TEST(without_a_rule_it_does_not_take_part)
{
	guest_boot();
	start();
	CHECK(!fake_log_has("fault"));
	CHECK_EQ(read_at(0), 0);
}

/* ---- Which commands ------------------------------------------------------ */

TEST(an_error_is_for_the_opcode_and_the_blocks_it_names)
{
	start_with("error=0x281 on=read lba=100-107");
	CHECK_EQ(read_at(92), 0);
	CHECK_EQ(read_at(93), 0x281);
	CHECK_EQ(read_at(107), 0x281);
	CHECK_EQ(read_at(108), 0);
	CHECK_EQ(write_at(100, 8), 0);
	CHECK_EQ(run(NVME_CMD_FLUSH, 0, 1), 0);
	CHECK_EQ(fake_nvme_last(false, NVME_CMD_READ)->cdw10, 108);
}

TEST(a_partition_is_found_by_its_name)
{
	start_with("error=0x281 PARTLABEL=data");
	CHECK_EQ(read_at(4088), 0);
	CHECK_EQ(read_at(4089), 0x281);
	CHECK_EQ(write_at(8191, 1), 0x281);
	CHECK_EQ(read_at(8192), 0);
}

TEST(a_rule_that_names_nothing_here_says_so)
{
	start_with("error=0x281 PARTLABEL=other");
	CHECK(fake_log_has("fault: line 1: matches nothing here"));
	CHECK_EQ(read_at(4096), 0);
}

TEST(an_admin_command_can_fail)
{
	start_with("error=0x6 on=admin:0x18 times=1");
	CHECK_EQ(guest_admin(NVME_ADMIN_KEEP_ALIVE, 0, 0, 0, NULL), 6);
	CHECK_EQ(guest_admin(NVME_ADMIN_KEEP_ALIVE, 0, 0, 0, NULL), 0);
}

TEST(the_n_th_and_every_n_th_fail)
{
	guest_boot();
	rule("error=0x281 on=read nth=3");
	rule("error=0x280 on=write every=2 times=2");
	start();
	for (int i = 1; i <= 6; i++) {
		CHECK_EQ(read_at(0), i == 3 ? 0x281 : 0);
		CHECK_EQ(write_at(64, 1), i == 2 || i == 4 ? 0x280 : 0);
	}
}

/* ---- Chance --------------------------------------------------------------- */

static u64 draw(const char *seed)
{
	u64 failed = 0;

	guest_boot();
	CHECK_EQ(fake_configure("fault.seed", seed), 0);
	rule("error=0x281 one-in=4");
	start();
	for (int i = 0; i < 64; i++)
		failed |= (u64)(read_at(0) == 0x281) << i;
	return failed;
}

/* One of four: 64 draws are 16 in the mean, with a deviation of 3.5. */
TEST(chance_is_as_often_as_it_is_said_to_be)
{
	int count = __builtin_popcountll(draw("7"));

	CHECK(count >= 6 && count <= 28);
}

/* Frozen: who has found a bug with a seed finds it again in ten years. */
TEST(a_seed_says_which_commands_fail)
{
	CHECK_EQ(draw("42"), 0x041804c001184088);
}

TEST(another_seed_has_other_faults)
{
	CHECK(draw("43") != 0x041804c001184088);
}

/* ---- Torn writes ----------------------------------------------------------- */

TEST(a_torn_write_leaves_its_first_blocks)
{
	start_with("tear=3 on=write nth=1");
	CHECK_EQ(write_at(200, 8), 0);
	CHECK_EQ(blocks_written(200, 8), 3);
	CHECK_EQ(blocks_written(200, 3), 3);
	CHECK_EQ(write_at(200, 8), 0);
	CHECK_EQ(blocks_written(200, 8), 8);
}

TEST(a_torn_write_can_end_with_an_error)
{
	start_with("tear=100 error=0x280 on=write");
	CHECK_EQ(write_at(200, 128), 0x280);
	CHECK_EQ(blocks_written(200, 128), 100);
}

TEST(a_write_torn_at_zero_writes_nothing_and_succeeds)
{
	start_with("tear=0 on=write");
	CHECK_EQ(write_at(200, 8), 0);
	CHECK_EQ(blocks_written(200, 8), 0);
}

TEST(several_torn_writes_at_once_take_their_turns)
{
	struct nvme_cqe cqe;

	start_with("tear=2 on=write");
	for (u32 i = 0; i < 10; i++)
		send(NVME_CMD_WRITE, 1000 + i * 8, 8);
	for (u32 i = 0; i < 10; i++) {
		CHECK(guest_wait(&cq, &cqe));
		CHECK_EQ(cqe.status, 0);
		guest_consumed(&cq);
	}
	CHECK_EQ(blocks_written(1000, 80), 20);
}

/* ---- No answer -------------------------------------------------------------- */

/* A reset, and queues as before. */
static void reset(void)
{
	CHECK(guest_disable());
	CHECK(guest_enable(0));
	CHECK_EQ(guest_create_cq(&cq, 1, 16, true), 0);
	CHECK_EQ(guest_create_sq(&sq, 1, 16, &cq), 0);
}

TEST(a_dropped_command_keeps_no_other_back)
{
	start_with("drop on=write nth=1");
	send(NVME_CMD_WRITE, 300, 8);
	guest_idle(100);
	CHECK_EQ(read_at(0), 0);
	CHECK_EQ(blocks_written(300, 8), 0);
	CHECK_EQ(write_at(300, 8), 0);
}

TEST(a_dropped_write_can_have_been_written)
{
	start_with("tear=all drop on=write nth=1");
	send(NVME_CMD_WRITE, 300, 8);
	guest_idle(100);
	CHECK_EQ(read_at(0), 0);
	CHECK_EQ(blocks_written(300, 8), 8);
}

TEST(resets_after_dropped_commands_cost_no_memory)
{
	size_t pages;

	start_with("drop on=write");
	send(NVME_CMD_WRITE, 300, 8);
	reset();
	pages = fake_machine.sluice_pages;
	for (int i = 0; i < 50; i++) {
		send(NVME_CMD_WRITE, 300, 8);
		guest_idle(20);
		reset();
		CHECK_EQ(fake_machine.sluice_pages, pages);
	}
	CHECK_EQ(read_at(0), 0);
}

TEST(a_reset_in_the_middle_of_torn_writes_comes_back)
{
	size_t pages;

	start_with("tear=64 on=write");
	pages = fake_machine.sluice_pages;
	fake_nvme.is_stalled = true;
	for (u32 i = 0; i < 8; i++)
		send(NVME_CMD_WRITE, 1000 + i * 128, 128);
	guest_idle(20);
	fake_nvme.is_stalled = false;
	reset();
	CHECK_EQ(write_at(5000, 128), 0);
	CHECK_EQ(blocks_written(5000, 128), 64);
	CHECK_EQ(fake_machine.sluice_pages, pages);
}

/* ---- Later ------------------------------------------------------------------ */

static u64 time_of_read(void)
{
	u64 begun_us = fake_machine.now_us;

	CHECK_EQ(read_at(0), 0);
	return fake_machine.now_us - begun_us;
}

TEST(a_delayed_command_is_answered_after_its_time)
{
	u64 taken_us;

	start_with("delay=5000 on=read nth=2");
	CHECK(time_of_read() < 1000);
	taken_us = time_of_read();
	CHECK(taken_us >= 5000 && taken_us < 5200);
	CHECK(time_of_read() < 1000);
}

TEST(delays_by_chance_are_between_their_bounds)
{
	u64 longest_us = 0;

	start_with("delay=100-5000 on=read");
	for (int i = 0; i < 20; i++) {
		u64 taken_us = time_of_read();

		CHECK(taken_us >= 100 && taken_us < 5200);
		longest_us = taken_us > longest_us ? taken_us : longest_us;
	}
	CHECK(longest_us > 2000);
}

TEST(a_delay_can_be_followed_by_an_error)
{
	start_with("delay=300 error=0x281 on=read");
	CHECK_EQ(read_at(0), 0x281);
	CHECK(fake_machine.now_us >= 300);
}

TEST(later_commands_overtake_a_delayed_one)
{
	struct nvme_cqe cqe;

	guest_boot();
	rule("delay=3000 on=read lba=0-7");
	rule("delay=1000 on=read lba=8-15");
	start();
	send(NVME_CMD_READ, 0, 8);
	send(NVME_CMD_READ, 8, 8);
	send(NVME_CMD_READ, 16, 8);
	for (u16 i = 3; i--;) {
		CHECK(guest_wait(&cq, &cqe));
		CHECK_EQ(cqe.cid, sq.next_cid - 3 + i);
		guest_consumed(&cq);
	}
}

TEST(a_reset_while_commands_are_delayed_leaves_nothing)
{
	size_t pages;

	start_with("delay=100000 on=write");
	pages = fake_machine.sluice_pages;
	for (u32 i = 0; i < 10; i++)
		send(NVME_CMD_WRITE, 1000 + i * 8, 8);
	reset();
	guest_idle(200000);
	fake_interrupt();
	CHECK_EQ(fake_machine.sluice_pages, pages);
	CHECK_EQ(blocks_written(1000, 80), 0);
	CHECK_EQ(read_at(0), 0);
}

/* ---- Orders ----------------------------------------------------------------- */

static u16 order(const char *text)
{
	u16 status = guest_order(1, text, buffer);

	memset(buffer, 0x5a, 65536);
	return status;
}

static void start_for_orders(void)
{
	guest_boot();
	CHECK_EQ(fake_configure("fault.orders", "on"), 0);
	start();
}

TEST(an_ordered_fault_comes_and_goes)
{
	start_for_orders();
	CHECK_EQ(read_at(4096), 0);
	CHECK_EQ(order("error=0x281 on=read PARTLABEL=data"), 0);
	guest_idle(1000);
	fake_interrupt();
	CHECK_EQ(read_at(4096), 0x281);
	CHECK_EQ(read_at(4000), 0);
	CHECK_EQ(order("tear=3 on=write"), 0);
	guest_idle(1000);
	CHECK_EQ(write_at(9000, 8), 0);
	CHECK_EQ(blocks_written(9000, 8), 3);
	CHECK_EQ(order("clear"), 0);
	CHECK_EQ(write_at(9000, 8), 0);
	CHECK_EQ(blocks_written(9000, 8), 8);
	CHECK_EQ(read_at(4096), 0);
}

TEST(one_of_several_faults_is_cleared_and_the_others_go_on)
{
	guest_boot();
	CHECK_EQ(fake_configure("fault.orders", "on"), 0);
	rule("error=0x281 on=read lba=8-15");
	start();
	CHECK_EQ(order("error=0x280 on=write lba=99"), 0);
	CHECK_EQ(order("error=0x281 on=read PARTLABEL=data"), 0);
	guest_idle(1000);
	fake_interrupt();
	CHECK_EQ(read_at(4096), 0x281);
	CHECK_STR(guest_list(1, buffer),
		  "number=1\trule=error=0x281 on=read lba=8-15\tfrom=line 1\t"
		  "seen=0\tfired=0\n"
		  "number=2\trule=error=0x280 on=write lba=99\tfrom=order\t"
		  "seen=0\tfired=0\n"
		  "number=3\trule=error=0x281 on=read PARTLABEL=data\t"
		  "from=order\tseen=1\tfired=1\n");
	CHECK_EQ(order("clear 1"), 0);
	guest_idle(1000);
	fake_interrupt();
	CHECK_EQ(read_at(8), 0);
	CHECK_EQ(write_at(99, 1), 0x280);
	CHECK_EQ(read_at(4097), 0x281);
	CHECK_STR(guest_list(1, buffer),
		  "number=1\trule=error=0x280 on=write lba=99\tfrom=order\t"
		  "seen=1\tfired=1\n"
		  "number=2\trule=error=0x281 on=read PARTLABEL=data\t"
		  "from=order\tseen=2\tfired=2\n");
}

TEST(only_a_number_of_the_list_is_cleared)
{
	static const char *const bad[] = {
		"clear 0", "clear 2", "clear -1", "clear 1x", "clear x",
		"clear ", "clear  1", "clear 4294967297",
		"clear 18446744073709551617",
	};

	start_for_orders();
	CHECK_EQ(order("error=0x281 on=read"), 0);
	for (size_t i = 0; i < ARRAY_COUNT(bad); i++)
		if (!order(bad[i]))
			FAIL("%s", bad[i]);
	CHECK_EQ(read_at(0), 0x281);
	CHECK_EQ(order("clear 1"), 0);
	CHECK_EQ(read_at(0), 0);
}

TEST(ordered_faults_outlast_a_reset)
{
	start_for_orders();
	CHECK_EQ(order("error=0x281 on=read"), 0);
	reset();
	CHECK_EQ(read_at(0), 0x281);
}

TEST(orders_that_are_none_or_not_allowed_change_nothing)
{
	start_with("error=0x281 on=read lba=0-7");
	CHECK(order("clear"));
	CHECK(order("error=0x280 on=write"));
	CHECK_EQ(read_at(0), 0x281);
	CHECK_EQ(write_at(0, 8), 0);
}

TEST(a_bad_order_is_refused_and_no_more_than_fit_are_taken)
{
	start_for_orders();
	CHECK(order("eror=0x281"));
	CHECK(order(""));
	for (int i = 0; i < 32; i++) {
		CHECK_EQ(order("error=0x281 on=write lba=99"), 0);
		guest_idle(100);
	}
	CHECK(order("error=0x281 on=write lba=99"));
	CHECK_EQ(read_at(0), 0);
}

TEST(what_is_held_when_rules_are_cleared_ends_as_it_was_to)
{
	struct nvme_cqe cqe;

	start_for_orders();
	CHECK_EQ(order("delay=5000 error=0x281 on=read"), 0);
	send(NVME_CMD_READ, 0, 8);
	CHECK_EQ(order("clear"), 0);
	CHECK(guest_wait(&cq, &cqe));
	CHECK_EQ(cqe.status, 0x281);
	guest_consumed(&cq);
}
