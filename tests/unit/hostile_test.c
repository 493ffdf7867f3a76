/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A guest that writes nonsense. The fake controller fails the test when it
 * is told what a controller must not be told, ASan when memory is misused;
 * pages of Sluice's that the guest aims at must stay as they are.
 */
#include <stdlib.h>
#include <string.h>

#include "fake_double.h"
#include "fake_guest.h"
#include "fake_machine.h"
#include "fake_nvme.h"
#include "page.h"
#include "spec/pci.h"
#include "test.h"

#define TARGETS 8
#define ROUNDS 60000

static u8 *targets[TARGETS];
static u8 *ram;
static struct guest_cq cqs[4];
static struct guest_sq sqs[4];

static u32 random_of(u32 limit)
{
	return (u32)rand() % limit;
}

static u64 random_address(void)
{
	u64 noise = random_of(3) ? random_of(16) * 4096 : random_of(65536);

	switch (random_of(8)) {
	case 0:
		return (u64)targets[random_of(TARGETS)] + random_of(4096);
	case 1:
		return (u64)targets[random_of(TARGETS)] - random_of(8) * 512;
	case 2:
		return (u64)rand() << 33 | rand();
	default:
		return (u64)ram + noise;
	}
}

static void fill_sqe(struct nvme_sqe *sqe, bool is_admin)
{
	static const u8 admin_opcodes[] = { 0, 1, 2, 4, 5, 6, 8, 9, 0xa, 0xc,
		0xd, 0x10, 0x11, 0x15, 0x18, 0x7c, 0x80, 0x81, 0x82 };
	static const u8 io_opcodes[] = { 0, 1, 2, 4, 5, 8, 9, 0xc, 0xd, 0xe,
		0x19, 0x79, 0x7a, 0x7d, 0x80, 0x81 };

	for (u32 i = 0; i < sizeof(*sqe) / 4; i++)
		((u32 *)sqe)[i] = random_of(4) ? random_of(64) : (u32)rand();
	if (random_of(8))
		sqe->opcode = is_admin ?
			admin_opcodes[random_of(ARRAY_COUNT(admin_opcodes))] :
			io_opcodes[random_of(ARRAY_COUNT(io_opcodes))];
	if (random_of(8))
		sqe->flags = 0;
	if (random_of(4))
		sqe->nsid = 1;
	sqe->prp1 = random_address();
	sqe->prp2 = random_address();
	sqe->mptr = random_address();
	/* Formats would soon leave no namespace to work on. */
	if (is_admin && sqe->opcode == NVME_ADMIN_FORMAT)
		sqe->opcode = NVME_ADMIN_KEEP_ALIVE;
}

static void fill_lists(void)
{
	for (u32 i = 0; i < 16 * 512; i++)
		((u64 *)ram)[i] = align_down(random_address(),
					     random_of(8) ? 4096 : 4);
}

static void scribble(struct guest_sq *sq)
{
	for (u32 i = 0; i < sq->size; i++)
		fill_sqe(&sq->entries[i], !sq->id);
}

static void ring_something(void)
{
	u32 id = random_of(6);
	u32 tail = random_of(8) ? random_of(16) : (u32)rand();

	guest_write32(0x1000 + id * 8 + (random_of(3) ? 0 : 4), tail);
}

static void write_register(void)
{
	u32 offset = random_of(0x40) * 4;

	/* Enabling and disabling now and then only. */
	if (offset != NVME_REG_CC && offset != NVME_REG_INTMS)
		fake_guest_write(FAKE_BAR + offset, 1u << random_of(4), rand());
	fake_guest_read(FAKE_BAR + random_of(0x1400), 1u << random_of(4));
}

static void start_over(void)
{
	CHECK(guest_disable());
	CHECK(guest_enable(0));
	for (u16 i = 1; i < 4; i++) {
		CHECK_EQ(guest_create_cq(&cqs[i], i, 4 + i, i & 1), 0);
		CHECK_EQ(guest_create_sq(&sqs[i], i, 16, &cqs[i]), 0);
	}
}

static enum nvme_io_verdict any_verdict(struct nvme_request *req,
					const struct nvme_io_command *cmd)
{
	u8 data[64];

	nvme_io_req_read(req, random_of(4096), data, sizeof(data));
	nvme_io_req_buf(fake_double.host, req, random_of(4));
	switch (random_of(6)) {
	case 0:
		return NVME_IO_DONE;
	case 1:
		nvme_io_finish_guest_request(fake_double.host, req, 0x4002);
		return NVME_IO_HOLD;
	case 2:
		nvme_io_resume_guest_request(fake_double.host, req, 1);
		return NVME_IO_HOLD;
	}
	return NVME_IO_PASS;
}

static void boot(void)
{
	guest_boot();
	fake_nvme.allows_nowhere = true;
	fake_machine.config[0x80] = PCI_CAPABILITY_MSIX;
	fake_machine.config[0x83] = PCI_MSIX_ENABLE >> 8;
	fake_nvme.out_of_order = true;
	fake_double.needs = NVME_IO_NEEDS_COMPLETIONS |
		NVME_IO_NEEDS_HOST_REQUESTS;
	CHECK_EQ(fake_machine_attach(), 0);
	ram = fake_ram(32 * 4096, 4096);
	for (u32 i = 0; i < TARGETS; i++) {
		targets[i] = page_alloc(1);
		memset(targets[i], 0x5a, 4096);
	}
	CHECK(guest_enable(0));
}

static void work(void)
{
	struct guest_sq *sq = random_of(3) ? &sqs[1 + random_of(3)] :
		&guest.admin;

	fake_double.answer = any_verdict;
	switch (random_of(4)) {
	case 0:
		fill_lists();
		break;
	case 1:
		scribble(sq);
		break;
	case 2:
		write_register();
		break;
	}
	ring_something();
	guest_idle(random_of(20));
	fake_double.answer = NULL;
}

TEST(a_guest_that_writes_nonsense_hurts_nobody_but_itself)
{
	boot();
	for (u32 round = 0; round < ROUNDS; round++) {
		if (round % 500 == 0)
			start_over();
		work();
	}
	start_over();
	for (u32 i = 0; i < TARGETS; i++)
		for (u32 at = 0; at < 4096; at++)
			CHECK_EQ(targets[i][at], 0x5a);
}
