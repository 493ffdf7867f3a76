/* SPDX-License-Identifier: BSD-2-Clause */
/* The gate plug-in: every opcode and every range. */
#include <string.h>

#include "fake_gated.h"

/* ---- Every opcode --------------------------------------------------- */

/*
 * What a command needs: r, w blocks of its own; R, W blocks of the namespace
 * that it does not name; - nothing; all others are unknown.
 */
static char io_kind(u32 opcode)
{
	static const char kinds[256] = {
		[0x00] = '-', [0x01] = 'w', [0x02] = 'r', [0x04] = 'w',
		[0x05] = 'r', [0x08] = 'w', [0x09] = 'W', [0x0c] = 'r',
		[0x0e] = 'R', [0x19] = 'w', [0x79] = 'W', [0x7a] = 'R',
		[0x7d] = 'W',
	};

	return kinds[opcode] ? kinds[opcode] : 'u';
}

/* As command.c decodes it. */
static struct nvme_io_command make_io(u32 opcode, u32 nsid, u64 lba)
{
	struct nvme_io_command cmd = {
		.opcode = (u8)opcode, .nsid = nsid,
	};
	char kind = io_kind(opcode);

	if (kind == 'r' || kind == 'w') {
		cmd.effects = kind == 'r' ? NVME_IO_READS : NVME_IO_WRITES;
		cmd.lba = lba;
		cmd.n_lbas = 8;
	} else if (kind == 'u') {
		cmd.effects = NVME_IO_UNKNOWN;
	}
	return cmd;
}

struct place {
	u64 lba;
	bool is_touching;
};

static const struct place places[] = {
	{ 50, false },		/* outside */
	{ 92, false },		/* right before */
	{ 93, true },		/* crossing the first block */
	{ 120, true },		/* inside */
	{ 199, true },		/* crossing the last block */
	{ 200, false },		/* right after */
};

static u16 expected_io(char kind, const char *mode, bool is_touching)
{
	bool is_none = !strcmp(mode, "none");

	if (kind == '-' || !strcmp(mode, "rw"))
		return PASSED;
	if (kind == 'u')
		return NO_OPCODE;
	if (kind >= 'a' && !is_touching)
		return PASSED;
	if (is_none)
		return DENIED;
	return kind == 'w' || kind == 'W' ? PROTECTED : PASSED;
}

static void check_every_io_opcode(const char *mode)
{
	char rule[40];

	snprintf(rule, sizeof(rule), "%s PARTLABEL=data", mode);
	gated_start_with(rule);
	for (u32 i = 0; i < 256 * ARRAY_COUNT(places); i++) {
		const struct place *place = &places[i / 256];
		struct nvme_io_command cmd = make_io(i % 256, 1, place->lba);
		u16 status = fake_command(&gated_host, &cmd);

		if (status != expected_io(io_kind(i % 256), mode,
					  place->is_touching))
			FAIL("%s: opcode %02x at %d: %04x", mode, i % 256,
			     (int)place->lba, status);
	}
}

TEST(every_io_opcode_passes_where_all_is_rw)
{
	check_every_io_opcode("rw");
}

TEST(every_io_opcode_is_judged_on_a_ro_partition)
{
	check_every_io_opcode("ro");
}

TEST(every_io_opcode_is_judged_on_a_hidden_partition)
{
	check_every_io_opcode("none");
}

TEST(every_io_opcode_passes_on_a_namespace_without_policy)
{
	gated_start_with("none PARTLABEL=data");
	for (u32 opcode = 0; opcode < 256; opcode++) {
		struct nvme_io_command cmd = make_io(opcode, 2, 120);

		CHECK_EQ(fake_command(&gated_host, &cmd), PASSED);
	}
	CHECK_EQ(fake_log_count("refused"), 0);
}

TEST(zeroing_a_whole_namespace_is_not_judged_by_its_range)
{
	struct nvme_io_command cmd = make_io(0x08, 1, 50);

	gated_start_with("ro PARTLABEL=data");
	CHECK_EQ(fake_command(&gated_host, &cmd), PASSED);
	cmd.cdw12 = 1u << 23;
	CHECK_EQ(fake_command(&gated_host, &cmd), PROTECTED);
	cmd.nsid = 2;
	CHECK_EQ(fake_command(&gated_host, &cmd), PASSED);
}

TEST(an_opcode_of_another_command_set_is_unknown)
{
	gated_start_with("ro PARTLABEL=data");
	for (u32 opcode = 0; opcode < 256; opcode++) {
		struct nvme_io_command cmd = {
			.opcode = (u8)opcode, .nsid = 1,
			.effects = NVME_IO_UNKNOWN,
		};

		CHECK_EQ(fake_command(&gated_host, &cmd), NO_OPCODE);
	}
}

TEST(a_command_whose_range_is_not_known_touches_everything)
{
	struct nvme_io_command cmd = { .opcode = 0x01, .nsid = 1 };

	gated_start_with("ro PARTLABEL=data");
	cmd.lba = 50;
	cmd.n_lbas = 8;
	CHECK_EQ(fake_command(&gated_host, &cmd), PROTECTED);
	cmd.effects = NVME_IO_WRITES;
	CHECK_EQ(fake_command(&gated_host, &cmd), PASSED);
	cmd.n_lbas = 0;
	CHECK_EQ(fake_command(&gated_host, &cmd), PROTECTED);
}

/* - passes, W changes blocks, R looks at all, f depends on the feature. */
static char admin_kind(u32 opcode)
{
	static const char kinds[256] = {
		[0x00] = '-', [0x01] = '-', [0x02] = '-', [0x04] = '-',
		[0x05] = '-', [0x06] = '-', [0x08] = '-', [0x09] = 'f',
		[0x0a] = '-', [0x0c] = '-', [0x0d] = 'W', [0x15] = 'W',
		[0x18] = '-', [0x7c] = '-', [0x80] = 'W', [0x84] = 'W',
		[0x86] = 'R',
	};

	return kinds[opcode] ? kinds[opcode] : 'u';
}

static u16 expected_admin(char kind, const char *mode)
{
	if (kind == '-' || !strcmp(mode, "rw"))
		return PASSED;
	if (kind == 'f')
		return NO_CHANGE;
	if (kind == 'u')
		return NO_OPCODE;
	if (!strcmp(mode, "none"))
		return DENIED;
	return kind == 'W' ? PROTECTED : PASSED;
}

/* Set Features: of namespace write protection. */
static void check_every_admin_opcode(const char *mode)
{
	static const u32 nsids[] = { 1, 0, 0xffffffff };
	char rule[40];

	snprintf(rule, sizeof(rule), "%s PARTLABEL=data", mode);
	gated_start_with(rule);
	for (u32 i = 0; i < 256 * ARRAY_COUNT(nsids); i++) {
		u16 status = gated_admin(i % 256, nsids[i / 256], 0x84);

		if (status != expected_admin(admin_kind(i % 256), mode))
			FAIL("%s: opcode %02x for n%u: %04x", mode, i % 256,
			     nsids[i / 256], status);
	}
}

TEST(every_admin_opcode_passes_where_all_is_rw)
{
	check_every_admin_opcode("rw");
}

TEST(every_admin_opcode_is_judged_with_a_ro_partition)
{
	check_every_admin_opcode("ro");
}

TEST(every_admin_opcode_is_judged_with_a_hidden_partition)
{
	check_every_admin_opcode("none");
}

TEST(what_reaches_all_of_a_controller_is_refused_from_any_namespace)
{
	static const u8 opcodes[] = { 0x0d, 0x15, 0x80, 0x84 };

	gated_start_with("ro PARTLABEL=data");
	for (size_t i = 0; i < sizeof(opcodes); i++)
		CHECK_EQ(gated_admin(opcodes[i], 2, 0), PROTECTED);
	CHECK_EQ(gated_admin(0x81, 2, 0), NO_OPCODE);
	CHECK_EQ(gated_admin(0xc0, 2, 0), NO_OPCODE);
	CHECK_EQ(gated_admin(0x86, 2, 0), PASSED);
}

TEST(what_nvme_2_added_is_refused_where_there_is_policy)
{
	static const u8 opcodes[] = {
		0x11, 0x14, 0x19, 0x1a, 0x1c, 0x1d, 0x1e,	/* 1.x */
		0x20,		/* Capacity Management */
		0x21, 0x22, 0x24,	/* Lockdown */
		0x28, 0x2a, 0x3c, 0x3d, 0x41, 0x45, 0x7f, 0x81, 0x82,
	};

	gated_start_with("ro PARTLABEL=data");
	for (size_t i = 0; i < sizeof(opcodes); i++) {
		CHECK_EQ(gated_admin(opcodes[i], 0, 0), NO_OPCODE);
		CHECK_EQ(gated_admin(opcodes[i], 2, 0), NO_OPCODE);
	}
}

TEST(only_harmless_features_are_set)
{
	static const u8 harmless[] = {
		0x01, 0x02, 0x04, 0x05, 0x06, 0x07, 0x08, 0x09, 0x0a, 0x0b,
		0x0c, 0x0d, 0x0e, 0x0f, 0x10, 0x11, 0x16, 0x80, 0x81, 0x82,
		0x83,
	};

	gated_start_with("ro PARTLABEL=data");
	for (u32 feature = 0; feature < 256; feature++)
		CHECK_EQ(gated_admin(0x09, 1, 1u << 31 | feature),
			 memchr(harmless, (int)feature, sizeof(harmless)) ?
			 PASSED : NO_CHANGE);
}

/* ---- Ranges --------------------------------------------------------- */

TEST(ranges_are_judged_to_the_block)
{
	static const struct {
		u64 lba;
		u32 n_lbas;
		u16 status;
	} rows[] = {
		{ 99, 1, PASSED }, { 100, 1, PROTECTED }, { 99, 2, PROTECTED },
		{ 199, 1, PROTECTED }, { 200, 1, PASSED },
		{ 199, 2, PROTECTED }, { 34, 66, PASSED },
		{ 34, 67, PROTECTED }, { 200, 67, PASSED },
		{ 50, 65536, PROTECTED }, { 200, 65536, PROTECTED },
		{ 0, 0xffffffff, PROTECTED }, { 33, 1, PROTECTED },
		{ 34, 1, PASSED }, { 266, 1, PASSED }, { 267, 1, PROTECTED },
		{ 299, 1, PROTECTED }, { ~0ull, 1, PROTECTED },
		{ ~0ull, 65536, PROTECTED }, { ~0ull, 3, PROTECTED },
		{ ~0ull - 8, 9, PROTECTED },
	};

	gated_start_with("ro PARTLABEL=data");
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++)
		CHECK_EQ(gated_write(rows[i].lba, rows[i].n_lbas),
			 rows[i].status);
}

TEST(a_range_past_the_last_lba_does_not_wrap_around)
{
	gated_start_with("none PARTLABEL=data");
	CHECK_EQ(gated_read(~0ull, 65536), PASSED);
	CHECK_EQ(gated_read(~0ull - 1, 3), PASSED);
	CHECK_EQ(gated_read(150, 0xffffffff), DENIED);
	CHECK_EQ(gated_read(200, 0xffffffff), PASSED);
}

TEST(the_table_is_read_only_where_a_partition_is_policed)
{
	gated_start_with("none PARTLABEL=data");
	CHECK_EQ(gated_read(0, 34), PASSED);
	CHECK_EQ(gated_read(267, 33), PASSED);
	CHECK_EQ(gated_write(0, 1), PROTECTED);
	CHECK_EQ(gated_write(1, 1), PROTECTED);
	CHECK_EQ(gated_write(299, 1), PROTECTED);
	CHECK_EQ(gated_write(33, 8), PROTECTED);
	CHECK_EQ(fake_log_count("gate: partition table: refused Write lba "
				"299+1 of n1"), 1);
}

TEST(the_table_is_free_where_all_partitions_are_rw)
{
	gated_start_with("rw PARTLABEL=data");
	CHECK_EQ(gated_write(0, 34), PASSED);
	CHECK_EQ(gated_write(299, 1), PASSED);
}

TEST(the_strictest_of_several_rules_wins_in_any_order)
{
	gated_make();
	gated_rule("ro PARTLABEL=data");
	gated_rule("none PARTUUID=bbbbbbbb-bbbb-bbbb-bbbb-bbbbbbbbbbbb");
	gated_rule("rw PARTLABEL=data");
	gated_rule("none PARTLABEL=open");
	gated_rule("ro PARTUUID=AAAAAAAA-AAAA-AAAA-AAAA-AAAAAAAAAAAA");
	gated_start(&gated_host);
	CHECK_EQ(gated_read(100, 1), DENIED);
	CHECK_EQ(gated_write(100, 1), DENIED);
	CHECK_EQ(gated_read(40, 1), DENIED);
	CHECK_EQ(gated_read(200, 1), PASSED);
	CHECK_EQ(fake_log_count("gate: n1: none PARTUUID=bbbbbbbb-bbbb-bbbb-"
				"bbbb-bbbbbbbbbbbb PARTLABEL=\"data\""), 1);
}

TEST(a_write_across_a_ro_and_a_hidden_partition_is_denied)
{
	gated_make();
	gated_rule("ro PARTLABEL=open");
	gated_rule("none PARTLABEL=data");
	gated_start(&gated_host);
	CHECK_EQ(gated_write(99, 1), PROTECTED);
	CHECK_EQ(gated_write(99, 2), DENIED);
	CHECK_EQ(gated_read(99, 1), PASSED);
	CHECK_EQ(gated_read(99, 2), DENIED);
}

/* ---- Namespaces ----------------------------------------------------- */

TEST(a_namespace_rule_covers_every_block_and_reads_no_table)
{
	gated_start_with("ro QF0:n2");
	CHECK_EQ(gated_host.read_count, 0);
	CHECK_EQ(gated_io(0x01, 2, 0, 1), PROTECTED);
	CHECK_EQ(gated_io(0x01, 2, ~0ull, 1), PROTECTED);
	CHECK_EQ(gated_io(0x02, 2, 0, 300), PASSED);
	CHECK_EQ(gated_write(0, 300), PASSED);
}

TEST(a_rule_for_another_controller_restricts_nothing)
{
	gated_start_with("none QF1:n1 PARTLABEL=data");
	CHECK_EQ(gated_host.read_count, 0);
	CHECK_EQ(gated_write(100, 1), PASSED);
	CHECK_EQ(gated_admin(0x84, 0, 0), PASSED);
	CHECK_EQ(gated_io(0x01, 77, 0, 1), PASSED);
	CHECK_EQ(fake_log_count("matches nothing"), 0);
}

TEST(every_namespace_at_once_is_as_policed_as_any)
{
	gated_start_with("ro PARTLABEL=data");
	CHECK_EQ(gated_io(0x01, 0xffffffff, 120, 1), PROTECTED);
	CHECK_EQ(gated_io(0x08, 0xffffffff, 120, 1), PROTECTED);
	CHECK_EQ(gated_io(0x00, 0xffffffff, 0, 0), PASSED);
	CHECK_EQ(gated_io(0x01, 0, 120, 1), PROTECTED);
}

TEST(a_namespace_that_came_later_is_closed_until_the_next_reset)
{
	gated_start_with("ro PARTLABEL=data");
	fake_add_namespace(&gated_host, 3, 300, 512);
	CHECK_EQ(gated_io(0x02, 3, 0, 1), NO_NAMESPACE);
	CHECK_EQ(gated_io(0x00, 3, 0, 0), PASSED);
	gated_start(&gated_host);
	CHECK_EQ(gated_io(0x02, 3, 0, 1), PASSED);
}

/* ---- Fused, ranges in data ------------------------------------------ */

TEST(both_halves_of_a_fused_pair_are_refused_where_there_is_policy)
{
	struct nvme_io_command cmd = {
		.opcode = 0x05, .nsid = 1, .lba = 50, .n_lbas = 1,
		.effects = NVME_IO_READS, .fuse = 1,
	};

	gated_start_with("ro PARTLABEL=data");
	CHECK_EQ(fake_command(&gated_host, &cmd), NO_FIELD);
	cmd.opcode = 0x01;
	cmd.fuse = 2;
	cmd.effects = NVME_IO_WRITES;
	CHECK_EQ(fake_command(&gated_host, &cmd), NO_FIELD);
	cmd.nsid = 2;
	CHECK_EQ(fake_command(&gated_host, &cmd), NO_FIELD);
	cmd.opcode = 0;
	CHECK_EQ(fake_command(&gated_host, &cmd), NO_FIELD);
	cmd.opcode = 0x09;
	CHECK_EQ(fake_discard(&gated_host, &cmd, NULL, 0), NO_FIELD);
}

TEST(fused_pairs_pass_where_there_is_no_policy)
{
	struct nvme_io_command cmd = {
		.opcode = 0x05, .nsid = 1, .lba = 120, .n_lbas = 1,
		.effects = NVME_IO_READS, .fuse = 1,
	};

	gated_start_with("rw PARTLABEL=data");
	CHECK_EQ(fake_command(&gated_host, &cmd), PASSED);
}

static u16 discard(u32 nsid, u64 lba, u32 n_lbas)
{
	struct nvme_io_command cmd = {
		.opcode = 0x09, .nsid = nsid, .effects = NVME_IO_RANGES,
	};
	struct nvme_io_range ranges[] = {
		{ .lba_start = 50, .n_lbas = 10 },
		{ .lba_start = 150, .n_lbas = 0 },
		{ .lba_start = lba, .n_lbas = n_lbas },
	};

	return fake_discard(&gated_host, &cmd, ranges, ARRAY_COUNT(ranges));
}

TEST(every_range_of_a_discard_is_judged)
{
	gated_start_with("ro PARTLABEL=data");
	CHECK_EQ(discard(1, 60, 40), PASSED);
	CHECK_EQ(discard(1, 60, 41), PROTECTED);
	CHECK_EQ(discard(1, 199, 1), PROTECTED);
	CHECK_EQ(discard(1, 0, 0xffffffff), PROTECTED);
	CHECK_EQ(discard(1, ~0ull, 0xffffffff), PROTECTED);
	CHECK_EQ(discard(1, 200, 60), PASSED);
	CHECK_EQ(discard(2, 100, 100), PASSED);
	CHECK_EQ(discard(0xffffffff, 100, 100), PROTECTED);
	CHECK_EQ(discard(9, 100, 100), NO_NAMESPACE);
	CHECK_EQ(fake_log_count("refused Dataset Management lba 60+41 of n1 "
				"(line 1)"), 1);
}

static u16 copy(u64 from, u64 to, u32 descriptor_format)
{
	struct nvme_io_copy_source sources[] = {
		{ .lba_start = 50, .n_lbas = 4 },
		{ .lba_start = from, .n_lbas = 4 },
	};
	struct nvme_io_command cmd = {
		.opcode = 0x19, .nsid = 1, .lba = to, .n_lbas = 8,
		.cdw12 = descriptor_format << 8 | 1,
		.effects = NVME_IO_WRITES | NVME_IO_RANGES,
	};

	return fake_copy(&gated_host, &cmd, sources, ARRAY_COUNT(sources));
}

TEST(every_source_and_the_destination_of_a_copy_are_judged)
{
	gated_make();
	gated_rule("ro PARTLABEL=open");
	gated_rule("none PARTLABEL=data");
	gated_start(&gated_host);
	CHECK_EQ(copy(60, 200, 0), PASSED);
	CHECK_EQ(copy(96, 200, 1), PASSED);
	CHECK_EQ(copy(97, 200, 0), DENIED);
	CHECK_EQ(copy(60, 92, 0), PROTECTED);
	CHECK_EQ(copy(60, 93, 0), DENIED);
	CHECK_EQ(copy(60, 260, 0), PROTECTED);
	CHECK_EQ(copy(60, 200, 2), NO_FIELD);
	CHECK_EQ(copy(60, 200, 3), NO_FIELD);
}
