/* SPDX-License-Identifier: BSD-2-Clause */
/* See fake_guest.h. */
#include <string.h>

#include "barrier.h"
#include "control.h"
#include "fake_guest.h"
#include "fake_machine.h"
#include "fake_nvme.h"
#include "test.h"
#include "timer.h"

#define PATIENCE 20000

struct guest guest;

u32 guest_read32(u32 offset)
{
	return fake_guest_read(fake_bar() + offset, 4);
}

void guest_write32(u32 offset, u32 value)
{
	fake_guest_write(fake_bar() + offset, 4, value);
}

u32 guest_doorbell_stride(void)
{
	return 4u << FIELD_GET(NVME_CAP_DSTRD, fake_nvme.cap);
}

static void ring(u16 id, bool is_cq, u32 value)
{
	guest_write32(NVME_REG_DOORBELLS +
		      (2 * id + is_cq) * guest_doorbell_stride(), value);
}

/* ---- Life cycle --------------------------------------------------------------------- */

void guest_boot(void)
{
	fake_machine_init();
	fake_nvme_init();
	guest.page_size = 4096;
	guest.patience = PATIENCE;
	guest_set_admin(32, 32);
}

static void init_cq(struct guest_cq *cq, u16 id, u32 size)
{
	*cq = (struct guest_cq){
		.id = id, .size = size, .phase = true,
		.entries = fake_ram(size * 16, 65536),
	};
}

static void init_sq(struct guest_sq *sq, u16 id, u32 size, struct guest_cq *cq)
{
	*sq = (struct guest_sq){
		.id = id, .size = size, .cq = cq, .next_cid = 7 * id,
		.entries = fake_ram(size * 64, 65536),
	};
}

void guest_set_admin(u32 sq_size, u32 cq_size)
{
	init_cq(&guest.admin_cq, 0, cq_size);
	init_sq(&guest.admin, 0, sq_size, &guest.admin_cq);
}

bool guest_wait_ready(bool is_ready)
{
	for (u32 i = 0; i < guest.patience; i++)
		if ((guest_read32(NVME_REG_CSTS) & NVME_CSTS_RDY) == is_ready)
			return true;
	return false;
}

void guest_begin_enable(u32 cc)
{
	u64 asq = (u64)guest.admin.entries;
	u64 acq = (u64)guest.admin_cq.entries;

	memset((void *)guest.admin_cq.entries, 0, guest.admin_cq.size * 16);
	guest.admin_cq.head = guest.admin.tail = guest.admin.head = 0;
	guest.admin_cq.phase = true;
	guest_write32(NVME_REG_AQA, (guest.admin_cq.size - 1) << 16 |
		      (guest.admin.size - 1));
	fake_guest_write(fake_bar() + NVME_REG_ASQ, 8, asq);
	guest_write32(NVME_REG_ACQ, (u32)acq);
	guest_write32(NVME_REG_ACQ + 4, acq >> 32);
	guest.page_size = 4096u << FIELD_GET(NVME_CC_MPS, cc);
	guest_write32(NVME_REG_CC, cc | FIELD_PREP(NVME_CC_IOSQES, 6) |
		      FIELD_PREP(NVME_CC_IOCQES, 4) | NVME_CC_EN);
}

bool guest_enable(u32 cc)
{
	guest_begin_enable(cc);
	return guest_wait_ready(true);
}

bool guest_disable(void)
{
	guest_write32(NVME_REG_CC, 0);
	return guest_wait_ready(false);
}

void guest_start(void)
{
	guest_boot();
	CHECK_EQ(fake_machine_attach(), 0);
	CHECK(guest_enable(0));
}

/* ---- Queues ------------------------------------------------------------------------------ */

u16 guest_create_cq(struct guest_cq *cq, u16 id, u32 size, bool interrupts)
{
	init_cq(cq, id, size);
	return guest_admin(NVME_ADMIN_CREATE_CQ, 0, (size - 1) << 16 | id,
			   (u32)id << 16 | (interrupts ? 3 : 1),
			   (void *)cq->entries);
}

u16 guest_create_sq(struct guest_sq *sq, u16 id, u32 size, struct guest_cq *cq)
{
	init_sq(sq, id, size, cq);
	return guest_admin(NVME_ADMIN_CREATE_SQ, 0, (size - 1) << 16 | id,
			   (u32)cq->id << 16 | 1, sq->entries);
}

u16 guest_delete(u8 opcode, u16 id)
{
	return guest_admin(opcode, 0, id, 0, NULL);
}

u16 guest_put(struct guest_sq *sq, struct nvme_sqe *sqe)
{
	CHECK((sq->tail + 1) % sq->size != sq->head);
	sqe->cid = sq->next_cid++;
	sq->entries[sq->tail] = *sqe;
	sq->tail = (sq->tail + 1) % sq->size;
	return sqe->cid;
}

void guest_ring(const struct guest_sq *sq)
{
	ring(sq->id, false, sq->tail);
}

bool guest_poll(struct guest_cq *cq, struct nvme_cqe *cqe)
{
	u64 entry = (u64)&cq->entries[cq->head];
	u64 *words = (u64 *)cqe;

	if ((fake_guest_read(entry + 14, 2) & 1) != cq->phase)
		return false;
	words[0] = fake_guest_read(entry, 8);
	words[1] = fake_guest_read(entry + 8, 8);
	cq->head = (cq->head + 1) % cq->size;
	cq->phase ^= !cq->head;
	cqe->status >>= 1;
	return true;
}

void guest_consumed(const struct guest_cq *cq)
{
	ring(cq->id, true, cq->head);
}

void guest_idle(u32 ticks)
{
	while (ticks--) {
		__atomic_add_fetch(&fake_machine.now_us, 1, __ATOMIC_RELAXED);
		fake_nvme_tick();
		timer_run();
		if (__atomic_exchange_n(&fake_nvme.interrupt_is_pending, false,
					__ATOMIC_ACQ_REL))
			fake_interrupt();
	}
}

bool guest_wait(struct guest_cq *cq, struct nvme_cqe *cqe)
{
	for (u32 i = 0; i < guest.patience; i++) {
		if (guest_poll(cq, cqe))
			return true;
		guest_idle(1);
		/* Its timer, for a queue without interrupts. */
		if (i % 1000 == 999)
			fake_interrupt();
	}
	return false;
}

u16 guest_run(struct guest_sq *sq, struct nvme_sqe *sqe, u32 *result)
{
	u16 cid = guest_put(sq, sqe);
	struct nvme_cqe cqe;

	guest_ring(sq);
	CHECK(guest_wait(sq->cq, &cqe));
	CHECK_EQ(cqe.cid, cid);
	CHECK_EQ(cqe.sq_id, sq->id);
	CHECK_EQ(cqe.sq_head, sq->tail);
	sq->head = cqe.sq_head;
	guest_consumed(sq->cq);
	if (result)
		*result = cqe.result;
	return cqe.status;
}

u16 guest_admin(u8 opcode, u32 nsid, u32 cdw10, u32 cdw11, void *data)
{
	return guest_run(&guest.admin, &(struct nvme_sqe){
		.opcode = opcode, .nsid = nsid, .cdw10 = cdw10, .cdw11 = cdw11,
		.prp1 = (u64)data,
	}, NULL);
}

/* ---- Commands ---------------------------------------------------------------------------------- */

void guest_set_prps(struct nvme_sqe *sqe, void *data, u64 size)
{
	u64 page = guest.page_size, address = (u64)data;
	u64 next = align_down(address, page) + page;
	u64 end = address + size;
	u64 *list;

	sqe->prp1 = address;
	sqe->prp2 = 0;
	if (end > next + page) {
		list = fake_ram(page, page);
		sqe->prp2 = (u64)list;
		for (u32 i = 0; next < end; next += page) {
			if (i == page / 8 - 1 && end > next + page) {
				list[i] = (u64)fake_ram(page, page);
				list = (u64 *)list[i];
				i = 0;
			}
			list[i++] = next;
		}
	} else if (end > next) {
		sqe->prp2 = next;
	}
}

struct nvme_sqe guest_rw(u8 opcode, u64 lba, u32 n_lbas, void *data)
{
	struct nvme_sqe sqe = {
		.opcode = opcode, .nsid = 1, .cdw10 = (u32)lba,
		.cdw11 = lba >> 32, .cdw12 = n_lbas - 1,
	};

	if (data)
		guest_set_prps(&sqe, data, n_lbas * 512ull);
	return sqe;
}

const char *guest_list(u32 target, void *page)
{
	struct nvme_sqe sqe = {
		.opcode = CONTROL_QUESTION, .cdw10 = CONTROL_DATA_MAX / 4,
		.cdw12 = CONTROL_MAGIC,
		.cdw13 = CONTROL_VERSION << 16 | target,
	};

	guest_set_prps(&sqe, page, CONTROL_DATA_MAX);
	CHECK_EQ(guest_run(&guest.admin, &sqe, NULL), 0);
	return (char *)page + sizeof(struct control_answer);
}

u16 guest_order(u32 target, const char *text, void *page)
{
	struct nvme_sqe sqe = {
		.opcode = CONTROL_ORDER, .cdw10 = CONTROL_DATA_MAX / 4,
		.cdw12 = CONTROL_MAGIC,
		.cdw13 = CONTROL_VERSION << 16 | target,
		.cdw14 = (u32)strlen(text),
	};

	strcpy(page, text);
	guest_set_prps(&sqe, page, CONTROL_DATA_MAX);
	return guest_run(&guest.admin, &sqe, NULL);
}
