/* SPDX-License-Identifier: BSD-2-Clause */
/* Queues and doorbells at the limits of what there can be. */
#include "fake_guest.h"
#include "fake_log.h"
#include "fake_machine.h"
#include "fake_nvme.h"
#include "test.h"

#define BAR_SIZE (1u << 20)
#define DOORBELL_COUNT (2 * 65536u)	/* of all ids there could be */
#define PAIRS 16

static struct guest_cq cqs[PAIRS + 1];
static struct guest_sq sq;
static struct nvme_sqe flush = { .opcode = NVME_CMD_FLUSH, .nsid = 1 };

static void start(u32 dstrd)
{
	guest_boot();
	fake_nvme.cap = FIELD_SET(NVME_CAP_DSTRD, fake_nvme.cap, dstrd);
	CHECK_EQ(fake_machine_attach(), 0);
	CHECK(guest_enable(0));
}

static void make_pair(void)
{
	CHECK_EQ(guest_create_cq(&cqs[1], 1, 8, true), 0);
	CHECK_EQ(guest_create_sq(&sq, 1, 8, &cqs[1]), 0);
}

TEST(a_queue_the_device_refuses_is_forgotten)
{
	guest_start();
	fake_nvme.refuse_opcode = NVME_ADMIN_CREATE_CQ;
	fake_nvme.refuse_status = 0x101;
	CHECK_EQ(guest_create_cq(&cqs[1], 1, 8, true), 0x101);
	fake_nvme.refuse_opcode = NVME_ADMIN_CREATE_SQ;
	CHECK_EQ(guest_create_cq(&cqs[1], 1, 8, true), 0);
	CHECK_EQ(guest_create_sq(&sq, 1, 8, &cqs[1]), 0x101);
	fake_nvme.refuse_opcode = -1;
	CHECK_EQ(guest_create_sq(&sq, 1, 8, &cqs[1]), 0);
	CHECK_EQ(guest_run(&sq, &flush, NULL), 0);
}

/* ---- Doorbells ---------------------------------------------------------- */

static void check_stride(u32 dstrd)
{
	u32 stride = 4u << dstrd;

	start(dstrd);
	CHECK_EQ(guest_create_cq(&cqs[3], 3, 8, true), 0);
	CHECK_EQ(guest_create_sq(&sq, 3, 8, &cqs[3]), 0);
	for (int i = 0; i < 21; i++)
		CHECK_EQ(guest_run(&sq, &flush, NULL), 0);
	CHECK_EQ(guest_read32(NVME_REG_DOORBELLS + 6 * stride), 21 % 8);
	CHECK_EQ(guest_read32(NVME_REG_DOORBELLS + 7 * stride), 21 % 8);
}

TEST(doorbells_may_be_4_bytes_apart)
{
	check_stride(0);
}

TEST(doorbells_may_be_8_bytes_apart)
{
	check_stride(1);
}

TEST(what_is_between_two_doorbells_is_none)
{
	struct nvme_sqe sqe = flush;

	start(1);
	make_pair();
	guest_put(&sq, &sqe);
	guest_write32(NVME_REG_DOORBELLS + 2 * 8 + 4, 1);
	guest_idle(50);
	CHECK_EQ(fake_nvme_seen(false, NVME_CMD_FLUSH), 0);
	guest_write32(NVME_REG_DOORBELLS + 2 * 8, 1);
	guest_idle(50);
	CHECK(fake_nvme_seen(false, NVME_CMD_FLUSH));
}

TEST(doorbells_may_be_16_bytes_apart)
{
	check_stride(2);
}

TEST(doorbells_may_be_a_kilobyte_apart)
{
	check_stride(8);
}

static void ring_all(u32 value)
{
	u32 first = NVME_REG_DOORBELLS + 2 * 2 * guest_doorbell_stride();

	for (u32 i = 4; i < DOORBELL_COUNT; i++) {
		u32 offset = first + (i - 4) * guest_doorbell_stride();

		if (offset >= BAR_SIZE)
			break;
		guest_write32(offset, value);
		guest_read32(offset);
	}
}

static void check_all_doorbells(u32 dstrd)
{
	u32 before;

	start(dstrd);
	make_pair();
	before = fake_nvme.record_count;
	for (u32 value = 0; value < 3; value++)
		ring_all(value * 0x7fff8001);
	guest_idle(10);
	CHECK_EQ(fake_nvme.record_count, before);
	CHECK(fake_log_has("doorbell of sq2, which is not there"));
	CHECK_EQ(guest_run(&sq, &flush, NULL), 0);
}

TEST(all_64k_doorbells_may_be_rung_and_read)
{
	check_all_doorbells(0);
}

TEST(all_doorbells_may_be_rung_and_read_when_they_are_16_bytes_apart)
{
	check_all_doorbells(2);
}

TEST(queues_of_any_id_are_found_when_an_interrupt_comes)
{
	static const u16 ids[] = { 1, 63, 64, 65, 127, 128, 256 };
	static struct guest_sq sqs[ARRAY_COUNT(ids)];

	guest_boot();
	fake_nvme.queue_limit = 257;
	CHECK_EQ(fake_configure("completions", "relayed"), 0);
	CHECK_EQ(fake_machine_attach(), 0);
	CHECK(guest_enable(0));
	for (u32 i = 0; i < ARRAY_COUNT(ids); i++) {
		CHECK_EQ(guest_create_cq(&cqs[i], ids[i], 8, true), 0);
		CHECK_EQ(guest_create_sq(&sqs[i], ids[i], 8, &cqs[i]), 0);
	}
	for (u32 i = 0; i < ARRAY_COUNT(ids); i++)
		CHECK_EQ(guest_run(&sqs[i], &flush, NULL), 0);
}

TEST(a_tail_that_does_not_move_is_no_command)
{
	start(0);
	make_pair();
	for (int i = 0; i < 100; i++) {
		guest_ring(&sq);
		guest_consumed(&cqs[1]);
	}
	CHECK_EQ(fake_nvme_seen(false, NVME_CMD_FLUSH), 0);
	CHECK_EQ(guest_run(&sq, &flush, NULL), 0);
}

/* Its own doorbell, in the opposite direction of what the queue is. */
TEST(a_head_for_a_queue_without_completions_does_nothing)
{
	start(0);
	make_pair();
	guest_write32(NVME_REG_DOORBELLS + 12, 0xffff);
	guest_write32(NVME_REG_DOORBELLS + 12, 0);
	CHECK_EQ(guest_run(&sq, &flush, NULL), 0);
}

/* ---- Queues ------------------------------------------------------------- */

TEST(there_may_be_more_completion_queues_than_submission_queues)
{
	start(0);
	for (u16 id = 1; id <= PAIRS; id++)
		CHECK_EQ(guest_create_cq(&cqs[id], id, 8, true), 0);
	CHECK_EQ(guest_create_sq(&sq, 1, 8, &cqs[PAIRS]), 0);
	for (int i = 0; i < 20; i++)
		CHECK_EQ(guest_run(&sq, &flush, NULL), 0);
	CHECK_EQ(guest_delete(NVME_ADMIN_DELETE_SQ, 1), 0);
	for (u16 id = 1; id <= PAIRS; id++)
		CHECK_EQ(guest_delete(NVME_ADMIN_DELETE_CQ, id), 0);
}

TEST(vector_and_priority_of_a_queue_are_what_the_guest_asked_for)
{
	void *ring;

	start(0);
	ring = fake_ram(4096, 4096);
	CHECK_EQ(guest_admin(NVME_ADMIN_CREATE_CQ, 0, 7 << 16 | 1,
			     0x07ff0003, ring), 0);
	CHECK_EQ(fake_nvme_last(true, NVME_ADMIN_CREATE_CQ)->cdw11,
		 0x07ff0003);
	ring = fake_ram(4096, 4096);
	for (u32 priority = 0; priority < 4; priority++) {
		u32 cdw11 = 1 << 16 | priority << 1 | NVME_QUEUE_PC;

		CHECK_EQ(guest_admin(NVME_ADMIN_CREATE_SQ, 0,
				     7 << 16 | (priority + 1), cdw11, ring),
			 0);
		CHECK_EQ(fake_nvme_last(true, NVME_ADMIN_CREATE_SQ)->cdw11,
			 cdw11);
	}
}

/* ---- What Sluice has no part in ----------------------------------------- */

TEST(interrupt_masks_are_the_device_s)
{
	start(0);
	guest_write32(NVME_REG_INTMS, 0xff);
	CHECK_EQ(fake_nvme.intms, 0xff);
	guest_write32(NVME_REG_INTMS + 4, 0x0f);
	CHECK_EQ(fake_nvme.intms, 0xf0);
	make_pair();
	CHECK_EQ(guest_run(&sq, &flush, NULL), 0);
}

TEST(other_features_are_the_device_s)
{
	static const u8 features[] = {
		0x01,	/* arbitration */
		0x02,	/* power management */
		0x04,	/* temperature threshold */
		0x05,	/* error recovery */
		0x06,	/* write cache */
		0x08,	/* interrupt coalescing */
		0x09,	/* interrupt vector configuration */
		0x0a,	/* write atomicity */
		0x0b,	/* events */
		0x0f,	/* keep alive timer */
		0x80,	/* software progress */
	};

	start(0);
	for (u32 i = 0; i < ARRAY_COUNT(features); i++) {
		const struct nvme_sqe *seen;

		CHECK_EQ(guest_admin(NVME_ADMIN_SET_FEATURES, 5,
				     1u << 31 | features[i], 0x12345678 + i,
				     NULL), 0);
		seen = fake_nvme_last(true, NVME_ADMIN_SET_FEATURES);
		CHECK_EQ(seen->cdw10, 1u << 31 | features[i]);
		CHECK_EQ(seen->cdw11, 0x12345678 + i);
		CHECK_EQ(seen->nsid, 5);
	}
}

TEST(keep_alive_reaches_the_device_each_time)
{
	start(0);
	for (u32 i = 1; i <= 50; i++) {
		CHECK_EQ(guest_admin(NVME_ADMIN_KEEP_ALIVE, 0, 0, 0, NULL), 0);
		CHECK_EQ(fake_nvme_seen(true, NVME_ADMIN_KEEP_ALIVE), i);
	}
}
