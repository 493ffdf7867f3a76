/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What an I/O command means: its effect on blocks, and how long its data is.
 * A command whose length nobody knows is refused: the device would read or
 * write where Sluice has not looked. Admin commands: command_admin.c.
 */
#include <string.h>

#include "nvme.h"

enum length {
	LENGTH_NONE,
	LENGTH_BLOCKS,		/* NLB of CDW12 */
	LENGTH_RANGES,		/* Dataset Management */
	LENGTH_COPY,		/* source ranges */
	LENGTH_DWORDS_10,	/* 0's based, in that CDW */
	LENGTH_DWORDS_12,
	LENGTH_16,
	LENGTH_8,
};

struct meaning {
	bool is_known;
	u8 effects;
	u8 length;		/* of enum length */
	u8 direction;		/* of enum nvme_io_direction */
};

#define TO NVME_IO_TO_DEVICE
#define FROM NVME_IO_FROM_DEVICE
#define NONE NVME_IO_NO_DATA
#define READS NVME_IO_READS
#define WRITES NVME_IO_WRITES
#define RANGES NVME_IO_RANGES
#define WHOLE NVME_IO_WHOLE

static const struct meaning nvm_commands[256] = {
	[NVME_CMD_FLUSH] = { true, 0, LENGTH_NONE, NONE },
	[NVME_CMD_WRITE] = { true, WRITES, LENGTH_BLOCKS, TO },
	[NVME_CMD_READ] = { true, READS, LENGTH_BLOCKS, FROM },
	[NVME_CMD_WRITE_UNCORRECTABLE] = { true, WRITES, LENGTH_NONE, NONE },
	[NVME_CMD_COMPARE] = { true, READS, LENGTH_BLOCKS, TO },
	[NVME_CMD_WRITE_ZEROES] = { true, WRITES, LENGTH_NONE, NONE },
	[NVME_CMD_DSM] = { true, RANGES, LENGTH_RANGES, TO },
	[NVME_CMD_VERIFY] = { true, READS, LENGTH_NONE, NONE },
	[NVME_CMD_RESERVATION_REGISTER] = { true, WHOLE, LENGTH_16, TO },
	[NVME_CMD_RESERVATION_REPORT] = { true, 0, LENGTH_DWORDS_10, FROM },
	[NVME_CMD_RESERVATION_ACQUIRE] = { true, WHOLE, LENGTH_16, TO },
	[NVME_CMD_RESERVATION_RELEASE] = { true, WHOLE, LENGTH_8, TO },
	[NVME_CMD_COPY] = { true, RANGES | WRITES, LENGTH_COPY, TO },
};

/*
 * Zoned Namespaces 1.1, 3.4. Append says the zone, not the block; a reset of
 * a zone is a write of blocks that only the device can name.
 */
static const struct meaning zone_commands[256] = {
	[NVME_CMD_ZONE_MANAGEMENT_SEND] = { true, WHOLE, LENGTH_NONE, NONE },
	[NVME_CMD_ZONE_MANAGEMENT_RECEIVE] = { true, 0, LENGTH_DWORDS_12,
					       FROM },
	[NVME_CMD_ZONE_APPEND] = { true, WRITES | WHOLE, LENGTH_BLOCKS, TO },
};

static u64 lba_of(const struct nvme_sqe *sqe)
{
	return (u64)sqe->cdw11 << 32 | sqe->cdw10;
}

/* Metadata that travels in the data buffer; with PRACT and nothing but PI
 * the controller makes or strips it (8.3.1.4). */
static u64 inline_metadata(const struct nvme_namespace *ns, u32 cdw12)
{
	if (!ns->public.metadata_inline)
		return 0;
	if (ns->has_pi_only && (cdw12 & NVME_RW_PRACT))
		return 0;
	return ns->public.metadata_size;
}

static u64 data_size(const struct nvme_sqe *sqe, enum length length,
		     const struct nvme_namespace *ns)
{
	u64 blocks = (sqe->cdw12 & 0xffff) + 1;

	switch (length) {
	case LENGTH_BLOCKS:
		return blocks * (ns->public.lba_size +
				 inline_metadata(ns, sqe->cdw12));
	case LENGTH_RANGES:
		return (FIELD_GET(NVME_DSM_COUNT, sqe->cdw10) + 1) *
			sizeof(struct nvme_dsm_range);
	case LENGTH_COPY:
		return (FIELD_GET(NVME_DSM_COUNT, sqe->cdw12) + 1) *
			(FIELD_GET(NVME_COPY_FORMAT, sqe->cdw12) ? 40 : 32);
	case LENGTH_DWORDS_10:
		return ((u64)sqe->cdw10 + 1) * 4;
	case LENGTH_DWORDS_12:
		return ((u64)sqe->cdw12 + 1) * 4;
	case LENGTH_16:
		return 16;
	case LENGTH_8:
		return 8;
	default:
		return 0;
	}
}

static void decode_blocks(struct nvme_io_command *cmd,
			  const struct nvme_sqe *sqe)
{
	if (!(cmd->effects & (READS | WRITES)))
		return;
	cmd->lba = lba_of(sqe);
	/* The destination of a Copy is as long as its sources: chain.c. */
	cmd->n_lbas = cmd->effects & RANGES ? 0 : (sqe->cdw12 & 0xffff) + 1;
}

/* Separate metadata is contiguous and only its address stands there. */
static u16 check_metadata(struct nvme_request *req,
			  const struct nvme_namespace *ns)
{
	u64 size = (u64)req->cmd.n_lbas * ns->public.metadata_size;
	u8 opcode = req->cmd.opcode;
	bool has_metadata = size && !ns->public.metadata_inline &&
		(opcode == NVME_CMD_READ || opcode == NVME_CMD_WRITE ||
		 opcode == NVME_CMD_COMPARE || opcode == NVME_CMD_ZONE_APPEND);

	if (!has_metadata ||
	    (ns->has_pi_only && (req->sqe.cdw12 & NVME_RW_PRACT))) {
		req->sqe.mptr = 0;
		return NVME_SC_SUCCESS;
	}
	return dptr_is_safe(req->sq->hub->host, req->sqe.mptr, size) ?
		NVME_SC_SUCCESS : NVME_SC_TRANSFER_ERROR | NVME_SC_DNR;
}

/* Reads and writes where there is no metadata: most of what comes. */
static u16 decode_data(struct nvme_request *req,
		       const struct nvme_namespace *ns, u64 limit)
{
	struct nvme_io_command *cmd = &req->cmd;

	cmd->lba = lba_of(&req->sqe);
	cmd->n_lbas = (req->sqe.cdw12 & 0xffff) + 1;
	cmd->data_size = (u64)cmd->n_lbas * ns->public.lba_size;
	req->sqe.mptr = 0;
	return cmd->data_size > limit ? NVME_SC_INVALID_FIELD | NVME_SC_DNR :
		NVME_SC_SUCCESS;
}

static u16 decode_known(struct nvme_request *req, const struct meaning *meaning,
			const struct nvme_namespace *ns)
{
	struct nvme_io_command *cmd = &req->cmd;
	u64 limit = req->sq->hub->host->transfer_max;

	cmd->effects = meaning->effects;
	cmd->direction = meaning->direction;
	if (meaning->length == LENGTH_BLOCKS && !ns->public.metadata_size)
		return decode_data(req, ns, limit);
	cmd->data_size = data_size(&req->sqe, meaning->length, ns);
	decode_blocks(cmd, &req->sqe);
	/* MDTS counts metadata only where it is in the buffer (5.15.2.2). */
	if (cmd->data_size > limit)
		return NVME_SC_INVALID_FIELD | NVME_SC_DNR;
	/* Its descriptors are shown to a hook from one page; in formats above
	 * 1 they may name other namespaces. */
	if (meaning->length == LENGTH_COPY &&
	    (cmd->data_size > PAGE_SIZE ||
	     FIELD_GET(NVME_COPY_FORMAT, cmd->cdw12) > 1))
		return NVME_SC_INVALID_FIELD | NVME_SC_DNR;
	/* The extension's length is the device's own secret. */
	if (cmd->opcode == NVME_CMD_ZONE_MANAGEMENT_SEND &&
	    FIELD_GET(NVME_ZONE_SEND_ACTION, req->sqe.cdw13) ==
	    NVME_ZONE_SET_EXTENSION)
		return NVME_SC_INVALID_FIELD | NVME_SC_DNR;
	return check_metadata(req, ns);
}

/* Vendor commands may follow the standard format: NDT in CDW10 (4.2.1). */
static u16 decode_unknown(struct nvme_request *req, bool is_standard)
{
	struct nvme_io_command *cmd = &req->cmd;
	u32 direction = FIELD_GET(NVME_OPCODE_DIRECTION, cmd->opcode);

	cmd->effects = NVME_IO_UNKNOWN;
	req->sqe.mptr = 0;
	if (direction == NVME_OPCODE_NO_DATA)
		return NVME_SC_SUCCESS;
	if (!is_standard)
		return NVME_SC_INVALID_OPCODE | NVME_SC_DNR;
	cmd->data_size = (u64)req->sqe.cdw10 * 4;
	cmd->direction = direction == NVME_OPCODE_FROM_DEVICE ? FROM : TO;
	return cmd->data_size > req->sq->hub->host->transfer_max ||
		req->sqe.cdw11 ? NVME_SC_INVALID_FIELD | NVME_SC_DNR :
		NVME_SC_SUCCESS;
}

static const struct meaning *meaning_of(u8 opcode,
					const struct nvme_namespace *ns)
{
	u8 set = ns->public.command_set;

	if (set == NVME_CSI_ZONED && zone_commands[opcode].is_known)
		return &zone_commands[opcode];
	if ((set == NVME_CSI_NVM || set == NVME_CSI_ZONED) &&
	    nvm_commands[opcode].is_known)
		return &nvm_commands[opcode];
	return NULL;
}

static u16 decode_io(struct nvme_request *req)
{
	struct hub *hub = req->sq->hub;
	const struct nvme_namespace *ns = ns_look_up(hub, req->sqe.nsid);
	const struct meaning *meaning;

	/* Flush may be for all namespaces (6.8); it has no data to look at. */
	if (!ns) {
		req->sqe.mptr = 0;
		return req->sqe.opcode == NVME_CMD_FLUSH ? NVME_SC_SUCCESS :
			NVME_SC_INVALID_NAMESPACE | NVME_SC_DNR;
	}
	meaning = meaning_of(req->sqe.opcode, ns);
	if (meaning)
		return decode_known(req, meaning, ns);
	return decode_unknown(req, req->sqe.opcode >= NVME_CMD_VENDOR &&
			      hub->host->has_standard_io);
}

/* PSDT (4.2); an SGL for metadata is not offered. */
static bool has_good_pointer(const struct nvme_request *req)
{
	switch (FIELD_GET(NVME_SQE_PSDT, req->sqe.flags)) {
	case NVME_PSDT_PRP:
		return true;
	case NVME_PSDT_SGL:
		return req->sq->id && req->sq->hub->host->sgls;
	default:
		return false;
	}
}

/* Field by field: to clear it all first would take as long again. */
static void copy_fields(struct nvme_io_command *cmd, const struct nvme_sqe *sqe)
{
	cmd->opcode = sqe->opcode;
	cmd->fuse = FIELD_GET(NVME_SQE_FUSE, sqe->flags);
	cmd->cid = sqe->cid;
	cmd->nsid = sqe->nsid;
	memcpy(&cmd->cdw10, &sqe->cdw10, 6 * sizeof(u32));
	cmd->effects = 0;
	cmd->lba = 0;
	cmd->n_lbas = 0;
	cmd->direction = NVME_IO_NO_DATA;
	cmd->data_size = 0;
}

u16 command_decode(struct nvme_request *req)
{
	const struct nvme_sqe *sqe = &req->sqe;
	struct nvme_io_command *cmd = &req->cmd;

	copy_fields(cmd, sqe);
	cmd->queue_id = req->sq->id;
	cmd->admin = !cmd->queue_id;
	/* Fused commands are not offered (Identify: FUSES). */
	if ((sqe->flags & NVME_SQE_FUSE) || !has_good_pointer(req))
		return NVME_SC_INVALID_FIELD | NVME_SC_DNR;
	return cmd->admin ? command_decode_admin(req) : decode_io(req);
}
