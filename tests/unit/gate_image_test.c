/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * gate in the driver as it is, and a device that destroys all blocks when it
 * is given a command it does not know: every opcode there could be is tried
 * on a partition, and the image is looked at.
 */
#include <stdio.h>
#include <string.h>

#include "fake_gpt.h"
#include "fake_guest.h"
#include "fake_machine.h"
#include "fake_nvme.h"
#include "test.h"

#define LBAS 16384
#define FIRST_LBA 4096		/* of the partition */
#define COUNT 4096
#define TRIED 8			/* blocks of a command */
#define CONTENT 0x5a
#define NOISE 0xa5

static struct guest_cq cq;
static struct guest_sq sq;
static u8 *image, *buffer;

static void make_disk(void)
{
	static const struct fake_gpt_partition data = {
		FIRST_LBA, FIRST_LBA + COUNT - 1, 0xbb, "data",
	};
	struct fake_gpt gpt = {
		.disk = image, .block_size = 512, .lba_count = LBAS,
	};

	fake_gpt_init(&gpt);
	fake_gpt_add(&gpt, 0, &data);
	memset(image + FIRST_LBA * 512, CONTENT, COUNT * 512);
}

static void start(const char *mode)
{
	char rule[32];

	snprintf(rule, sizeof(rule), "%s PARTLABEL=data", mode);
	guest_boot();
	CHECK_EQ(fake_configure("gate", rule), 0);
	image = fake_nvme.namespaces[0].data;
	make_disk();
	fake_nvme.is_ruthless = true;
	CHECK_EQ(fake_machine_attach(), 0);
	CHECK(guest_enable(0));
	CHECK_EQ(guest_create_cq(&cq, 1, 16, true), 0);
	CHECK_EQ(guest_create_sq(&sq, 1, 16, &cq), 0);
	buffer = fake_ram(4096, 4096);
}

/* Not a byte of the partition is another one. */
static bool is_intact(void)
{
	const u8 *first = image + FIRST_LBA * 512;

	return *first == CONTENT && !memcmp(first, first + 1, COUNT * 512 - 1);
}

/* Nothing of it is in the guest's memory. */
static bool is_secret(void)
{
	return !memchr(buffer, CONTENT, 4096);
}

static void try_io(u32 opcode, u64 lba)
{
	struct nvme_sqe sqe = {
		.opcode = (u8)opcode, .nsid = 1, .prp1 = (u64)buffer,
		.cdw10 = (u32)lba, .cdw12 = TRIED - 1,
	};

	memset(buffer, NOISE, 4096);
	if (opcode == NVME_CMD_DSM) {
		((struct nvme_dsm_range *)buffer)->lba = lba;
		((struct nvme_dsm_range *)buffer)->n_lbas = TRIED;
		sqe.cdw10 = 0;
	}
	/* From where everything may be read. */
	if (opcode == NVME_CMD_COPY) {
		*(u64 *)(buffer + 8) = 100;
		*(u16 *)(buffer + 16) = TRIED - 1;
		sqe.cdw12 = 0;
	}
	guest_run(&sq, &sqe, NULL);
}

/* Event requests wait; the others are given nothing to begin with. */
static void try_admin(u32 opcode, u32 nsid)
{
	if (opcode != NVME_ADMIN_ASYNC_EVENT)
		guest_admin((u8)opcode, nsid, opcode == NVME_ADMIN_SANITIZE, 0,
			    buffer);
}

static const u64 places[] = {
	FIRST_LBA, FIRST_LBA + COUNT / 2, FIRST_LBA + COUNT - TRIED,
	FIRST_LBA - TRIED + 1, FIRST_LBA + COUNT - 1,
};

static void check_every_io_opcode(bool may_read)
{
	for (u32 i = 0; i < 256 * ARRAY_COUNT(places); i++) {
		try_io(i % 256, places[i / 256]);
		if (!is_intact())
			FAIL("I/O opcode %02x has changed it", i % 256);
		if (!may_read && !is_secret())
			FAIL("I/O opcode %02x has shown it", i % 256);
	}
}

static void check_every_admin_opcode(void)
{
	static const u32 nsids[] = { 1, 0, 0xffffffff };

	for (u32 i = 0; i < 256 * ARRAY_COUNT(nsids); i++) {
		try_admin(i % 256, nsids[i / 256]);
		if (!is_intact())
			FAIL("admin opcode %02x has changed it", i % 256);
	}
}

TEST(no_opcode_changes_a_read_only_partition)
{
	start("ro");
	check_every_io_opcode(true);
	check_every_admin_opcode();
	try_io(NVME_CMD_READ, FIRST_LBA);
	CHECK_EQ(buffer[4095], CONTENT);
}

TEST(no_opcode_changes_or_shows_a_hidden_partition)
{
	start("none");
	check_every_io_opcode(false);
	check_every_admin_opcode();
}

/* What the other tests rely on: without a restriction these do their worst. */
TEST(opcodes_change_a_partition_that_is_open)
{
	static const u8 io[] = { 0x01, 0x08, 0x09, 0x0d, 0x19, 0x80 };
	static const u8 admin[] = { 0x14, 0x84, 0xc0 };

	start("rw");
	for (u32 i = 0; i < ARRAY_COUNT(io); i++) {
		make_disk();
		try_io(io[i], FIRST_LBA);
		if (is_intact())
			FAIL("I/O opcode %02x", io[i]);
	}
	for (u32 i = 0; i < ARRAY_COUNT(admin); i++) {
		make_disk();
		try_admin(admin[i], 1);
		if (is_intact())
			FAIL("admin opcode %02x", admin[i]);
	}
}
