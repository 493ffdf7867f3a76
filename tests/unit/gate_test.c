/* SPDX-License-Identifier: BSD-2-Clause */
/* The gate plug-in: rules, tables, matches and what is said of them. */
#include <string.h>

#include "fake_gated.h"

/* ---- sluice.conf ---------------------------------------------------- */

TEST(a_line_that_is_no_rule_is_answered_with_what_was_expected)
{
	static const struct {
		const char *key, *value, *why;
	} rows[] = {
		{ "gate", "", "expected rw, ro or none, then " },
		{ "gate", "rx PARTLABEL=a", "expected rw, ro or none" },
		{ "gate", "RO PARTLABEL=a", "expected rw, ro or none" },
		{ "gate", "r PARTLABEL=a", "expected rw, ro or none" },
		{ "gate", "roPARTLABEL=a", "expected rw, ro or none" },
		{ "gate", "PARTLABEL=a", "expected rw, ro or none" },
		{ "gate", "ro", "expected PARTUUID=..., PARTLABEL=... or S" },
		{ "gate", "ro data", "expected PARTUUID=..., PARTLABEL=..." },
		{ "gate", "ro PARTLABEL=a b", "in quotes with spaces" },
		{ "gate.mode", "ro PARTLABEL=a", "expected the key gate" },
	};
	char why[200];

	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		CHECK_EQ(fake_plugin()->configure(1, rows[i].key,
						  rows[i].value, why,
						  sizeof(why)), -1);
		if (!strstr(why, rows[i].why))
			FAIL("%s: %s", rows[i].value, why);
	}
	fake_plugin()->attach(&gated_host);
	CHECK(!gated_host.interceptor);
}

TEST(a_message_is_cut_to_the_room_there_is)
{
	char why[9];

	CHECK_EQ(fake_plugin()->configure(1, "gate", "", why, sizeof(why)),
		 -1);
	CHECK_STR(why, "expected");
}

TEST(sixty_four_rules_are_taken_and_no_more)
{
	char why[100];

	for (int i = 0; i < 64; i++)
		gated_rule("ro PARTLABEL=a");
	CHECK_EQ(fake_plugin()->configure(65, "gate", "ro PARTLABEL=a", why,
					  sizeof(why)), -1);
	CHECK_STR(why, "expected at most 64 rules");
}

TEST(without_a_rule_gate_takes_no_part)
{
	CHECK_EQ(fake_plugin()->attach(&gated_host), 0);
	CHECK(!gated_host.interceptor);
}

/* ---- Identify, Format ----------------------------------------------- */

static u8 identity[4096];

static void identify(u8 cns, u32 nsid)
{
	struct nvme_io_interceptor *gate = gated_host.interceptor;

	gate->on_identify(gate->interceptor, cns, nsid, 0, identity);
}

static void identify_controller(u8 fna)
{
	memset(identity, 0xff, sizeof(identity));
	identity[524] = fna;
	identify(0x01, 0);
}

TEST(a_namespace_that_is_all_read_only_says_so)
{
	gated_make();
	gated_rule("ro QF0:n2");
	gated_rule("ro PARTLABEL=data");
	gated_start(&gated_host);
	identify(0x00, 1);
	CHECK_EQ(identity[99], 0);
	identify(0x00, 2);
	CHECK_EQ(identity[99], 1);
	identity[99] = 0x80;
	identify(0x11, 2);
	CHECK_EQ(identity[99], 0x81);
	identify(0x08, 2);
	CHECK_EQ(identity[8], 1);
	identify(0x02, 2);
	identify(0x03, 2);
	CHECK_EQ(identity[99], 0x81);
}

TEST(what_is_refused_is_not_offered)
{
	gated_start_with("ro PARTLABEL=data");
	identify_controller(0);
	CHECK_EQ(identity[256], 0x02);	/* OACS: Format */
	CHECK_EQ(identity[257], 0xfb);
	CHECK_EQ(identity[328] | identity[331], 0);	/* SANICAP */
	CHECK_EQ(identity[327] & identity[332], 0xff);
	CHECK_EQ(identity[520], 0xdf);	/* ONCS: reservations */
	CHECK_EQ(identity[522] | identity[523], 0);	/* FUSES */
	identify_controller(1);
	CHECK_EQ(identity[256], 0);
}

TEST(everything_is_offered_where_there_is_no_policy)
{
	gated_start_with("rw PARTLABEL=data");
	identify_controller(0xff);
	for (size_t i = 0; i < sizeof(identity); i++)
		CHECK_EQ(identity[i], 0xff);
}

TEST(a_rule_for_one_of_many_namespaces_is_for_that_one)
{
	gated_make();
	for (u32 i = 0; i < FAKE_NAMESPACE_MAX; i++) {
		gated_host.namespaces[i].info = gated_host.namespaces[1].info;
		gated_host.namespaces[i].info.nsid = 2 * i + 3;
	}
	gated_host.namespace_count = FAKE_NAMESPACE_MAX;
	gated_rule("ro QF0:n5");
	gated_start(&gated_host);
	for (u32 nsid = 2; nsid < 12; nsid += 2)
		CHECK_EQ(gated_io(0x01, nsid, 1, 1), NO_NAMESPACE);
	CHECK_EQ(gated_io(0x01, 3, 1, 1), PASSED);
	CHECK_EQ(gated_io(0x01, 5, 1, 1), PROTECTED);
	CHECK_EQ(gated_io(0x02, 5, 1, 1), PASSED);
	CHECK_EQ(gated_io(0x01, 7, 1, 1), PASSED);
	CHECK_EQ(gated_io(0x01, 9, 1, 1), PASSED);
	CHECK_EQ(gated_io(0x01, 11, 1, 1), NO_NAMESPACE);
}

TEST(format_of_a_free_namespace_passes_when_it_stays_there)
{
	gated_start_with("ro PARTLABEL=data");
	CHECK_EQ(gated_admin(0x80, 2, 0), PROTECTED);
	identify_controller(0x04);
	CHECK_EQ(gated_admin(0x80, 2, 0), PASSED);
	CHECK_EQ(gated_admin(0x80, 1, 0), PROTECTED);
	CHECK_EQ(gated_admin(0x80, 0xffffffff, 0), PROTECTED);
	identify_controller(0x01);
	CHECK_EQ(gated_admin(0x80, 2, 0), PROTECTED);
	identify_controller(0x02);
	CHECK_EQ(gated_admin(0x80, 2, 0), PROTECTED);
}

/* ---- Tables and matches --------------------------------------------- */

TEST(a_backup_table_serves_as_well)
{
	struct fake_gpt gpt = gated_make();

	memset(gpt.disk, 0, 34 * 512);
	gated_rule("none PARTLABEL=data");
	gated_start(&gated_host);
	CHECK_EQ(gated_read(100, 1), DENIED);
	CHECK_EQ(gated_write(0, 1), PROTECTED);
	CHECK_EQ(gated_write(50, 1), PASSED);
}

static void break_table(struct fake_gpt *gpt)
{
	fake_gpt_header(gpt, false)->header_crc ^= 1;
	fake_gpt_header(gpt, true)->header_crc ^= 1;
}

TEST(with_a_bad_table_a_partition_rule_applies_to_the_namespace)
{
	struct fake_gpt gpt = gated_make();

	break_table(&gpt);
	gated_rule("ro PARTLABEL=data");
	gated_start(&gated_host);
	CHECK_EQ(gated_write(50, 1), PROTECTED);
	CHECK_EQ(gated_read(50, 1), PASSED);
	CHECK_EQ(gated_io(0x01, 2, 50, 1), PASSED);
	identify(0x00, 1);
	CHECK_EQ(identity[99], 1);
	CHECK_EQ(fake_log_count("gate: n1: rules name partitions, but where "
				"they are is not known"), 1);
	CHECK_EQ(fake_log_count("matches nothing"), 0);
}

TEST(with_a_bad_table_the_strictest_partition_rule_applies)
{
	struct fake_gpt gpt = gated_make();

	break_table(&gpt);
	gated_rule("ro PARTLABEL=open");
	gated_rule("none PARTLABEL=data");
	gated_start(&gated_host);
	CHECK_EQ(gated_read(50, 1), DENIED);
}

TEST(a_bad_table_does_not_matter_to_rules_for_elsewhere)
{
	struct fake_gpt gpt = gated_make();

	break_table(&gpt);
	gated_rule("none QF0:n2 PARTLABEL=data");
	gated_start(&gated_host);
	CHECK_EQ(gated_read(50, 1), PASSED);
}

TEST(a_table_that_cannot_be_read_is_as_good_as_bad)
{
	gated_make();
	gated_host.faults[0] = (struct fake_fault){ 1, NVME_IO_TIMED_OUT };
	gated_host.faults[1] = (struct fake_fault){ 299, NVME_IO_TIMED_OUT };
	gated_rule("none QF0:n1 PARTLABEL=data");
	gated_start(&gated_host);
	CHECK_EQ(gated_read(50, 1), DENIED);
}

TEST(a_namespace_that_cannot_be_asked_is_as_good_as_bad)
{
	gated_make();
	gated_host.namespaces[0].info.metadata_size = 8;
	gated_rule("none PARTLABEL=data");
	gated_start(&gated_host);
	CHECK_EQ(gated_read(50, 1), DENIED);
	CHECK_EQ(gated_io(0x02, 2, 50, 1), PASSED);
}

TEST(after_a_reset_while_reading_the_next_start_is_whole)
{
	gated_make();
	gated_host.faults[0] = (struct fake_fault){ 1, NVME_IO_ABORTED };
	gated_rule("ro PARTLABEL=data");
	gated_start(&gated_host);
	gated_host.faults[0].status = 0;
	gated_start(&gated_host);
	CHECK_EQ(gated_write(100, 1), PROTECTED);
	CHECK_EQ(gated_write(50, 1), PASSED);
}

TEST(rules_are_applied_anew_at_every_start)
{
	struct fake_gpt gpt = gated_start_with("ro PARTLABEL=data");
	struct fake_gpt_partition moved = { 200, 219, 0xbb, "data" };

	fake_gpt_add(&gpt, 1, &moved);
	CHECK_EQ(gated_write(200, 1), PASSED);
	gated_start(&gated_host);
	CHECK_EQ(gated_write(200, 1), PROTECTED);
	CHECK_EQ(gated_write(100, 1), PASSED);
	CHECK_EQ(fake_log_count("matches"), 0);
}

TEST(a_rule_that_matches_two_partitions_applies_to_both_with_a_warning)
{
	struct fake_gpt gpt = gated_make();
	struct fake_gpt_partition twin = { 200, 219, 0xcc, "data" };

	fake_gpt_add(&gpt, 2, &twin);
	gated_rule("ro PARTLABEL=data");
	gated_start(&gated_host);
	CHECK_EQ(gated_write(100, 1), PROTECTED);
	CHECK_EQ(gated_write(200, 1), PROTECTED);
	CHECK_EQ(fake_log_count("nvme0: gate: ro PARTLABEL=data: matches more "
				"than once and applies everywhere (line 1)"),
		 1);
}

TEST(a_rule_that_matches_on_two_controllers_is_warned_of)
{
	struct nvme_host second = { .name = "nvme1", .serial = "QF1" };

	gated_start_with("ro PARTLABEL=data");
	second.namespaces[0] = gated_host.namespaces[0];
	second.namespace_count = 1;
	gated_start(&second);
	CHECK_EQ(fake_log_count("nvme1: gate: ro PARTLABEL=data: matches "
				"more than once"), 1);
}

TEST(a_rule_that_matches_nothing_is_warned_of_beside_what_there_is)
{
	gated_start_with("ro PARTLABEL=dada");
	CHECK_EQ(fake_log_count("nvme0: gate: ro PARTLABEL=dada: matches "
				"nothing here (line 1)"), 1);
	CHECK_EQ(fake_log_count("nvme0: gate: n1: rw PARTUUID=aaaaaaaa-aaaa-"
				"aaaa-aaaa-aaaaaaaaaaaa PARTLABEL=\"open\""),
		 1);
	CHECK_EQ(gated_write(0, 300), PASSED);
}

TEST(a_label_cannot_disturb_the_log)
{
	struct fake_gpt gpt = gated_make();
	struct fake_gpt_partition bad = { 200, 219, 0xcc, "\x1b[2J\n\x7f" };

	fake_gpt_add(&gpt, 2, &bad);
	gated_rule("ro PARTLABEL=data");
	gated_start(&gated_host);
	CHECK_EQ(fake_log_count("PARTLABEL=\"?[2J??\""), 1);
}

TEST(more_partitions_than_there_is_room_for_close_the_controller)
{
	struct fake_gpt gpt = {
		.disk = fake_add_namespace(&gated_host, 1, 4000, 512),
		.block_size = 512, .lba_count = 4000,
		.entry_count = 1024, .entry_size = 128,
	};

	fake_gpt_init(&gpt);
	for (u32 i = 0; i < 1024; i++)
		*fake_gpt_entry(&gpt, false, i) = (struct gpt_disk_entry){
			.type = { 1 }, .first_lba = 300 + i,
			.last_lba = 300 + i, .label = { 'x' },
		};
	fake_gpt_seal(&gpt);
	fake_add_namespace(&gated_host, 2, 300, 512);
	gated_rule("ro PARTLABEL=x");
	gated_start(&gated_host);
	CHECK_EQ(gated_read(3000, 1), DENIED);
	CHECK_EQ(gated_io(0x02, 2, 0, 1), DENIED);
	CHECK_EQ(fake_log_count("more than 512 extents"), 1);
	CHECK_EQ(fake_log_count("PARTLABEL=\"x\""), 16);
}

/* ---- What is said about it ------------------------------------------ */

TEST(a_refusal_names_rule_command_blocks_and_line)
{
	gated_make();
	gated_rule("rw PARTLABEL=open");
	gated_rule("ro PARTLABEL=data");
	gated_start(&gated_host);
	gated_write(120, 8);
	gated_admin(0x84, 0, 0);
	gated_admin(0xc1, 0, 0);
	gated_io(0x83, 1, 0, 0);
	CHECK_EQ(fake_log_count("nvme0: gate: ro PARTLABEL=data: refused Write "
				"lba 120+8 of n1 (line 2)"), 1);
	CHECK_EQ(fake_log_count("refused Sanitize for n0 (line 2)"), 1);
	CHECK_EQ(fake_log_count("refused admin opcode c1h (line 2)"), 1);
	CHECK_EQ(fake_log_count("refused I/O opcode 83h (line 2)"), 1);
}

TEST(refusals_are_counted_by_rule_and_told_once)
{
	gated_start_with("ro PARTLABEL=data");
	for (int i = 0; i < 5; i++)
		gated_write(120, 1);
	gated_write(0, 1);
	for (int i = 0; i < 2; i++)
		CHECK(gated_host.interceptor->can_stop(
			gated_host.interceptor->interceptor));
	CHECK_EQ(fake_log_count("gate: ro PARTLABEL=data: 5 commands refused "
				"so far"), 1);
	CHECK_EQ(fake_log_count("gate: partition table: 1 commands refused"),
		 1);
	CHECK_EQ(fake_log_count("refused so far"), 2);
}

static void check_needs(const char *rule, u32 needs)
{
	gated_start_with(rule);
	CHECK_EQ(gated_host.interceptor->needs,
		 NVME_IO_NEEDS_HOST_REQUESTS | NVME_IO_CONCURRENT | needs);
}

TEST(gate_asks_for_no_completions_when_its_partition_is_found)
{
	check_needs("ro QF0:n1 PARTLABEL=data", 0);
}

TEST(gate_asks_for_no_completions_for_a_namespace)
{
	check_needs("ro QF0:n1", 0);
}

TEST(gate_asks_for_no_completions_when_nothing_is_restricted)
{
	check_needs("rw PARTLABEL=missing", 0);
}

TEST(gate_asks_for_completions_where_its_partition_may_come)
{
	check_needs("ro PARTLABEL=data", NVME_IO_NEEDS_COMPLETIONS);
}

TEST(gate_asks_for_completions_anew_at_every_start)
{
	struct fake_gpt gpt = gated_start_with("ro QF0:n1 PARTLABEL=late");
	struct fake_gpt_partition late = { 200, 219, 0xcc, "late" };

	CHECK(gated_host.interceptor->needs & NVME_IO_NEEDS_COMPLETIONS);
	fake_gpt_add(&gpt, 2, &late);
	gated_start(&gated_host);
	CHECK(!(gated_host.interceptor->needs & NVME_IO_NEEDS_COMPLETIONS));
}
