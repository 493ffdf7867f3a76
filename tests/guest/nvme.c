/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * NVMe through Sluice: queues, doorbells, resets, gate, and addresses that
 * are Sluice's own.
 */
#include <string.h>

#include "../device/device.h"
#include "nvme_driver.h"
#include "spec/pci.h"
#include "spec/x86.h"
#include "startup.h"

#define VECTOR 0x61
#define BLOCK 512u

#define ACCESS_DENIED 0x286	/* NVMe 1.4, 4.6.1.2.3 */
#define WRITE_PROTECTED 0x020	/* 4.6.1.2.1 */

static struct queue_pair admin, io;

static bool start(bool has_interrupt)
{
	if (!driver_is_there())
		return false;
	driver_stop_messages();
	CHECK(driver_start(&admin));
	CHECK_EQ(driver_create(&admin, &io, 1, has_interrupt), 0);
	return true;
}

static u8 *data(unsigned page)
{
	return driver_page(PAGE_DATA + page);
}

static void fill(u8 *at, u32 size, u8 seed)
{
	for (u32 i = 0; i < size; i++)
		at[i] = seed + i + i / 251;
}

static bool is_filled(const u8 *at, u32 size, u8 seed)
{
	for (u32 i = 0; i < size; i++)
		if (at[i] != (u8)(seed + i + i / 251))
			return false;
	return true;
}

static u16 identify(u8 cns, u32 nsid)
{
	return driver_run(&admin, &(struct nvme_sqe){
		.opcode = NVME_ADMIN_IDENTIFY, .nsid = nsid, .cdw10 = cns,
		.prp1 = (u64)data(0),
	});
}

void nvme_identifies_itself(void)
{
	const struct nvme_id_ctrl *id = (void *)data(0);
	const struct nvme_id_ns *ns = (void *)data(0);

	if (!start(false))
		return;
	CHECK_EQ(identify(NVME_CNS_CONTROLLER, 0), 0);
	CHECK(!memcmp(id->serial, DEVICE_SERIAL, sizeof(DEVICE_SERIAL) - 1));
	CHECK(!(id->oacs & NVME_OACS_VIRTUALIZATION));
	CHECK_EQ(identify(NVME_CNS_NAMESPACE, 1), 0);
	CHECK_EQ(ns->nsze, DEVICE_BLOCKS);
}

/* Alignments and sizes of every way that PRPs describe: one, two, a list of
 * an odd beginning, a list that goes on in another page. */
void nvme_reads_what_was_written(void)
{
	static const struct {
		u32 offset, size;
	} kinds[] = {
		{ 0, BLOCK }, { 512, BLOCK }, { 0, 4096 }, { 512, 4096 },
		{ 4096 - 4, BLOCK }, { 0, 8192 }, { 0, 16 * 4096 },
		{ 1028, 16 * 4096 },
	};

	if (!start(false))
		return;
	for (unsigned i = 0; i < ARRAY_COUNT(kinds); i++) {
		u8 *from = data(0) + kinds[i].offset;
		u8 *to = data(20) + kinds[i].offset;
		u64 lba = DEVICE_OPEN_LBA + 128 * i;

		fill(from, kinds[i].size, i);
		memset(to, 0, kinds[i].size);
		CHECK_EQ(driver_rw(&io, NVME_CMD_WRITE, lba, from,
				   kinds[i].size), 0);
		CHECK_EQ(driver_rw(&io, NVME_CMD_READ, lba, to,
				   kinds[i].size), 0);
		CHECK(is_filled(to, kinds[i].size, i));
	}
}

static u16 read_by_list(u64 *list, u32 size)
{
	struct nvme_sqe sqe = {
		.opcode = NVME_CMD_READ, .nsid = 1, .cdw10 = DEVICE_OPEN_LBA,
		.cdw12 = size / BLOCK - 1,
	};

	driver_set_prps(&sqe, data(0), size, list);
	return driver_run(&io, &sqe);
}

void nvme_follows_a_list_into_its_next_page(void)
{
	u64 *near_end = (u64 *)(driver_page(PAGE_LIST) + PAGE_SIZE - 24);

	if (!start(false))
		return;
	fill(data(0), 10 * 4096, 77);
	CHECK_EQ(driver_rw(&io, NVME_CMD_WRITE, DEVICE_OPEN_LBA, data(0),
			   10 * 4096), 0);
	memset(data(0), 0, 10 * 4096);
	CHECK_EQ(read_by_list(near_end, 10 * 4096), 0);
	CHECK(is_filled(data(0), 10 * 4096, 77));
}

/* More than the queue is long, in batches that just fit. */
void nvme_queues_wrap(void)
{
	struct nvme_cqe cqe;
	u16 expected = 0;

	if (!start(false))
		return;
	for (u32 batch = 0; batch < 20; batch++) {
		for (u32 i = 0; i < io.size - 1; i++)
			driver_put(&io, &(struct nvme_sqe){
				.opcode = NVME_CMD_FLUSH, .nsid = 1 });
		expected = io.next_cid - (io.size - 1);
		driver_ring(&io);
		for (u32 i = 0; i < io.size - 1; i++, expected++) {
			nvme_wait_csts(0, 0);
			CHECK(driver_poll(&io, &cqe));
			CHECK_EQ(cqe.cid, expected);
			CHECK_EQ(cqe.status >> 1, 0);
		}
	}
}

/* Waits in memory alone: nothing but the interrupt makes the CPU exit. */
static bool wait_for_one(u32 count)
{
	struct nvme_cqe cqe;

	return wait_until(&trap.count, count) && driver_poll(&io, &cqe) &&
		!(cqe.status >> 1);
}

void nvme_interrupts_once_for_a_completion(void)
{
	u32 count = 0;

	if (!start(true))
		return;
	interrupts_take();
	driver_set_message(VECTOR);
	trap_clear();
	__asm__ volatile("sti");
	for (u32 i = 1; i <= 100; i++, count++) {
		driver_put(&io, &(struct nvme_sqe){
			.opcode = NVME_CMD_FLUSH, .nsid = 1 });
		driver_ring(&io);
		if (!wait_for_one(i) || trap.vector != VECTOR)
			break;
	}
	__asm__ volatile("cli");
	CHECK_EQ(trap.count, 100);
	CHECK_EQ(trap.vector, VECTOR);
	CHECK_EQ(count, 100);
	driver_stop_messages();
}

static void stall(bool on)
{
	*(volatile u64 *)(DEVICE_REGION_BASE + REGION_STALL) = on;
}

/* What the controller had when it was reset is never heard of again. */
void nvme_forgets_commands_when_reset(void)
{
	struct nvme_cqe cqe;

	if (!start(false))
		return;
	for (u32 turn = 0; turn < 5; turn++) {
		stall(true);
		memset(data(0), 0x5a, 4096);
		for (u32 i = 0; i < 8; i++) {
			struct nvme_sqe sqe = {
				.opcode = NVME_CMD_READ, .nsid = 1,
				.prp1 = (u64)data(0), .cdw12 = 7,
			};

			driver_put(&io, &sqe);
		}
		driver_ring(&io);
		CHECK(!driver_poll(&io, &cqe));
		CHECK(driver_disable());
		stall(false);
		CHECK(!nvme_read(NVME_REG_CC));
		CHECK(!driver_poll(&io, &cqe));
		CHECK_EQ(data(0)[100], 0x5a);
		start(false);
		CHECK_EQ(driver_rw(&io, NVME_CMD_READ, 0, data(0), 4096), 0);
	}
}

static u16 rw(u8 opcode, u64 lba, u32 blocks)
{
	return driver_rw(&io, opcode, lba, data(0), blocks * BLOCK);
}

void gate_refuses_by_status_and_cid(void)
{
	if (!start(false))
		return;
	fill(data(0), 4096, 3);
	CHECK_EQ(rw(NVME_CMD_WRITE, DEVICE_READ_ONLY_LBA, 8), WRITE_PROTECTED);
	CHECK_EQ(rw(NVME_CMD_READ, DEVICE_READ_ONLY_LBA, 8), 0);
	CHECK_EQ(data(0)[0], 0);
	fill(data(0), 4096, 3);
	CHECK_EQ(rw(NVME_CMD_READ, DEVICE_HIDDEN_LBA, 8), ACCESS_DENIED);
	CHECK(is_filled(data(0), 4096, 3));
	CHECK_EQ(rw(NVME_CMD_WRITE, DEVICE_HIDDEN_LBA, 8), ACCESS_DENIED);
	/* Across a border, and the partition table. */
	CHECK_EQ(rw(NVME_CMD_WRITE, DEVICE_READ_ONLY_LBA - 4, 8),
		 WRITE_PROTECTED);
	CHECK_EQ(rw(NVME_CMD_READ, DEVICE_HIDDEN_LBA - 4, 8), ACCESS_DENIED);
	CHECK_EQ(rw(NVME_CMD_WRITE, 1, 1), WRITE_PROTECTED);
	CHECK_EQ(rw(NVME_CMD_WRITE, DEVICE_OPEN_LBA, 8), 0);
	CHECK_EQ(rw(NVME_CMD_READ, DEVICE_BLOCKS - 4, 8),
		 NVME_SC_LBA_OUT_OF_RANGE);
}

static u16 read_to(u64 prp1, u64 prp2, u32 size)
{
	return driver_run(&io, &(struct nvme_sqe){
		.opcode = NVME_CMD_READ, .nsid = 1, .cdw10 = DEVICE_OPEN_LBA,
		.cdw12 = size / BLOCK - 1, .prp1 = prp1, .prp2 = prp2,
	});
}

/* Every place where a command can name memory, naming Sluice's. */
void nvme_refuses_addresses_of_sluice(void)
{
	u64 hidden = machine.sluice_base + machine.sluice_size / 2;
	u64 *list = (u64 *)driver_page(PAGE_LIST), good = (u64)data(0);

	if (!start(false))
		return;
	CHECK_EQ(read_to(hidden, 0, 4096), NVME_SC_TRANSFER_ERROR);
	CHECK_EQ(read_to(machine.sluice_base - 2048, machine.sluice_base,
			 4096), NVME_SC_TRANSFER_ERROR);
	CHECK_EQ(read_to(good, hidden, 8192), NVME_SC_TRANSFER_ERROR);
	CHECK_EQ(read_to(good, hidden, 12288), NVME_SC_TRANSFER_ERROR);
	for (unsigned at = 0; at < 15; at += 7) {
		for (unsigned i = 0; i < 15; i++)
			list[i] = (u64)data(1 + i);
		list[at] = hidden;
		CHECK_EQ(read_to(good, (u64)list, 16 * 4096),
			 NVME_SC_TRANSFER_ERROR);
	}
	CHECK_EQ(read_to(APIC_DEFAULT_BASE, 0, 512), NVME_SC_TRANSFER_ERROR);
	CHECK_EQ(identify(NVME_CNS_CONTROLLER, 0), 0);
	CHECK(driver_run(&admin, &(struct nvme_sqe){
		.opcode = NVME_ADMIN_IDENTIFY, .cdw10 = 1, .prp1 = hidden }));
	CHECK(driver_run(&admin, &(struct nvme_sqe){
		.opcode = NVME_ADMIN_CREATE_CQ, .prp1 = hidden,
		.cdw10 = 0xf0002, .cdw11 = NVME_QUEUE_PC }));
	CHECK_EQ(read_to(good, 0, 4096), 0);
}

/* The admin queues themselves in Sluice's memory: as where no memory is. */
void nvme_fails_with_queues_in_sluice(void)
{
	if (!start(false))
		return;
	CHECK(driver_disable());
	nvme_write(NVME_REG_ASQ, machine.sluice_base);
	nvme_write(NVME_REG_CC, FIELD_PREP(NVME_CC_IOSQES, 6) |
		   FIELD_PREP(NVME_CC_IOCQES, 4) | NVME_CC_EN);
	CHECK(nvme_wait_csts(NVME_CSTS_CFS, NVME_CSTS_CFS));
	CHECK(driver_disable());
	CHECK_EQ(nvme_read(NVME_REG_CSTS) & NVME_CSTS_CFS, 0);
	CHECK(start(false));
}

void nvme_registers_bear_nonsense(void)
{
	if (!start(false))
		return;
	for (u32 offset = 0; offset < 0x1000; offset += 4) {
		if (offset == NVME_REG_CC || offset == NVME_REG_NSSR)
			continue;
		nvme_write(offset, 0xdeadbeef);
		*nvme_bar(offset + 1) = 0xff;
		*(volatile u16 *)nvme_bar(offset + 3) = 0xffff;
	}
	*(volatile u8 *)nvme_bar(NVME_REG_CC) = 0;
	*(volatile u16 *)nvme_bar(NVME_REG_CC) = 0;
	CHECK(nvme_read(NVME_REG_CSTS) & NVME_CSTS_RDY);
	/* Queues that are not there, and values that fit no queue. */
	for (u16 id = 2; id < 300; id++)
		nvme_ring(id, id & 1, 5);
	*(volatile u64 *)nvme_bar(NVME_REG_DOORBELLS + 0x40) = ~0ull;
	CHECK_EQ(identify(NVME_CNS_CONTROLLER, 0), 0);
	CHECK_EQ(rw(NVME_CMD_READ, DEVICE_OPEN_LBA, 8), 0);
	nvme_ring(1, false, 0xffff);
	nvme_ring(1, true, 0xffff);
	CHECK_EQ(identify(NVME_CNS_CONTROLLER, 0), 0);
}

void nvme_registers_read_in_any_width(void)
{
	u64 cap;

	if (!driver_is_there())
		return;
	cap = *(volatile u64 *)nvme_bar(NVME_REG_CAP);
	CHECK_EQ(nvme_read(NVME_REG_CAP), (u32)cap);
	CHECK_EQ(nvme_read(NVME_REG_CAP + 4), cap >> 32);
	for (u32 i = 0; i < 8; i++)
		CHECK_EQ(*nvme_bar(i), (u8)(cap >> 8 * i));
	for (u32 i = 0; i < 8; i += 2)
		CHECK_EQ(*(volatile u16 *)nvme_bar(i), (u16)(cap >> 8 * i));
}

/* The guest chooses where its controller is, and may choose anew. */
void nvme_follows_its_bar(void)
{
	u32 elsewhere = DEVICE_NVME_BASE + 4 * DEVICE_NVME_SIZE;

	if (!start(false))
		return;
	pci_write(DEVICE_NVME, PCI_BAR(0), 4, elsewhere);
	driver_look();
	CHECK_EQ(pci_read(DEVICE_NVME, PCI_BAR(0), 4), elsewhere);
	CHECK(nvme_read(NVME_REG_CSTS) & NVME_CSTS_RDY);
	CHECK_EQ(rw(NVME_CMD_READ, DEVICE_OPEN_LBA, 8), 0);
	pci_write(DEVICE_NVME, PCI_BAR(0), 4, DEVICE_NVME_BASE);
	driver_look();
	CHECK(*(volatile u32 *)(u64)elsewhere != nvme_read(NVME_REG_CAP));
	CHECK_EQ(rw(NVME_CMD_READ, DEVICE_OPEN_LBA, 8), 0);
}

/* ---- With another CPU --------------------------------------------------- */

#define TURNS 40
#define TURNS_MAX 4000

static struct queue_pair theirs;
static volatile u32 is_over, their_count;

/* One block out and in again, at an LBA of one's own. */
static bool turn(struct queue_pair *pair, u64 lba, u8 *at, u8 seed)
{
	fill(at, BLOCK, seed);
	if (driver_rw(pair, NVME_CMD_WRITE, lba, at, BLOCK))
		return false;
	memset(at, 0, BLOCK);
	return !driver_rw(pair, NVME_CMD_READ, lba, at, BLOCK) &&
		is_filled(at, BLOCK, seed);
}

static void turn_beside(void)
{
	for (u32 i = 0; i < TURNS; i++)
		their_count += turn(&theirs, DEVICE_OPEN_LBA + 500 + i,
				    driver_page(PAGE_DATA_2), i);
	is_over = 1;
}

void nvme_serves_two_cpus_at_once(void)
{
	u32 count = 0, good = 0;

	if (!start(false))
		return;
	CHECK_EQ(driver_create(&admin, &theirs, 2, false), 0);
	is_over = their_count = 0;
	if (!startup_run(turn_beside))
		return;
	for (; count < TURNS_MAX && (count < TURNS || !is_over); count++)
		good += turn(&io, DEVICE_OPEN_LBA + count % 400, data(0),
			     count);
	CHECK(is_over);
	CHECK_EQ(good, count);
	CHECK_EQ(their_count, TURNS);
}
