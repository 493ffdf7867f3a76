/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * An overlay with a store, in the driver as it is: what the guest reads is
 * what it wrote, the base is as it was, and the store is out of reach.
 */
#include <string.h>

#include "fake_log.h"
#include "fake_machine.h"
#include "fake_nvme.h"
#include "fake_overlaid.h"
#include "nvme_io.h"
#include "test.h"

#define STORE 8200
#define STORE_COUNT 8000
#define FORCED (1u << 30)	/* CDW12 */

static void boot_with(const char *overlay, const char *store, u32 store_count)
{
	const struct fake_gpt_partition partition = {
		STORE, STORE + store_count - 1, 0xcc, "store",
	};

	overlaid_boot();
	overlaid_line("overlay", overlay);
	overlaid_line("overlay.store", store);
	overlaid_make_disk(&partition);
	overlaid_attach();
}

static void boot(u32 store_count)
{
	boot_with("memory=2 PARTLABEL=data", "PARTLABEL=store", store_count);
}

static void start(void)
{
	boot(STORE_COUNT);
}

static u16 discard(u64 lba, u32 n_lbas)
{
	struct nvme_dsm_range range = { .lba = lba, .n_lbas = n_lbas };

	return overlaid_discard(&range, 1);
}

/* But for the store. */
static void check_intact(void)
{
	CHECK(!memcmp(overlaid.image, overlaid.base, STORE * 512));
	CHECK(!memcmp(overlaid.image + (STORE + STORE_COUNT) * 512,
		      overlaid.base + (STORE + STORE_COUNT) * 512,
		      (LBAS - STORE - STORE_COUNT) * 512));
}

TEST(a_store_belongs_to_the_overlay_before_it)
{
	guest_boot();
	CHECK(fake_configure("overlay.store", "PARTLABEL=store"));
	CHECK(fake_configure("overlay.boot", "keep"));
	CHECK_EQ(fake_configure("overlay", "memory=2 PARTLABEL=data"), 0);
	CHECK(fake_configure("overlay.store", "store"));
	CHECK(fake_configure("overlay.boot", "yes"));
	CHECK_EQ(fake_configure("overlay.boot", "discard"), 0);
	CHECK(fake_configure("overlay.store", "PARTLABEL=store"));
}

TEST(what_was_written_is_on_the_store_and_is_read_from_there)
{
	start();
	CHECK(fake_log_has("writes go to n1 lba 8200, 0 KiB of 3872 KiB used"));
	CHECK_EQ(overlaid_write(FIRST + 3, 13, 0x5a), 0);
	CHECK_EQ(overlaid_write(FIRST + 5, 1, 0x5b), 0);
	CHECK_EQ(overlaid_zero(FIRST + 6, 1), 0);
	CHECK_EQ(overlaid_zero(FIRST + 100, 1000), 0);
	CHECK_EQ(overlaid_write(FIRST + 1000, 900, 0x5c), 0);
	overlaid_check(FIRST, 32);
	overlaid_check_all();
	check_intact();
}

static void check_read_only(const char *why)
{
	if (!fake_log_has(why))
		FAIL("not said: %s", why);
	memset(overlaid.buffer, 0x11, 4096);
	CHECK_EQ(overlaid_run(NVME_CMD_WRITE, FIRST, 8), WRITE_PROTECTED);
	overlaid_check(FIRST, 8);
	CHECK(!memcmp(overlaid.image, overlaid.base, sizeof(overlaid.base)));
}

TEST(without_its_store_a_place_is_read_only)
{
	boot_with("memory=2 PARTLABEL=data", "PARTLABEL=none", STORE_COUNT);
	check_read_only("read-only: the store is not there (line");
}

TEST(a_store_within_its_own_overlay_is_none)
{
	boot_with("memory=2 FAKE1:n1", "PARTLABEL=store", STORE_COUNT);
	check_read_only("read-only: the store is over something else");
}

TEST(a_store_that_is_too_small_is_none)
{
	boot(500);
	check_read_only("read-only: the store wants 256 KiB to 16 TiB");
}

TEST(a_bit_bucket_takes_its_part_of_a_read)
{
	start();
	overlaid_check_bit_bucket();
}

TEST(the_guest_cannot_reach_the_store)
{
	start();
	memset(overlaid.buffer, 0x11, 4096);
	CHECK_EQ(overlaid_run(NVME_CMD_READ, STORE, 8), ACCESS_DENIED);
	CHECK_EQ(overlaid_run(NVME_CMD_READ, STORE - 1, 2), ACCESS_DENIED);
	CHECK_EQ(overlaid_run(NVME_CMD_WRITE, STORE + STORE_COUNT - 1, 2),
		 ACCESS_DENIED);
	CHECK_EQ(overlaid_run(NVME_CMD_COMPARE, STORE + 100, 8), ACCESS_DENIED);
	CHECK_EQ(overlaid_run(NVME_CMD_WRITE_ZEROES, STORE - 10,
			      STORE_COUNT + 20), ACCESS_DENIED);
	CHECK_EQ(discard(STORE + 5, 10), ACCESS_DENIED);
	CHECK_EQ(overlaid_run(NVME_CMD_READ, STORE - 1, 1), 0);
	CHECK_EQ(overlaid_run(NVME_CMD_READ, STORE + STORE_COUNT, 1), 0);
}

TEST(the_guest_is_told_to_flush)
{
	struct nvme_id_ctrl *id;
	u32 result = 0;
	struct nvme_sqe sqe = {
		.opcode = NVME_ADMIN_GET_FEATURES, .cdw10 = 6,
	};

	start();
	id = (void *)overlaid.buffer;
	CHECK_EQ(guest_admin(NVME_ADMIN_IDENTIFY, 0, 1, 0, overlaid.buffer), 0);
	CHECK_EQ(((u8 *)id)[525] & 1, 1);
	CHECK_EQ(guest_run(&guest.admin, &sqe, &result), 0);
	CHECK_EQ(result, 1);
	CHECK_EQ(guest_admin(NVME_ADMIN_SET_FEATURES, 0, 6, 0, NULL), 0x410e);
}

static u32 last_of(u8 opcode)
{
	u32 last = 0;

	for (u32 i = 0; i < fake_nvme.record_count; i++)
		if (fake_nvme.records[i].sq_id &&
		    fake_nvme.records[i].sqe.opcode == opcode)
			last = i + 1;
	return last;
}

TEST(a_flush_is_answered_when_the_log_is_safe)
{
	start();
	fake_nvme_forget();
	CHECK_EQ(overlaid_write(FIRST, 8, 0x5a), 0);
	CHECK_EQ(fake_nvme_seen(false, NVME_CMD_WRITE), 1);
	fake_nvme_forget();
	CHECK_EQ(overlaid_run(NVME_CMD_FLUSH, 0, 0), 0);
	CHECK_EQ(fake_nvme_seen(false, NVME_CMD_WRITE), 1);
	CHECK_EQ(fake_nvme_seen(false, NVME_CMD_FLUSH), 3);
	CHECK(last_of(NVME_CMD_WRITE) < last_of(NVME_CMD_FLUSH));
	fake_nvme_forget();
	CHECK_EQ(overlaid_run(NVME_CMD_FLUSH, 0, 0), 0);
	CHECK_EQ(fake_nvme_seen(false, NVME_CMD_WRITE), 0);
	CHECK_EQ(fake_nvme_seen(false, NVME_CMD_FLUSH), 1);
}

TEST(a_forced_write_needs_no_flush)
{
	struct nvme_sqe sqe;

	start();
	fake_nvme_forget();
	memset(overlaid.buffer, 1, 4096);
	sqe = guest_rw(NVME_CMD_WRITE, FIRST, 8, overlaid.buffer);
	sqe.cdw12 |= FORCED;
	CHECK_EQ(guest_run(&overlaid.sq, &sqe, NULL), 0);
	CHECK_EQ(fake_nvme_seen(false, NVME_CMD_WRITE), 2);
	CHECK(fake_nvme_seen(false, NVME_CMD_FLUSH) >= 2);
}

TEST(when_the_store_is_full_writes_fail_and_all_else_is_as_before)
{
	u32 lba;

	boot(2000);
	lba = overlaid_fill();
	CHECK(fake_log_has("PARTLABEL=data: 8"));
	CHECK(fake_log_has("of the store is used"));
	CHECK(fake_log_has("full: a write has failed"));
	overlaid_check_all();
	CHECK(!memcmp(overlaid.image, overlaid.base, STORE * 512));
	CHECK_EQ(overlaid_zero(FIRST + 64, 640), 0);
	CHECK_EQ(overlaid_write(lba, 64, 0x45), 0);
	for (u32 i = 0; i < 100; i++)
		CHECK_EQ(overlaid_write(lba, 64, (u8)i), 0);
	overlaid_check_all();
}

TEST(a_reset_of_the_controller_keeps_what_was_written)
{
	start();
	CHECK_EQ(overlaid_write(FIRST, 100, 0x5a), 0);
	for (int i = 0; i < 5; i++)
		overlaid_reset();
	overlaid_check_all();
	check_intact();
}

/* ---- Orders -------------------------------------------------------------- */

static void wait_for(const char *line)
{
	for (u32 i = 0; !fake_log_has(line); i++) {
		CHECK(i < 100000);
		guest_idle(10);
	}
}

TEST(a_discarded_overlay_shows_the_base)
{
	start();
	CHECK_EQ(overlaid_write(FIRST, 100, 0x5a), 0);
	overlaid_order("discard");
	wait_for("PARTLABEL=data: discarded");
	memcpy(overlaid.model, overlaid.base, sizeof(overlaid.model));
	overlaid_check_all();
	check_intact();
}

TEST(a_committed_overlay_is_in_the_base)
{
	start();
	CHECK_EQ(overlaid_write(FIRST, 1000, 0x5a), 0);
	CHECK_EQ(overlaid_zero(FIRST + 500, 2000), 0);
	CHECK_EQ(overlaid_write(FIRST + 777, 3, 0x5b), 0);
	overlaid_order("commit");
	wait_for("PARTLABEL=data: committed");
	CHECK(!memcmp(overlaid.image, overlaid.model, STORE * 512));
	overlaid_check_all();
	CHECK_EQ(overlaid_write(FIRST, 1, 0x5c), 0);
	CHECK(memcmp(overlaid.image, overlaid.model, STORE * 512));
	overlaid_check_all();
}

TEST(what_is_written_during_a_commit_is_committed_too)
{
	start();
	for (u32 i = 0; i < 64; i++)
		CHECK_EQ(overlaid_write(FIRST + i * 60, 9, (u8)i), 0);
	overlaid_order("commit");
	for (u32 i = 0; !fake_log_has(": committed"); i++) {
		CHECK(i < 20000);
		CHECK_EQ(overlaid_write(FIRST + i % 64 * 60, 5, (u8)(i + 100)),
			 0);
		overlaid_check(FIRST + i * 37 % 4000, 5);
	}
	overlaid_check_all();
}

TEST(a_commit_that_a_reset_interrupts_goes_on)
{
	start();
	CHECK_EQ(overlaid_write(FIRST, 1000, 0x5a), 0);
	overlaid_order("commit");
	for (u32 wait = 0; wait < 30; wait++) {
		guest_idle(wait);
		overlaid_reset();
		overlaid_check(FIRST + wait, 100);
	}
	wait_for("PARTLABEL=data: committed");
	CHECK(!memcmp(overlaid.image, overlaid.model, STORE * 512));
	overlaid_check_all();
}

/* ---- When the drive fails ------------------------------------------------ */

TEST(a_flush_that_fails_says_so_and_the_next_makes_up_for_it)
{
	start();
	CHECK_EQ(overlaid_write(FIRST, 8, 0x5a), 0);
	for (u32 i = 1; i < 4; i++) {
		fake_nvme.fail_countdown = i;
		fake_nvme.fail_status = 0x280;
		CHECK_EQ(overlaid_run(NVME_CMD_FLUSH, 0, 0), 0x280);
		CHECK_EQ(overlaid_write(FIRST + i, 8, (u8)i), 0);
	}
	CHECK_EQ(overlaid_run(NVME_CMD_FLUSH, 0, 0), 0);
	overlaid_check_all();
}

TEST(a_write_that_fails_says_so_and_what_was_there_stays)
{
	start();
	CHECK_EQ(overlaid_write(FIRST, 8, 0x5a), 0);
	memset(overlaid.buffer, 0x77, 4096);
	fake_nvme.fail_countdown = 1;
	fake_nvme.fail_status = 0x280;
	CHECK_EQ(overlaid_run(NVME_CMD_WRITE, FIRST + 5, 8), 0x280);
	overlaid_check_all();
	CHECK_EQ(overlaid_write(FIRST + 5, 8, 0x78), 0);
	overlaid_check_all();
}

TEST(a_request_without_an_answer_closes_it_until_a_reset)
{
	struct nvme_sqe sqe;
	struct nvme_cqe cqe;

	start();
	CHECK_EQ(overlaid_write(FIRST, 8, 0x5a), 0);
	memset(overlaid.buffer, 0x77, 4096);
	sqe = guest_rw(NVME_CMD_WRITE, FIRST + 20, 8, overlaid.buffer);
	fake_nvme.is_stalled = true;
	guest_put(&overlaid.sq, &sqe);
	guest_ring(&overlaid.sq);
	guest_idle(100);
	fake_machine.now_us += 5100000;
	guest_idle(100000);
	fake_nvme.is_stalled = false;
	CHECK(guest_wait(&overlaid.cq, &cqe));
	CHECK_EQ(cqe.status, NVME_IO_TIMED_OUT);
	overlaid.sq.head = cqe.sq_head;
	guest_consumed(&overlaid.cq);
	CHECK_EQ(overlaid_run(NVME_CMD_READ, FIRST, 8), NVME_IO_INTERNAL_ERROR);
	CHECK_EQ(overlaid_run(NVME_CMD_FLUSH, 0, 0), NVME_IO_INTERNAL_ERROR);
	overlaid_reset();
	overlaid_check_all();
	CHECK_EQ(overlaid_write(FIRST + 20, 8, 0x78), 0);
	overlaid_check_all();
}

/* ---- The guest leaves ---------------------------------------------------- */

static void check_is_logged(u32 cc)
{
	start();
	CHECK_EQ(overlaid_write(FIRST, 8, 0x5a), 0);
	fake_nvme_forget();
	guest_write32(NVME_REG_CC, cc);
	for (u32 i = 0; fake_nvme.cc != cc; i++) {
		CHECK(i < 10000);
		guest_read32(NVME_REG_CSTS);
		guest_idle(10);
	}
	CHECK_EQ(fake_nvme_seen(false, NVME_CMD_WRITE), 1);
	CHECK(last_of(NVME_CMD_WRITE) < last_of(NVME_CMD_FLUSH));
}

#define ENABLED (6 << 16 | 4 << 20 | NVME_CC_EN)

TEST(a_shutdown_waits_until_what_was_written_is_safe)
{
	check_is_logged(ENABLED | 1 << 14);
}

TEST(so_does_the_end_of_a_controller)
{
	check_is_logged(ENABLED & ~NVME_CC_EN);
}

/* ---- Anything ------------------------------------------------------------ */

static void do_anything(u64 *state)
{
	u32 n_lbas = 1 + overlaid_random(state, 200);
	u32 lba = FIRST + overlaid_random(state, COUNT - n_lbas);

	switch (overlaid_random(state, 8)) {
	case 0 ... 2:
		CHECK_EQ(overlaid_write(lba, n_lbas, (u8)*state), 0);
		break;
	case 3:
		CHECK_EQ(overlaid_zero(lba, n_lbas), 0);
		break;
	case 4:
		CHECK_EQ(discard(lba, n_lbas), 0);
		break;
	case 5:
		CHECK_EQ(overlaid_run(NVME_CMD_FLUSH, 0, 0), 0);
		break;
	default:
		overlaid_check(lba, n_lbas);
	}
}

TEST(thousands_of_commands_in_any_order_are_as_in_the_model)
{
	u64 state = 1;

	start();
	for (int i = 0; i < 3000; i++)
		do_anything(&state);
	overlaid_check_all();
	check_intact();
}
