/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Torn writes: the first blocks of a command reach the device by requests of
 * our own, a piece at a time, the others do not.
 */
#include "fault.h"

#define PIECE_PAGES 8
#define PIECE_SIZE (PIECE_PAGES * 4096u)

int fault_tear_attach(struct fault *fault)
{
	phys_t phys;

	fault->list = nvme_io_alloc_pages(fault->host, 1, &fault->list_phys);
	fault->data = nvme_io_alloc_pages(fault->host, PIECE_PAGES, &phys);
	if (!fault->list || !fault->data)
		return -1;
	for (u32 i = 0; i < PIECE_PAGES; i++)
		fault->list[i] = phys + i * 4096;
	return 0;
}

static void end(struct fault *fault)
{
	struct fault_held *held = fault->tearing;

	fault->tearing = NULL;
	fault_end(fault, held);
}

static void next_piece(struct fault *fault);

static void written(struct nvme_host *host, u16 status, void *arg)
{
	struct fault *fault = arg;

	if (status != NVME_IO_SUCCESS)
		end(fault);
	else
		next_piece(fault);
	fault_tear_next(fault);
}

static bool write(struct fault *fault, const struct nvme_io_command *cmd,
		  u32 n_lbas)
{
	struct nvme_io_descriptor *desc = nvme_io_init_descriptor(
		fault->host, cmd->nsid, 0, cmd->lba + fault->torn_blocks,
		(u16)n_lbas);

	if (!desc)
		return false;
	nvme_io_set_sender(desc, &fault->interceptor);
	fault->torn_blocks += n_lbas;
	/* What does not fit is refused when it is submitted. */
	nvme_io_set_phys_buffers(fault->host, desc, fault->list,
				 fault->list_phys, PIECE_PAGES, 0);
	return nvme_io_submit(fault->host, desc, NVME_IO_WRITE, written, fault);
}

static void next_piece(struct fault *fault)
{
	struct fault_held *held = fault->tearing;
	const struct nvme_io_command *cmd = nvme_io_req_command(held->req);
	u32 tear = held->action.tear;
	u32 wanted = tear < cmd->n_lbas ? tear : cmd->n_lbas;
	u32 n_lbas = wanted - fault->torn_blocks;

	if (n_lbas > PIECE_SIZE / fault->lba_size)
		n_lbas = PIECE_SIZE / fault->lba_size;
	if (!n_lbas ||
	    nvme_io_req_read(held->req,
			     (u64)fault->torn_blocks * fault->lba_size,
			     fault->data, n_lbas * fault->lba_size) ||
	    !write(fault, cmd, n_lbas))
		end(fault);
}

/* Blocks in the guest's buffer are as they are on the device. */
static bool is_plain(const struct nvme_io_command *cmd, u32 lba_size)
{
	return lba_size <= PIECE_SIZE &&
	       cmd->data_size == (u64)cmd->n_lbas * lba_size;
}

static void begin(struct fault *fault, struct fault_held *held)
{
	const struct nvme_io_command *cmd = nvme_io_req_command(held->req);
	struct nvme_io_namespace ns;

	held->state = HELD_TEARING;
	fault->tearing = held;
	fault->torn_blocks = 0;
	if (nvme_io_namespace_find(fault->host, cmd->nsid, &ns) ||
	    !is_plain(cmd, ns.lba_size)) {
		end(fault);
		return;
	}
	fault->lba_size = ns.lba_size;
	next_piece(fault);
}

void fault_tear_next(struct fault *fault)
{
	for (u32 i = 0; i < HELD_MAX && !fault->tearing; i++)
		if (fault->held[i].state == HELD_TO_TEAR)
			begin(fault, &fault->held[i]);
}
