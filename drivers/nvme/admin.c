/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The admin commands that Sluice takes part in: queues, Abort, events,
 * Identify; features are feature.c's. State changes only when the device has said success.
 * Admin hub->lock held.
 */
#include "gmem.h"
#include "nvme.h"
#include "page.h"

#define CQ_MARGIN 32	/* entries for completions that are not the guest's */
#define SLOTS_MIN 8
#define COPY_RANGES_MAX (PAGE_SIZE / 40)

static struct nvme_host *host_of(const struct nvme_request *req)
{
	return req->sq->hub->host;
}

bool admin_refuse(struct nvme_request *req, u16 status)
{
	hub_answer(req, status | NVME_SC_DNR, 0);
	return false;
}

/* ---- Create and delete queues, 5.3 to 5.6 ------------------------------------------ */

static u32 size_of(const struct nvme_request *req)
{
	return FIELD_GET(NVME_QUEUE_SIZE, req->sqe.cdw10) + 1;
}

static u16 id_of(const struct nvme_request *req)
{
	return FIELD_GET(NVME_QUEUE_ID, req->sqe.cdw10);
}

static bool is_queue_id(const struct nvme_host *host, u16 id)
{
	return id && id <= host->guest_queues;
}

/* Fields that both kinds of queue share; an NVMe status. */
static u16 check_queue(const struct nvme_request *req, u64 entry_field,
		       u32 entry_log2)
{
	struct nvme_host *host = host_of(req);
	u32 size = size_of(req);

	if (size < 2 || size > FIELD_GET(NVME_CAP_MQES, host->cap) + 1 ||
	    FIELD_GET(entry_field, host->cc) != entry_log2)
		return NVME_SC_QUEUE_SIZE_INVALID;
	if (!(req->sqe.cdw11 & NVME_QUEUE_PC))
		return NVME_SC_INVALID_FIELD;
	if (!is_aligned(req->sqe.prp1, 1ull << host->page_shift))
		return NVME_SC_PRP_OFFSET_INVALID;
	if (!dptr_is_safe(host, req->sqe.prp1, (u64)size << entry_log2) ||
	    !gmem_map(gpa(req->sqe.prp1), (size_t)size << entry_log2))
		return NVME_SC_INVALID_FIELD;
	return NVME_SC_SUCCESS;
}

static void set_shadow(struct nvme_request *req, u64 base, u32 size)
{
	req->data.prp1 = base;
	req->sqe.cdw10 = FIELD_SET(NVME_QUEUE_SIZE, req->sqe.cdw10, size - 1);
}

static bool submit_create_cq(struct nvme_request *req)
{
	struct nvme_host *host = host_of(req);
	u16 status = check_queue(req, NVME_CC_IOCQES, NVME_CQE_SIZE_LOG2);
	u32 size = size_of(req);
	u32 limit = FIELD_GET(NVME_CAP_MQES, host->cap) + 1;
	void *entries;
	struct hub *hub;

	if (!is_queue_id(host, id_of(req)) || host->hubs[id_of(req)])
		return admin_refuse(req, NVME_SC_QUEUE_ID_INVALID);
	if (status)
		return admin_refuse(req, status);
	entries = gmem_map(gpa(req->sqe.prp1), size * sizeof(struct nvme_cqe));
	hub = direct_hub_alloc(host, id_of(req), entries, size,
			       req->sqe.cdw11 & NVME_CQ_IEN);
	if (!hub)
		hub = hub_alloc(host, id_of(req), MIN(size + CQ_MARGIN, limit),
				entries, size);
	if (!hub)
		return admin_refuse(req, NVME_SC_INTERNAL_ERROR);
	hub->is_polled = !(req->sqe.cdw11 & NVME_CQ_IEN);
	req->new_hub = hub;
	set_shadow(req, hub->is_direct ? req->sqe.prp1 :
		   page_hpa(hub->shadow.entries).v, hub->shadow.size);
	return true;
}

static u32 slots_for(const struct nvme_host *host, u32 guest_size)
{
	u32 limit = MIN(NVME_SLOT_MAX, FIELD_GET(NVME_CAP_MQES, host->cap));

	return MIN(MAX(guest_size, SLOTS_MIN) + NVME_HOST_SLOTS, limit);
}

static bool submit_create_sq(struct nvme_request *req)
{
	struct nvme_host *host = host_of(req);
	u16 status = check_queue(req, NVME_CC_IOSQES, NVME_SQE_SIZE_LOG2);
	u16 cq_id = FIELD_GET(NVME_SQ_CQID, req->sqe.cdw11);
	u32 size = size_of(req);
	struct sq *(*alloc)(u16 id, u32 slots, void *entries, u32 size);

	if (!is_queue_id(host, cq_id) || !host->hubs[cq_id])
		return admin_refuse(req, NVME_SC_CQ_INVALID);
	if (!is_queue_id(host, id_of(req)) || host->sqs[id_of(req)])
		return admin_refuse(req, NVME_SC_QUEUE_ID_INVALID);
	if (status)
		return admin_refuse(req, status);
	alloc = host->hubs[cq_id]->is_direct ? sq_alloc_direct : sq_alloc;
	req->new_sq = alloc(id_of(req), slots_for(host, size),
			    gmem_map(gpa(req->sqe.prp1),
				     size * sizeof(struct nvme_sqe)), size);
	if (!req->new_sq)
		return admin_refuse(req, NVME_SC_INTERNAL_ERROR);
	set_shadow(req, page_hpa(req->new_sq->shadow.entries).v,
		   req->new_sq->shadow.size);
	return true;
}

static bool submit_delete_sq(struct nvme_request *req)
{
	struct nvme_host *host = host_of(req);

	if (!is_queue_id(host, id_of(req)) || !host->sqs[id_of(req)])
		return admin_refuse(req, NVME_SC_QUEUE_ID_INVALID);
	return true;
}

static bool submit_delete_cq(struct nvme_request *req)
{
	struct nvme_host *host = host_of(req);
	struct hub *hub;
	bool is_empty;

	if (!is_queue_id(host, id_of(req)) || !host->hubs[id_of(req)])
		return admin_refuse(req, NVME_SC_QUEUE_ID_INVALID);
	hub = host->hubs[id_of(req)];
	lock_acquire(&hub->lock);
	is_empty = list_is_empty(&hub->sqs);
	lock_release(&hub->lock);
	return is_empty || admin_refuse(req, NVME_SC_QUEUE_DELETION_INVALID);
}

static void complete_create_cq(struct nvme_request *req)
{
	/* Refused, or there already: request_free() frees it. */
	if (!req->completion.status && !hub_publish(req->new_hub))
		req->new_hub = NULL;
}

static void complete_create_sq(struct nvme_request *req)
{
	u16 cq_id = FIELD_GET(NVME_SQ_CQID, req->sqe.cdw11);
	struct hub *hub = hub_get(host_of(req), cq_id);

	if (!req->completion.status && hub) {
		lock_acquire(&hub->lock);
		if (!sq_publish(hub, req->new_sq))
			req->new_sq = NULL;
		lock_release(&hub->lock);
	}
	hub_put(hub);
}

/* What the device has completed so far still reaches the guest. */
static void complete_delete_sq(struct nvme_request *req)
{
	struct hub *hub = hub_get_by_sq(host_of(req), id_of(req));
	struct sq *sq;

	if (!req->completion.status && hub) {
		lock_acquire(&hub->lock);
		hub_reap(hub);
		sq = sq_find(hub, id_of(req));
		if (sq)
			sq_retire(sq);
		lock_release(&hub->lock);
	}
	hub_put(hub);
}

static void complete_delete_cq(struct nvme_request *req)
{
	struct hub *hub = host_of(req)->hubs[id_of(req)];

	if (!req->completion.status && hub)
		hub_retire(hub);
}

/* ---- Abort and events, 5.1 and 5.2 --------------------------------------------------------- */

/* The device's id of a command that it has, by the guest's. -1: it has not. */
static int device_id_of(struct sq *sq, u16 cid)
{
	for (u32 i = 0; i < sq->slot_count; i++) {
		const struct nvme_request *req = &sq->slots[i];

		if (req->owner == OWNER_DEVICE && !req->own &&
		    !req->is_carrier && req->sqe.cid == cid)
			return request_device_id(req);
	}
	return -1;
}

/* The admin queue itself is locked already. */
static int find_device_id(struct nvme_host *host, u16 sq_id, u16 cid)
{
	struct hub *hub = sq_id ? hub_get_by_sq(host, sq_id) : NULL;
	struct sq *sq;
	int id = -1;

	if (!sq_id)
		return device_id_of(host->sqs[0], cid);
	if (!hub)
		return -1;
	lock_acquire(&hub->lock);
	sq = sq_find(hub, sq_id);
	if (sq && sq->guest.size)
		id = device_id_of(sq, cid);
	lock_release(&hub->lock);
	hub_put(hub);
	return id;
}

static bool submit_abort(struct nvme_request *req)
{
	u16 sq_id = FIELD_GET(NVME_ABORT_SQID, req->sqe.cdw10);
	int id = find_device_id(host_of(req), sq_id,
				FIELD_GET(NVME_ABORT_CID, req->sqe.cdw10));

	if (id < 0) {
		hub_answer(req, NVME_SC_SUCCESS, NVME_ABORT_NOT_DONE);
		return false;
	}
	req->sqe.cdw10 = FIELD_PREP(NVME_ABORT_CID, id) | sq_id;
	return true;
}

/*
 * Its place would be taken for as long as nothing happens; it gets one, and
 * an interrupt while interrupts are watched, as a carrier when it does.
 */
static bool submit_event(struct nvme_request *req)
{
	struct nvme_host *host = host_of(req);

	if (host->event_count == NVME_EVENT_MAX)
		return admin_refuse(req, NVME_SC_AER_LIMIT_EXCEEDED);
	WRITE_ONCE(host->event_count, host->event_count + 1);
	req->has_place = false;
	req->sq->hub->place_count--;
	return true;
}

/* Other things than the answer come first: see hub_answer(). */
static bool complete_later(struct nvme_request *req, bool after_refresh)
{
	if (after_refresh)
		own_want_refresh(host_of(req));
	req->after_refresh = after_refresh;
	hub_answer(req, req->completion.status, req->completion.result);
	return false;
}

static bool complete_event(struct nvme_request *req)
{
	struct nvme_host *host = host_of(req);
	u32 event = req->completion.result;

	WRITE_ONCE(host->event_count, host->event_count - 1);
	return complete_later(req, !req->completion.status &&
		FIELD_GET(NVME_EVENT_TYPE, event) == NVME_EVENT_NOTICE &&
		FIELD_GET(NVME_EVENT_INFO, event) == NVME_EVENT_NS_CHANGED);
}

/* ---- Doorbell buffers, 5.7 -------------------------------------------------------------- */

/* The device never hears of them. */
static bool submit_doorbell_buffer(struct nvme_request *req)
{
	u16 status = dbbuf_configure(host_of(req), req->sqe.prp1,
				     req->sqe.prp2);

	hub_answer(req, status ? status | NVME_SC_DNR : status, 0);
	return false;
}

/* ---- What changes the size of blocks, 5.12, 5.13 and 5.23 --------------------------- */

static bool is_at_rest(struct hub *hub)
{
	bool is_at_rest = true;
	struct list *node;

	lock_acquire(&hub->lock);
	if (hub->is_direct)
		hub_reap(hub);
	list_for_each(node, &hub->sqs) {
		struct sq *sq = container_of(node, struct sq, node);

		is_at_rest &= sq->free_count == sq->slot_count;
	}
	lock_release(&hub->lock);
	return is_at_rest;
}

static bool is_io_at_rest(struct nvme_host *host)
{
	bool are_at_rest = !READ_ONCE(host->own_count);
	struct hub *hub;
	u32 id = 1;

	while ((hub = hub_next(host, &id))) {
		are_at_rest &= is_at_rest(hub);
		hub_put(hub);
	}
	return are_at_rest;
}

static void end_reshape(struct nvme_host *host)
{
	WRITE_ONCE(host->reshape_count, host->reshape_count - 1);
	run_wake(host, RUN_HUBS);
}

/*
 * The PRPs of a command are checked for as many bytes as its blocks have. If
 * these grew before the device came to it, it would take for a list what is
 * the guest's data. So no I/O is fetched from here to the answer, and what is
 * under way already fails this command, as 5.23 allows.
 */
static bool submit_reshape(struct nvme_request *req)
{
	struct nvme_host *host = host_of(req);

	/* The count before the look: whoever locks a hub later sees it. */
	WRITE_ONCE(host->reshape_count, host->reshape_count + 1);
	if (is_io_at_rest(host))
		return true;
	end_reshape(host);
	hub_answer(req, NVME_SC_SEQUENCE_ERROR, 0);
	return false;
}

static bool complete_reshape(struct nvme_request *req)
{
	struct nvme_host *host = host_of(req);
	bool is_later = complete_later(req, !req->completion.status);

	end_reshape(host);
	return is_later;
}

/* ---- Identify, 5.15 -------------------------------------------------------------------------- */

static void filter_controller(const struct nvme_host *host,
			      struct nvme_id_ctrl *id)
{
	u8 mdts = 0;

	while (2 * PAGE_SIZE << mdts <= host->transfer_max)
		mdts++;
	id->mdts = mdts;
	id->oacs &= ~(NVME_OACS_MI | NVME_OACS_VIRTUALIZATION |
		      NVME_OACS_DOORBELL_BUFFER);
	if (dbbuf_is_offered())
		id->oacs |= NVME_OACS_DOORBELL_BUFFER;
	id->aerl = MIN(id->aerl, NVME_EVENT_MAX - 1);
	hmb_filter(id);
	id->fuses = 0;
	id->ocfs &= NVME_OCFS_KNOWN;
	id->sgls = host->sgls;
}

static void filter(const struct nvme_host *host, u8 cns, void *data)
{
	struct nvme_id_ns *ns = data;

	if (cns == NVME_CNS_CONTROLLER)
		filter_controller(host, data);
	else if (cns == NVME_CNS_NAMESPACE ||
		 cns == NVME_CNS_ALLOCATED_NAMESPACE)
		ns->msrc = MIN(ns->msrc, COPY_RANGES_MAX - 1);
}

static void complete_identify(struct nvme_request *req)
{
	struct nvme_host *host = host_of(req);
	void *data = req->data.copy;

	if (req->completion.status)
		return;
	filter(host, FIELD_GET(NVME_IDENTIFY_CNS, req->sqe.cdw10), data);
	chain_identify(host, &req->cmd, data);
	if (dptr_write(req, 0, data, NVME_IDENTIFY_SIZE))
		req->completion.status = NVME_SC_TRANSFER_ERROR | NVME_SC_DNR;
}

/* ---- All of them --------------------------------------------------------------------------------- */

bool admin_submit(struct nvme_request *req)
{
	switch (req->cmd.opcode) {
	case NVME_ADMIN_CREATE_CQ:
		return submit_create_cq(req);
	case NVME_ADMIN_CREATE_SQ:
		return submit_create_sq(req);
	case NVME_ADMIN_DELETE_CQ:
		return submit_delete_cq(req);
	case NVME_ADMIN_DELETE_SQ:
		return submit_delete_sq(req);
	case NVME_ADMIN_SET_FEATURES:
		return feature_set(req);
	case NVME_ADMIN_GET_FEATURES:
		return feature_get(req);
	case NVME_ADMIN_ABORT:
		return submit_abort(req);
	case NVME_ADMIN_ASYNC_EVENT:
		return submit_event(req);
	case NVME_ADMIN_DOORBELL_BUFFER:
		return submit_doorbell_buffer(req);
	case NVME_ADMIN_FORMAT:
	case NVME_ADMIN_NS_MANAGEMENT:
	case NVME_ADMIN_NS_ATTACHMENT:
		return submit_reshape(req);
	}
	return true;
}

bool admin_complete(struct nvme_request *req)
{
	switch (req->cmd.opcode) {
	case NVME_ADMIN_CREATE_CQ:
		complete_create_cq(req);
		break;
	case NVME_ADMIN_CREATE_SQ:
		complete_create_sq(req);
		break;
	case NVME_ADMIN_DELETE_CQ:
		complete_delete_cq(req);
		break;
	case NVME_ADMIN_DELETE_SQ:
		complete_delete_sq(req);
		break;
	case NVME_ADMIN_IDENTIFY:
		complete_identify(req);
		break;
	case NVME_ADMIN_SET_FEATURES:
	case NVME_ADMIN_GET_FEATURES:
		feature_complete(req);
		break;
	case NVME_ADMIN_ASYNC_EVENT:
		return complete_event(req);
	case NVME_ADMIN_FORMAT:
	case NVME_ADMIN_NS_MANAGEMENT:
	case NVME_ADMIN_NS_ATTACHMENT:
		return complete_reshape(req);
	}
	return true;
}
