/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Most of what comes: a Read or Write of blocks without metadata, of data in
 * one page that is far from anything of Sluice's. Decoded and checked in one
 * go, as command.c and dptr.c would; what is not certain is left to them.
 */
#include <string.h>

#include "gmem.h"
#include "nvme.h"

/* Neither fused nor of an SGL. */
static bool is_rw(const struct nvme_sqe *sqe)
{
	return !sqe->flags && (sqe->opcode == NVME_CMD_READ ||
			       sqe->opcode == NVME_CMD_WRITE);
}

/* Bytes of a block; 0: not known, or not that simple. */
static u32 block_size(const struct hub *hub, u32 nsid)
{
	return hub->ns.public.nsid == nsid &&
		hub->ns_version == READ_ONCE(hub->host->ns_version) ?
		hub->plain_lba_size : 0;
}

static bool is_safe_page(u64 page)
{
	return gmem_is_dma_safe(gpa(page), PAGE_SIZE) &&
		!direct_may_watch(page);
}

/* As small as a page, so no device's limit is below it. */
static bool is_good_data(const struct nvme_sqe *sqe, u64 size)
{
	return size && is_aligned(sqe->prp1, 4) &&
		(sqe->prp1 & PAGE_MASK) + size <= PAGE_SIZE &&
		is_safe_page(align_down(sqe->prp1, PAGE_SIZE));
}

/* Field by field: to clear it all first would take as long again. */
static void fill(struct nvme_request *req, u32 n_lbas, u64 size)
{
	struct nvme_io_command *cmd = &req->cmd;
	struct nvme_sqe *sqe = &req->sqe;

	req->stage = STAGE_CHAIN;
	req->is_plain = true;
	sqe->mptr = sqe->prp2 = 0;
	req->data.prp1 = sqe->prp1;
	req->data.size = cmd->data_size = size;
	cmd->admin = false;
	cmd->opcode = sqe->opcode;
	cmd->fuse = 0;
	cmd->queue_id = req->sq->id;
	cmd->cid = sqe->cid;
	cmd->nsid = sqe->nsid;
	memcpy(&cmd->cdw10, &sqe->cdw10, 6 * sizeof(u32));
	cmd->lba = (u64)sqe->cdw11 << 32 | sqe->cdw10;
	cmd->n_lbas = n_lbas;
	if (sqe->opcode == NVME_CMD_READ) {
		cmd->effects = NVME_IO_READS;
		cmd->direction = NVME_IO_FROM_DEVICE;
	} else {
		cmd->effects = NVME_IO_WRITES;
		cmd->direction = NVME_IO_TO_DEVICE;
	}
}

HOT inline bool plain_decode(struct nvme_request *req)
{
	const struct nvme_sqe *sqe = &req->sqe;
	const struct hub *hub = req->sq->hub;
	u32 n_lbas = (sqe->cdw12 & 0xffff) + 1;
	u64 size = (u64)n_lbas * block_size(hub, sqe->nsid);

	if (!is_rw(sqe) || !is_good_data(sqe, size))
		return false;
	fill(req, n_lbas, size);
	return true;
}
