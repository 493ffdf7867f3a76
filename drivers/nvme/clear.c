/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Clear blocks: those around the last Read, and the last Write, of a hub that
 * interceptors need not look at (on_passed of nvme_io.h); some want to see
 * each command all the same. What they say goes by a version, read before
 * they are asked: the one of the namespaces.
 */
#include "nvme.h"

static struct clear *clear_of(const struct nvme_request *req)
{
	return &req->sq->hub->clear[req->cmd.opcode == NVME_CMD_WRITE];
}

/* Who has on_complete only sees the completion all the same. */
HOT inline u32 clear_asked(struct nvme_request *req)
{
	const struct clear *clear = clear_of(req);

	if (!range_inside(req->cmd.lba - clear->first, req->cmd.n_lbas,
			  clear->count))
		return CHAIN_ALL;
	req->next_entry = req->sq->hub->host->chain_count;
	return clear->asked;
}

void clear_learn(struct nvme_request *req)
{
	u64 first = 0, last = ~0ull;
	u32 asked = 0;

	if (req->is_flush || !chain_passes(req, &first, &last, &asked))
		return;
	/* All 2^64 do not fit: the last is then one to ask about. */
	*clear_of(req) = (struct clear){
		first, MAX(last - first + 1, last - first), asked,
	};
}

void clear_forget(struct hub *hub)
{
	hub->clear[false].count = hub->clear[true].count = 0;
}
