/* SPDX-License-Identifier: BSD-2-Clause */
/* Queues whose completions the device posts into the guest's own memory. */
#include <string.h>

#include "fake_double.h"
#include "fake_guest.h"
#include "fake_log.h"
#include "fake_machine.h"
#include "fake_nvme.h"
#include "test.h"

#define BIG (64 * 4096)		/* needs a PRP list */

static struct guest_cq cq, cq2;
static struct guest_sq sq, sq2;

static void make_queues(u32 size)
{
	CHECK_EQ(guest_create_cq(&cq, 1, size, true), 0);
	CHECK_EQ(guest_create_sq(&sq, 1, size, &cq), 0);
}

static void start(u32 size)
{
	guest_start();
	make_queues(size);
}

static bool is_direct(const struct guest_cq *queue)
{
	return fake_nvme.cqs[queue->id].base == (u64)queue->entries;
}

static struct nvme_sqe flush_command(void)
{
	return guest_rw(NVME_CMD_FLUSH, 0, 1, NULL);
}

static u16 flush(void)
{
	struct nvme_sqe sqe = flush_command();

	return guest_run(&sq, &sqe, NULL);
}

static struct nvme_sqe big_read(void)
{
	return guest_rw(NVME_CMD_READ, 0, BIG / 512, fake_ram(BIG, 4096));
}

static enum nvme_io_verdict refuse_verify(struct nvme_request *req,
					  const struct nvme_io_command *cmd)
{
	if (cmd->opcode != NVME_CMD_VERIFY)
		return NVME_IO_PASS;
	nvme_io_set_status(req, 0x4286, 0);
	return NVME_IO_DONE;
}

static enum nvme_io_verdict hold_verify(struct nvme_request *req,
					const struct nvme_io_command *cmd)
{
	if (cmd->opcode != NVME_CMD_VERIFY)
		return NVME_IO_PASS;
	fake_double.held = req;
	return NVME_IO_HOLD;
}

/* ---- Which path ------------------------------------------------------- */

TEST(the_device_posts_where_the_guest_looks_and_nobody_is_interrupted)
{
	struct nvme_sqe sqe = flush_command();
	struct nvme_cqe cqe;

	start(16);
	CHECK(is_direct(&cq));
	CHECK_EQ(guest_put(&sq, &sqe), 7);
	guest_ring(&sq);
	CHECK_EQ(fake_machine.watch_count, 0);
	fake_machine.direct_irq_count = 0;
	guest_idle(10);
	CHECK_EQ(fake_machine.direct_irq_count, 1);
	CHECK(guest_poll(&cq, &cqe));
	CHECK_EQ(cqe.cid, 7);
	CHECK_EQ(fake_nvme_last(false, NVME_CMD_FLUSH)->cid, 7);
}

TEST(who_wants_to_see_completions_gets_the_relayed_path)
{
	guest_boot();
	fake_double.needs = NVME_IO_NEEDS_COMPLETIONS;
	CHECK_EQ(fake_machine_attach(), 0);
	CHECK(guest_enable(0));
	make_queues(16);
	CHECK(!is_direct(&cq));
}

TEST(a_queue_that_is_polled_gets_the_relayed_path)
{
	guest_start();
	CHECK_EQ(guest_create_cq(&cq, 1, 16, false), 0);
	CHECK(!is_direct(&cq));
}

TEST(without_a_pair_of_its_own_sluice_relays)
{
	guest_boot();
	fake_nvme.queue_limit = 1;
	fake_double.needs = NVME_IO_NEEDS_HOST_REQUESTS;
	CHECK_EQ(fake_machine_attach(), 0);
	CHECK(guest_enable(0));
	make_queues(16);
	CHECK(!is_direct(&cq));
}

TEST(the_setting_says_auto_or_relayed_once)
{
	guest_boot();
	CHECK(fake_configure("completions", "direct"));
	CHECK_EQ(fake_configure("completions", "auto"), 0);
	CHECK(fake_configure("completions", "relayed"));
}

/* ---- What is kept ------------------------------------------------------- */

TEST(lists_come_back_with_the_doorbell_after_the_completion)
{
	struct nvme_sqe sqe;

	start(16);
	sqe = big_read();
	for (int i = 0; i < 5000; i++)
		CHECK_EQ(guest_run(&sq, &sqe, NULL), 0);
}

/* The device's ids are the guest's: nothing tells two of one id apart. */
TEST(an_id_may_come_again_as_soon_as_its_command_is_over)
{
	start(64);
	for (int i = 0; i < 1000; i++) {
		sq.next_cid = 7;
		CHECK_EQ(flush(), 0);
	}
	CHECK_EQ(fake_machine.watch_count, 0);
}

TEST(more_commands_than_slots_all_get_through)
{
	struct nvme_sqe sqe = flush_command();
	struct nvme_cqe cqe;

	start(1024);
	fake_nvme.is_stalled = true;
	for (int i = 0; i < 1000; i++)
		guest_put(&sq, &sqe);
	guest_ring(&sq);
	guest_idle(10);
	CHECK(fake_nvme.pending_count < 300);
	/* Somebody has to see when it goes on. */
	CHECK_EQ(fake_machine.watch_count, 1);
	fake_nvme.is_stalled = false;
	for (int i = 0; i < 1000; i++) {
		CHECK(guest_wait(&cq, &cqe));
		CHECK_EQ(cqe.cid, 7 + i);
	}
	guest_consumed(&cq);
	CHECK_EQ(fake_machine.watch_count, 0);
}

TEST(commands_that_wait_for_pages_go_on_without_a_doorbell)
{
	struct nvme_sqe sqe;
	struct nvme_cqe cqe;

	start(1024);
	for (int i = 0; i < 700; i++) {
		sqe = guest_rw(NVME_CMD_READ, 0, 64,
			       (u8 *)fake_ram(9 * 4096, 4096) + 512);
		guest_put(&sq, &sqe);
	}
	guest_ring(&sq);
	for (int i = 0; i < 700; i++)
		CHECK(guest_wait(&cq, &cqe));
}

TEST(tiny_rings_carry_thousands_of_commands)
{
	for (u32 size = 2; size <= 4; size++) {
		if (size == 2)
			start(size);
		else
			make_queues(size);
		CHECK(is_direct(&cq));
		for (int i = 0; i < 3000; i++)
			CHECK_EQ(flush(), 0);
		CHECK_EQ(guest_delete(NVME_ADMIN_DELETE_SQ, 1), 0);
		CHECK_EQ(guest_delete(NVME_ADMIN_DELETE_CQ, 1), 0);
	}
}

TEST(abort_names_the_command_by_the_guest_s_id)
{
	struct nvme_sqe sqe = flush_command();
	u16 cid;

	start(16);
	fake_nvme.is_stalled = true;
	cid = guest_put(&sq, &sqe);
	guest_ring(&sq);
	guest_admin(NVME_ADMIN_ABORT, 0, (u32)cid << 16 | 1, 0, NULL);
	CHECK_EQ(fake_nvme_last(true, NVME_ADMIN_ABORT)->cdw10,
		 (u32)cid << 16 | 1);
}

TEST(resets_under_load_leave_nothing_behind)
{
	struct nvme_sqe sqe;
	size_t pages = 0;

	start(64);
	sqe = big_read();
	for (int i = 0; i < 200; i++) {
		for (int j = 0; j < 20; j++)
			guest_put(&sq, &sqe);
		guest_ring(&sq);
		guest_idle(i % 7);
		CHECK(guest_disable());
		CHECK(!pages || fake_machine.sluice_pages == pages);
		pages = fake_machine.sluice_pages;
		CHECK(guest_enable(0));
		make_queues(64);
		CHECK(is_direct(&cq));
	}
	CHECK_EQ(fake_machine.watch_count, 0);
}

TEST(memory_of_a_deleted_queue_is_the_guest_s_again)
{
	struct nvme_sqe sqe;

	start(16);
	CHECK_EQ(flush(), 0);
	CHECK_EQ(guest_delete(NVME_ADMIN_DELETE_SQ, 1), 0);
	CHECK_EQ(guest_delete(NVME_ADMIN_DELETE_CQ, 1), 0);
	fake_guest_write((u64)cq.entries, 8, 0x1122334455667788);
	CHECK_EQ(fake_guest_read((u64)cq.entries, 8), 0x1122334455667788);
	CHECK_EQ(guest_create_cq(&cq2, 2, 16, true), 0);
	CHECK_EQ(guest_create_sq(&sq2, 2, 16, &cq2), 0);
	sqe = guest_rw(NVME_CMD_READ, 0, 1, (void *)cq.entries);
	CHECK_EQ(guest_run(&sq2, &sqe, NULL), 0);
}

/* ---- What Sluice answers ---------------------------------------------------- */

TEST(a_refusal_has_its_own_status_and_is_never_seen_as_another)
{
	struct nvme_sqe verify = guest_rw(NVME_CMD_VERIFY, 0, 1, NULL);
	struct nvme_sqe good = flush_command();
	struct nvme_cqe cqe;

	start(16);
	fake_double.answer = refuse_verify;
	for (int i = 0; i < 12; i++)
		guest_put(&sq, i % 3 ? &good : &verify);
	guest_ring(&sq);
	for (int i = 0; i < 12; i++) {
		CHECK(guest_wait(&cq, &cqe));
		CHECK_EQ(cqe.cid, 7 + i);
		CHECK_EQ(cqe.status, i % 3 ? 0 : 0x4286);
	}
	CHECK_EQ(fake_nvme_seen(false, NVME_CMD_VERIFY), 0);
	/* And its queue is read without an exit again. */
	fake_machine.trap_count = 0;
	CHECK(!guest_poll(&cq, &cqe));
	CHECK_EQ(fake_machine.trap_count, 0);
}

TEST(nothing_passes_what_an_interceptor_holds)
{
	struct nvme_sqe verify = guest_rw(NVME_CMD_VERIFY, 0, 1, NULL);
	struct nvme_sqe good = flush_command();
	struct nvme_cqe cqe;

	start(16);
	fake_double.answer = hold_verify;
	guest_put(&sq, &good);
	guest_put(&sq, &verify);
	guest_put(&sq, &good);
	guest_ring(&sq);
	CHECK(guest_wait(&cq, &cqe));
	guest_idle(100);
	CHECK_EQ(fake_nvme_seen(false, NVME_CMD_FLUSH), 1);
	nvme_io_resume_guest_request(fake_double.host, fake_double.held, 1);
	guest_read32(NVME_REG_VS);
	for (int i = 0; i < 2; i++) {
		CHECK(guest_wait(&cq, &cqe));
		CHECK_EQ(cqe.cid, 8 + i);
	}
}

TEST(the_second_command_of_an_id_waits_for_the_first)
{
	struct nvme_sqe sqe = flush_command();
	struct nvme_cqe cqe;

	start(16);
	fake_nvme.is_stalled = true;
	guest_put(&sq, &sqe);
	sq.next_cid = 7;
	guest_put(&sq, &sqe);
	guest_ring(&sq);
	guest_idle(10);
	CHECK_EQ(fake_nvme.pending_count, 1);
	fake_nvme.is_stalled = false;
	for (int i = 0; i < 2; i++) {
		CHECK(guest_wait(&cq, &cqe));
		CHECK_EQ(cqe.cid, 7);
	}
}

/* The page of PRPs that the device was given last. */
static u64 last_list(void)
{
	return fake_nvme_last(false, NVME_CMD_READ)->prp2;
}

/* ---- A guest that writes what only the device may --------------------------------- */

static void write_entry(u32 index, const struct nvme_cqe *cqe)
{
	const u64 *words = (const u64 *)cqe;
	u64 at = (u64)&cq.entries[index];

	fake_guest_write(at, 8, words[0]);
	fake_guest_write(at + 8, 8, words[1]);
}

TEST(a_completion_the_guest_has_made_up_is_not_believed)
{
	struct nvme_cqe forged = { .sq_id = 1, .cid = 7, .status = 1 };
	struct nvme_sqe sqe;
	struct nvme_cqe cqe;
	u64 list;

	start(16);
	fake_nvme.is_stalled = true;
	sqe = big_read();
	guest_put(&sq, &sqe);
	guest_ring(&sq);
	guest_idle(10);
	list = last_list();
	for (u32 i = 0; i < 16; i++)
		write_entry(i, &forged);
	CHECK(fake_log_has("guest writes entry"));
	guest_put(&sq, &sqe);
	guest_ring(&sq);
	guest_idle(10);
	CHECK_EQ(fake_nvme_seen(false, NVME_CMD_READ), 2);
	CHECK(last_list() != list);
	fake_nvme.is_stalled = false;
	for (int i = 0; i < 2; i++) {
		CHECK(guest_wait(&cq, &cqe));
		CHECK_EQ(cqe.cid, 7 + i);
	}
}

TEST(what_was_forged_before_the_first_command_is_cleared)
{
	struct nvme_cqe forged = { .sq_id = 1, .cid = 7, .status = 1 };
	struct nvme_sqe sqe;
	struct nvme_cqe cqe;

	start(16);
	for (u32 i = 0; i < 16; i++)
		write_entry(i, &forged);
	guest_read32(NVME_REG_CSTS);
	fake_nvme.is_stalled = true;
	sqe = big_read();
	guest_put(&sq, &sqe);
	guest_ring(&sq);
	CHECK(!guest_poll(&cq, &cqe));
	fake_nvme.is_stalled = false;
	CHECK(guest_wait(&cq, &cqe));
	CHECK_EQ(cqe.status, 0);
	CHECK(!fake_log_has("not under way"));
}

TEST(a_guest_may_mark_what_it_has_read_but_not_its_phase)
{
	struct nvme_cqe marked = { .result = 0x55, .sq_id = 0xffff };
	struct nvme_sqe sqe = flush_command();
	struct nvme_cqe cqe;

	start(4);
	guest_put(&sq, &sqe);
	guest_ring(&sq);
	CHECK(guest_wait(&cq, &cqe));
	write_entry(0, &marked);
	CHECK_EQ(cq.entries[0].result, 0x55);
	CHECK_EQ(cq.entries[0].sq_id, 0xffff);
	CHECK_EQ(cq.entries[0].status & 1, 1);
	/* Byte by byte as well. */
	for (u32 i = 0; i < 16; i++)
		fake_guest_write((u64)&cq.entries[0] + i, 1, 0);
	CHECK_EQ(cq.entries[0].status, 1);
	sq.head = cqe.sq_head;
	guest_consumed(&cq);
	write_entry(0, &marked);
	CHECK(fake_log_has("which is not its to write"));
	for (int i = 0; i < 50; i++)
		CHECK_EQ(flush(), 0);
}

TEST(what_shares_a_page_with_the_queue_stays_memory)
{
	start(16);
	CHECK_EQ(flush(), 0);
	fake_guest_write((u64)&cq.entries[16], 8, 99);
	fake_guest_write((u64)&cq.entries[16] + 6, 2, 3);
	CHECK_EQ(*(u64 *)&cq.entries[16], 99ull | 3ull << 48);
}

TEST(the_guest_s_dma_does_not_reach_the_queue)
{
	struct nvme_sqe sqe;

	start(16);
	sqe = guest_rw(NVME_CMD_READ, 0, 1, (void *)cq.entries);
	CHECK_EQ(guest_run(&sq, &sqe, NULL), 0x4004);
	CHECK_EQ(guest_create_cq(&cq2, 2, 16, true), 0);
	sqe = guest_rw(NVME_CMD_READ, 0, 16, (u8 *)cq2.entries - 4096);
	CHECK_EQ(guest_run(&sq, &sqe, NULL), 0x4004);
	/* Nor another queue's completions. */
	CHECK_EQ(guest_admin(NVME_ADMIN_CREATE_CQ, 0, 15 << 16 | 3, 3 << 16 | 3,
			     (void *)cq2.entries), 0x4002);
}

static u8 *pages;		/* before two queues, between them, behind */

/* Of five of them. */
static u16 read_list(const u8 *const *pages_listed, bool is_sgl)
{
	struct nvme_sqe sqe = guest_rw(NVME_CMD_READ, 0, 40, NULL);
	u64 *list = fake_ram(4096, 4096);
	struct nvme_sgl *sgl = (struct nvme_sgl *)(list + 256);

	for (u32 i = 0; i < 5; i++) {
		list[i] = (u64)pages_listed[i];
		sgl[i] = (struct nvme_sgl){ list[i], 4096, { 0 },
					    NVME_SGL_DATA_BLOCK };
	}
	sqe.prp1 = list[0];
	sqe.prp2 = (u64)&list[1];
	if (!is_sgl)
		return guest_run(&sq, &sqe, NULL);
	sqe.flags = FIELD_PREP(NVME_SQE_PSDT, NVME_PSDT_SGL);
	sqe.sgl = (struct nvme_sgl){ (u64)sgl, 5 * sizeof(*sgl), { 0 },
				     NVME_SGL_LAST_SEGMENT };
	return guest_run(&sq, &sqe, NULL);
}

static void start_between_queues(void)
{
	guest_boot();
	fake_nvme.sgls = 1;
	CHECK_EQ(fake_machine_attach(), 0);
	CHECK(guest_enable(0));
	pages = fake_ram(65536, 65536);
	make_queues(16);
	fake_ram(65536, 65536);
	CHECK_EQ(guest_create_cq(&cq2, 2, 16, true), 0);
	fake_ram(65536, 65536);
	CHECK(is_direct(&cq) && is_direct(&cq2));
}

TEST(what_is_around_queues_may_be_listed_but_not_they_themselves)
{
	start_between_queues();
	for (u32 i = 0; i < 20; i++) {
		u8 *between = (u8 *)cq2.entries - 4096;
		u8 *behind = (u8 *)cq2.entries + 4096;
		const u8 *list[5] = { pages, between, behind, between, pages };
		bool is_sgl = i & 1;

		CHECK_EQ(read_list(list, is_sgl), 0);
		list[i / 4] = (u8 *)(i & 2 ? cq : cq2).entries;
		CHECK_EQ(read_list(list, is_sgl), 0x4004);
	}
}

TEST(a_queue_where_dma_is_under_way_takes_the_relayed_path)
{
	struct nvme_sqe sqe;
	u8 *memory;

	start(16);
	memory = fake_ram(65536, 65536);
	sqe = guest_rw(NVME_CMD_READ, 0, 16, memory);
	fake_nvme.is_stalled = true;
	guest_put(&sq, &sqe);
	guest_ring(&sq);
	CHECK_EQ(guest_admin(NVME_ADMIN_CREATE_CQ, 0, 15 << 16 | 2, 2 << 16 | 3,
			     memory + 4096), 0);
	CHECK(fake_nvme.cqs[2].base != (u64)memory + 4096);
	CHECK_EQ(guest_admin(NVME_ADMIN_CREATE_CQ, 0, 15 << 16 | 3, 3 << 16 | 3,
			     memory + 8192), 0);
	CHECK_EQ(fake_nvme.cqs[3].base, (u64)memory + 8192);
}

TEST(a_queue_where_dma_is_over_is_direct)
{
	struct nvme_sqe sqe;
	u8 *memory;

	start(16);
	memory = fake_ram(65536, 65536);
	for (int i = 0; i < 3; i++) {
		sqe = guest_rw(NVME_CMD_READ, 0, 1, memory + 4096 * i);
		CHECK_EQ(guest_run(&sq, &sqe, NULL), 0);
		CHECK_EQ(guest_admin(NVME_ADMIN_CREATE_CQ, 0, 15 << 16 | 2,
				     2 << 16 | 3, memory + 4096 * i), 0);
		CHECK_EQ(fake_nvme.cqs[2].base, (u64)memory + 4096 * i);
		CHECK_EQ(guest_delete(NVME_ADMIN_DELETE_CQ, 2), 0);
	}
}

TEST(a_tail_that_would_overwrite_what_the_device_has_not_fetched_is_refused)
{
	struct nvme_sqe sqe = flush_command();
	struct nvme_cqe cqe;

	start(4);
	fake_nvme.is_stalled = true;
	for (int i = 0; i < 3; i++)
		guest_put(&sq, &sqe);
	guest_ring(&sq);
	/* It has fetched them, perhaps, but has not said so. */
	guest_write32(NVME_REG_DOORBELLS + 8, 0);
	CHECK(fake_log_has("sq1: tail 0 of 4"));
	fake_nvme.is_stalled = false;
	for (int i = 0; i < 3; i++) {
		CHECK(guest_wait(&cq, &cqe));
		CHECK_EQ(cqe.cid, 7 + i);
	}
	guest_idle(100);
	CHECK_EQ(fake_nvme_seen(false, NVME_CMD_FLUSH), 3);
}

/* ---- Several queues --------------------------------------------------------------- */

TEST(two_submission_queues_may_share_it)
{
	struct nvme_sqe sqe = flush_command();
	struct nvme_cqe cqe;
	u32 counts[3] = { 0 };

	start(64);
	CHECK_EQ(guest_create_sq(&sq2, 2, 64, &cq), 0);
	fake_nvme.out_of_order = true;
	for (int i = 0; i < 20; i++) {
		guest_put(&sq, &sqe);
		guest_put(&sq2, &sqe);
	}
	guest_ring(&sq2);
	guest_ring(&sq);
	for (int i = 0; i < 40; i++) {
		CHECK(guest_wait(&cq, &cqe));
		CHECK(cqe.sq_id == 1 || cqe.sq_id == 2);
		counts[cqe.sq_id]++;
	}
	CHECK_EQ(counts[1], 20);
	CHECK_EQ(counts[2], 20);
}
