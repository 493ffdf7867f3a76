/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Steps of own.c: how many queues there are, and a pair of them for Sluice's
 * own commands; there for good, or until the interceptors have started where
 * the device has no second one.
 */
#include "own_step.h"
#include "page.h"

/* ---- How many? -------------------------------------------------------------- */

static u32 queues_wanted(void)
{
	u32 limit = attach_limits.max_queues;

	return limit ? MIN(limit, NVME_QUEUE_MAX) : NVME_QUEUE_MAX;
}

static enum own_next send_queue_count(struct nvme_host *host)
{
	u32 last = queues_wanted() + chain_needs(host,
		NVME_IO_NEEDS_HOST_REQUESTS) - 1;

	if (host->own.is_end)
		return OWN_NEXT;
	return own_send(host, &(struct nvme_sqe){
		.opcode = NVME_ADMIN_SET_FEATURES,
		.cdw10 = NVME_FEATURE_QUEUE_COUNT,
		.cdw11 = FIELD_PREP(NVME_QUEUE_COUNT_SQ, last) |
			FIELD_PREP(NVME_QUEUE_COUNT_CQ, last),
	});
}

/* One pair there is always; Sluice takes one only when there are more. */
static bool done_queue_count(struct nvme_host *host, u16 status, u32 result)
{
	struct own *own = &host->own;
	u32 granted = status ? 1 : 1 +
		MIN(FIELD_GET(NVME_QUEUE_COUNT_SQ, result),
		    FIELD_GET(NVME_QUEUE_COUNT_CQ, result));
	bool needs_own = chain_needs(host, NVME_IO_NEEDS_HOST_REQUESTS);

	own->is_end = true;
	own->is_temporary = needs_own && granted == 1;
	if (needs_own && granted > 1)
		granted--;
	WRITE_ONCE(host->guest_queues_max, MIN(granted, queues_wanted()));
	host->guest_queues = host->guest_queues_max;
	host->own_id = !needs_own ? 0 :
		own->is_temporary ? 1 : host->guest_queues_max + 1;
	return true;
}

const struct own_step own_queue_count = { send_queue_count, done_queue_count };

/* ---- The pair --------------------------------------------------------------- */

static u32 own_slots(const struct nvme_host *host)
{
	return MIN(NVME_HOST_REQUEST_MAX,
		   FIELD_GET(NVME_CAP_MQES, host->cap));
}

static enum own_next send_create_cq(struct nvme_host *host)
{
	u32 size = own_slots(host) + 1;
	struct own *own = &host->own;

	if (!host->own_id || own->is_end)
		return OWN_NEXT;
	if (!own->hub)
		own->hub = hub_alloc(host, host->own_id, size, NULL, 0);
	if (!own->hub)
		return OWN_WAIT;
	return own_send(host, &(struct nvme_sqe){
		.opcode = NVME_ADMIN_CREATE_CQ,
		.prp1 = page_hpa(own->hub->shadow.entries).v,
		.cdw10 = FIELD_PREP(NVME_QUEUE_SIZE, size - 1) |
			host->own_id,
		.cdw11 = NVME_QUEUE_PC,
	});
}

static bool done_create_cq(struct nvme_host *host, u16 status, u32 result)
{
	struct own *own = &host->own;

	(void)result;
	if (status || hub_publish(own->hub))
		return false;
	own->hub = NULL;
	own->is_end = true;
	return true;
}

static enum own_next send_create_sq(struct nvme_host *host)
{
	struct own *own = &host->own;

	if (!host->own_id || own->is_end)
		return OWN_NEXT;
	if (!own->sq)
		own->sq = sq_alloc(host->own_id, own_slots(host), NULL, 0);
	if (!own->sq)
		return OWN_WAIT;
	return own_send(host, &(struct nvme_sqe){
		.opcode = NVME_ADMIN_CREATE_SQ,
		.prp1 = page_hpa(own->sq->shadow.entries).v,
		.cdw10 = FIELD_PREP(NVME_QUEUE_SIZE, own->sq->shadow.size - 1) |
			host->own_id,
		.cdw11 = FIELD_PREP(NVME_SQ_CQID, host->own_id) |
			NVME_QUEUE_PC,
	});
}

static bool done_create_sq(struct nvme_host *host, u16 status, u32 result)
{
	struct hub *hub = host->hubs[host->own_id];
	struct own *own = &host->own;
	int error;

	(void)result;
	if (status)
		return false;
	lock_acquire(&hub->lock);
	error = sq_publish(hub, own->sq);
	lock_release(&hub->lock);
	ASSERT(!error);
	own->sq = NULL;
	own->is_end = true;
	return true;
}

static enum own_next send_delete(struct nvme_host *host, u8 opcode)
{
	if (!host->own.is_temporary || !host->own_id || host->own.is_end)
		return OWN_NEXT;
	return own_send(host, &(struct nvme_sqe){ .opcode = opcode,
					      .cdw10 = host->own_id });
}

static enum own_next send_delete_sq(struct nvme_host *host)
{
	return send_delete(host, NVME_ADMIN_DELETE_SQ);
}

/*
 * What the device does not delete it may still write to, so that stays. To
 * give back is not to fail once more: half of the pair may never have been.
 */
static bool done_delete_sq(struct nvme_host *host, u16 status, u32 result)
{
	struct hub *hub = host->hubs[host->own_id];
	struct sq *sq = host->sqs[host->own_id];

	(void)result;
	host->own.is_end = true;
	if (!status && sq) {
		lock_acquire(&hub->lock);
		sq_retire(sq);
		lock_release(&hub->lock);
	}
	return !status || host->own.gives_back;
}

static enum own_next send_delete_cq(struct nvme_host *host)
{
	return send_delete(host, NVME_ADMIN_DELETE_CQ);
}

static bool done_delete_cq(struct nvme_host *host, u16 status, u32 result)
{
	struct hub *hub = host->hubs[host->own_id];

	(void)result;
	host->own.is_end = true;
	if (!status && hub)
		hub_retire(hub);
	if (!status || !hub)
		host->own_id = 0;
	return !status || host->own.gives_back;
}

const struct own_step own_create_cq = { send_create_cq, done_create_cq };
const struct own_step own_create_sq = { send_create_sq, done_create_sq };
const struct own_step own_delete_sq = { send_delete_sq, done_delete_sq };
const struct own_step own_delete_cq = { send_delete_cq, done_delete_cq };
