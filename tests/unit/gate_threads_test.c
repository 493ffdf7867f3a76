/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * gate in the driver as it is, with several CPUs at work while one of them
 * writes partition tables: nobody loses a command, and from the moment that a
 * rule holds it holds for all.
 */
#include <pthread.h>
#include <string.h>

#include "fake_gpt.h"
#include "fake_guest.h"
#include "fake_machine.h"
#include "fake_nvme.h"
#include "nvme_io.h"
#include "test.h"

#define CPUS 3
#define ROUNDS 2
#define REWRITES 5
#define HEAD 34			/* blocks of the table at the start */
#define TAIL 33			/* and at the end */
#define LBAS 16384
#define SECRET_LBA 4096
#define SECRET_COUNT 1024
#define BLOCKS 8		/* of each CPU's own */
#define GATE 1			/* its place in the chain, from 1 */
#define RULE "none PARTLABEL=secret"
#define DENIED (NVME_IO_ACCESS_DENIED | NVME_IO_DNR)

struct cpu {
	pthread_t thread;
	u64 lba;
	struct guest_cq cq;
	struct guest_sq sq;
	u8 *data;
	u32 denied_count;	/* atomic */
};
static struct cpu cpus[CPUS + 1];	/* the last one writes the tables */
static struct cpu *const writer = &cpus[CPUS];
static bool is_closed, is_over;

static const struct fake_gpt_partition secret = {
	SECRET_LBA, SECRET_LBA + SECRET_COUNT - 1, 0xcc, "secret",
};
static u8 table[LBAS * 512];
static struct fake_gpt gpt = {
	.disk = table, .block_size = 512, .lba_count = LBAS,
};

/* ---- The guest ---------------------------------------------------------- */

static void start(const char *key, const char *value)
{
	guest_boot();
	guest.patience = 1u << 30;
	CHECK_EQ(fake_configure(key, value), 0);
	CHECK_EQ(fake_machine_attach(), 0);
	for (u32 i = 0; i <= CPUS; i++)
		cpus[i].data = fake_ram(64 * 512, 4096);
}

static void enable(void)
{
	CHECK(guest_enable(0));
	for (u32 i = 0; i <= CPUS; i++) {
		struct cpu *cpu = &cpus[i];

		CHECK_EQ(guest_create_cq(&cpu->cq, i + 1, 16, true), 0);
		CHECK_EQ(guest_create_sq(&cpu->sq, i + 1, 16, &cpu->cq), 0);
	}
	fake_nvme.out_of_order = true;
}

static u16 transfer(struct cpu *cpu, u8 opcode, u64 lba, u32 n_lbas)
{
	struct nvme_sqe sqe = guest_rw(opcode, lba, n_lbas, NULL);

	guest_set_prps(&sqe, cpu->data, n_lbas * 512);
	return guest_run(&cpu->sq, &sqe, NULL);
}

/* ---- Other CPUs --------------------------------------------------------- */

/* Reads what it has written - until it is denied, and then for good. */
static void use_blocks(struct cpu *cpu, u8 value)
{
	bool was_closed = __atomic_load_n(&is_closed, __ATOMIC_ACQUIRE);
	u16 status;

	memset(cpu->data, value, BLOCKS * 512);
	status = transfer(cpu, NVME_CMD_WRITE, cpu->lba, BLOCKS);
	if (!status) {
		CHECK(!cpu->denied_count);
		CHECK(!was_closed || cpu->lba < SECRET_LBA);
		memset(cpu->data, 0, BLOCKS * 512);
		status = transfer(cpu, NVME_CMD_READ, cpu->lba, BLOCKS);
	}
	if (!status) {
		CHECK_EQ(cpu->data[BLOCKS * 512 - 1], value);
		return;
	}
	CHECK_EQ(status, DENIED);
	CHECK(cpu->lba >= SECRET_LBA);
	__atomic_fetch_add(&cpu->denied_count, 1, __ATOMIC_RELAXED);
}

static void *run(void *arg)
{
	u8 value = 0;

	while (!__atomic_load_n(&is_over, __ATOMIC_ACQUIRE))
		use_blocks(arg, ++value);
	return NULL;
}

/* The first in the open; the others where the partition will be. */
static void launch(void)
{
	__atomic_store_n(&is_over, false, __ATOMIC_RELEASE);
	__atomic_store_n(&is_closed, false, __ATOMIC_RELEASE);
	for (u32 i = 0; i < CPUS; i++) {
		cpus[i].lba = i ? SECRET_LBA + i * BLOCKS : 100;
		cpus[i].denied_count = 0;
		CHECK(!pthread_create(&cpus[i].thread, NULL, run, &cpus[i]));
	}
}

static void join(void)
{
	__atomic_store_n(&is_over, true, __ATOMIC_RELEASE);
	for (u32 i = 0; i < CPUS; i++)
		CHECK(!pthread_join(cpus[i].thread, NULL));
}

/* ---- The one that writes tables ----------------------------------------- */

static void write_blocks(u64 lba, u32 n_lbas)
{
	memcpy(writer->data, table + lba * 512, n_lbas * 512);
	CHECK_EQ(transfer(writer, NVME_CMD_WRITE, lba, n_lbas), 0);
}

static void write_table(void)
{
	write_blocks(LBAS - TAIL, TAIL);
	write_blocks(0, HEAD);
}

/* A table that grows, and no rule is for any of it. */
static void rewrite(void)
{
	for (u32 i = 0; i < REWRITES; i++) {
		struct fake_gpt_partition open = {
			8192 + i * 64, 8192 + i * 64 + 63, i + 1, "open",
		};

		fake_gpt_add(&gpt, i, &open);
		write_table();
	}
}

static void wait_until_denied(const struct cpu *cpu)
{
	while (!__atomic_load_n(&cpu->denied_count, __ATOMIC_RELAXED))
		;
}

static void close_table(void)
{
	fake_gpt_add(&gpt, REWRITES, &secret);
	write_table();
	/* Whatever comes from here on comes after the table. */
	__atomic_store_n(&is_closed, true, __ATOMIC_RELEASE);
	wait_until_denied(&cpus[1]);
	wait_until_denied(&cpus[2]);
	CHECK_EQ(transfer(writer, NVME_CMD_READ, SECRET_LBA, 1), DENIED);
	CHECK_EQ(transfer(writer, NVME_CMD_WRITE, 1, 1),
		 NVME_IO_WRITE_PROTECTED | NVME_IO_DNR);
}

TEST(cpus_at_work_while_tables_are_written_are_denied_from_the_rule_on)
{
	start("gate", RULE);
	for (u32 round = 0; round < ROUNDS; round++) {
		memset(fake_nvme.namespaces[0].data, 0, LBAS * 512);
		memset(table, 0, sizeof(table));
		fake_gpt_init(&gpt);
		enable();
		launch();
		rewrite();
		close_table();
		join();
		CHECK_EQ(cpus[0].denied_count, 0);
		CHECK(guest_disable());
	}
	CHECK_EQ(fake_machine.watch_count, 0);
}

/* ---- Its root that gives orders ----------------------------------------- */

static void order(const char *text)
{
	CHECK_EQ(guest_order(GATE, text, writer->data), 0);
}

TEST(cpus_at_work_when_an_order_is_given_are_denied_from_then_on)
{
	start("gate.orders", "on");
	fake_gpt_init(&gpt);
	fake_gpt_add(&gpt, 0, &secret);
	memcpy(fake_nvme.namespaces[0].data, table, sizeof(table));
	enable();
	launch();
	order("ro PARTLABEL=elsewhere");
	order("ro PARTLABEL=nowhere");
	order(RULE);
	/* Whatever comes from here on comes after the order. */
	__atomic_store_n(&is_closed, true, __ATOMIC_RELEASE);
	wait_until_denied(&cpus[1]);
	wait_until_denied(&cpus[2]);
	join();
	CHECK_EQ(cpus[0].denied_count, 0);
	CHECK(guest_disable());
}
