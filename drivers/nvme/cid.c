/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Commands at the device by the guest's id: of a direct queue, which has no
 * ids of Sluice's own. All under hub->lock.
 */
#include "nvme.h"

/* Ids follow each other, and Linux counts in the upper bits how often it has
 * used one: the golden ratio spreads both. */
static struct nvme_request **bucket_of(struct sq *sq, u16 cid)
{
	u16 hash = cid * 40503u;

	return &sq->by_cid[hash / (65536 / NVME_CID_BUCKETS)];
}

/* What leads to the one of that id, or to nothing. */
static struct nvme_request **find_link(struct sq *sq, u16 cid)
{
	struct nvme_request **link = bucket_of(sq, cid);

	while (*link && (*link)->sqe.cid != cid)
		link = &(*link)->next;
	return link;
}

HOT inline bool cid_add(struct nvme_request *req)
{
	struct nvme_request **link = find_link(req->sq, req->sqe.cid);

	if (*link)
		return false;
	req->next = NULL;
	*link = req;
	return true;
}

HOT inline struct nvme_request *cid_take(struct sq *sq, u16 cid)
{
	struct nvme_request **link = find_link(sq, cid);
	struct nvme_request *req = *link;

	if (req)
		*link = req->next;
	return req;
}
