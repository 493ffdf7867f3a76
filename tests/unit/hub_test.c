/* SPDX-License-Identifier: BSD-2-Clause */
/* Commands through hubs: data, order, rings of all sizes, doorbells. */
#include <stdlib.h>
#include <string.h>

#include "fake_guest.h"
#include "fake_log.h"
#include "fake_machine.h"
#include "fake_nvme.h"
#include "test.h"

static struct guest_cq cq, cq2;
static struct guest_sq sq, sq2;

static void start_with_queues(u32 size)
{
	guest_start();
	CHECK_EQ(guest_create_cq(&cq, 1, size, true), 0);
	CHECK_EQ(guest_create_sq(&sq, 1, size, &cq), 0);
}

static u8 *random_data(size_t size)
{
	u8 *data = fake_ram(size, 4096);

	for (size_t i = 0; i < size; i++)
		data[i] = rand();
	return data;
}

/* Every command sent is answered once: by cid. */
static void count_answers(struct guest_cq *from, u32 count, u8 *seen)
{
	struct nvme_cqe cqe;

	while (count--) {
		CHECK(guest_wait(from, &cqe));
		CHECK_EQ(cqe.status, 0);
		seen[cqe.cid]++;
		if (cqe.sq_id == sq.id)
			sq.head = cqe.sq_head;
		else
			sq2.head = cqe.sq_head;
		guest_consumed(from);
	}
}

TEST(blocks_written_are_on_the_device_and_read_back_byte_for_byte)
{
	struct nvme_sqe sqe;
	u8 *out, *in;

	fake_relayed();
	start_with_queues(16);
	out = random_data(40 * 512);
	in = (u8 *)fake_ram(40 * 512 + 4096, 4096) + 1536;
	sqe = guest_rw(NVME_CMD_WRITE, 100, 40, out);
	CHECK_EQ(guest_run(&sq, &sqe, NULL), 0);
	CHECK(!memcmp(fake_nvme.namespaces[0].data + 51200, out, 40 * 512));
	sqe = guest_rw(NVME_CMD_READ, 100, 40, in);
	CHECK_EQ(guest_run(&sq, &sqe, NULL), 0);
	CHECK(!memcmp(in, out, 40 * 512));
	CHECK_EQ(fake_machine.direct_irq_count, 0);
}

TEST(one_line_says_what_controller_there_is)
{
	guest_start();
	CHECK(fake_log_has("Fake NVMe SN=FAKE1 1 namespaces, 16 queues, "
			   "mdts 8192 KiB"));
}

TEST(an_idle_controller_is_not_watched)
{
	struct nvme_sqe sqe = guest_rw(NVME_CMD_FLUSH, 0, 1, NULL);

	fake_relayed();
	start_with_queues(16);
	CHECK_EQ(fake_machine.watch_count, 0);
	guest_put(&sq, &sqe);
	guest_ring(&sq);
	CHECK_EQ(fake_machine.watch_count, 1);
	guest_idle(100);
	CHECK_EQ(fake_machine.watch_count, 0);
}

TEST(completions_out_of_order_reach_the_right_commands)
{
	u8 *buffers[32], *seen = calloc(65536, 1);
	struct nvme_sqe sqe;

	start_with_queues(64);
	fake_nvme.out_of_order = true;
	for (int i = 0; i < 32; i++) {
		memset(fake_nvme.namespaces[0].data + i * 512, i + 1, 512);
		buffers[i] = fake_ram(512, 512);
		sqe = guest_rw(NVME_CMD_READ, i, 1, buffers[i]);
		guest_put(&sq, &sqe);
	}
	guest_ring(&sq);
	count_answers(&cq, 32, seen);
	for (int i = 0; i < 32; i++) {
		CHECK_EQ(seen[7 + i], 1);
		CHECK_EQ(buffers[i][511], i + 1);
	}
	free(seen);
}

TEST(the_guest_sees_an_interrupt_for_what_was_posted)
{
	struct nvme_sqe sqe = guest_rw(NVME_CMD_FLUSH, 0, 1, NULL);
	struct nvme_cqe cqe;

	fake_relayed();
	start_with_queues(16);
	fake_nvme.interrupt_is_pending = false;
	fake_nvme.interrupt_count = 0;
	guest_put(&sq, &sqe);
	guest_ring(&sq);
	for (int i = 0; i < 100 && !fake_nvme.interrupt_is_pending; i++)
		fake_nvme_tick();
	CHECK_EQ(fake_nvme.interrupt_count, 1);
	CHECK(!guest_poll(&cq, &cqe));
	fake_interrupt();
	CHECK(guest_poll(&cq, &cqe));
}

TEST(the_device_keeps_its_interrupt_until_the_guest_has_read_its_queue)
{
	struct nvme_sqe sqe = guest_rw(NVME_CMD_FLUSH, 0, 1, NULL);
	struct nvme_cqe cqe;

	start_with_queues(16);
	for (int i = 0; i < 3; i++)
		guest_put(&sq, &sqe);
	guest_ring(&sq);
	guest_idle(100);
	CHECK_EQ(fake_nvme.cqs[1].head, 0);
	CHECK(guest_poll(&cq, &cqe) && guest_poll(&cq, &cqe));
	guest_consumed(&cq);
	CHECK_EQ(fake_nvme.cqs[1].head, 2);
	CHECK(guest_poll(&cq, &cqe));
	guest_consumed(&cq);
	CHECK_EQ(fake_nvme.cqs[1].head, 3);
}

TEST(many_submission_queues_share_one_completion_queue)
{
	struct nvme_sqe sqe = guest_rw(NVME_CMD_FLUSH, 0, 1, NULL);
	u8 *seen = calloc(65536, 1);

	start_with_queues(32);
	CHECK_EQ(guest_create_sq(&sq2, 9, 8, &cq), 0);
	sq2.next_cid = 1000;
	for (int i = 0; i < 6; i++) {
		guest_put(&sq, &sqe);
		guest_put(&sq2, &sqe);
	}
	guest_ring(&sq);
	guest_ring(&sq2);
	count_answers(&cq, 12, seen);
	for (int i = 0; i < 6; i++)
		CHECK(seen[7 + i] == 1 && seen[1000 + i] == 1);
	CHECK_EQ(sq.head, 6);
	CHECK_EQ(sq2.head, 6);
	free(seen);
}

TEST(crossed_pairs_complete_where_they_were_bound)
{
	struct nvme_sqe sqe = guest_rw(NVME_CMD_FLUSH, 0, 1, NULL);

	guest_start();
	CHECK_EQ(guest_create_cq(&cq, 1, 16, true), 0);
	CHECK_EQ(guest_create_cq(&cq2, 2, 16, true), 0);
	CHECK_EQ(guest_create_sq(&sq, 1, 16, &cq2), 0);
	CHECK_EQ(guest_create_sq(&sq2, 2, 16, &cq), 0);
	for (int i = 0; i < 40; i++) {
		CHECK_EQ(guest_run(&sq, &sqe, NULL), 0);
		CHECK_EQ(guest_run(&sq2, &sqe, NULL), 0);
	}
}

TEST(a_full_guest_cq_stops_fetching)
{
	struct nvme_sqe sqe = guest_rw(NVME_CMD_FLUSH, 0, 1, NULL);
	u8 *seen = calloc(65536, 1);

	fake_relayed();
	guest_start();
	CHECK_EQ(guest_create_cq(&cq, 1, 4, true), 0);
	CHECK_EQ(guest_create_sq(&sq, 1, 64, &cq), 0);
	for (int i = 0; i < 50; i++)
		guest_put(&sq, &sqe);
	guest_ring(&sq);
	guest_idle(1000);
	CHECK_EQ(fake_nvme_seen(false, NVME_CMD_FLUSH), 3);
	count_answers(&cq, 50, seen);
	for (int i = 0; i < 50; i++)
		CHECK_EQ(seen[7 + i], 1);
	free(seen);
}

static void run_tiny(u32 sq_size, u32 cq_size)
{
	u8 *seen = calloc(65536, 1);
	struct nvme_sqe sqe;
	u32 sent = 0, done = 0;
	struct nvme_cqe cqe;

	CHECK_EQ(guest_create_cq(&cq, 1, cq_size, true), 0);
	CHECK_EQ(guest_create_sq(&sq, 1, sq_size, &cq), 0);
	while (done < 3000) {
		while (sent < 3000 && (sq.tail + 1) % sq.size != sq.head) {
			sqe = guest_rw(NVME_CMD_VERIFY, sent, 1, NULL);
			guest_put(&sq, &sqe);
			sent++;
		}
		guest_ring(&sq);
		CHECK(guest_wait(&cq, &cqe));
		CHECK_EQ(++seen[cqe.cid], 1);
		sq.head = cqe.sq_head;
		guest_consumed(&cq);
		done++;
	}
	CHECK_EQ(guest_delete(NVME_ADMIN_DELETE_SQ, 1), 0);
	CHECK_EQ(guest_delete(NVME_ADMIN_DELETE_CQ, 1), 0);
	free(seen);
}

TEST(rings_of_two_to_four_carry_thousands_of_commands)
{
	guest_start();
	fake_nvme.out_of_order = true;
	for (u32 sq_size = 2; sq_size <= 4; sq_size++)
		for (u32 cq_size = 2; cq_size <= 4; cq_size++)
			run_tiny(sq_size, cq_size);
}

TEST(a_device_with_rings_of_two_is_enough)
{
	guest_boot();
	fake_nvme.cap = FIELD_SET(NVME_CAP_MQES, fake_nvme.cap, 1);
	CHECK_EQ(fake_machine_attach(), 0);
	CHECK(guest_enable(0));
	run_tiny(2, 2);
}

TEST(a_ring_as_large_as_the_device_allows_works)
{
	u8 *seen = calloc(65536, 1);
	struct nvme_sqe sqe = guest_rw(NVME_CMD_FLUSH, 0, 1, NULL);

	start_with_queues(2048);
	for (int i = 0; i < 2047; i++)
		guest_put(&sq, &sqe);
	guest_ring(&sq);
	count_answers(&cq, 2047, seen);
	free(seen);
}

TEST(a_queue_that_ends_with_commands_not_fetched_is_not_watched_any_more)
{
	struct nvme_sqe sqe = guest_rw(NVME_CMD_FLUSH, 0, 1, NULL);

	fake_relayed();
	guest_start();
	CHECK_EQ(guest_create_cq(&cq, 1, 2, true), 0);
	CHECK_EQ(guest_create_sq(&sq, 1, 16, &cq), 0);
	for (int i = 0; i < 4; i++)
		guest_put(&sq, &sqe);
	guest_ring(&sq);
	guest_idle(50);
	CHECK(guest_disable());
	CHECK_EQ(fake_machine.watch_count, 0);
}

TEST(a_polling_guest_finds_completions_without_interrupts)
{
	struct nvme_sqe sqe = guest_rw(NVME_CMD_FLUSH, 0, 1, NULL);
	struct nvme_cqe cqe;

	guest_start();
	CHECK_EQ(guest_create_cq(&cq, 1, 2, false), 0);
	CHECK_EQ(guest_create_sq(&sq, 1, 2, &cq), 0);
	guest_put(&sq, &sqe);
	guest_ring(&sq);
	CHECK(guest_poll(&cq, &cqe));
}

TEST(a_tail_outside_the_ring_is_ignored)
{
	struct nvme_sqe sqe = guest_rw(NVME_CMD_FLUSH, 0, 1, NULL);

	start_with_queues(16);
	for (u32 tail = 16; tail < 0x20000; tail = tail * 3 / 2)
		guest_write32(0x1008, tail & 0xffff ? tail : 0xffff);
	CHECK_EQ(fake_nvme_seen(false, NVME_CMD_FLUSH), 0);
	CHECK(fake_log_has("sq1: tail 16 of 16"));
	CHECK_EQ(guest_run(&sq, &sqe, NULL), 0);
}

TEST(a_head_past_what_was_posted_is_ignored)
{
	struct nvme_sqe sqe = guest_rw(NVME_CMD_FLUSH, 0, 1, NULL);

	start_with_queues(16);
	guest_write32(0x100c, 5);
	guest_write32(0x100c, 16);
	CHECK(fake_log_has("cq1: head 5 of 16, 0 unread"));
	CHECK_EQ(guest_run(&sq, &sqe, NULL), 0);
}

TEST(a_doorbell_reads_back_what_was_written)
{
	start_with_queues(16);
	guest_write32(0x1008, 0);
	CHECK_EQ(guest_read32(0x1008), 0);
	CHECK_EQ(guest_read32(0x1000), guest.admin.tail);
}

TEST(a_completion_for_no_command_is_logged_and_dropped)
{
	struct nvme_sqe sqe = guest_rw(NVME_CMD_FLUSH, 0, 1, NULL);

	fake_relayed();
	start_with_queues(16);
	fake_nvme_post(1, 999, 0, 0);
	fake_nvme_post(1, 3, 0, 0);
	CHECK_EQ(guest_run(&sq, &sqe, NULL), 0);
	CHECK(fake_log_has("device completed cid 999 of sq1"));
}

TEST(an_interrupt_looks_only_where_commands_are)
{
	struct nvme_sqe sqe = guest_rw(NVME_CMD_FLUSH, 0, 1, NULL);

	fake_relayed();
	start_with_queues(8);
	CHECK_EQ(guest_create_cq(&cq2, 2, 8, true), 0);
	CHECK_EQ(guest_create_sq(&sq2, 2, 8, &cq2), 0);
	CHECK_EQ(guest_run(&sq, &sqe, NULL), 0);
	fake_nvme.is_stalled = true;
	guest_put(&sq2, &sqe);
	guest_ring(&sq2);
	fake_nvme_post(1, 999, 0, 0);
	fake_nvme_post(2, 998, 0, 0);
	fake_interrupt();
	CHECK(!fake_log_has("device completed cid 999 of sq1"));
	CHECK(fake_log_has("device completed cid 998 of sq2"));
}

TEST(the_device_s_status_and_result_reach_the_guest)
{
	struct nvme_sqe sqe = guest_rw(NVME_CMD_FLUSH, 0, 1, NULL);

	start_with_queues(16);
	fake_nvme.fail_countdown = 2;
	fake_nvme.fail_status = 0x4281;
	CHECK_EQ(guest_run(&sq, &sqe, NULL), 0);
	CHECK_EQ(guest_run(&sq, &sqe, NULL), 0x4281);
	CHECK_EQ(guest_run(&sq, &sqe, NULL), 0);
}

TEST(more_transfers_than_list_pages_wait_and_all_complete)
{
	u8 *seen = calloc(65536, 1), *data;
	struct nvme_sqe sqe;

	guest_start();
	CHECK_EQ(guest_create_cq(&cq, 1, 1024, true), 0);
	CHECK_EQ(guest_create_cq(&cq2, 2, 1024, true), 0);
	CHECK_EQ(guest_create_sq(&sq, 1, 300, &cq), 0);
	CHECK_EQ(guest_create_sq(&sq2, 2, 300, &cq2), 0);
	data = fake_ram(4 << 20, 4096);
	fake_nvme.is_stalled = true;
	/* Three list pages each: 512 pages are not enough for 500. */
	for (int i = 0; i < 250; i++) {
		sqe = guest_rw(NVME_CMD_READ, 0, 8192, data);
		guest_put(&sq, &sqe);
		guest_put(&sq2, &sqe);
	}
	guest_ring(&sq);
	guest_ring(&sq2);
	guest_idle(100);
	CHECK(fake_nvme_seen(false, NVME_CMD_READ) < 500);
	fake_nvme.is_stalled = false;
	count_answers(&cq, 250, seen);
	count_answers(&cq2, 250, seen);
	free(seen);
}

TEST(deleting_a_queue_under_load_and_making_it_again_works)
{
	struct nvme_sqe sqe = guest_rw(NVME_CMD_FLUSH, 0, 1, NULL);
	size_t pages;

	start_with_queues(16);
	pages = fake_machine.sluice_pages;
	fake_nvme.is_stalled = true;
	for (int i = 0; i < 20; i++) {
		for (int n = 0; n < 5; n++)
			guest_put(&sq, &sqe);
		guest_ring(&sq);
		CHECK_EQ(guest_delete(NVME_ADMIN_DELETE_SQ, 1), 0);
		CHECK_EQ(guest_delete(NVME_ADMIN_DELETE_CQ, 1), 0);
		CHECK_EQ(fake_machine.watch_count, 0);
		CHECK_EQ(guest_create_cq(&cq, 1, 16, true), 0);
		CHECK_EQ(guest_create_sq(&sq, 1, 16, &cq), 0);
	}
	CHECK_EQ(fake_machine.sluice_pages, pages);
	fake_nvme.is_stalled = false;
	CHECK_EQ(guest_run(&sq, &sqe, NULL), 0);
}

TEST(a_hub_with_nothing_under_way_gets_the_pages_another_returns)
{
	struct nvme_sqe sqe;
	struct nvme_cqe cqe;
	u8 *data;

	guest_start();
	CHECK_EQ(guest_create_cq(&cq, 1, 256, true), 0);
	CHECK_EQ(guest_create_cq(&cq2, 2, 256, true), 0);
	CHECK_EQ(guest_create_sq(&sq, 1, 256, &cq), 0);
	CHECK_EQ(guest_create_sq(&sq2, 2, 256, &cq2), 0);
	data = fake_ram(8 << 20, 4096);
	fake_nvme.is_stalled = true;
	/* Five list pages each: 102 of them take 510 of 512. */
	for (int i = 0; i < 102; i++) {
		sqe = guest_rw(NVME_CMD_READ, 0, 16384, data);
		guest_put(&sq, &sqe);
	}
	guest_ring(&sq);
	guest_put(&sq2, &sqe);
	guest_ring(&sq2);
	guest_idle(10);
	CHECK_EQ(fake_nvme_seen(false, NVME_CMD_READ), 102);
	fake_nvme.is_stalled = false;
	guest_idle(10);
	CHECK_EQ(fake_nvme_seen(false, NVME_CMD_READ), 103);
	CHECK(guest_wait(&cq2, &cqe));
}
