/* SPDX-License-Identifier: BSD-2-Clause */
/* A queue's requests: taken for each command, given back after it. */
#include <string.h>

#include "nvme.h"

/* The last to be freed is the first to be taken: its memory is at hand. */
static void push_free(struct nvme_request *req)
{
	req->next = req->sq->free;
	req->sq->free = req->slot + 1;
	req->sq->free_count++;
}

static struct nvme_request *pop_free(struct sq *sq)
{
	struct nvme_request *req;

	if (!sq->free)
		return NULL;
	req = &sq->slots[sq->free - 1];
	sq->free = req->next;
	sq->free_count--;
	return req;
}

void request_init(struct sq *sq, u32 count)
{
	sq->slot_count = count;
	sq->guest_slots = count > 2 * NVME_HOST_SLOTS ?
		count - NVME_HOST_SLOTS : count;
	for (u32 i = count; i--;) {
		struct nvme_request *req = &sq->slots[i];

		list_init(&req->node);
		req->sq = sq;
		req->slot = i;
		push_free(req);
	}
}

HOT struct nvme_request *request_alloc(struct sq *sq)
{
	const size_t first = offsetof(struct nvme_request, stage);
	const size_t last = offsetof(struct nvme_request, has_private);
	struct nvme_request *req = pop_free(sq);

	if (!req)
		return NULL;
	ASSERT(req->owner == OWNER_NONE);
	memset((u8 *)req + first, 0, last + 1 - first);
	req->owner = OWNER_HUB;
	return req;
}

static __attribute__((noinline)) void free_holdings(struct nvme_request *req)
{
	dptr_release(req);
	hub_put(req->new_hub);
	sq_free(req->new_sq);
}

HOT void request_free(struct nvme_request *req)
{
	struct sq *sq = req->sq;

	ASSERT(req->owner == OWNER_HUB || req->owner == OWNER_LOST);
	if (dptr_has_pages(&req->data) || req->new_hub || req->new_sq)
		free_holdings(req);
	dptr_forget(&req->data);
	if (req->has_place)
		sq->hub->place_count--;
	if (!req->own && req->owner == OWNER_HUB)
		sq->guest_used--;
	req->owner = OWNER_NONE;
	push_free(req);
}
