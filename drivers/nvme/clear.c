/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Clear blocks: those around the last Read, and the last Write, of a hub that
 * no interceptor wants to look at (on_passed of nvme_io.h). What they say goes
 * by a version, read before they are asked: the one of the namespaces.
 */
#include "nvme.h"

static struct clear *clear_of(const struct nvme_request *req)
{
	return &req->sq->hub->clear[req->cmd.opcode == NVME_CMD_WRITE];
}

/* Who has on_complete only sees the completion all the same. */
HOT inline bool clear_has(struct nvme_request *req)
{
	const struct clear *clear = clear_of(req);

	if (!range_inside(req->cmd.lba - clear->first, req->cmd.n_lbas,
			  clear->count))
		return false;
	req->next_entry = req->sq->hub->host->chain_count;
	return true;
}

void clear_learn(struct nvme_request *req)
{
	u64 first = 0, last = ~0ull;

	if (req->is_flush || !chain_passes(req, &first, &last))
		return;
	/* All 2^64 do not fit: the last is then one to ask about. */
	*clear_of(req) = (struct clear){ first, MAX(last - first + 1,
						    last - first) };
}

void clear_forget(struct hub *hub)
{
	hub->clear[false].count = hub->clear[true].count = 0;
}
