/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * crypt: partitions that are encrypted on the disk and plain to the guest, in
 * the format of dm-crypt's aes-xts-plain64.
 *
 *	crypt = PARTUUID=1b2c0f6a-... key-file=\EFI\sluice\disk.key
 *
 * What is written is encrypted in Sluice's copy of it, what is read is
 * decrypted in the guest's memory. A command whose meaning for encrypted
 * blocks nobody knows, or that would move them (Copy) or store plain ones
 * (Write Zeroes), is refused. Blocks that were discarded read as noise: as
 * with dm-crypt.
 */
#include "crypt.h"

#define NEEDS (NVME_IO_NEEDS_HOST_REQUESTS | NVME_IO_CONCURRENT)

/* NVMe 1.4, figures 346 and 139. */
enum {
	FLUSH = 0x00, WRITE = 0x01, READ = 0x02, WRITE_UNCORRECTABLE = 0x04,
	COMPARE = 0x05, DATASET_MANAGEMENT = 0x09, VERIFY = 0x0c,
	RESERVATION_REGISTER = 0x0d, RESERVATION_REPORT = 0x0e,
	RESERVATION_ACQUIRE = 0x11, RESERVATION_RELEASE = 0x15,
	ADMIN_FORMAT = 0x80,
};

/* ---- Policy ------------------------------------------------------------- */

static bool is_known(const struct crypt *crypt, u32 nsid)
{
	for (u32 i = 0; i < crypt->nsid_count; i++)
		if (crypt->nsids[i] == nsid)
			return true;
	return false;
}

/* Has no block in it, nor a meaning that depends on what is in one. */
static bool is_harmless(u8 opcode)
{
	return opcode == FLUSH || opcode == RESERVATION_REGISTER ||
	       opcode == RESERVATION_REPORT || opcode == RESERVATION_ACQUIRE ||
	       opcode == RESERVATION_RELEASE;
}

static bool is_understood(u8 opcode)
{
	return opcode == WRITE || opcode == READ || opcode == COMPARE ||
	       opcode == WRITE_UNCORRECTABLE || opcode == VERIFY ||
	       opcode == DATASET_MANAGEMENT;
}

static bool has_blocks(const struct nvme_io_command *cmd)
{
	return cmd->opcode == WRITE || cmd->opcode == READ ||
	       cmd->opcode == COMPARE;
}

/* By another way to the drive its blocks may have changed since on_init(). */
static bool has_other_size(const struct range *range,
			   const struct nvme_io_command *cmd)
{
	return has_blocks(cmd) &&
	       cmd->data_size != (u64)cmd->n_lbas * range->lba_size;
}

static u16 judge_range(const struct crypt *crypt,
		       const struct nvme_io_command *cmd, u64 first, u64 last)
{
	const struct range *range =
		crypt_data_find(crypt, cmd->nsid, first, last);

	if (!range)
		return NVME_IO_SUCCESS;
	if (crypt_data_is_refused(crypt, cmd->nsid, first, last) ||
	    has_other_size(range, cmd))
		return NVME_IO_ACCESS_DENIED;
	return is_understood(cmd->opcode) ? NVME_IO_SUCCESS :
		NVME_IO_INVALID_OPCODE;
}

/* NVME_IO_SUCCESS, or what to refuse it with. */
static u16 judge(struct crypt *crypt, const struct nvme_io_command *cmd)
{
	bool is_range = cmd->effects & (NVME_IO_READS | NVME_IO_WRITES) &&
		!(cmd->effects & (NVME_IO_RANGES | NVME_IO_WHOLE)) &&
		cmd->n_lbas;

	/* Another size of blocks would be another volume. */
	if (cmd->admin)
		return cmd->opcode == ADMIN_FORMAT &&
			(crypt->range_count || crypt->is_closed) ?
			NVME_IO_ACCESS_DENIED : NVME_IO_SUCCESS;
	if (is_harmless(cmd->opcode))
		return NVME_IO_SUCCESS;
	if (crypt->is_closed)
		return NVME_IO_ACCESS_DENIED;
	if (!is_known(crypt, cmd->nsid) &&
	    crypt_volumes_may_be_in(crypt, cmd->nsid))
		return NVME_IO_INVALID_NAMESPACE;
	if (is_range)
		return judge_range(crypt, cmd, cmd->lba,
				   cmd->lba + cmd->n_lbas - 1);
	return judge_range(crypt, cmd, 0, CRYPT_LAST_LBA);
}

/* ---- Hooks ---------------------------------------------------------------- */

static bool is_encrypted(const struct crypt *crypt,
			 const struct nvme_io_command *cmd)
{
	return crypt_data_find(crypt, cmd->nsid, cmd->lba,
			       cmd->lba + cmd->n_lbas - 1);
}

static bool brings_blocks(const struct nvme_io_command *cmd)
{
	return !cmd->admin && (cmd->opcode == WRITE || cmd->opcode == COMPARE);
}

static bool wants_copy(void *interceptor, const struct nvme_io_command *cmd)
{
	return brings_blocks(cmd) && is_encrypted(interceptor, cmd);
}

static void tell(struct crypt *crypt, const struct nvme_io_command *cmd,
		 u16 status)
{
	nvme_io_log_limited(crypt->host, NVME_IO_LOG_WARN,
			    "crypt: refused %sopcode %02xh lba %lu+%u of n%u: "
			    "%03x", cmd->admin ? "admin " : "", cmd->opcode,
			    cmd->lba, cmd->n_lbas, cmd->nsid, status);
}

static enum nvme_io_verdict on_command(void *interceptor,
				       struct nvme_request *req,
				       const struct nvme_io_command *cmd)
{
	struct crypt *crypt = interceptor;
	u16 status = judge(crypt, cmd);

	if (!status && wants_copy(crypt, cmd) &&
	    crypt_data_encrypt(crypt, req))
		status = NVME_IO_INTERNAL_ERROR;
	if (!status)
		return NVME_IO_PASS;
	tell(crypt, cmd, status);
	nvme_io_set_status(req, status | NVME_IO_DNR, 0);
	return NVME_IO_DONE;
}

static void on_complete(void *interceptor, struct nvme_request *req,
			const struct nvme_io_command *cmd,
			struct nvme_io_completion *completion)
{
	struct crypt *crypt = interceptor;

	if (!cmd->admin && cmd->opcode == READ && !completion->status &&
	    is_encrypted(crypt, cmd))
		crypt_data_decrypt(crypt, req);
}

static u16 on_host_data(void *interceptor, const struct nvme_io_host_data *data)
{
	struct nvme_io_command cmd = {
		.opcode = data->is_write ? WRITE : READ, .nsid = data->nsid,
		.lba = data->lba, .n_lbas = data->n_lbas,
		.data_size = (u64)data->n_lbas * data->lba_size,
		.effects = data->is_write ? NVME_IO_WRITES : NVME_IO_READS,
	};
	struct crypt *crypt = interceptor;
	u16 status = NVME_IO_SUCCESS;

	/* While tables are read nothing is known, and nothing written. */
	if (data->is_write || !crypt->is_closed)
		status = judge(crypt, &cmd);
	if (!status)
		crypt_data_transform(crypt, data);
	return status;
}

/* Write Zeroes and Copy are not there (ONCS), and nothing is said about what
 * discarded blocks read as (DLFEAT). */
static void on_identify(void *interceptor, u8 cns, u32 nsid, u16 controller_id,
			void *data)
{
	struct crypt *crypt = interceptor;
	u8 *bytes = data;

	if (cns == 0x01 && crypt->range_count) {
		bytes[520] &= ~(1u << 3);
		bytes[521] &= ~(1u << 0);
	} else if ((cns == 0x00 || cns == 0x11) &&
		   crypt_data_find(crypt, nsid, 0, CRYPT_LAST_LBA)) {
		bytes[33] = 0;
	}
}

static u8 on_init(void *interceptor)
{
	struct crypt *crypt = interceptor;

	crypt->interceptor.needs = NEEDS;
	crypt_volumes_find(crypt);
	return 1;
}

static int attach(struct nvme_host *host)
{
	struct crypt *crypt;
	phys_t phys;

	if (!crypt_volumes_get(0))
		return 0;
	crypt = nvme_io_alloc_pages(host, (sizeof(*crypt) + 4095) / 4096,
				    &phys);
	if (!crypt)
		return -1;
	crypt->host = host;
	crypt->interceptor = (struct nvme_io_interceptor){
		.interceptor = crypt,
		.on_init = on_init,
		.needs = NEEDS,
		.on_command = on_command,
		.on_complete = on_complete,
		.on_identify = on_identify,
		.wants_copy = wants_copy,
		.on_host_data = on_host_data,
		.control = &crypt_control,
	};
	nvme_io_install_interceptor(host, &crypt->interceptor);
	return 0;
}

static const struct nvme_io_plugin plugin = {
	.name = "crypt",
	.configure = crypt_volumes_configure,
	.attach = attach,
};
NVME_IO_PLUGIN(plugin);
