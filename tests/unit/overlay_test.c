/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The overlay plug-in in the driver as it is, against a model: what the guest
 * reads is what it wrote, and the base is as it was.
 */
#include <string.h>

#include "fake_log.h"
#include "fake_machine.h"
#include "fake_nvme.h"
#include "fake_overlaid.h"
#include "test.h"

static void attach(void)
{
	overlaid_make_disk(NULL);
	overlaid_attach();
}

static void boot(const char *rule)
{
	overlaid_boot();
	overlaid_line("overlay", rule);
	attach();
}

static void start(void)
{
	boot("memory=4 PARTLABEL=data");
}

static bool is_intact(void)
{
	return !memcmp(overlaid.image, overlaid.base, sizeof(overlaid.base));
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
	overlaid_make_disk(NULL);
	CHECK_EQ(fake_machine_attach(), 0);
	CHECK(fake_log_has("plug-in overlay cannot take part"));
	CHECK_EQ(fake_config_read(0, 4), ~0u);
}

/* ---- Data ---------------------------------------------------------------- */

TEST(what_was_written_is_read_and_the_base_is_as_it_was)
{
	start();
	CHECK_EQ(overlaid_write(FIRST + 3, 13, 0x5a), 0);
	overlaid_check(FIRST, 32);
	overlaid_check_all();
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
	CHECK_EQ(overlaid_zero(FIRST + 5, 100), 0);
	CHECK_EQ(overlaid_discard(ranges, 3), 0);
	overlaid_check_all();
	CHECK_EQ(overlaid_write(FIRST + 1000, 3, 0x77), 0);
	overlaid_check_all();
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
	CHECK_EQ(overlaid_discard(ranges, 3), 0);
	CHECK_EQ(fake_nvme_seen(false, NVME_CMD_DSM), 1);
	CHECK_EQ(fake_nvme_last(false, NVME_CMD_DSM)->cdw10, 0);
	CHECK(!memcmp(overlaid.image + FIRST * 512,
		      overlaid.base + FIRST * 512, COUNT * 512));
	overlaid_check(FIRST, 16);
}

TEST(blocks_elsewhere_are_the_devices)
{
	start();
	CHECK_EQ(overlaid_write(10000, 8, 0x11), 0);
	CHECK_EQ(overlaid.image[10000 * 512], 0x11);
	CHECK_EQ(overlaid_write(FIRST - 8, 8, 0x12), 0);
	CHECK_EQ(overlaid_write(FIRST + COUNT, 8, 0x13), 0);
	CHECK_EQ(overlaid.image[(FIRST + COUNT) * 512], 0x13);
}

TEST(what_reaches_across_the_border_is_refused_whole)
{
	static const struct nvme_dsm_range across = { .lba = FIRST - 1,
						      .n_lbas = 2 };

	start();
	overlaid.buffer[0] = 1;
	CHECK_EQ(overlaid_run(NVME_CMD_WRITE, FIRST - 1, 2), OUT_OF_RANGE);
	CHECK_EQ(overlaid_run(NVME_CMD_READ, FIRST + COUNT - 1, 2),
		 OUT_OF_RANGE);
	CHECK_EQ(overlaid_run(NVME_CMD_WRITE_ZEROES, FIRST - 8, COUNT + 16),
		 OUT_OF_RANGE);
	CHECK_EQ(overlaid_discard(&across, 1), OUT_OF_RANGE);
	CHECK(is_intact());
}

TEST(what_the_overlay_cannot_do_is_refused_and_not_offered)
{
	struct nvme_id_ctrl *id;

	start();
	id = (void *)overlaid.buffer;
	CHECK_EQ(guest_admin(NVME_ADMIN_IDENTIFY, 0, 1, 0, overlaid.buffer), 0);
	CHECK_EQ(id->oncs & 0x123, 0);
	CHECK_EQ(overlaid_run(NVME_CMD_WRITE_UNCORRECTABLE, FIRST, 8),
		 INVALID_OPCODE);
	CHECK_EQ(guest_admin(NVME_ADMIN_FORMAT, 1, 0, 0, NULL),
		 WRITE_PROTECTED);
	CHECK_EQ(guest_admin(NVME_ADMIN_SANITIZE, 0, 2, 0, NULL),
		 WRITE_PROTECTED);
	CHECK(is_intact());
}

TEST(compare_goes_by_the_base_only_where_that_is_shown)
{
	start();
	CHECK_EQ(overlaid_write(FIRST + 16, 1, 0x5a), 0);
	memcpy(overlaid.buffer, overlaid.base + FIRST * 512, 8 * 512);
	CHECK_EQ(overlaid_run(NVME_CMD_COMPARE, FIRST, 8), 0);
	CHECK_EQ(overlaid_run(NVME_CMD_COMPARE, FIRST + 10, 8), INVALID_OPCODE);
}

TEST(a_bad_block_of_the_base_does_not_matter_when_it_is_not_shown)
{
	start();
	CHECK_EQ(overlaid_write(FIRST, 16, 0x5a), 0);
	fake_nvme.fail_countdown = 1;
	fake_nvme.fail_status = 0x281;
	overlaid_check(FIRST, 16);
	fake_nvme.fail_countdown = 1;
	CHECK_EQ(overlaid_run(NVME_CMD_READ, FIRST + 8, 16), 0x281);
}

TEST(a_bit_bucket_takes_its_part_of_a_read)
{
	start();
	overlaid_check_bit_bucket();
}

TEST(a_whole_namespace_can_have_one)
{
	boot("memory=4 FAKE1:n1");
	CHECK_EQ(overlaid_write(0, 64, 0x5a), 0);
	CHECK_EQ(overlaid_write(LBAS - 1, 1, 0x5b), 0);
	overlaid_check(0, 65);
	overlaid_check(LBAS - 9, 9);
	CHECK(is_intact());
}

/* ---- When it is full ----------------------------------------------------- */

TEST(when_it_is_full_writes_fail_and_all_else_is_as_before)
{
	static const struct nvme_dsm_range range = { .lba = FIRST + 64,
						     .n_lbas = 512 };
	u32 lba;

	boot("memory=1 PARTLABEL=data");
	lba = overlaid_fill();
	CHECK(fake_log_has("PARTLABEL=data: 80% of the memory is used"));
	CHECK(fake_log_has("full: a write has failed"));
	overlaid_check_all();
	CHECK(is_intact());
	/* What is there may be written again, and a discard makes room. */
	CHECK_EQ(overlaid_write(FIRST + 8, 64, 0x44), 0);
	CHECK_EQ(overlaid_discard(&range, 1), 0);
	CHECK_EQ(overlaid_write(lba, 64, 0x45), 0);
	overlaid_check_all();
}

/* ---- Life ---------------------------------------------------------------- */

TEST(a_reset_of_the_controller_keeps_what_was_written)
{
	size_t pages;

	start();
	pages = fake_machine.sluice_pages;
	CHECK_EQ(overlaid_write(FIRST, 100, 0x5a), 0);
	for (int i = 0; i < 5; i++)
		overlaid_reset();
	overlaid_check_all();
	CHECK_EQ(fake_machine.sluice_pages, pages);
	CHECK(is_intact());
}

/* ---- Orders -------------------------------------------------------------- */

static u16 try_order(const char *text)
{
	return guest_order(OVERLAY, text, overlaid.buffer);
}

TEST(without_leave_nobody_orders_anything)
{
	guest_boot();
	CHECK_EQ(fake_configure("overlay.orders", "off"), 0);
	CHECK_EQ(fake_configure("overlay", "memory=4 PARTLABEL=data"), 0);
	attach();
	CHECK_EQ(overlaid_write(FIRST, 100, 0x5a), 0);
	CHECK(try_order("commit"));
	CHECK(try_order("discard"));
	guest_idle(1000);
	overlaid_check_all();
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
	CHECK_EQ(overlaid_write(FIRST, 100, 0x5a), 0);
	CHECK_EQ(overlaid_zero(FIRST + 200, 1000), 0);
	overlaid_order("discard");
	memcpy(overlaid.model, overlaid.base, sizeof(overlaid.model));
	overlaid_check_all();
	CHECK(is_intact());
}

/* With the guest at work: each read is right whenever it comes. */
static void commit(void)
{
	overlaid_order("commit");
	for (u32 i = 0; !fake_log_has(": committed"); i++) {
		CHECK(i < 20000);
		overlaid_check(FIRST + i * 37 % 4000, 5);
	}
}

TEST(a_committed_overlay_is_in_the_base)
{
	start();
	CHECK_EQ(overlaid_write(FIRST, 100, 0x5a), 0);
	CHECK_EQ(overlaid_write(FIRST + 1001, 3, 0x5b), 0);
	CHECK_EQ(overlaid_zero(FIRST + 1100, 300), 0);
	commit();
	CHECK(!memcmp(overlaid.image, overlaid.model, sizeof(overlaid.model)));
	overlaid_check_all();
	CHECK_EQ(overlaid_write(FIRST, 1, 0x5c), 0);
	CHECK(memcmp(overlaid.image, overlaid.model, sizeof(overlaid.model)));
	overlaid_check_all();
}

TEST(what_is_written_during_a_commit_is_committed_too)
{
	start();
	for (u32 i = 0; i < 64; i++)
		CHECK_EQ(overlaid_write(FIRST + i * 24, 9, (u8)i), 0);
	overlaid_order("commit");
	for (u32 i = 0; !fake_log_has(": committed"); i++) {
		CHECK(i < 20000);
		CHECK_EQ(overlaid_write(FIRST + i % 10 * 24, 5, (u8)(i + 100)),
			 0);
	}
	overlaid_check_all();
	overlaid_order("commit");
	guest_idle(2000);
	fake_interrupt();
	overlaid_check_all();
}

TEST(a_commit_that_fails_leaves_the_overlay)
{
	start();
	CHECK_EQ(overlaid_write(FIRST, 100, 0x5a), 0);
	fake_nvme.fail_countdown = 5;
	fake_nvme.fail_status = 0x280;
	overlaid_order("commit");
	for (u32 i = 0; !fake_log_has("commit failed with status 0280"); i++) {
		CHECK(i < 1000);
		fake_interrupt();
		guest_idle(10);
	}
	overlaid_check_all();
	commit();
	CHECK(!memcmp(overlaid.image, overlaid.model, sizeof(overlaid.model)));
}

TEST(a_reset_during_a_commit_leaves_the_overlay)
{
	start();
	CHECK_EQ(overlaid_write(FIRST, 100, 0x5a), 0);
	for (u32 wait = 0; wait < 30; wait++) {
		overlaid_order("commit");
		guest_idle(wait);
		overlaid_reset();
		overlaid_check_all();
	}
}

/* ---- Anything ------------------------------------------------------------ */

static void do_anything(u64 *state)
{
	u32 n_lbas = 1 + overlaid_random(state, 200);
	u32 lba = FIRST + overlaid_random(state, COUNT - n_lbas);
	struct nvme_dsm_range ranges[2] = {
		{ .lba = lba, .n_lbas = n_lbas },
		{ .lba = FIRST + overlaid_random(state, 100), .n_lbas = 900 },
	};

	switch (overlaid_random(state, 8)) {
	case 0 ... 2:
		CHECK_EQ(overlaid_write(lba, n_lbas, (u8)*state), 0);
		break;
	case 3:
		CHECK_EQ(overlaid_zero(lba, n_lbas), 0);
		break;
	case 4:
		CHECK_EQ(overlaid_discard(ranges,
					  1 + overlaid_random(state, 2)), 0);
		break;
	default:
		overlaid_check(lba, n_lbas);
	}
}

TEST(thousands_of_commands_in_any_order_are_as_in_the_model)
{
	start();
	for (u64 seed = 1; seed <= 3; seed++) {
		u64 state = seed;

		for (int i = 0; i < 2000; i++)
			do_anything(&state);
		overlaid_check_all();
		CHECK(is_intact());
	}
}
