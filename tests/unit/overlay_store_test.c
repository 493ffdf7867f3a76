/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * An overlay with a store, in the driver as it is: what the guest reads is
 * what it wrote, the base is as it was, and the store is out of reach.
 */
#include <string.h>

#include "bits.h"
#include "fake_gpt.h"
#include "fake_guest.h"
#include "fake_log.h"
#include "fake_machine.h"
#include "fake_nvme.h"
#include "nvme_io.h"
#include "test.h"

#define LBAS 16384
#define FIRST 4099		/* of the partition: not where a chunk begins */
#define COUNT 4093
#define STORE 8200
#define STORE_COUNT 8000
#define CAPACITY_EXCEEDED 0x4081
#define ACCESS_DENIED 0x4286
#define WRITE_PROTECTED 0x4020
#define FORCED (1u << 30)	/* CDW12 */
#define OVERLAY 1		/* target of orders */

static struct guest_cq cq;
static struct guest_sq sq;
static u8 *image, *buffer;
static u8 base[LBAS * 512], model[LBAS * 512];

static void make_queues(void)
{
	CHECK_EQ(guest_create_cq(&cq, 1, 16, true), 0);
	CHECK_EQ(guest_create_sq(&sq, 1, 16, &cq), 0);
}

static void make_disk(u32 store_count)
{
	const struct fake_gpt_partition data = {
		FIRST, FIRST + COUNT - 1, 0xbb, "data",
	}, store = {
		STORE, STORE + store_count - 1, 0xcc, "store",
	};
	struct fake_gpt gpt = { .block_size = 512, .lba_count = LBAS };

	image = gpt.disk = fake_nvme.namespaces[0].data;
	fake_gpt_init(&gpt);
	fake_gpt_add(&gpt, 0, &data);
	fake_gpt_add(&gpt, 1, &store);
	for (u32 i = FIRST * 512; i < (FIRST + COUNT) * 512; i++)
		image[i] = (u8)(i / 512 * 7 + i);
	memcpy(base, image, sizeof(base));
	memcpy(model, image, sizeof(model));
}

static void boot_with(const char *overlay, const char *store, u32 store_count)
{
	guest_boot();
	fake_nvme.sgls = 1 | NVME_SGLS_BIT_BUCKET;
	CHECK_EQ(fake_configure("overlay.orders", "on"), 0);
	CHECK_EQ(fake_configure("overlay", overlay), 0);
	CHECK_EQ(fake_configure("overlay.store", store), 0);
	make_disk(store_count);
	CHECK_EQ(fake_machine_attach(), 0);
	CHECK(guest_enable(0));
	make_queues();
	buffer = fake_ram(1 << 20, 4096);
}

static void boot(u32 store_count)
{
	boot_with("memory=2 PARTLABEL=data", "PARTLABEL=store", store_count);
}

static void start(void)
{
	boot(STORE_COUNT);
}

static u16 run_with(u8 opcode, u64 lba, u32 n_lbas, u32 flags)
{
	struct nvme_sqe sqe = guest_rw(opcode, lba, n_lbas, buffer);

	sqe.cdw12 |= flags;
	return guest_run(&sq, &sqe, NULL);
}

static u16 run(u8 opcode, u64 lba, u32 n_lbas)
{
	return run_with(opcode, lba, n_lbas, 0);
}

static u16 write_at(u64 lba, u32 n_lbas, u8 content)
{
	memset(buffer, content, n_lbas * 512);
	memset(model + lba * 512, content, n_lbas * 512);
	return run(NVME_CMD_WRITE, lba, n_lbas);
}

static u16 zero_at(u64 lba, u32 n_lbas)
{
	memset(model + lba * 512, 0, n_lbas * 512);
	return run(NVME_CMD_WRITE_ZEROES, lba, n_lbas);
}

static u16 discard(u64 lba, u32 n_lbas)
{
	struct nvme_dsm_range range = { .lba = lba, .n_lbas = n_lbas };
	struct nvme_sqe sqe = {
		.opcode = NVME_CMD_DSM, .nsid = 1, .prp1 = (u64)buffer,
		.cdw11 = 4,
	};

	memcpy(buffer, &range, sizeof(range));
	return guest_run(&sq, &sqe, NULL);
}

static void check_read(u64 lba, u32 n_lbas)
{
	memset(buffer, 0xee, n_lbas * 512);
	CHECK_EQ(run(NVME_CMD_READ, lba, n_lbas), 0);
	for (u32 i = 0; i < n_lbas; i++)
		if (memcmp(buffer + i * 512, model + (lba + i) * 512, 512))
			FAIL("lba %llu", (unsigned long long)lba + i);
}

static void check_all(void)
{
	for (u32 lba = FIRST; lba < FIRST + COUNT; lba += 128)
		check_read(lba, lba + 128 < FIRST + COUNT ? 128 :
			   FIRST + COUNT - lba);
}

/* But for the store. */
static void check_intact(void)
{
	CHECK(!memcmp(image, base, STORE * 512));
	CHECK(!memcmp(image + (STORE + STORE_COUNT) * 512,
		      base + (STORE + STORE_COUNT) * 512,
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
	CHECK_EQ(write_at(FIRST + 3, 13, 0x5a), 0);
	CHECK_EQ(write_at(FIRST + 5, 1, 0x5b), 0);
	CHECK_EQ(zero_at(FIRST + 6, 1), 0);
	CHECK_EQ(zero_at(FIRST + 100, 1000), 0);
	CHECK_EQ(write_at(FIRST + 1000, 900, 0x5c), 0);
	check_read(FIRST, 32);
	check_all();
	check_intact();
}

static void check_read_only(const char *why)
{
	if (!fake_log_has(why))
		FAIL("not said: %s", why);
	memset(buffer, 0x11, 4096);
	CHECK_EQ(run(NVME_CMD_WRITE, FIRST, 8), WRITE_PROTECTED);
	check_read(FIRST, 8);
	CHECK(!memcmp(image, base, sizeof(base)));
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
	struct nvme_sqe sqe = guest_rw(NVME_CMD_READ, FIRST, 3, NULL);
	struct nvme_sgl *list;

	start();
	list = fake_ram(4096, 4096);
	CHECK_EQ(write_at(FIRST, 3, 0x5a), 0);
	memset(buffer, 0xee, 2048);
	list[0] = (struct nvme_sgl){ (u64)buffer, 512, { 0 }, 0 };
	list[1] = (struct nvme_sgl){ 0, 700, { 0 }, 0x10 };
	list[2] = (struct nvme_sgl){ (u64)buffer + 1024, 324, { 0 }, 0 };
	sqe.flags = FIELD_PREP(NVME_SQE_PSDT, NVME_PSDT_SGL);
	sqe.sgl = (struct nvme_sgl){ (u64)list, 48, { 0 }, 0x30 };
	CHECK_EQ(guest_run(&sq, &sqe, NULL), 0);
	for (u32 i = 0; i < 2048; i++)
		CHECK_EQ(buffer[i], i < 512 || (i >= 1024 && i < 1348) ?
			 0x5a : 0xee);
}

TEST(the_guest_cannot_reach_the_store)
{
	start();
	memset(buffer, 0x11, 4096);
	CHECK_EQ(run(NVME_CMD_READ, STORE, 8), ACCESS_DENIED);
	CHECK_EQ(run(NVME_CMD_READ, STORE - 1, 2), ACCESS_DENIED);
	CHECK_EQ(run(NVME_CMD_WRITE, STORE + STORE_COUNT - 1, 2),
		 ACCESS_DENIED);
	CHECK_EQ(run(NVME_CMD_COMPARE, STORE + 100, 8), ACCESS_DENIED);
	CHECK_EQ(run(NVME_CMD_WRITE_ZEROES, STORE - 10, STORE_COUNT + 20),
		 ACCESS_DENIED);
	CHECK_EQ(discard(STORE + 5, 10), ACCESS_DENIED);
	CHECK_EQ(run(NVME_CMD_READ, STORE - 1, 1), 0);
	CHECK_EQ(run(NVME_CMD_READ, STORE + STORE_COUNT, 1), 0);
}

TEST(the_guest_is_told_to_flush)
{
	struct nvme_id_ctrl *id;
	u32 result = 0;
	struct nvme_sqe sqe = {
		.opcode = NVME_ADMIN_GET_FEATURES, .cdw10 = 6,
	};

	start();
	id = (void *)buffer;
	CHECK_EQ(guest_admin(NVME_ADMIN_IDENTIFY, 0, 1, 0, buffer), 0);
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
	CHECK_EQ(write_at(FIRST, 8, 0x5a), 0);
	CHECK_EQ(fake_nvme_seen(false, NVME_CMD_WRITE), 1);
	fake_nvme_forget();
	CHECK_EQ(run(NVME_CMD_FLUSH, 0, 0), 0);
	CHECK_EQ(fake_nvme_seen(false, NVME_CMD_WRITE), 1);
	CHECK_EQ(fake_nvme_seen(false, NVME_CMD_FLUSH), 3);
	CHECK(last_of(NVME_CMD_WRITE) < last_of(NVME_CMD_FLUSH));
	fake_nvme_forget();
	CHECK_EQ(run(NVME_CMD_FLUSH, 0, 0), 0);
	CHECK_EQ(fake_nvme_seen(false, NVME_CMD_WRITE), 0);
	CHECK_EQ(fake_nvme_seen(false, NVME_CMD_FLUSH), 1);
}

TEST(a_forced_write_needs_no_flush)
{
	start();
	fake_nvme_forget();
	memset(buffer, 1, 4096);
	CHECK_EQ(run_with(NVME_CMD_WRITE, FIRST, 8, FORCED), 0);
	CHECK_EQ(fake_nvme_seen(false, NVME_CMD_WRITE), 2);
	CHECK(fake_nvme_seen(false, NVME_CMD_FLUSH) >= 2);
}

TEST(when_the_store_is_full_writes_fail_and_all_else_is_as_before)
{
	u32 lba = FIRST, written = 0;

	boot(2000);
	for (; lba + 64 < FIRST + COUNT; lba += 64) {
		u8 before[64 * 512];

		memcpy(before, model + lba * 512, sizeof(before));
		if (!write_at(lba, 64, (u8)lba)) {
			written++;
			continue;
		}
		memcpy(model + lba * 512, before, sizeof(before));
		break;
	}
	CHECK(written > 20 && written < 32);
	CHECK_EQ(run(NVME_CMD_WRITE, lba, 64), CAPACITY_EXCEEDED);
	CHECK(fake_log_has("PARTLABEL=data: 8"));
	CHECK(fake_log_has("of the store is used"));
	CHECK(fake_log_has("full: a write has failed"));
	check_all();
	CHECK(!memcmp(image, base, STORE * 512));
	CHECK_EQ(zero_at(FIRST + 64, 640), 0);
	CHECK_EQ(write_at(lba, 64, 0x45), 0);
	for (u32 i = 0; i < 100; i++)
		CHECK_EQ(write_at(lba, 64, (u8)i), 0);
	check_all();
}

TEST(a_reset_of_the_controller_keeps_what_was_written)
{
	start();
	CHECK_EQ(write_at(FIRST, 100, 0x5a), 0);
	for (int i = 0; i < 5; i++) {
		CHECK(guest_disable());
		CHECK(guest_enable(0));
		make_queues();
	}
	check_all();
	check_intact();
}

/* ---- Orders ------------------------------------------------------------------ */

static void order(const char *text)
{
	CHECK_EQ(guest_order(OVERLAY, text, buffer), 0);
}

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
	CHECK_EQ(write_at(FIRST, 100, 0x5a), 0);
	order("discard");
	wait_for("PARTLABEL=data: discarded");
	memcpy(model, base, sizeof(model));
	check_all();
	check_intact();
}

TEST(a_committed_overlay_is_in_the_base)
{
	start();
	CHECK_EQ(write_at(FIRST, 1000, 0x5a), 0);
	CHECK_EQ(zero_at(FIRST + 500, 2000), 0);
	CHECK_EQ(write_at(FIRST + 777, 3, 0x5b), 0);
	order("commit");
	wait_for("PARTLABEL=data: committed");
	CHECK(!memcmp(image, model, STORE * 512));
	check_all();
	CHECK_EQ(write_at(FIRST, 1, 0x5c), 0);
	CHECK(memcmp(image, model, STORE * 512));
	check_all();
}

TEST(what_is_written_during_a_commit_is_committed_too)
{
	start();
	for (u32 i = 0; i < 64; i++)
		CHECK_EQ(write_at(FIRST + i * 60, 9, (u8)i), 0);
	order("commit");
	for (u32 i = 0; !fake_log_has(": committed"); i++) {
		CHECK(i < 20000);
		CHECK_EQ(write_at(FIRST + i % 64 * 60, 5, (u8)(i + 100)), 0);
		check_read(FIRST + i * 37 % 4000, 5);
	}
	check_all();
}

TEST(a_commit_that_a_reset_interrupts_goes_on)
{
	start();
	CHECK_EQ(write_at(FIRST, 1000, 0x5a), 0);
	order("commit");
	for (u32 wait = 0; wait < 30; wait++) {
		guest_idle(wait);
		CHECK(guest_disable());
		CHECK(guest_enable(0));
		make_queues();
		check_read(FIRST + wait, 100);
	}
	wait_for("PARTLABEL=data: committed");
	CHECK(!memcmp(image, model, STORE * 512));
	check_all();
}

/* ---- When the drive fails ------------------------------------------------------ */

TEST(a_flush_that_fails_says_so_and_the_next_makes_up_for_it)
{
	start();
	CHECK_EQ(write_at(FIRST, 8, 0x5a), 0);
	for (u32 i = 1; i < 4; i++) {
		fake_nvme.fail_countdown = i;
		fake_nvme.fail_status = 0x280;
		CHECK_EQ(run(NVME_CMD_FLUSH, 0, 0), 0x280);
		CHECK_EQ(write_at(FIRST + i, 8, (u8)i), 0);
	}
	CHECK_EQ(run(NVME_CMD_FLUSH, 0, 0), 0);
	check_all();
}

TEST(a_write_that_fails_says_so_and_what_was_there_stays)
{
	start();
	CHECK_EQ(write_at(FIRST, 8, 0x5a), 0);
	memset(buffer, 0x77, 4096);
	fake_nvme.fail_countdown = 1;
	fake_nvme.fail_status = 0x280;
	CHECK_EQ(run(NVME_CMD_WRITE, FIRST + 5, 8), 0x280);
	check_all();
	CHECK_EQ(write_at(FIRST + 5, 8, 0x78), 0);
	check_all();
}

TEST(a_request_without_an_answer_closes_it_until_a_reset)
{
	struct nvme_sqe sqe;
	struct nvme_cqe cqe;

	start();
	CHECK_EQ(write_at(FIRST, 8, 0x5a), 0);
	memset(buffer, 0x77, 4096);
	sqe = guest_rw(NVME_CMD_WRITE, FIRST + 20, 8, buffer);
	fake_nvme.is_stalled = true;
	guest_put(&sq, &sqe);
	guest_ring(&sq);
	guest_idle(100);
	fake_machine.now_us += 5100000;
	guest_idle(100000);
	fake_nvme.is_stalled = false;
	CHECK(guest_wait(&cq, &cqe));
	CHECK_EQ(cqe.status, NVME_IO_TIMED_OUT);
	sq.head = cqe.sq_head;
	guest_consumed(&cq);
	CHECK_EQ(run(NVME_CMD_READ, FIRST, 8), NVME_IO_INTERNAL_ERROR);
	CHECK_EQ(run(NVME_CMD_FLUSH, 0, 0), NVME_IO_INTERNAL_ERROR);
	CHECK(guest_disable());
	CHECK(guest_enable(0));
	make_queues();
	check_all();
	CHECK_EQ(write_at(FIRST + 20, 8, 0x78), 0);
	check_all();
}

/* ---- The guest leaves ----------------------------------------------------------- */

static void check_is_logged(u32 cc)
{
	start();
	CHECK_EQ(write_at(FIRST, 8, 0x5a), 0);
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

/* ---- Anything ------------------------------------------------------------------ */

static u32 random_below(u64 *state, u32 limit)
{
	*state = *state * 6364136223846793005ull + 1442695040888963407ull;
	return (u32)(*state >> 33) % limit;
}

static void do_anything(u64 *state)
{
	u32 n_lbas = 1 + random_below(state, 200);
	u32 lba = FIRST + random_below(state, COUNT - n_lbas);

	switch (random_below(state, 8)) {
	case 0 ... 2:
		CHECK_EQ(write_at(lba, n_lbas, (u8)*state), 0);
		break;
	case 3:
		CHECK_EQ(zero_at(lba, n_lbas), 0);
		break;
	case 4:
		memset(model + lba * 512, 0, n_lbas * 512);
		CHECK_EQ(discard(lba, n_lbas), 0);
		break;
	case 5:
		CHECK_EQ(run(NVME_CMD_FLUSH, 0, 0), 0);
		break;
	default:
		check_read(lba, n_lbas);
	}
}

TEST(thousands_of_commands_in_any_order_are_as_in_the_model)
{
	u64 state = 1;

	start();
	for (int i = 0; i < 3000; i++)
		do_anything(&state);
	check_all();
	check_intact();
}
