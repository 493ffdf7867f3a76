/* SPDX-License-Identifier: BSD-2-Clause */
/* Host requests: beside the guest's, in time, to the last callback. */
#include <stdlib.h>
#include <string.h>

#include "fake_guest.h"
#include "fake_log.h"
#include "fake_machine.h"
#include "fake_nvme.h"
#include "fake_double.h"
#include "test.h"
#include "timer.h"

static struct guest_cq cq;
static struct guest_sq sq;
static phys_t *list, list_phys;
static u8 *pages;
static u32 done_count, classic_count;
static u16 last_status;

static void make_queues(void)
{
	CHECK_EQ(guest_create_cq(&cq, 1, 16, true), 0);
	CHECK_EQ(guest_create_sq(&sq, 1, 16, &cq), 0);
}

static void boot(void)
{
	phys_t phys;

	guest_boot();
	fake_double.needs = NVME_IO_NEEDS_HOST_REQUESTS;
	CHECK_EQ(fake_machine_attach(), 0);
	list = nvme_io_alloc_pages(fake_double.host, 1, &list_phys);
	pages = nvme_io_alloc_pages(fake_double.host, 8, &phys);
	for (int i = 0; i < 8; i++)
		list[i] = phys + i * 4096;
}

static void start(void)
{
	boot();
	CHECK(guest_enable(0));
	make_queues();
}

static void on_done(struct nvme_host *host, u16 status, void *arg)
{
	CHECK(host == fake_double.host);
	fake_double.holds_stop = false;
	done_count++;
	last_status = status;
}

static u8 submit(enum nvme_io_operation operation, u64 lba, u16 n_lbas)
{
	struct nvme_io_descriptor *desc =
		nvme_io_init_descriptor(fake_double.host, 1, 0, lba, n_lbas);

	if (!desc)
		return 0;
	CHECK(nvme_io_set_phys_buffers(fake_double.host, desc, list, list_phys,
				       8, 0));
	return nvme_io_submit(fake_double.host, desc, operation, on_done, NULL);
}

/* Host requests are driven by any exit. */
static void poke(void)
{
	guest_read32(NVME_REG_VS);
	guest_idle(200);
	fake_interrupt();
}

TEST(sluice_takes_one_pair_and_the_guest_gets_the_others)
{
	start();
	CHECK(fake_nvme.sqs[16].base && !fake_nvme.cqs[16].has_interrupt);
	CHECK_EQ(guest_create_cq(&cq, 16, 16, true), 0x4101);
	CHECK_EQ(guest_delete(NVME_ADMIN_DELETE_SQ, 16), 0x4101);
	CHECK_EQ(guest_create_cq(&cq, 15, 16, true), 0);
	CHECK_EQ(guest_create_sq(&sq, 2, 16, &(struct guest_cq){ .id = 16 }),
		 0x4100);
}

TEST(the_guest_cannot_ring_sluice_s_doorbells)
{
	start();
	fake_nvme.doorbell_count = 0;
	guest_write32(0x1000 + 16 * 8, 1);
	guest_write32(0x1000 + 16 * 8 + 4, 1);
	CHECK_EQ(fake_nvme.doorbell_count, 0);
	CHECK(fake_log_has("doorbell of sq16, which is not there"));
}

TEST(data_is_written_and_read_by_host_requests)
{
	start();
	memset(pages, 0x3c, 5 * 4096);
	CHECK(submit(NVME_IO_WRITE, 1000, 40));
	CHECK_EQ(done_count, 0);
	poke();
	CHECK_EQ(done_count, 1);
	CHECK_EQ(last_status, 0);
	CHECK_EQ(fake_nvme.namespaces[0].data[1040 * 512 - 1], 0x3c);
	fake_nvme.namespaces[0].data[1039 * 512] = 0x11;
	CHECK(submit(NVME_IO_READ, 1000, 40));
	poke();
	CHECK_EQ(pages[39 * 512], 0x11);
	CHECK(submit(NVME_IO_READ, 1ull << 40, 1));
	poke();
	CHECK_EQ(last_status, NVME_IO_LBA_OUT_OF_RANGE);
	CHECK_EQ(done_count, 3);
}

TEST(an_idle_machine_finds_them_done)
{
	start();
	CHECK(submit(NVME_IO_READ, 1000, 40));
	guest_read32(NVME_REG_VS);
	CHECK(timer_is_pending());
	guest_idle(3000);
	CHECK_EQ(done_count, 1);
	CHECK(!timer_is_pending());
}

static void on_classic(struct nvme_host *host, void *arg1, void *arg2,
		       void *arg3)
{
	CHECK(arg1 == list && arg2 == pages && arg3 == &done_count);
	classic_count++;
}

TEST(classic_calls_take_three_arguments)
{
	struct nvme_host *host;

	start();
	host = fake_double.host;
	for (int i = 0; i < 3; i++) {
		struct nvme_io_descriptor *desc =
			nvme_io_init_descriptor(host, 1, 0, 0, 8);

		CHECK(nvme_io_set_phys_buffers(host, desc, list, list_phys, 1,
					       0));
		CHECK((i == 0 ? nvme_io_read_request :
		       i == 1 ? nvme_io_write_request :
				nvme_io_flush_request)(host, desc, on_classic,
						       list, pages,
						       &done_count));
	}
	poke();
	CHECK_EQ(classic_count, 3);
	CHECK_EQ(fake_nvme_seen(false, NVME_CMD_FLUSH), 1);
}

TEST(buffers_that_do_not_fit_are_refused)
{
	struct nvme_io_descriptor *desc;
	struct nvme_host *host;

	start();
	host = fake_double.host;
	desc = nvme_io_init_descriptor(host, 1, 0, 0, 64);
	CHECK(!nvme_io_set_phys_buffers(host, desc, list, list_phys, 7, 0));
	CHECK(!nvme_io_set_phys_buffers(host, desc, list, list_phys, 8, 4));
	CHECK(!nvme_io_set_phys_buffers(host, desc, list, list_phys, 9, 2));
	CHECK(!nvme_io_set_phys_buffers(host, desc, list, list_phys, 9, 4096));
	CHECK(!nvme_io_set_phys_buffers(host, desc, list, list_phys + 4040, 8,
					0));
	CHECK(!nvme_io_submit(host, desc, NVME_IO_READ, on_done, NULL));
	desc = nvme_io_init_descriptor(host, 2, 0, 0, 1);
	CHECK(!nvme_io_set_phys_buffers(host, desc, list, list_phys, 8, 0));
	CHECK(!nvme_io_submit(host, desc, NVME_IO_READ, on_done, NULL));
}

TEST(too_many_at_once_are_refused_until_some_are_done)
{
	u32 accepted = 0;

	start();
	while (submit(NVME_IO_READ, 0, 1))
		accepted++;
	CHECK_EQ(accepted, 64);
	poke();
	CHECK_EQ(done_count, 64);
	CHECK(submit(NVME_IO_READ, 0, 1));
}

TEST(guest_and_host_requests_run_at_the_same_time)
{
	struct nvme_sqe sqe = guest_rw(NVME_CMD_VERIFY, 0, 1, NULL);
	struct nvme_cqe cqe;
	u32 max = 0, done = 0;

	fake_relayed();
	start();
	fake_nvme.out_of_order = true;
	for (int i = 0; i < 200; i++) {
		while ((sq.tail + 1) % sq.size != sq.head) {
			guest_put(&sq, &sqe);
			submit(NVME_IO_READ, i, 8);
		}
		fake_nvme.is_stalled = true;
		guest_ring(&sq);
		guest_idle(100);
		max = MAX(max, fake_nvme.pending_count);
		fake_nvme.is_stalled = false;
		CHECK(guest_wait(&cq, &cqe));
		sq.head = cqe.sq_head;
		guest_consumed(&cq);
		done++;
	}
	CHECK(max > 16);
	CHECK(done_count > 50);
	CHECK_EQ(last_status, 0);
}

TEST(a_stalled_device_times_a_host_request_out_once)
{
	start();
	fake_nvme.is_stalled = true;
	CHECK(submit(NVME_IO_READ, 0, 8));
	poke();
	CHECK_EQ(done_count, 0);
	fake_machine.now_us += 4900000;
	poke();
	CHECK_EQ(done_count, 0);
	fake_machine.now_us += 200000;
	poke();
	CHECK_EQ(done_count, 1);
	CHECK_EQ(last_status, NVME_IO_TIMED_OUT);
	fake_nvme.is_stalled = false;
	guest_idle(10);
	CHECK_EQ(fake_machine.watch_count, 0);
	CHECK(submit(NVME_IO_READ, 0, 8));
	poke();
	CHECK_EQ(done_count, 2);
	CHECK_EQ(last_status, 0);
}

TEST(a_reset_aborts_host_requests_before_the_next_on_init)
{
	start();
	fake_nvme.is_stalled = true;
	for (int i = 0; i < 5; i++)
		CHECK(submit(NVME_IO_READ, 0, 8));
	poke();
	CHECK(submit(NVME_IO_READ, 0, 8));
	CHECK(guest_disable());
	CHECK_EQ(done_count, 6);
	CHECK_EQ(last_status, NVME_IO_ABORTED);
	CHECK_EQ(fake_double.init_count, 1);
	CHECK(!submit(NVME_IO_READ, 0, 8));
	CHECK_EQ(done_count, 6);
}

TEST(resets_with_host_requests_under_way_leak_nothing)
{
	size_t in_use = 0;

	boot();
	for (int i = 0; i < 100; i++) {
		CHECK(guest_enable(0));
		for (int n = 0; n < 10; n++)
			CHECK(submit(NVME_IO_READ, 0, 64));
		guest_read32(NVME_REG_VS);
		guest_idle(i % 15);
		CHECK(guest_disable());
		CHECK(!i || fake_machine.sluice_pages == in_use);
		in_use = fake_machine.sluice_pages;
		CHECK_EQ(done_count, 10 * (i + 1));
		CHECK_EQ(fake_machine.watch_count, 0);
	}
}

/* ---- The guest leaves while a host request is under way --------------------------- */

#define ENABLED (6 << 16 | 4 << 20 | NVME_CC_EN)
#define SHUT_DOWN (ENABLED | 1 << 14)

/* It never reads CSTS: no step but those that Sluice makes by itself. */
static void leave(u32 cc)
{
	fake_double.holds_stop = true;
	CHECK(submit(NVME_IO_READ, 0, 8));
	guest_write32(NVME_REG_CC, cc);
	fake_interrupt();
}

static void check_left_when_read(u32 cc)
{
	start();
	fake_nvme.is_stalled = true;
	leave(cc);
	guest_idle(100);
	CHECK_EQ(fake_nvme.cc, ENABLED);
	fake_nvme.is_stalled = false;
	guest_idle(100);
	fake_interrupt();
	CHECK_EQ(done_count, 1);
	CHECK_EQ(last_status, 0);
	CHECK_EQ(fake_nvme.cc, cc);
}

TEST(a_disable_goes_on_when_the_last_host_request_is_done)
{
	check_left_when_read(ENABLED & ~NVME_CC_EN);
}

TEST(a_shutdown_goes_on_when_the_last_host_request_is_done)
{
	check_left_when_read(SHUT_DOWN);
}

/* ---- A device with one pair ------------------------------------------------------ */

TEST(with_one_pair_host_requests_ride_in_the_guest_s_queue)
{
	struct nvme_sqe sqe = guest_rw(NVME_CMD_VERIFY, 0, 1, NULL);

	boot();
	fake_nvme.queue_limit = 1;
	CHECK(guest_enable(0));
	CHECK_EQ(fake_nvme_seen(true, NVME_ADMIN_CREATE_SQ), 1);
	CHECK_EQ(fake_nvme_seen(true, NVME_ADMIN_DELETE_CQ), 1);
	make_queues();
	CHECK(submit(NVME_IO_READ, 0, 8));
	poke();
	CHECK_EQ(done_count, 1);
	for (int i = 0; i < 100; i++) {
		CHECK(submit(NVME_IO_READ, 0, 8));
		CHECK_EQ(guest_run(&sq, &sqe, NULL), 0);
	}
	poke();
	CHECK_EQ(done_count, 101);
	CHECK_EQ(fake_nvme.sqs[1].cq_id, 1);
}

static void check_guest_has_the_pair(void)
{
	struct nvme_sqe sqe = guest_rw(NVME_CMD_VERIFY, 0, 1, NULL);

	CHECK_EQ(guest_read32(NVME_REG_CSTS), NVME_CSTS_RDY);
	make_queues();
	CHECK_EQ(guest_run(&sq, &sqe, NULL), 0);
	CHECK(guest_disable());
	fake_double.is_slow = false;
	CHECK(guest_enable(0));
	make_queues();
	CHECK_EQ(guest_run(&sq, &sqe, NULL), 0);
}

TEST(one_pair_is_the_guest_s_when_on_init_takes_too_long)
{
	boot();
	fake_nvme.queue_limit = 1;
	fake_double.is_slow = true;
	CHECK(guest_enable(0));
	CHECK(fake_log_has("not prepared in time: goes on without"));
	check_guest_has_the_pair();
}

TEST(one_pair_is_the_guest_s_when_a_host_request_hangs)
{
	boot();
	fake_nvme.queue_limit = 1;
	fake_nvme.is_stalled = true;
	fake_double.is_slow = true;
	guest_begin_enable(0);
	while (!fake_double.init_count)
		guest_read32(NVME_REG_CSTS);
	CHECK(submit(NVME_IO_READ, 0, 8));
	CHECK(guest_wait_ready(true));
	CHECK_EQ(done_count, 1);
	CHECK_EQ(last_status, NVME_IO_ABORTED);
	fake_nvme.is_stalled = false;
	check_guest_has_the_pair();
}

TEST(one_pair_is_the_guest_s_when_the_device_refuses_half_of_it)
{
	boot();
	fake_nvme.queue_limit = 1;
	fake_nvme.refuse_opcode = NVME_ADMIN_CREATE_SQ;
	fake_nvme.refuse_status = 0x101;
	CHECK(guest_enable(0));
	CHECK(fake_log_has("refused what Sluice needs: goes on without"));
	fake_nvme.refuse_opcode = -1;
	check_guest_has_the_pair();
}

TEST(a_pair_that_the_device_keeps_does_not_keep_the_guest_waiting)
{
	boot();
	fake_nvme.queue_limit = 1;
	fake_nvme.refuse_opcode = NVME_ADMIN_DELETE_SQ;
	fake_nvme.refuse_status = 0x101;
	CHECK(guest_enable(0));
	CHECK(guest_disable());
	fake_nvme.refuse_opcode = -1;
	CHECK(guest_enable(0));
	make_queues();
}

TEST(a_device_that_does_not_delete_keeps_the_guest_waiting_only_twice)
{
	u64 before;

	boot();
	fake_nvme.queue_limit = 1;
	fake_double.is_slow = true;
	guest_begin_enable(0);
	while (!fake_double.init_count)
		guest_read32(NVME_REG_CSTS);
	fake_nvme.stalls_admin = true;
	before = fake_machine.now_us;
	CHECK(guest_wait_ready(true));
	CHECK(fake_machine.now_us - before < 5000000);
}

/* The guest has deleted its queues, or not made any: no request can end. */
static void check_left_without_queues(u32 cc)
{
	boot();
	fake_nvme.queue_limit = 1;
	CHECK(guest_enable(0));
	leave(cc);
	CHECK_EQ(done_count, 1);
	CHECK_EQ(last_status, NVME_IO_ABORTED);
	CHECK_EQ(fake_nvme.cc, cc);
}

TEST(with_one_pair_a_disable_does_not_wait_for_a_queue)
{
	check_left_without_queues(ENABLED & ~NVME_CC_EN);
}

TEST(with_one_pair_a_shutdown_does_not_wait_for_a_queue)
{
	check_left_without_queues(SHUT_DOWN);
}

static enum nvme_io_verdict read_first(struct nvme_request *req,
				       const struct nvme_io_command *cmd)
{
	if (cmd->admin)
		return NVME_IO_PASS;
	CHECK(submit(NVME_IO_READ, 0, 8));
	return NVME_IO_HOLD;
}

static void resume_held(struct nvme_host *host, u16 status, void *arg)
{
	done_count++;
	nvme_io_resume_guest_request(host, fake_double.held, 1);
}

static enum nvme_io_verdict hold_for_read(struct nvme_request *req,
					  const struct nvme_io_command *cmd)
{
	struct nvme_io_descriptor *desc;

	if (cmd->admin)
		return NVME_IO_PASS;
	desc = nvme_io_init_descriptor(fake_double.host, 1, 0, 4, 1);
	CHECK(nvme_io_set_phys_buffers(fake_double.host, desc, list, list_phys,
				       1, 0));
	CHECK(nvme_io_submit(fake_double.host, desc, NVME_IO_READ, resume_held,
			     NULL));
	return NVME_IO_HOLD;
}

TEST(a_command_held_for_a_host_request_goes_on_in_the_same_exit)
{
	struct nvme_sqe sqe = guest_rw(NVME_CMD_VERIFY, 0, 1, NULL);

	start();
	fake_double.answer = hold_for_read;
	guest_put(&sq, &sqe);
	guest_ring(&sq);
	CHECK_EQ(done_count, 1);
	guest_idle(5);
	CHECK_EQ(fake_nvme_seen(false, NVME_CMD_VERIFY), 1);
	for (int i = 0; i < 50; i++)
		guest_idle(10);
	CHECK_EQ(fake_nvme_seen(false, NVME_CMD_READ), 1);
}

TEST(what_is_held_at_a_timeout_can_still_be_finished)
{
	struct nvme_sqe sqe = guest_rw(NVME_CMD_VERIFY, 0, 1, NULL);
	struct nvme_cqe cqe;

	start();
	fake_double.answer = read_first;
	fake_nvme.is_stalled = true;
	guest_put(&sq, &sqe);
	guest_ring(&sq);
	fake_machine.now_us += 5100000;
	poke();
	CHECK_EQ(last_status, NVME_IO_TIMED_OUT);
	fake_nvme.is_stalled = false;
	nvme_io_finish_guest_request(fake_double.host, fake_double.held,
				     NVME_IO_INTERNAL_ERROR);
	poke();
	CHECK(guest_wait(&cq, &cqe));
	CHECK_EQ(cqe.status, NVME_IO_INTERNAL_ERROR);
}
