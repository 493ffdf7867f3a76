/* SPDX-License-Identifier: BSD-2-Clause */
/* Doorbell buffers: a guest that rings only when it is told to. */
#include <string.h>

#include "fake_double.h"
#include "fake_guest.h"
#include "fake_log.h"
#include "fake_machine.h"
#include "fake_nvme.h"
#include "spec/pci.h"
#include "test.h"

#define INVALID_OPCODE 0x4001
#define INVALID_FIELD 0x4002
#define OACS 256		/* in Identify Controller */

static struct guest_cq cq;
static struct guest_sq sq;
static u32 *words, *events;
static u32 ring_count[2];	/* SQ, CQ */

static void enable_msix(void)
{
	fake_machine.config[0x80] = PCI_CAPABILITY_MSIX;
	fake_config_write(0x80 + PCI_MSIX_CONTROL, 2, PCI_MSIX_ENABLE);
}

static u16 configure(void *doorbells, void *event_page)
{
	struct nvme_sqe sqe = {
		.opcode = NVME_ADMIN_DOORBELL_BUFFER,
		.prp1 = (u64)doorbells, .prp2 = (u64)event_page,
	};

	return guest_run(&guest.admin, &sqe, NULL);
}

static void make_queues(u32 sq_size, u32 cq_size)
{
	CHECK_EQ(guest_create_cq(&cq, 1, cq_size, true), 0);
	CHECK_EQ(guest_create_sq(&sq, 1, sq_size, &cq), 0);
}

static void use_buffers(void)
{
	words = fake_ram(4096, 4096);
	events = fake_ram(4096, 4096);
	CHECK_EQ(configure(words, events), 0);
}

static void start(u32 sq_size, u32 cq_size)
{
	guest_start();
	enable_msix();
	make_queues(sq_size, cq_size);
	use_buffers();
}

/* As a driver does it (NVMe 1.4, 7.13). */
static void say(bool is_cq, u16 value)
{
	u16 old = words[2 + is_cq], event;

	words[2 + is_cq] = value;
	event = events[2 + is_cq];
	if ((u16)(value - event - 1) >= (u16)(value - old))
		return;
	ring_count[is_cq]++;
	guest_write32(NVME_REG_DOORBELLS + 8 + 4 * is_cq, value);
}

static void take_one(void)
{
	struct nvme_cqe cqe;

	CHECK(guest_wait(&cq, &cqe));
	CHECK_EQ(cqe.status, 0);
	sq.head = cqe.sq_head;
	say(true, cq.head);
}

static void run(u32 batch)
{
	struct nvme_sqe sqe = guest_rw(NVME_CMD_FLUSH, 0, 1, NULL);

	for (u32 i = 0; i < batch; i++)
		guest_put(&sq, &sqe);
	say(false, sq.tail);
	for (u32 i = 0; i < batch; i++)
		take_one();
}

/* ---- Offer ---------------------------------------------------------------- */

TEST(they_are_offered_unless_switched_off)
{
	u8 *id;

	guest_start();
	id = fake_ram(4096, 4096);
	CHECK_EQ(guest_admin(NVME_ADMIN_IDENTIFY, 0, 1, 0, id), 0);
	CHECK(id[OACS + 1] & 1);
}

TEST(switched_off_they_are_neither_offered_nor_taken)
{
	u8 *id;

	CHECK_EQ(fake_configure("doorbell-buffer", "off"), 0);
	guest_start();
	enable_msix();
	id = fake_ram(4096, 4096);
	CHECK_EQ(guest_admin(NVME_ADMIN_IDENTIFY, 0, 1, 0, id), 0);
	CHECK(!(id[OACS + 1] & 1));
	CHECK_EQ(configure(fake_ram(4096, 4096), fake_ram(4096, 4096)),
		 INVALID_OPCODE);
}

TEST(they_are_refused_where_an_interrupt_waits_for_the_head)
{
	guest_start();
	CHECK_EQ(configure(fake_ram(4096, 4096), fake_ram(4096, 4096)),
		 INVALID_OPCODE);
	enable_msix();
	CHECK_EQ(configure(fake_ram(4096, 4096), fake_ram(4096, 4096)), 0);
}

TEST(their_pages_are_whole_and_the_guest_s_own)
{
	u8 *good, *secret;

	guest_start();
	enable_msix();
	make_queues(16, 16);
	good = fake_ram(4096, 4096);
	secret = (u8 *)fake_nvme.sqs[1].base;
	CHECK_EQ(configure(good + 4, good), INVALID_FIELD);
	CHECK_EQ(configure(good, good + 64), INVALID_FIELD);
	CHECK_EQ(configure(secret, good), INVALID_FIELD);
	CHECK_EQ(configure(good, secret), INVALID_FIELD);
	if (fake_nvme.cqs[1].base == (u64)cq.entries)
		CHECK_EQ(configure((void *)cq.entries, good), INVALID_FIELD);
	CHECK_EQ(configure((void *)0x1000, good), INVALID_FIELD);
}

/* ---- Use -------------------------------------------------------------------- */

TEST(one_doorbell_a_batch_and_none_for_completions)
{
	start(16, 16);
	for (int i = 0; i < 3000; i++)
		run(1 + i % 14);
	CHECK_EQ(ring_count[0], 3000);
	CHECK_EQ(ring_count[1], 0);
	CHECK(!fake_log_has("sq1: tail"));
	CHECK(!fake_log_has("cq1: head"));
}

TEST(the_device_hears_of_heads_when_half_of_its_queue_is_used)
{
	const struct fake_queue *queue = &fake_nvme.cqs[1];
	u32 before;

	start(16, 16);
	before = fake_nvme.doorbell_count;
	for (int i = 0; i < 800; i++) {
		run(1);
		CHECK((queue->tail + queue->size - queue->head) %
		      queue->size <= queue->size / 2);
	}
	CHECK(fake_nvme.doorbell_count - before <= 800 + 800 / 7);
	CHECK_EQ(ring_count[1], 0);
}

/* Each guest_wait() would fail where the device had no room. */
TEST(no_device_lacks_room_for_a_guest_that_has_read_all)
{
	guest_start();
	enable_msix();
	use_buffers();
	for (u32 size = 2; size <= 9; size++) {
		make_queues(16, size);
		for (int i = 0; i < 300; i++)
			run(1 + i % (2 * size) % 15);
		CHECK_EQ(guest_delete(NVME_ADMIN_DELETE_SQ, 1), 0);
		CHECK_EQ(guest_delete(NVME_ADMIN_DELETE_CQ, 1), 0);
	}
	CHECK(!fake_log_has("cq1: head"));
}

TEST(a_queue_of_completions_that_is_too_small_is_rung_for)
{
	struct nvme_sqe sqe = guest_rw(NVME_CMD_FLUSH, 0, 1, NULL);

	start(64, 4);
	for (int i = 0; i < 100; i++) {
		for (int j = 0; j < 60; j++)
			guest_put(&sq, &sqe);
		say(false, sq.tail);
		for (int j = 0; j < 60; j++)
			take_one();
	}
	CHECK(ring_count[1] > 0);
}

TEST(a_doorbell_tells_of_what_came_after_it_as_well)
{
	struct nvme_sqe sqe = guest_rw(NVME_CMD_FLUSH, 0, 1, NULL);

	start(16, 16);
	guest_put(&sq, &sqe);
	guest_put(&sq, &sqe);
	words[2] = 2;
	guest_write32(NVME_REG_DOORBELLS + 8, 1);
	take_one();
	take_one();
	CHECK_EQ(events[2], 2);
}

TEST(a_driver_that_rings_without_them_is_heard)
{
	struct nvme_sqe sqe = guest_rw(NVME_CMD_FLUSH, 0, 1, NULL);

	start(16, 16);
	words[2] = 0;
	for (int i = 0; i < 100; i++)
		CHECK_EQ(guest_run(&sq, &sqe, NULL), 0);
}

TEST(queues_are_known_whether_made_before_or_after)
{
	guest_start();
	enable_msix();
	use_buffers();
	make_queues(8, 8);
	run(7);
	words[2] = 5;		/* and a word is left from an older queue */
	words[3] = 3;
	CHECK_EQ(guest_delete(NVME_ADMIN_DELETE_SQ, 1), 0);
	CHECK_EQ(guest_delete(NVME_ADMIN_DELETE_CQ, 1), 0);
	make_queues(8, 8);
	for (int i = 0; i < 20; i++)
		run(1 + i % 7);
	CHECK(!fake_log_has("cq1: head"));
}

TEST(a_new_queue_has_events_of_its_own)
{
	start(8, 8);
	run(3);
	CHECK_EQ(guest_delete(NVME_ADMIN_DELETE_SQ, 1), 0);
	CHECK_EQ(guest_delete(NVME_ADMIN_DELETE_CQ, 1), 0);
	CHECK_EQ(events[2], 3);
	words[2] = words[3] = 0;
	make_queues(8, 8);
	CHECK_EQ(events[2], 0);
	CHECK_EQ(events[3], 7);
	run(3);
	CHECK_EQ(ring_count[0], 2);
}

TEST(a_driver_that_gives_its_pages_again_is_told_everything_again)
{
	start(16, 16);
	run(3);
	memset(events, 0x55, 4096);
	CHECK_EQ(configure(words, events), 0);
	CHECK_EQ(events[2], 3);
	CHECK(events[3] < 16);
	run(5);
	CHECK_EQ(ring_count[0], 2);
}

/* ---- Misuse -------------------------------------------------------------------- */

TEST(after_a_reset_the_old_pages_are_memory)
{
	struct nvme_sqe sqe = guest_rw(NVME_CMD_FLUSH, 0, 1, NULL);

	start(16, 16);
	run(3);
	CHECK(guest_disable());
	CHECK(guest_enable(0));
	make_queues(16, 16);
	memset(words, 0x55, 4096);
	memset(events, 0xaa, 4096);
	for (int i = 0; i < 40; i++)
		CHECK_EQ(guest_run(&sq, &sqe, NULL), 0);
	for (u32 i = 0; i < 1024; i++)
		CHECK_EQ(events[i], 0xaaaaaaaa);
	CHECK(!fake_log_has("tail"));
}

TEST(words_that_make_no_sense_change_nothing)
{
	static const u32 values[] = { 16, 17, 0x8000, 0xffff, ~0u };
	struct nvme_sqe sqe = guest_rw(NVME_CMD_FLUSH, 0, 1, NULL);

	start(16, 16);
	for (u32 i = 0; i < ARRAY_COUNT(values); i++) {
		guest_put(&sq, &sqe);
		words[2] = words[3] = values[i];
		guest_write32(NVME_REG_DOORBELLS + 8, sq.tail);
		words[2] = sq.tail;
		take_one();
	}
	CHECK_EQ(fake_nvme_seen(false, NVME_CMD_FLUSH),
		 ARRAY_COUNT(values));
}

TEST(a_queue_that_overlaps_their_events_is_relayed)
{
	guest_start();
	enable_msix();
	use_buffers();
	CHECK_EQ(guest_admin(NVME_ADMIN_CREATE_CQ, 0, 15 << 16 | 1, 1 << 16 | 3,
			     events), 0);
	CHECK(fake_nvme.cqs[1].base != (u64)events);
}
