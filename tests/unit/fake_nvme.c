/* SPDX-License-Identifier: BSD-2-Clause */
/* Registers, queues and time of the fake controller: see fake_nvme.h. */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "barrier.h"
#include "fake_machine.h"
#include "fake_nvme_command.h"
#include "test.h"

struct fake_nvme fake_nvme;

static struct fake_nvme *const dev = &fake_nvme;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

struct fake_namespace *fake_nvme_add(u32 nsid, u8 lba_shift, u64 n_lbas)
{
	struct fake_namespace *ns = &dev->namespaces[dev->namespace_count++];

	*ns = (struct fake_namespace){
		.nsid = nsid, .lba_shift = lba_shift, .n_lbas = n_lbas,
		.data = n_lbas ? calloc(n_lbas, 1u << lba_shift) : NULL,
	};
	return ns;
}

static u32 stride(void)
{
	return 4u << FIELD_GET(NVME_CAP_DSTRD, dev->cap);
}

/* ---- Registers ------------------------------------------------------------------ */

static void reset(void)
{
	memset(dev->sqs, 0, sizeof(dev->sqs));
	memset(dev->cqs, 0, sizeof(dev->cqs));
	dev->host_memory.count = 0;
	dev->pending_count = 0;
}

void fake_nvme_reset(void)
{
	dev->cc = dev->csts = dev->aqa = 0;
	dev->asq = dev->acq = 0;
	reset();
}

static void enable(void)
{
	CHECK_EQ(FIELD_GET(NVME_CC_MPS, dev->cc), 0);
	CHECK_EQ(FIELD_GET(NVME_CC_IOSQES, dev->cc), 6);
	CHECK_EQ(FIELD_GET(NVME_CC_IOCQES, dev->cc), 4);
	dev->sqs[0] = (struct fake_queue){
		.base = dev->asq,
		.size = FIELD_GET(NVME_AQA_ASQS, dev->aqa) + 1,
	};
	dev->cqs[0] = (struct fake_queue){
		.base = dev->acq, .phase = true, .has_interrupt = true,
		.size = FIELD_GET(NVME_AQA_ACQS, dev->aqa) + 1,
	};
	CHECK(is_aligned(dev->asq, PAGE_SIZE) && fake_is_sluice(dev->asq, 64));
	CHECK(is_aligned(dev->acq, PAGE_SIZE) && fake_is_sluice(dev->acq, 16));
}

static void write_cc(u32 value)
{
	u32 changed = dev->cc ^ value;

	dev->cc = value;
	if (FIELD_GET(NVME_CC_SHN, value))
		dev->csts = FIELD_SET(NVME_CSTS_SHST, dev->csts, 2);
	if (!(changed & NVME_CC_EN))
		return;
	if (value & NVME_CC_EN)
		enable();
	else
		reset();
}

static u32 read_csts(void)
{
	bool is_ready = dev->csts & NVME_CSTS_RDY;
	static u32 reads;

	if (is_ready == (dev->cc & NVME_CC_EN))
		reads = 0;
	else if (++reads > dev->ready_reads)
		dev->csts ^= NVME_CSTS_RDY;
	return dev->csts;
}

static void set_half(u64 *to, u64 offset, u32 value)
{
	((u32 *)to)[offset >> 2 & 1] = value;
}

static u32 read32(u64 offset)
{
	switch (offset) {
	case NVME_REG_CAP:
		return (u32)dev->cap;
	case NVME_REG_CAP + 4:
		return dev->cap >> 32;
	case NVME_REG_VS:
		return 0x10400;
	case NVME_REG_CC:
		return dev->cc;
	case NVME_REG_CSTS:
		return read_csts();
	}
	return *(u32 *)(dev->other + offset);
}

static void ring(u64 offset, u32 value)
{
	u32 index = (offset - NVME_REG_DOORBELLS) / stride();
	struct fake_queue *queue = index & 1 ? &dev->cqs[index / 2] :
		&dev->sqs[index / 2];

	dev->doorbell_count++;
	CHECK(index / 2 < FAKE_QUEUES);
	if (!queue->base)
		return;
	CHECK(value < queue->size);
	if (index & 1)
		queue->head = value;
	else
		queue->tail = value;
}

static void write32(u64 offset, u32 value)
{
	switch (offset) {
	case NVME_REG_CC:
		write_cc(value);
		break;
	case NVME_REG_INTMS:
		dev->intms |= value;
		break;
	case NVME_REG_INTMC:
		dev->intms &= ~(u64)value;
		break;
	case NVME_REG_NSSR:
		dev->nssr = value;
		break;
	case NVME_REG_AQA:
		dev->aqa = value;
		break;
	case NVME_REG_ASQ:
	case NVME_REG_ASQ + 4:
		set_half(&dev->asq, offset, value);
		break;
	case NVME_REG_ACQ:
	case NVME_REG_ACQ + 4:
		set_half(&dev->acq, offset, value);
		break;
	default:
		if (offset >= NVME_REG_DOORBELLS &&
		    offset < NVME_REG_DOORBELLS + 2 * FAKE_QUEUES * stride())
			ring(offset, value);
		else
			*(u32 *)(dev->other + offset) = value;
	}
}

static u64 read_bar(u64 offset, unsigned size)
{
	u64 value;

	if (dev->is_gone)
		return dev->reads_as_zero ? 0 : ~0ull >> (64 - 8 * size);
	CHECK_EQ(size & ~12u, 0);
	pthread_mutex_lock(&lock);
	value = read32(offset);
	if (size == 8)
		value |= (u64)read32(offset + 4) << 32;
	pthread_mutex_unlock(&lock);
	return value;
}

static void write_bar(u64 offset, unsigned size, u64 value)
{
	if (dev->is_gone)
		return;
	pthread_mutex_lock(&lock);
	write32(offset, (u32)value);
	if (size == 8)
		write32(offset + 4, value >> 32);
	pthread_mutex_unlock(&lock);
}

/* ---- Queues ------------------------------------------------------------------------- */

static bool is_creation(const struct fake_record *record)
{
	return !record->sq_id &&
		(record->sqe.opcode == NVME_ADMIN_CREATE_SQ ||
		 record->sqe.opcode == NVME_ADMIN_CREATE_CQ);
}

/* Where it points to, whether or not data will move. */
static void check_pointers(const struct nvme_sqe *sqe)
{
	CHECK(dev->may_reach(sqe->mptr, 1));
	CHECK(dev->may_reach(sqe->prp1, 1));
	if (!(sqe->flags & NVME_SQE_PSDT))
		CHECK(dev->may_reach(sqe->prp2, 1));
}

/* Its id has to be free (4.2). */
static void check_command(const struct fake_record *record)
{
	if (dev->may_reach && !is_creation(record))
		check_pointers(&record->sqe);
	for (u32 i = 0; i < dev->pending_count; i++)
		CHECK(dev->pending[i].sq_id != record->sq_id ||
		      dev->pending[i].sqe.cid != record->sqe.cid);
}

static void fetch(u16 id)
{
	struct fake_queue *sq = &dev->sqs[id];
	struct nvme_sqe *entries = (void *)sq->base;
	struct fake_record record;

	while (sq->base && sq->head != sq->tail) {
		CHECK(dev->pending_count < FAKE_PENDING);
		record = (struct fake_record){ id, entries[sq->head] };
		sq->head = (sq->head + 1) % sq->size;
		check_command(&record);
		dev->pending[dev->pending_count++] = record;
		dev->records[dev->record_count++ % FAKE_RECORDS] = record;
	}
}

static bool is_full(const struct fake_queue *cq)
{
	return (cq->tail + 1) % cq->size == cq->head;
}

void fake_nvme_post(u16 sq_id, u16 cid, u16 status, u32 result)
{
	struct fake_queue *cq = &dev->cqs[dev->sqs[sq_id].cq_id];
	struct nvme_cqe *cqe = (struct nvme_cqe *)cq->base + cq->tail;

	if (!cq->base)
		return;
	cqe->result = result;
	cqe->sq_head = dev->sqs[sq_id].head;
	cqe->sq_id = sq_id;
	cqe->cid = cid;
	WRITE_LAST(cqe->status, status << 1 | cq->phase);
	cq->tail = (cq->tail + 1) % cq->size;
	cq->phase ^= !cq->tail;
	if (cq->has_interrupt)
		WRITE_ONCE(dev->interrupt_is_pending, true);
	dev->interrupt_count += cq->has_interrupt;
}

static void take(u32 index, struct fake_record *record)
{
	*record = dev->pending[index];
	dev->pending_count--;
	memmove(&dev->pending[index], &dev->pending[index + 1],
		(dev->pending_count - index) * sizeof(*record));
}

static bool is_event_request(const struct fake_record *record)
{
	return !record->sq_id &&
		record->sqe.opcode == NVME_ADMIN_ASYNC_EVENT;
}

bool fake_nvme_event(u32 result)
{
	struct fake_record record;

	for (u32 i = 0; i < dev->pending_count; i++) {
		if (!is_event_request(&dev->pending[i]))
			continue;
		take(i, &record);
		fake_nvme_post(0, record.sqe.cid, 0, result);
		return true;
	}
	return false;
}

static bool can_complete(const struct fake_record *record)
{
	const struct fake_queue *cq = &dev->cqs[dev->sqs[record->sq_id].cq_id];

	if (is_event_request(record) || is_full(cq))
		return false;
	return record->sq_id ? !dev->is_stalled : !dev->stalls_admin;
}

static void complete(u32 index)
{
	struct fake_record record;
	u32 result = 0;
	u16 status;

	take(index, &record);
	status = record.sq_id ? fake_execute_io(&record) :
		fake_execute_admin(&record.sqe, &result);
	fake_nvme_post(record.sq_id, record.sqe.cid, status, result);
}

static void complete_one(void)
{
	u32 start = dev->out_of_order && dev->pending_count ?
		rand() % dev->pending_count : 0;

	for (u32 i = 0; i < dev->pending_count; i++) {
		u32 index = (start + i) % dev->pending_count;

		if (can_complete(&dev->pending[index])) {
			complete(index);
			return;
		}
	}
}

void fake_nvme_tick(void)
{
	pthread_mutex_lock(&lock);
	if (!dev->is_gone && (dev->csts & dev->cc & NVME_CSTS_RDY)) {
		for (u16 id = 0; id <= dev->queue_limit; id++)
			if (dev->sqs[id].base)
				fetch(id);
		complete_one();
	}
	pthread_mutex_unlock(&lock);
}

/* ---- What was seen -------------------------------------------------------------------- */

const struct nvme_sqe *fake_nvme_last(bool is_admin, u8 opcode)
{
	for (u32 i = dev->record_count; i-- > 0; )
		if (!dev->records[i].sq_id == is_admin &&
		    dev->records[i].sqe.opcode == opcode)
			return &dev->records[i].sqe;
	return NULL;
}

u32 fake_nvme_seen(bool is_admin, u8 opcode)
{
	u32 count = 0;

	for (u32 i = 0; i < dev->record_count; i++)
		count += !dev->records[i].sq_id == is_admin &&
			dev->records[i].sqe.opcode == opcode;
	return count;
}

void fake_nvme_forget(void)
{
	dev->record_count = 0;
}

void fake_nvme_init(void)
{
	dev->cap = FIELD_PREP(NVME_CAP_MQES, 2047) |
		FIELD_PREP(NVME_CAP_TO, 4) | FIELD_PREP(NVME_CAP_CSS, 0xc1) |
		FIELD_PREP(NVME_CAP_MPSMAX, 4) | NVME_CAP_CMBS | NVME_CAP_PMRS |
		NVME_CAP_NSSRS | NVME_CAP_BPS;
	dev->ready_reads = 2;
	dev->queue_limit = 16;
	dev->sgls = 0x1f0005;
	dev->refuse_opcode = -1;
	fake_nvme_add(1, 9, 16384);
	fake_machine.read = read_bar;
	fake_machine.write = write_bar;
	fake_machine.tick = fake_nvme_tick;
}
