/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Commands at the device by the guest's id: of a direct queue, which has no
 * ids of Sluice's own. All under hub->lock.
 */
#include "nvme.h"

/* Ids follow each other, and Linux counts in the upper bits how often it has
 * used one: the golden ratio spreads both. */
static u16 *bucket_of(struct sq *sq, u16 cid)
{
	u16 hash = cid * 40503u;

	return &sq->by_cid[hash / (65536 / NVME_CID_BUCKETS)];
}

static void count_debt(const struct nvme_request *req, int change)
{
	struct hub *hub = req->sq->hub;

	WRITE_ONCE(hub->debt_count, hub->debt_count + change);
}

void cid_add(struct nvme_request *req)
{
	u16 *bucket = bucket_of(req->sq, req->sqe.cid);

	req->next = *bucket;
	*bucket = req->slot + 1;
	req->has_debt = req->is_special || dptr_has_pages(&req->data);
	if (req->has_debt)
		count_debt(req, 1);
}

/* What leads to the one of that id, or to nothing. */
static u16 *find_link(struct sq *sq, u16 cid)
{
	u16 *link = bucket_of(sq, cid);

	while (*link && sq->slots[*link - 1].sqe.cid != cid)
		link = &sq->slots[*link - 1].next;
	return link;
}

struct nvme_request *cid_take(struct sq *sq, u16 cid)
{
	u16 *link = find_link(sq, cid);
	struct nvme_request *req;

	if (!*link)
		return NULL;
	req = &sq->slots[*link - 1];
	*link = req->next;
	if (!req->has_debt)
		return req;
	count_debt(req, -1);
	sq->hub->special_count -= req->is_special;
	return req;
}

bool cid_has(struct sq *sq, u16 cid)
{
	return *find_link(sq, cid);
}
