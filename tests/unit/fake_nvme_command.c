/* SPDX-License-Identifier: BSD-2-Clause */
/* What the fake controller does with commands; its own PRP walk. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fake_machine.h"
#include "fake_nvme_command.h"
#include "test.h"

static struct fake_nvme *const dev = &fake_nvme;

/* ---- Data, in pages of 4 KiB ------------------------------------------------------- */

static void touch(u64 address, void *data, u64 size, bool is_write)
{
	bool is_memory = fake_is_ram(address, size) ||
		fake_is_sluice(address, size);

	CHECK(is_memory || dev->allows_nowhere);
	CHECK(!dev->may_reach || dev->may_reach(address, size));
	if (!is_memory)
		return;
	if (is_write)
		memcpy((void *)address, data, size);
	else
		memcpy(data, (void *)address, size);
}

/* The rest after PRP1 by a list; the last entry of a page may lead on. */
static void transfer_list(u64 list, u8 *data, u64 size, bool is_write)
{
	u64 piece;

	for (; size; size -= piece, data += piece, list += 8) {
		piece = MIN(size, 4096);
		CHECK(fake_is_sluice(list, 8));
		if ((list & 4095) == 4088 && size > 4096)
			list = *(u64 *)list;
		CHECK(is_aligned(*(u64 *)list, 4096));
		touch(*(u64 *)list, data, piece, is_write);
	}
}

/* Nothing but blocks and buckets, in segments that are pages of Sluice's. */
static void transfer_sgl(struct nvme_sgl sgl, u8 *data, u64 size,
			 bool is_write)
{
	const struct nvme_sgl *list = &sgl;
	u32 left = 1;

	for (; left; list++, left--) {
		if (list->type >= NVME_SGL_SEGMENT) {
			CHECK_EQ(left, 1);
			left = list->length / 16 + 1;
			CHECK(is_aligned(list->address, 4096));
			CHECK(fake_is_sluice(list->address, list->length));
			list = (struct nvme_sgl *)list->address - 1;
			continue;
		}
		CHECK(list->length && list->length <= size);
		if (list->type == NVME_SGL_DATA_BLOCK)
			touch(list->address, data, list->length, is_write);
		else
			CHECK(list->type == NVME_SGL_BIT_BUCKET && is_write);
		data += list->length;
		size -= list->length;
	}
	CHECK_EQ(size, 0);
}

/* is_write: the device writes memory. */
static void transfer(const struct nvme_sqe *sqe, void *data, u64 size,
		     bool is_write)
{
	u64 first = MIN(size, 4096 - (sqe->prp1 & 4095));
	u8 *rest = (u8 *)data + first;

	if (!size)
		return;
	if (sqe->flags & NVME_SQE_PSDT) {
		transfer_sgl(sqe->sgl, data, size, is_write);
		return;
	}
	touch(sqe->prp1, data, first, is_write);
	size -= first;
	if (size > 4096)
		transfer_list(sqe->prp2, rest, size, is_write);
	else if (size)
		touch(sqe->prp2, rest, size, is_write);
}

/* ---- Identify -------------------------------------------------------------------------- */

static struct fake_namespace *find(u32 nsid)
{
	for (u32 i = 0; i < dev->namespace_count; i++)
		if (dev->namespaces[i].nsid == nsid)
			return &dev->namespaces[i];
	return NULL;
}

static void identify_controller(struct nvme_id_ctrl *id)
{
	memset(id->serial, ' ', sizeof(id->serial));
	memcpy(id->serial, "FAKE1", 5);
	memset(id->model, ' ', sizeof(id->model));
	memcpy(id->model, "Fake NVMe", 9);
	id->mdts = dev->mdts;
	id->oacs = 0x1ff;
	id->aerl = 255;
	id->ctratt = dev->has_guards ? NVME_CTRATT_ELBAS : 0;
	id->hmpre = id->hmmin = dev->wants_no_memory ? 0 : 16;
	id->nn = dev->nn ? dev->nn : dev->namespace_count;
	id->fuses = 1;
	id->sgls = dev->sgls;
	id->ocfs = 0xf;
}

static void identify_namespace(struct nvme_id_ns *id, u32 nsid)
{
	const struct fake_namespace *ns = find(nsid);

	if (!ns)
		return;
	id->nsze = id->ncap = ns->n_lbas;
	id->nlbaf = 1;
	id->flbas = 1 | (ns->is_inline ? NVME_FLBAS_INLINE : 0);
	id->lbaf[1].lbads = ns->lba_shift;
	id->lbaf[1].ms = ns->metadata_size;
	id->dps = ns->pi_type;
	id->msrc = 255;
}

static void identify_guard(struct nvme_id_ns_nvm *id, u32 nsid)
{
	const struct fake_namespace *ns = find(nsid);

	if (ns)
		id->elbaf[1] = FIELD_PREP(NVME_ELBAF_GUARD, ns->guard);
}

static void identify_list(u32 *list, u32 after)
{
	u32 count = 0;

	for (u32 i = 0; i < dev->namespace_count && count < 1024; i++)
		if (dev->namespaces[i].nsid > after)
			list[count++] = dev->namespaces[i].nsid;
}

static void identify_descriptors(u8 *page, u32 nsid)
{
	const struct fake_namespace *ns = find(nsid);
	const u8 uuid[20] = { 3, 16 };
	const u8 csi[5] = { 4, 1, 0, 0, ns ? ns->command_set : 0 };

	memcpy(page, uuid, sizeof(uuid));
	memcpy(page + sizeof(uuid), csi, sizeof(csi));
}

static u16 identify(const struct nvme_sqe *sqe)
{
	u64 page[512] = { 0 };

	switch (FIELD_GET(NVME_IDENTIFY_CNS, sqe->cdw10)) {
	case NVME_CNS_NAMESPACE:
		identify_namespace((void *)page, sqe->nsid);
		break;
	case NVME_CNS_CONTROLLER:
		identify_controller((void *)page);
		break;
	case NVME_CNS_ACTIVE_NAMESPACES:
		identify_list((void *)page, sqe->nsid);
		break;
	case NVME_CNS_NVM_NAMESPACE:
		if (!dev->has_guards || dev->refuses_guards)
			return NVME_SC_INVALID_FIELD;
		identify_guard((void *)page, sqe->nsid);
		break;
	case NVME_CNS_DESCRIPTORS:
		identify_descriptors((void *)page, sqe->nsid);
		break;
	default:
		return NVME_SC_INVALID_FIELD;
	}
	transfer(sqe, page, sizeof(page), true);
	return 0;
}

/* ---- Queues ------------------------------------------------------------------------------- */

static u16 create(const struct nvme_sqe *sqe, struct fake_queue *queues)
{
	u16 id = FIELD_GET(NVME_QUEUE_ID, sqe->cdw10);
	struct fake_queue *queue = &queues[id];
	bool is_sq = queues == dev->sqs;

	CHECK(id && id <= dev->queue_limit);
	CHECK(sqe->cdw11 & NVME_QUEUE_PC);
	if (queue->base)
		return NVME_SC_QUEUE_ID_INVALID;
	if (is_sq && !dev->cqs[FIELD_GET(NVME_SQ_CQID, sqe->cdw11)].base)
		return NVME_SC_CQ_INVALID;
	*queue = (struct fake_queue){
		.base = sqe->prp1,
		.size = FIELD_GET(NVME_QUEUE_SIZE, sqe->cdw10) + 1,
		.cq_id = is_sq ? FIELD_GET(NVME_SQ_CQID, sqe->cdw11) : 0,
		.phase = true,
		.has_interrupt = !is_sq && (sqe->cdw11 & NVME_CQ_IEN),
	};
	CHECK(queue->size >= 2);
	CHECK(queue->size <= FIELD_GET(NVME_CAP_MQES, dev->cap) + 1);
	CHECK(is_aligned(queue->base, 4096));
	/* A direct completion queue is the guest's own. */
	CHECK(fake_is_sluice(queue->base, queue->size * (is_sq ? 64 : 16)) ||
	      (!is_sq && fake_is_ram(queue->base, queue->size * 16)));
	return 0;
}

/* What is pending of a deleted queue is dropped without a completion. */
static u16 delete_sq(const struct nvme_sqe *sqe)
{
	u16 id = FIELD_GET(NVME_QUEUE_ID, sqe->cdw10);
	u32 kept = 0;

	if (!dev->sqs[id].base)
		return NVME_SC_QUEUE_ID_INVALID;
	dev->sqs[id].base = 0;
	for (u32 i = 0; i < dev->pending_count; i++)
		if (dev->pending[i].sq_id != id)
			dev->pending[kept++] = dev->pending[i];
	dev->pending_count = kept;
	return 0;
}

static u16 delete_cq(const struct nvme_sqe *sqe)
{
	u16 id = FIELD_GET(NVME_QUEUE_ID, sqe->cdw10);

	if (!dev->cqs[id].base)
		return NVME_SC_QUEUE_ID_INVALID;
	for (u16 i = 1; i < FAKE_QUEUES; i++)
		if (dev->sqs[i].base && dev->sqs[i].cq_id == id)
			return NVME_SC_QUEUE_DELETION_INVALID;
	dev->cqs[id].base = 0;
	return 0;
}

static u16 abort_command(const struct nvme_sqe *sqe, u32 *result)
{
	u16 sq_id = FIELD_GET(NVME_ABORT_SQID, sqe->cdw10);
	u16 cid = FIELD_GET(NVME_ABORT_CID, sqe->cdw10);

	*result = NVME_ABORT_NOT_DONE;
	for (u32 i = 0; i < dev->pending_count; i++) {
		if (dev->pending[i].sq_id != sq_id ||
		    dev->pending[i].sqe.cid != cid)
			continue;
		dev->pending_count--;
		memmove(&dev->pending[i], &dev->pending[i + 1],
			(dev->pending_count - i) * sizeof(*dev->pending));
		dev->abort_count++;
		*result = 0;
		fake_nvme_post(sq_id, cid, NVME_SC_ABORTED, 0);
		return 0;
	}
	return 0;
}

/* ---- Admin ------------------------------------------------------------------------------------ */

static void check_memory(u64 address, u64 size)
{
	CHECK(fake_is_ram(address, size) || dev->allows_nowhere);
	CHECK(!dev->may_reach || dev->may_reach(address, size));
}

/* What it is lent is the guest's, and the list of it is Sluice's. */
static u16 lend(const struct nvme_sqe *sqe)
{
	u64 list = (u64)sqe->cdw14 << 32 | sqe->cdw13;
	const struct nvme_host_memory *entries = (void *)list;

	CHECK(sqe->cdw15 && fake_is_sluice(list, sqe->cdw15 * 16));
	if (dev->host_memory.count)
		return NVME_SC_SEQUENCE_ERROR;
	for (u32 i = 0; i < sqe->cdw15; i++)
		check_memory(entries[i].address, (u64)entries[i].size << 12);
	dev->host_memory = (struct nvme_host_memory_attributes){
		sqe->cdw12, sqe->cdw13, sqe->cdw14, sqe->cdw15,
	};
	return 0;
}

static u16 host_memory(const struct nvme_sqe *sqe)
{
	u8 page[4096] = { 0 };

	if (sqe->opcode == NVME_ADMIN_GET_FEATURES) {
		memcpy(page, &dev->host_memory, sizeof(dev->host_memory));
		transfer(sqe, page, sizeof(page), true);
	} else if (sqe->cdw11 & NVME_HOST_MEMORY_ENABLE) {
		return lend(sqe);
	} else {
		dev->host_memory.count = 0;
	}
	return 0;
}

static u16 features(const struct nvme_sqe *sqe, u32 *result)
{
	u8 stamp[8] = { 's', 't', 'a', 'm', 'p' };
	u32 last = dev->queue_limit - 1;

	switch (FIELD_GET(NVME_FEATURE_ID, sqe->cdw10)) {
	case NVME_FEATURE_HOST_MEMORY:
		return host_memory(sqe);
	case NVME_FEATURE_QUEUE_COUNT:
		*result = last | last << 16;
		break;
	case NVME_FEATURE_TIMESTAMP:
		transfer(sqe, stamp, sizeof(stamp),
			 sqe->opcode == NVME_ADMIN_GET_FEATURES);
	}
	return 0;
}

/* Every byte of a log page is its LID. */
static u16 get_log(const struct nvme_sqe *sqe)
{
	static u8 data[8 << 20];
	u64 size = ((sqe->cdw11 & 0xffff) << 16 | sqe->cdw10 >> 16) * 4ull + 4;

	CHECK(size <= sizeof(data));
	memset(data, sqe->cdw10 & 0xff, size);
	transfer(sqe, data, size, true);
	return 0;
}

/* Of a device that makes the worst of what it should not have been given. */
static u16 do_the_worst(void)
{
	struct fake_namespace *ns = dev->namespaces;

	if (!dev->is_ruthless)
		return NVME_SC_INVALID_OPCODE;
	for (; ns < dev->namespaces + dev->namespace_count; ns++)
		memset(ns->data, 0xee, ns->n_lbas << ns->lba_shift);
	return 0;
}

u16 fake_execute_admin(const struct nvme_sqe *sqe, u32 *result)
{
	if (sqe->opcode == dev->refuse_opcode)
		return dev->refuse_status;
	switch (sqe->opcode) {
	case NVME_ADMIN_IDENTIFY:
		return identify(sqe);
	case NVME_ADMIN_CREATE_SQ:
		return create(sqe, dev->sqs);
	case NVME_ADMIN_CREATE_CQ:
		return create(sqe, dev->cqs);
	case NVME_ADMIN_DELETE_SQ:
		return delete_sq(sqe);
	case NVME_ADMIN_DELETE_CQ:
		return delete_cq(sqe);
	case NVME_ADMIN_ABORT:
		return abort_command(sqe, result);
	case NVME_ADMIN_SET_FEATURES:
	case NVME_ADMIN_GET_FEATURES:
		return features(sqe, result);
	case NVME_ADMIN_GET_LOG_PAGE:
		return get_log(sqe);
	case NVME_ADMIN_FORMAT:
		do_the_worst();
		find(1)->lba_shift = 12;
		find(1)->n_lbas /= 8;
		return 0;
	case NVME_ADMIN_KEEP_ALIVE:
	case NVME_ADMIN_NS_ATTACHMENT:
	case NVME_ADMIN_GET_LBA_STATUS:
		return 0;
	case NVME_ADMIN_DOORBELL_BUFFER:
		FAIL("Doorbell Buffer Config has reached the device");
	}
	return do_the_worst();
}

/* ---- I/O ------------------------------------------------------------------------------------------ */

/* With PRACT, metadata that is nothing but PI is the controller's own. */
static bool has_extended_blocks(const struct nvme_sqe *sqe,
				const struct fake_namespace *ns)
{
	return ns->is_inline &&
		!(ns->pi_type && ns->metadata_size ==
		  (ns->guard ? NVME_PI_SIZE_LONG : NVME_PI_SIZE) &&
		  sqe->cdw12 & NVME_RW_PRACT);
}

/* Blocks with metadata in the buffer are not kept: they read as zeroes. */
static void transfer_extended(const struct nvme_sqe *sqe,
			      const struct fake_namespace *ns, u64 count)
{
	u64 size = count * ((1u << ns->lba_shift) + ns->metadata_size);
	u8 *data = calloc(1, size);

	transfer(sqe, data, size, sqe->opcode == NVME_CMD_READ);
	free(data);
}

static u16 access_blocks(const struct nvme_sqe *sqe,
			 const struct fake_namespace *ns)
{
	u64 lba = (u64)sqe->cdw11 << 32 | sqe->cdw10;
	u64 count = (sqe->cdw12 & 0xffff) + 1;

	if (!range_inside(lba, count, ns->n_lbas))
		return NVME_SC_LBA_OUT_OF_RANGE;
	if (sqe->opcode != NVME_CMD_READ && sqe->opcode != NVME_CMD_WRITE)
		memset(ns->data + (lba << ns->lba_shift), 0,
		       count << ns->lba_shift);
	else if (has_extended_blocks(sqe, ns))
		transfer_extended(sqe, ns, count);
	else
		transfer(sqe, ns->data + (lba << ns->lba_shift),
			 count << ns->lba_shift, sqe->opcode == NVME_CMD_READ);
	return 0;
}

static u16 deallocate(const struct nvme_sqe *sqe,
		      const struct fake_namespace *ns)
{
	struct nvme_dsm_range ranges[256];
	u32 count = FIELD_GET(NVME_DSM_COUNT, sqe->cdw10) + 1;

	transfer(sqe, ranges, count * sizeof(*ranges), false);
	for (u32 i = 0; i < count; i++)
		if (range_inside(ranges[i].lba, ranges[i].n_lbas, ns->n_lbas))
			memset(ns->data + (ranges[i].lba << ns->lba_shift),
			       0xdd, ranges[i].n_lbas << ns->lba_shift);
	return 0;
}

/* Source ranges of 32 or 40 bytes: the first block at 8, NLB at 16. */
static u16 copy_blocks(const struct nvme_sqe *sqe,
		       const struct fake_namespace *ns)
{
	u32 size = FIELD_GET(NVME_COPY_FORMAT, sqe->cdw12) ? 40 : 32;
	u32 count = FIELD_GET(NVME_DSM_COUNT, sqe->cdw12) + 1;
	u64 to = (u64)sqe->cdw11 << 32 | sqe->cdw10, from, n_lbas;
	u8 list[256 * 40];

	transfer(sqe, list, count * size, false);
	for (u32 i = 0; i < count; i++, to += n_lbas) {
		memcpy(&from, list + i * size + 8, 8);
		n_lbas = *(u16 *)(list + i * size + 16) + 1;
		if (!range_inside(from, n_lbas, ns->n_lbas) ||
		    !range_inside(to, n_lbas, ns->n_lbas))
			return NVME_SC_LBA_OUT_OF_RANGE;
		memmove(ns->data + (to << ns->lba_shift),
			ns->data + (from << ns->lba_shift),
			n_lbas << ns->lba_shift);
	}
	return 0;
}

u16 fake_execute_io(const struct fake_record *record)
{
	const struct nvme_sqe *sqe = &record->sqe;
	const struct fake_namespace *ns = find(sqe->nsid);

	if (dev->fail_countdown && !--dev->fail_countdown)
		return dev->fail_status;
	if (!ns)
		return NVME_SC_INVALID_NAMESPACE;
	switch (sqe->opcode) {
	case NVME_CMD_READ:
	case NVME_CMD_WRITE:
	case NVME_CMD_WRITE_ZEROES:
	case NVME_CMD_WRITE_UNCORRECTABLE:
		return access_blocks(sqe, ns);
	case NVME_CMD_DSM:
		return deallocate(sqe, ns);
	case NVME_CMD_FLUSH:
	case NVME_CMD_COMPARE:
	case NVME_CMD_VERIFY:
	case NVME_CMD_RESERVATION_REPORT:
		return 0;
	case NVME_CMD_COPY:
		return copy_blocks(sqe, ns);
	}
	return do_the_worst();
}
