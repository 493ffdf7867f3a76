/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What an admin command means: whether it may change blocks, and how long
 * its data is. What Sluice does with it afterwards is admin.c's.
 */
#include "nvme.h"

enum length {
	LENGTH_NONE,
	LENGTH_PAGE,		/* 4096 bytes */
	LENGTH_LOG,		/* NUMDL and NUMDU */
	LENGTH_DWORDS_10,	/* 0's based, in that CDW */
	LENGTH_DWORDS_12,
	LENGTH_BYTES_11,	/* in CDW11 */
	LENGTH_FEATURE,
	LENGTH_NS_MANAGEMENT,	/* a page to create, nothing to delete */
};

enum {
	IS_KNOWN = 1,
	IS_WHOLE = 2,	/* NVME_IO_WHOLE */
	IS_TO = 4,
	IS_FROM = 8,
};

static const struct meaning {
	u8 flags;
	enum length length;
} commands[256] = {
	[NVME_ADMIN_DELETE_SQ] = { IS_KNOWN, LENGTH_NONE },
	[NVME_ADMIN_CREATE_SQ] = { IS_KNOWN, LENGTH_NONE },
	[NVME_ADMIN_GET_LOG_PAGE] = { IS_KNOWN | IS_FROM, LENGTH_LOG },
	[NVME_ADMIN_DELETE_CQ] = { IS_KNOWN, LENGTH_NONE },
	[NVME_ADMIN_CREATE_CQ] = { IS_KNOWN, LENGTH_NONE },
	[NVME_ADMIN_IDENTIFY] = { IS_KNOWN | IS_FROM, LENGTH_PAGE },
	[NVME_ADMIN_ABORT] = { IS_KNOWN, LENGTH_NONE },
	[NVME_ADMIN_SET_FEATURES] = { IS_KNOWN | IS_TO, LENGTH_FEATURE },
	[NVME_ADMIN_GET_FEATURES] = { IS_KNOWN | IS_FROM, LENGTH_FEATURE },
	[NVME_ADMIN_ASYNC_EVENT] = { IS_KNOWN, LENGTH_NONE },
	[NVME_ADMIN_NS_MANAGEMENT] = { IS_KNOWN | IS_WHOLE | IS_TO,
				       LENGTH_NS_MANAGEMENT },
	[NVME_ADMIN_FIRMWARE_COMMIT] = { IS_KNOWN | IS_WHOLE, LENGTH_NONE },
	[NVME_ADMIN_FIRMWARE_DOWNLOAD] = { IS_KNOWN | IS_WHOLE | IS_TO,
					   LENGTH_DWORDS_10 },
	[NVME_ADMIN_SELF_TEST] = { IS_KNOWN | IS_WHOLE, LENGTH_NONE },
	[NVME_ADMIN_NS_ATTACHMENT] = { IS_KNOWN | IS_WHOLE | IS_TO,
				       LENGTH_PAGE },
	[NVME_ADMIN_KEEP_ALIVE] = { IS_KNOWN, LENGTH_NONE },
	[NVME_ADMIN_DIRECTIVE_SEND] = { IS_KNOWN | IS_WHOLE | IS_TO,
					LENGTH_DWORDS_10 },
	[NVME_ADMIN_DIRECTIVE_RECEIVE] = { IS_KNOWN | IS_WHOLE | IS_FROM,
					   LENGTH_DWORDS_10 },
	[NVME_ADMIN_CAPACITY] = { IS_KNOWN | IS_WHOLE, LENGTH_NONE },
	[NVME_ADMIN_LOCKDOWN] = { IS_KNOWN | IS_WHOLE, LENGTH_NONE },
	[NVME_ADMIN_DOORBELL_BUFFER] = { IS_KNOWN, LENGTH_NONE },
	[NVME_ADMIN_FORMAT] = { IS_KNOWN | IS_WHOLE, LENGTH_NONE },
	[NVME_ADMIN_SECURITY_SEND] = { IS_KNOWN | IS_WHOLE | IS_TO,
				       LENGTH_BYTES_11 },
	[NVME_ADMIN_SECURITY_RECEIVE] = { IS_KNOWN | IS_WHOLE | IS_FROM,
					  LENGTH_BYTES_11 },
	[NVME_ADMIN_SANITIZE] = { IS_KNOWN | IS_WHOLE, LENGTH_NONE },
	[NVME_ADMIN_GET_LBA_STATUS] = { IS_KNOWN | IS_FROM, LENGTH_DWORDS_12 },
};

/* Data of Get and Set Features by feature (5.21.1, Figure 271). */
static u64 feature_size(const struct nvme_request *req)
{
	u8 feature = FIELD_GET(NVME_FEATURE_ID, req->sqe.cdw10);
	bool is_set = req->sqe.opcode == NVME_ADMIN_SET_FEATURES;

	if (!is_set && FIELD_GET(NVME_FEATURE_SELECT, req->sqe.cdw10) ==
	    NVME_FEATURE_SELECT_SUPPORTED)
		return 0;
	switch (feature) {
	case NVME_FEATURE_LBA_RANGE:
		return PAGE_SIZE;
	case NVME_FEATURE_HOST_MEMORY:
		return is_set ? 0 : PAGE_SIZE;
	case NVME_FEATURE_POWER_TRANSITION:
		return 256;
	case NVME_FEATURE_TIMESTAMP:
		return 8;
	case NVME_FEATURE_PREDICTABLE:
	case NVME_FEATURE_HOST_BEHAVIOR:
		return 512;
	case NVME_FEATURE_COMMAND_SETS:
		return is_set ? 0 : 512;
	case NVME_FEATURE_HOST_ID:
		return req->sqe.cdw11 & NVME_HOST_ID_EXTENDED ? 16 : 8;
	}
	if (feature >= NVME_FEATURE_ENHANCED_METADATA &&
	    feature <= NVME_FEATURE_NS_METADATA)
		return PAGE_SIZE;
	/* A vendor's may have data: no more than a page was ever seen. */
	return feature >= NVME_FEATURE_VENDOR && req->sqe.prp1 ? PAGE_SIZE : 0;
}

static u64 data_size(const struct nvme_request *req, enum length length)
{
	const struct nvme_sqe *sqe = &req->sqe;

	switch (length) {
	case LENGTH_PAGE:
		return PAGE_SIZE;
	case LENGTH_LOG:
		return ((u64)(sqe->cdw11 & 0xffff) << 16 |
			sqe->cdw10 >> 16) * 4 + 4;
	case LENGTH_DWORDS_10:
		return ((u64)sqe->cdw10 + 1) * 4;
	case LENGTH_DWORDS_12:
		return ((u64)sqe->cdw12 + 1) * 4;
	case LENGTH_BYTES_11:
		return sqe->cdw11;
	case LENGTH_FEATURE:
		return feature_size(req);
	case LENGTH_NS_MANAGEMENT:
		return sqe->cdw10 & 0xf ? 0 : PAGE_SIZE;
	default:
		return 0;
	}
}

static void set_direction(struct nvme_io_command *cmd, bool is_to)
{
	cmd->direction = !cmd->data_size ? NVME_IO_NO_DATA :
		is_to ? NVME_IO_TO_DEVICE : NVME_IO_FROM_DEVICE;
}

/*
 * Unknown without data in its opcode passes, as does a vendor's in the
 * standard format (4.2.1). Any other might move data nobody has looked at.
 */
static u16 decode_unknown(struct nvme_request *req)
{
	u32 direction = FIELD_GET(NVME_OPCODE_DIRECTION, req->sqe.opcode);
	bool is_standard = req->sqe.opcode >= NVME_ADMIN_VENDOR &&
		req->sq->hub->host->has_standard_admin;

	req->cmd.effects = NVME_IO_UNKNOWN;
	if (direction == NVME_OPCODE_NO_DATA)
		return NVME_SC_SUCCESS;
	if (!is_standard)
		return NVME_SC_INVALID_OPCODE | NVME_SC_DNR;
	/* A metadata buffer's length, NDM, is not walked. */
	if (req->sqe.cdw11)
		return NVME_SC_INVALID_FIELD | NVME_SC_DNR;
	req->cmd.data_size = (u64)req->sqe.cdw10 * 4;
	set_direction(&req->cmd, direction != NVME_OPCODE_FROM_DEVICE);
	return NVME_SC_SUCCESS;
}

static bool is_never_passed(u8 opcode)
{
	return opcode == NVME_ADMIN_VIRTUALIZATION ||
		opcode == NVME_ADMIN_MI_SEND ||
		opcode == NVME_ADMIN_MI_RECEIVE;
}

u16 command_decode_admin(struct nvme_request *req)
{
	const struct meaning *meaning = &commands[req->sqe.opcode];
	u16 status = NVME_SC_SUCCESS;

	req->sqe.mptr = 0;
	if (control_is_meant(&req->sqe))
		return control_decode(req);
	if (is_never_passed(req->sqe.opcode))
		return NVME_SC_INVALID_OPCODE | NVME_SC_DNR;
	if (meaning->flags & IS_KNOWN) {
		req->cmd.effects = meaning->flags & IS_WHOLE ?
			NVME_IO_WHOLE : 0;
		req->cmd.data_size = data_size(req, meaning->length);
		set_direction(&req->cmd, meaning->flags & IS_TO);
	} else {
		status = decode_unknown(req);
	}
	if (req->cmd.data_size > req->sq->hub->host->transfer_max)
		status = NVME_SC_INVALID_FIELD | NVME_SC_DNR;
	return status;
}
