/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * How many bytes each command moves: data is put right before the end of a
 * page, and what would follow is Sluice's. One dword more is refused.
 */
#include <string.h>

#include "fake_guest.h"
#include "fake_machine.h"
#include "fake_nvme.h"
#include "page.h"
#include "test.h"

#define REFUSED 0x4004		/* Data Transfer Error, do not retry */
#define PRACT (1u << 29)

static struct guest_cq cq;
static struct guest_sq sq;
static u8 *pages, *secret;

static void enable(void)
{
	CHECK(guest_enable(FIELD_PREP(NVME_CC_CSS, 6)));
	CHECK_EQ(guest_create_cq(&cq, 1, 16, true), 0);
	CHECK_EQ(guest_create_sq(&sq, 1, 16, &cq), 0);
}

static void start(void)
{
	guest_boot();
	fake_nvme_add(2, 9, 4096)->command_set = NVME_CSI_ZONED;
	CHECK_EQ(fake_machine_attach(), 0);
	enable();
	pages = fake_ram(2 * 4096, 4096);
	secret = page_alloc(1);
}

struct length_case {
	const char *what;
	u8 opcode;
	u32 size;
	u32 cdw10, cdw11, cdw12, nsid;
};

static u16 run(struct guest_sq *on, const struct length_case *c, u32 missing)
{
	struct nvme_sqe sqe = {
		.opcode = c->opcode, .nsid = c->nsid ? c->nsid : 1,
		.cdw10 = c->cdw10, .cdw11 = c->cdw11, .cdw12 = c->cdw12,
		.prp1 = (u64)pages + 4096 - c->size + missing,
		.prp2 = (u64)secret,
	};

	return guest_run(on, &sqe, NULL);
}

static void check_cases(struct guest_sq *on, const struct length_case *cases,
			u32 count)
{
	for (u32 i = 0; i < count; i++) {
		u16 status = run(on, &cases[i], 0);

		if (status == REFUSED)
			FAIL("%s: %#x", cases[i].what, status);
		status = run(on, &cases[i], 4);
		if (status != REFUSED)
			FAIL("%s, 4 bytes short: %#x", cases[i].what, status);
	}
}

/* NVM command set 1.0, 3; zoned namespace command set 1.1, 3.4. */
TEST(each_io_command_moves_as_many_bytes_as_it_says)
{
	static const struct length_case cases[] = {
		{ "Write", 0x01, .size = 2048, .cdw12 = 3 },
		{ "Read", 0x02, .size = 4096, .cdw12 = 7 },
		{ "Compare", 0x05, .size = 512 },
		{ "Dataset Management", 0x09, .size = 48, .cdw10 = 2 },
		{ "Dataset Management, 256", 0x09, .size = 4096, .cdw10 = 255 },
		{ "Reservation Register", 0x0d, .size = 16 },
		{ "Reservation Report", 0x0e, .size = 40, .cdw10 = 9 },
		{ "Reservation Acquire", 0x11, .size = 16 },
		{ "Reservation Release", 0x15, .size = 8 },
		{ "Copy, format 0", 0x19, .size = 64, .cdw12 = 1 },
		{ "Copy, format 1", 0x19, .size = 80, .cdw12 = 0x101 },
		{ "Zone Management Receive", 0x7a, .size = 100, .cdw12 = 24,
		  .nsid = 2 },
		{ "Zone Append", 0x7d, .size = 1024, .cdw12 = 1, .nsid = 2 },
	};

	start();
	check_cases(&sq, cases, ARRAY_COUNT(cases));
}

/* NVMe 1.4, 5; base 2.0, 5. */
TEST(each_admin_command_moves_as_many_bytes_as_it_says)
{
	static const struct length_case cases[] = {
		{ "Get Log Page", 0x02, .size = 64, .cdw10 = 15 << 16 | 2 },
		{ "Identify", 0x06, .size = 4096 },
		{ "LBA Range Type", 0x0a, .size = 4096, .cdw10 = 0x03 },
		{ "Autonomous Power State", 0x09, .size = 256, .cdw10 = 0x0c },
		{ "Timestamp", 0x09, .size = 8, .cdw10 = 0x0e },
		{ "Host Behavior Support", 0x09, .size = 512, .cdw10 = 0x16 },
		{ "Host Identifier", 0x0a, .size = 8, .cdw10 = 0x81 },
		{ "Host Identifier, extended", 0x09, .size = 16, .cdw10 = 0x81,
		  .cdw11 = 1 },
		{ "Namespace Management, create", 0x0d, .size = 4096 },
		{ "Firmware Image Download", 0x11, .size = 256, .cdw10 = 63 },
		{ "Namespace Attachment", 0x15, .size = 4096 },
		{ "Directive Send", 0x19, .size = 8, .cdw10 = 1 },
		{ "Directive Receive", 0x1a, .size = 4096, .cdw10 = 1023 },
		{ "Security Send", 0x81, .size = 512, .cdw11 = 512 },
		{ "Security Receive", 0x82, .size = 512, .cdw11 = 512 },
		{ "Get LBA Status", 0x86, .size = 32, .cdw12 = 7 },
	};

	start();
	check_cases(&guest.admin, cases, ARRAY_COUNT(cases));
}

/* The end of its data is nobody's business where there is none. */
TEST(commands_without_data_may_point_anywhere)
{
	static const struct length_case io[] = {
		{ "Flush", .opcode = 0x00 },
		{ "Write Uncorrectable", .opcode = 0x04 },
		{ "Write Zeroes", .opcode = 0x08 },
		{ "Verify", .opcode = 0x0c },
		{ "Zone Management Send", .opcode = 0x79, .nsid = 2 },
	};
	static const struct length_case admin[] = {
		{ "Namespace Management, delete", .opcode = 0x0d, .cdw10 = 1 },
		{ "Firmware Commit", .opcode = 0x10 },
		{ "Self-test", .opcode = 0x14 },
		{ "Keep Alive", .opcode = 0x18 },
		{ "Sanitize", .opcode = 0x84 },
		{ "Get Features, supported", .opcode = 0x0a, .cdw10 = 0x30c },
	};

	start();
	for (u32 i = 0; i < ARRAY_COUNT(io); i++) {
		CHECK(run(&sq, &io[i], 4) != REFUSED);
		CHECK_EQ(fake_nvme_last(false, io[i].opcode)->prp1, 0);
	}
	for (u32 i = 0; i < ARRAY_COUNT(admin); i++) {
		CHECK(run(&guest.admin, &admin[i], 4) != REFUSED);
		CHECK_EQ(fake_nvme_last(true, admin[i].opcode)->prp1, 0);
	}
}

/* 8 bytes after each block of 512, and with PRACT none (8.3.1.4). */
TEST(metadata_in_the_buffer_is_part_of_its_length)
{
	static const struct length_case cases[] = {
		{ "Write", 0x01, .size = 2 * 520, .cdw12 = 1 },
		{ "Read", 0x02, .size = 7 * 520, .cdw12 = 6 },
		{ "PRACT without PI", 0x02, .size = 520, .cdw12 = PRACT },
	};

	start();
	CHECK(guest_disable());
	fake_nvme.namespaces[0].metadata_size = 8;
	fake_nvme.namespaces[0].is_inline = true;
	enable();
	check_cases(&sq, cases, ARRAY_COUNT(cases));
}

TEST(the_controller_makes_the_metadata_when_it_is_nothing_but_pi)
{
	static const struct length_case cases[] = {
		{ "PRACT", 0x01, .size = 1024, .cdw12 = PRACT | 1 },
		{ "no PRACT", 0x01, .size = 1040, .cdw12 = 1 },
	};

	start();
	CHECK(guest_disable());
	fake_nvme.namespaces[0].metadata_size = 8;
	fake_nvme.namespaces[0].is_inline = true;
	fake_nvme.namespaces[0].pi_type = 1;
	enable();
	check_cases(&sq, cases, ARRAY_COUNT(cases));
}

/* 16 bytes of PI, with a guard of 32 or 64 bits (NVM 1.0, 5.2.1). */
TEST(the_guard_says_how_long_pi_is)
{
	static const struct length_case longer[] = {
		{ "PRACT", 0x01, .size = 1024, .cdw12 = PRACT | 1 },
		{ "no PRACT", 0x01, .size = 1056, .cdw12 = 1 },
	}, shorter[] = {
		{ "PRACT, not all is PI", 0x01, .size = 1056,
		  .cdw12 = PRACT | 1 },
	};

	start();
	CHECK(guest_disable());
	fake_nvme.has_guards = true;
	fake_nvme.namespaces[0].metadata_size = 16;
	fake_nvme.namespaces[0].is_inline = true;
	fake_nvme.namespaces[0].pi_type = 1;
	fake_nvme.namespaces[0].guard = 2;
	enable();
	check_cases(&sq, longer, ARRAY_COUNT(longer));
	CHECK(guest_disable());
	fake_nvme.namespaces[0].guard = 0;
	enable();
	check_cases(&sq, shorter, ARRAY_COUNT(shorter));
}

TEST(a_namespace_whose_guard_is_not_known_is_not_there)
{
	struct nvme_sqe sqe;

	start();
	CHECK(guest_disable());
	fake_nvme.has_guards = true;
	fake_nvme.refuses_guards = true;
	fake_nvme.namespaces[0].metadata_size = 16;
	fake_nvme.namespaces[0].pi_type = 1;
	enable();
	sqe = guest_rw(NVME_CMD_READ, 0, 1, pages);
	CHECK_EQ(guest_run(&sq, &sqe, NULL), 0x400b);
}

/* ---- Any field ---------------------------------------------------------- */

static const u32 values[] = {
	0, 1, 0xfff, 0x1000, 0x7fffffff, 0x80000000, 0xffffffff,
};

/* A command that means well but for one of its dwords. */
static void run_with(struct guest_sq *on, u8 opcode, u32 dword, u32 value)
{
	struct nvme_sqe sqe = {
		.opcode = opcode, .nsid = 1, .prp1 = (u64)pages,
		.prp2 = (u64)pages + 4096, .cdw12 = 7,
	};

	((u32 *)&sqe)[dword] = value;
	sqe.opcode = opcode;
	guest_run(on, &sqe, NULL);
}

static void check_every_field(struct guest_sq *on, u8 opcode)
{
	for (u32 i = 0; i < sizeof(struct nvme_sqe) / 4 * ARRAY_COUNT(values);
	     i++)
		run_with(on, opcode, i / ARRAY_COUNT(values),
			 values[i % ARRAY_COUNT(values)]);
}

static bool is_guests(u64 address, u64 size)
{
	return !ranges_overlap(address, size, (u64)secret, 4096);
}

static void check_it_works(void)
{
	struct nvme_sqe sqe = guest_rw(NVME_CMD_READ, 0, 8, pages);

	memset(fake_nvme.namespaces[0].data, 0x77, 4096);
	CHECK_EQ(guest_run(&sq, &sqe, NULL), 0);
	CHECK_EQ(pages[4095], 0x77);
}

TEST(any_field_of_any_io_command_may_be_anything)
{
	start();
	fake_nvme.allows_nowhere = true;
	fake_nvme.may_reach = is_guests;
	for (u32 opcode = 0; opcode < 256; opcode++)
		check_every_field(&sq, opcode);
	check_it_works();
}

/* All but event requests, which wait, and Format, after which nothing of the
 * fake's namespace is left; queues come and go. */
TEST(any_field_of_any_admin_command_may_be_anything)
{
	start();
	fake_nvme.allows_nowhere = true;
	fake_nvme.may_reach = is_guests;
	for (u32 opcode = 0; opcode < 256; opcode++)
		if (opcode != NVME_ADMIN_ASYNC_EVENT &&
		    opcode != NVME_ADMIN_FORMAT)
			check_every_field(&guest.admin, opcode);
	CHECK(guest_disable());
	enable();
	check_it_works();
}
