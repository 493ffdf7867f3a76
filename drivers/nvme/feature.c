/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Set and Get Features (NVMe 1.4, 5.14 and 5.21) as far as Sluice takes part
 * in them: the number of queues, and host memory. Admin hub->lock held.
 */
#include "nvme.h"

/* ---- Number of queues ------------------------------------------------------------- */

static bool has_queues(const struct nvme_host *host)
{
	for (u32 id = 1; id <= host->guest_queues_max; id++)
		if (host->hubs[id])
			return true;
	return false;
}

static u32 queue_counts(u32 sq_count, u32 cq_count)
{
	return FIELD_PREP(NVME_QUEUE_COUNT_SQ, sq_count - 1) |
		FIELD_PREP(NVME_QUEUE_COUNT_CQ, cq_count - 1);
}

/* The device was asked once, by own.c; these are shares of its answer. */
static bool set_queue_count(struct nvme_request *req)
{
	struct nvme_host *host = req->sq->hub->host;
	u32 max = host->guest_queues_max;
	u32 sq_last = FIELD_GET(NVME_QUEUE_COUNT_SQ, req->sqe.cdw11);
	u32 cq_last = FIELD_GET(NVME_QUEUE_COUNT_CQ, req->sqe.cdw11);

	if (sq_last == 0xffff || cq_last == 0xffff)
		return admin_refuse(req, NVME_SC_INVALID_FIELD);
	if (has_queues(host))
		return admin_refuse(req, NVME_SC_SEQUENCE_ERROR);
	host->guest_queues = MIN(MAX(sq_last, cq_last) + 1, max);
	hub_answer(req, NVME_SC_SUCCESS,
		   queue_counts(MIN(sq_last + 1, max), MIN(cq_last + 1, max)));
	return false;
}

/* ---- All of them --------------------------------------------------------------------- */

bool feature_set(struct nvme_request *req)
{
	switch (FIELD_GET(NVME_FEATURE_ID, req->sqe.cdw10)) {
	case NVME_FEATURE_QUEUE_COUNT:
		return set_queue_count(req);
	case NVME_FEATURE_HOST_MEMORY:
		return hmb_set(req);
	}
	return true;
}

bool feature_get(struct nvme_request *req)
{
	u32 count = req->sq->hub->host->guest_queues;
	bool is_capability = FIELD_GET(NVME_FEATURE_SELECT, req->sqe.cdw10) ==
		NVME_FEATURE_SELECT_SUPPORTED;

	if (FIELD_GET(NVME_FEATURE_ID, req->sqe.cdw10) !=
	    NVME_FEATURE_QUEUE_COUNT)
		return true;
	hub_answer(req, NVME_SC_SUCCESS, is_capability ?
		   NVME_FEATURE_IS_CHANGEABLE : queue_counts(count, count));
	return false;
}

void feature_complete(struct nvme_request *req)
{
	if (FIELD_GET(NVME_FEATURE_ID, req->sqe.cdw10) !=
	    NVME_FEATURE_HOST_MEMORY)
		return;
	if (req->cmd.opcode == NVME_ADMIN_SET_FEATURES)
		hmb_set_done(req);
	else
		hmb_get_done(req);
}
