/* SPDX-License-Identifier: BSD-2-Clause */
/* Several CPUs in the driver at once: threads, each with a queue of its own. */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "fake_double.h"
#include "fake_guest.h"
#include "fake_machine.h"
#include "fake_nvme.h"
#include "test.h"

#include "../../drivers/nvme/nvme.h"

#define CPUS 3
#define BLOCKS 64	/* of each CPU's own */

struct cpu {
	pthread_t thread;
	u32 index;
	struct guest_cq cq;
	struct guest_sq sq;
	u8 *data;
};
static struct cpu cpus[CPUS];
static bool is_over;

static void start(u32 needs)
{
	guest_boot();
	/* A thread may be off its processor for long. */
	guest.patience = 1u << 30;
	fake_double.needs = needs;
	CHECK_EQ(fake_machine_attach(), 0);
	CHECK(guest_enable(0));
	fake_nvme.out_of_order = true;
}

static void make_queues(void)
{
	for (u32 i = 0; i < CPUS; i++) {
		struct cpu *cpu = &cpus[i];

		if (!cpu->data)
			cpu->data = fake_ram(BLOCKS * 512, 4096);
		CHECK_EQ(guest_create_cq(&cpu->cq, i + 1, 16, true), 0);
		CHECK_EQ(guest_create_sq(&cpu->sq, i + 1, 16, &cpu->cq), 0);
	}
}

static void launch(void *(*run)(void *cpu))
{
	__atomic_store_n(&is_over, false, __ATOMIC_RELEASE);
	for (u32 i = 0; i < CPUS; i++) {
		cpus[i].index = i;
		CHECK(!pthread_create(&cpus[i].thread, NULL, run, &cpus[i]));
	}
}

static void join(void)
{
	__atomic_store_n(&is_over, true, __ATOMIC_RELEASE);
	for (u32 i = 0; i < CPUS; i++)
		CHECK(!pthread_join(cpus[i].thread, NULL));
}

/* Writes its blocks with a value, reads them, compares. */
static void *run_io(void *arg)
{
	struct cpu *cpu = arg;
	u64 lba = cpu->index * BLOCKS;
	struct nvme_sqe sqe;

	for (u32 round = 0; round < 100; round++) {
		memset(cpu->data, round ^ cpu->index << 6, BLOCKS * 512);
		sqe = guest_rw(NVME_CMD_WRITE, lba, BLOCKS, cpu->data);
		CHECK_EQ(guest_run(&cpu->sq, &sqe, NULL), 0);
		memset(cpu->data, 0, BLOCKS * 512);
		sqe = guest_rw(NVME_CMD_READ, lba, BLOCKS, cpu->data);
		CHECK_EQ(guest_run(&cpu->sq, &sqe, NULL), 0);
		for (u32 i = 0; i < BLOCKS * 512; i += 511)
			CHECK_EQ(cpu->data[i],
				 (u8)(round ^ cpu->index << 6));
	}
	return NULL;
}

TEST(cpus_with_queues_of_their_own_do_not_disturb_each_other)
{
	struct guest_cq cq;
	struct guest_sq sq;

	start(0);
	make_queues();
	launch(run_io);
	for (int i = 0; i < 50; i++) {
		CHECK_EQ(guest_create_cq(&cq, 9, 8, true), 0);
		CHECK_EQ(guest_create_sq(&sq, 9, 8, &cq), 0);
		CHECK_EQ(guest_delete(NVME_ADMIN_DELETE_SQ, 9), 0);
		CHECK_EQ(guest_delete(NVME_ADMIN_DELETE_CQ, 9), 0);
	}
	join();
	CHECK_EQ(fake_machine.watch_count, 0);
}

/* Each command is held until a host request has read a block. */
static phys_t *list, list_phys;

static void read_done(struct nvme_host *host, u16 status, void *arg)
{
	CHECK_EQ(status, 0);
	nvme_io_resume_guest_request(host, arg, 1);
}

static enum nvme_io_verdict hold(struct nvme_request *req,
				 const struct nvme_io_command *cmd)
{
	struct nvme_io_descriptor *desc;

	if (cmd->admin)
		return NVME_IO_PASS;
	desc = nvme_io_init_descriptor(fake_double.host, 1, 0, 8000, 1);
	CHECK(nvme_io_set_phys_buffers(fake_double.host, desc, list, list_phys,
				       1, 0));
	CHECK(nvme_io_submit(fake_double.host, desc, NVME_IO_READ, read_done,
			     req));
	return NVME_IO_HOLD;
}

static void check_held(u32 needs)
{
	start(needs | NVME_IO_NEEDS_HOST_REQUESTS);
	list = nvme_io_alloc_pages(fake_double.host, 2, &list_phys);
	list[0] = list_phys + 4096;
	make_queues();
	fake_double.answer = hold;
	launch(run_io);
	join();
	CHECK_EQ(fake_machine.watch_count, 0);
}

TEST(commands_held_for_host_requests_all_complete)
{
	check_held(NVME_IO_NEEDS_COMPLETIONS);
}

TEST(concurrent_interceptors_may_hold_commands_as_well)
{
	check_held(NVME_IO_CONCURRENT);
}

/* Doorbells at any moment, whether or not there is a queue behind them. */
static void *ring_wildly(void *arg)
{
	struct cpu *cpu = arg;
	unsigned int seed = cpu->index;

	while (!__atomic_load_n(&is_over, __ATOMIC_ACQUIRE)) {
		u32 id = rand_r(&seed) % (CPUS + 2);

		if (id)
			guest_write32(0x1000 + id * 8 + rand_r(&seed) % 2 * 4,
				      rand_r(&seed) % 20);
		fake_interrupt();
	}
	return NULL;
}

TEST(resets_while_other_cpus_ring_doorbells_are_survived)
{
	size_t pages;

	start(NVME_IO_NEEDS_HOST_REQUESTS);
	CHECK(guest_disable());
	pages = fake_machine.sluice_pages;
	launch(ring_wildly);
	for (int i = 0; i < 30; i++) {
		CHECK(guest_enable(0));
		make_queues();
		guest_idle(50);
		CHECK(guest_disable());
	}
	join();
	CHECK_EQ(fake_machine.sluice_pages, pages);
	CHECK_EQ(fake_machine.watch_count, 0);
}

/* ---- An interrupt and the completion it is for ------------------------------- */

static pthread_t other_cpu;
static bool has_returned;

static void *take_interrupt(void *arg)
{
	fake_interrupt();
	__atomic_store_n(&has_returned, true, __ATOMIC_RELEASE);
	return arg;
}

static bool is_waited_for(const struct lock *lock)
{
	return __atomic_load_n(&lock->next, __ATOMIC_ACQUIRE) -
		__atomic_load_n(&lock->serving, __ATOMIC_ACQUIRE) > 1;
}

/* This CPU has reaped and not yet posted: the interrupt comes to another. */
static void interrupt_other_cpu(void)
{
	const struct lock *lock = &fake_double.host->hubs[1]->lock;

	CHECK(!pthread_create(&other_cpu, NULL, take_interrupt, NULL));
	while (!is_waited_for(lock))
		CHECK(!__atomic_load_n(&has_returned, __ATOMIC_ACQUIRE));
}

TEST(an_interrupt_waits_for_what_another_cpu_is_about_to_post)
{
	struct nvme_sqe sqe = guest_rw(NVME_CMD_FLUSH, 0, 1, NULL);
	struct nvme_cqe cqe;

	start(NVME_IO_NEEDS_COMPLETIONS);
	make_queues();
	fake_double.completing = interrupt_other_cpu;
	guest_put(&cpus[0].sq, &sqe);
	guest_ring(&cpus[0].sq);
	CHECK(guest_wait(&cpus[0].cq, &cqe));
	CHECK(!pthread_join(other_cpu, NULL));
	CHECK(has_returned);
}
