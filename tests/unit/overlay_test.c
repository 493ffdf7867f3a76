/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The overlay plug-in in the driver as it is, against a model: what the guest
 * reads is what it wrote, and the base is as it was.
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
#define DEALLOCATE 4		/* CDW11 of Dataset Management */
#define CAPACITY_EXCEEDED 0x4081
#define WRITE_PROTECTED 0x4020
#define INVALID_OPCODE 0x4001
#define OUT_OF_RANGE 0x4080
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

static void make_disk(void)
{
	static const struct fake_gpt_partition data = {
		FIRST, FIRST + COUNT - 1, 0xbb, "data",
	};
	struct fake_gpt gpt = { .block_size = 512, .lba_count = LBAS };

	image = gpt.disk = fake_nvme.namespaces[0].data;
	fake_gpt_init(&gpt);
	fake_gpt_add(&gpt, 0, &data);
	for (u32 i = FIRST * 512; i < (FIRST + COUNT) * 512; i++)
		image[i] = (u8)(i / 512 * 7 + i);
	memcpy(base, image, sizeof(base));
	memcpy(model, image, sizeof(model));
}

static void attach(void)
{
	make_disk();
	CHECK_EQ(fake_machine_attach(), 0);
	CHECK(guest_enable(0));
	make_queues();
	buffer = fake_ram(1 << 20, 4096);
}

static void boot(const char *rule)
{
	guest_boot();
	fake_nvme.sgls = 1 | NVME_SGLS_BIT_BUCKET;
	CHECK_EQ(fake_configure("overlay.orders", "on"), 0);
	if (fake_configure("overlay", rule))
		FAIL("%s: %s", rule, fake_machine.boot_info.error);
	attach();
}

static void start(void)
{
	boot("memory=4 PARTLABEL=data");
}

static u16 run(u8 opcode, u64 lba, u32 n_lbas)
{
	struct nvme_sqe sqe = guest_rw(opcode, lba, n_lbas, buffer);

	return guest_run(&sq, &sqe, NULL);
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

static u16 discard(const struct nvme_dsm_range *ranges, u32 count)
{
	struct nvme_sqe sqe = {
		.opcode = NVME_CMD_DSM, .nsid = 1, .prp1 = (u64)buffer,
		.cdw10 = count - 1, .cdw11 = DEALLOCATE,
	};

	memcpy(buffer, ranges, count * sizeof(*ranges));
	for (u32 i = 0; i < count; i++)
		memset(model + ranges[i].lba * 512, 0,
		       ranges[i].n_lbas * 512);
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

static bool is_intact(void)
{
	return !memcmp(image, base, sizeof(base));
}

/* ---- Lines --------------------------------------------------------------- */

TEST(what_is_no_rule_is_answered_with_what_was_expected)
{
	static const struct {
		const char *value, *why;
	} rows[] = {
		{ "", "expected memory=MIB" },
		{ "PARTLABEL=data", "expected memory=MIB" },
		{ "memory=0 PARTLABEL=data", "expected memory=MIB" },
		{ "memory=65537 PARTLABEL=data", "expected memory=MIB" },
		{ "memory=4", "expected PARTUUID=" },
		{ "memory=4 data", "expected PARTUUID=" },
		{ "memory=4 warn=0 PARTLABEL=a", "expected warn=PERCENT" },
		{ "memory=4 warn=101 PARTLABEL=a", "expected warn=PERCENT" },
	};

	guest_boot();
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		CHECK(fake_configure("overlay", rows[i].value));
		if (!strstr(fake_machine.boot_info.error, rows[i].why))
			FAIL("%s: %s", rows[i].value,
			     fake_machine.boot_info.error);
	}
	CHECK(fake_configure("overlay.x", "memory=4 PARTLABEL=data"));
}

TEST(without_memory_there_is_no_overlay_and_it_is_said)
{
	guest_boot();
	CHECK_EQ(fake_configure("overlay", "memory=4096 PARTLABEL=data"), 0);
	fake_machine.fail_closed = true;
	fake_machine.sluice_page_limit = 10000;
	make_disk();
	CHECK_EQ(fake_machine_attach(), 0);
	CHECK(fake_log_has("plug-in overlay cannot take part"));
	CHECK_EQ(fake_config_read(0, 4), ~0u);
}

/* ---- Data ---------------------------------------------------------------- */

TEST(what_was_written_is_read_and_the_base_is_as_it_was)
{
	start();
	CHECK_EQ(write_at(FIRST + 3, 13, 0x5a), 0);
	check_read(FIRST, 32);
	check_all();
	CHECK(is_intact());
}

TEST(zeroes_and_discards_read_as_zero_whatever_the_base_has)
{
	static const struct nvme_dsm_range ranges[] = {
		{ .lba = FIRST + 500, .n_lbas = 1 },
		{ .lba = FIRST + 600, .n_lbas = 3000 },
		{ .lba = FIRST + 7, .n_lbas = 0 },
	};

	start();
	CHECK_EQ(zero_at(FIRST + 5, 100), 0);
	CHECK_EQ(discard(ranges, 3), 0);
	check_all();
	CHECK_EQ(write_at(FIRST + 1000, 3, 0x77), 0);
	check_all();
	CHECK(is_intact());
	CHECK_EQ(fake_nvme_seen(false, NVME_CMD_DSM), 0);
}

TEST(discards_elsewhere_reach_the_device)
{
	static const struct nvme_dsm_range ranges[] = {
		{ .lba = FIRST, .n_lbas = 8 },
		{ .lba = 10000, .n_lbas = 8 },
		{ .lba = FIRST + 8, .n_lbas = 8 },
	};

	start();
	fake_nvme_forget();
	CHECK_EQ(discard(ranges, 3), 0);
	CHECK_EQ(fake_nvme_seen(false, NVME_CMD_DSM), 1);
	CHECK_EQ(fake_nvme_last(false, NVME_CMD_DSM)->cdw10, 0);
	CHECK(!memcmp(image + FIRST * 512, base + FIRST * 512, COUNT * 512));
	check_read(FIRST, 16);
}

TEST(blocks_elsewhere_are_the_devices)
{
	start();
	CHECK_EQ(write_at(10000, 8, 0x11), 0);
	CHECK_EQ(image[10000 * 512], 0x11);
	CHECK_EQ(write_at(FIRST - 8, 8, 0x12), 0);
	CHECK_EQ(write_at(FIRST + COUNT, 8, 0x13), 0);
	CHECK_EQ(image[(FIRST + COUNT) * 512], 0x13);
}

TEST(what_reaches_across_the_border_is_refused_whole)
{
	static const struct nvme_dsm_range across = { .lba = FIRST - 1,
						      .n_lbas = 2 };

	start();
	buffer[0] = 1;
	CHECK_EQ(run(NVME_CMD_WRITE, FIRST - 1, 2), OUT_OF_RANGE);
	CHECK_EQ(run(NVME_CMD_READ, FIRST + COUNT - 1, 2), OUT_OF_RANGE);
	CHECK_EQ(run(NVME_CMD_WRITE_ZEROES, FIRST - 8, COUNT + 16),
		 OUT_OF_RANGE);
	CHECK_EQ(discard(&across, 1), OUT_OF_RANGE);
	CHECK(is_intact());
}

TEST(what_the_overlay_cannot_do_is_refused_and_not_offered)
{
	struct nvme_id_ctrl *id;

	start();
	id = (void *)buffer;
	CHECK_EQ(guest_admin(NVME_ADMIN_IDENTIFY, 0, 1, 0, buffer), 0);
	CHECK_EQ(id->oncs & 0x123, 0);
	CHECK_EQ(run(NVME_CMD_WRITE_UNCORRECTABLE, FIRST, 8), INVALID_OPCODE);
	CHECK_EQ(guest_admin(NVME_ADMIN_FORMAT, 1, 0, 0, NULL),
		 WRITE_PROTECTED);
	CHECK_EQ(guest_admin(NVME_ADMIN_SANITIZE, 0, 2, 0, NULL),
		 WRITE_PROTECTED);
	CHECK(is_intact());
}

TEST(compare_goes_by_the_base_only_where_that_is_shown)
{
	start();
	CHECK_EQ(write_at(FIRST + 16, 1, 0x5a), 0);
	memcpy(buffer, base + FIRST * 512, 8 * 512);
	CHECK_EQ(run(NVME_CMD_COMPARE, FIRST, 8), 0);
	CHECK_EQ(run(NVME_CMD_COMPARE, FIRST + 10, 8), INVALID_OPCODE);
}

TEST(a_bad_block_of_the_base_does_not_matter_when_it_is_not_shown)
{
	start();
	CHECK_EQ(write_at(FIRST, 16, 0x5a), 0);
	fake_nvme.fail_countdown = 1;
	fake_nvme.fail_status = 0x281;
	check_read(FIRST, 16);
	fake_nvme.fail_countdown = 1;
	CHECK_EQ(run(NVME_CMD_READ, FIRST + 8, 16), 0x281);
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

TEST(a_whole_namespace_can_have_one)
{
	boot("memory=4 FAKE1:n1");
	CHECK_EQ(write_at(0, 64, 0x5a), 0);
	CHECK_EQ(write_at(LBAS - 1, 1, 0x5b), 0);
	check_read(0, 65);
	check_read(LBAS - 9, 9);
	CHECK(is_intact());
}

/* ---- When it is full ------------------------------------------------------ */

TEST(when_it_is_full_writes_fail_and_all_else_is_as_before)
{
	u32 lba = FIRST, written = 0;

	boot("memory=1 PARTLABEL=data");
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
	CHECK(fake_log_has("PARTLABEL=data: 80% of the memory is used"));
	CHECK(fake_log_has("full: a write has failed"));
	check_all();
	CHECK(is_intact());
	/* What is there may be written again, and a discard makes room. */
	CHECK_EQ(write_at(FIRST + 8, 64, 0x44), 0);
	CHECK_EQ(discard(&(struct nvme_dsm_range){ .lba = FIRST + 64,
						   .n_lbas = 512 }, 1), 0);
	CHECK_EQ(write_at(lba, 64, 0x45), 0);
	check_all();
}

/* ---- Life ---------------------------------------------------------------- */

static void reset(void)
{
	CHECK(guest_disable());
	CHECK(guest_enable(0));
	make_queues();
}

TEST(a_reset_of_the_controller_keeps_what_was_written)
{
	size_t pages;

	start();
	pages = fake_machine.sluice_pages;
	CHECK_EQ(write_at(FIRST, 100, 0x5a), 0);
	for (int i = 0; i < 5; i++)
		reset();
	check_all();
	CHECK_EQ(fake_machine.sluice_pages, pages);
	CHECK(is_intact());
}

/* ---- Orders ---------------------------------------------------------------- */

static u16 try_order(const char *text)
{
	return guest_order(OVERLAY, text, buffer);
}

static void order(const char *text)
{
	CHECK_EQ(try_order(text), 0);
}

TEST(without_leave_nobody_orders_anything)
{
	guest_boot();
	CHECK_EQ(fake_configure("overlay.orders", "off"), 0);
	CHECK_EQ(fake_configure("overlay", "memory=4 PARTLABEL=data"), 0);
	attach();
	CHECK_EQ(write_at(FIRST, 100, 0x5a), 0);
	CHECK(try_order("commit"));
	CHECK(try_order("discard"));
	guest_idle(1000);
	check_all();
	CHECK(is_intact());
}

TEST(an_order_that_is_none_is_refused)
{
	start();
	CHECK(try_order("commits"));
	CHECK(try_order(""));
}

TEST(a_discarded_overlay_shows_the_base)
{
	start();
	CHECK_EQ(write_at(FIRST, 100, 0x5a), 0);
	CHECK_EQ(zero_at(FIRST + 200, 1000), 0);
	order("discard");
	memcpy(model, base, sizeof(model));
	check_all();
	CHECK(is_intact());
}

/* With the guest at work: each read is right whenever it comes. */
static void commit(void)
{
	order("commit");
	for (u32 i = 0; !fake_log_has(": committed"); i++) {
		CHECK(i < 20000);
		check_read(FIRST + i * 37 % 4000, 5);
	}
}

TEST(a_committed_overlay_is_in_the_base)
{
	start();
	CHECK_EQ(write_at(FIRST, 100, 0x5a), 0);
	CHECK_EQ(write_at(FIRST + 1001, 3, 0x5b), 0);
	CHECK_EQ(zero_at(FIRST + 1100, 300), 0);
	commit();
	CHECK(!memcmp(image, model, sizeof(model)));
	check_all();
	CHECK_EQ(write_at(FIRST, 1, 0x5c), 0);
	CHECK(memcmp(image, model, sizeof(model)));
	check_all();
}

TEST(what_is_written_during_a_commit_is_committed_too)
{
	start();
	for (u32 i = 0; i < 64; i++)
		CHECK_EQ(write_at(FIRST + i * 24, 9, (u8)i), 0);
	order("commit");
	for (u32 i = 0; !fake_log_has(": committed"); i++) {
		CHECK(i < 20000);
		CHECK_EQ(write_at(FIRST + i % 10 * 24, 5, (u8)(i + 100)), 0);
	}
	check_all();
	order("commit");
	guest_idle(2000);
	fake_interrupt();
	check_all();
}

TEST(a_commit_that_fails_leaves_the_overlay)
{
	start();
	CHECK_EQ(write_at(FIRST, 100, 0x5a), 0);
	fake_nvme.fail_countdown = 5;
	fake_nvme.fail_status = 0x280;
	order("commit");
	for (u32 i = 0; !fake_log_has("commit failed with status 0280"); i++) {
		CHECK(i < 1000);
		fake_interrupt();
		guest_idle(10);
	}
	check_all();
	commit();
	CHECK(!memcmp(image, model, sizeof(model)));
}

TEST(a_reset_during_a_commit_leaves_the_overlay)
{
	start();
	CHECK_EQ(write_at(FIRST, 100, 0x5a), 0);
	for (u32 wait = 0; wait < 30; wait++) {
		order("commit");
		guest_idle(wait);
		reset();
		check_all();
	}
}

/* ---- Anything ---------------------------------------------------------------- */

static u32 random_below(u64 *state, u32 limit)
{
	*state = *state * 6364136223846793005ull + 1442695040888963407ull;
	return (u32)(*state >> 33) % limit;
}

static void do_anything(u64 *state)
{
	u32 n_lbas = 1 + random_below(state, 200);
	u32 lba = FIRST + random_below(state, COUNT - n_lbas);
	struct nvme_dsm_range ranges[2] = {
		{ .lba = lba, .n_lbas = n_lbas },
		{ .lba = FIRST + random_below(state, 100), .n_lbas = 900 },
	};

	switch (random_below(state, 8)) {
	case 0 ... 2:
		CHECK_EQ(write_at(lba, n_lbas, (u8)*state), 0);
		break;
	case 3:
		CHECK_EQ(zero_at(lba, n_lbas), 0);
		break;
	case 4:
		CHECK_EQ(discard(ranges, 1 + random_below(state, 2)), 0);
		break;
	default:
		check_read(lba, n_lbas);
	}
}

TEST(thousands_of_commands_in_any_order_are_as_in_the_model)
{
	for (u64 seed = 1; seed <= 3; seed++) {
		u64 state = seed;

		if (seed == 1)
			start();
		for (int i = 0; i < 2000; i++)
			do_anything(&state);
		check_all();
		CHECK(is_intact());
	}
}
