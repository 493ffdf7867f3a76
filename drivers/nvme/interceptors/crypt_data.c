/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Blocks to ciphertext and back, as dm-crypt's aes-xts-plain64 does it: the
 * tweak of a block is its place in the volume in units of 512 bytes, also
 * where blocks are larger (no iv_large_sectors).
 */
#include "crypt.h"

#define IV_UNIT 512

/* A range past the last LBA ends there: last < first. */
static bool overlaps(const struct range *range, u32 nsid, u64 first, u64 last)
{
	return range->nsid == nsid && range->last >= first &&
	       (range->first <= last || last < first);
}

const struct range *crypt_data_find(const struct crypt *crypt, u32 nsid,
				    u64 first, u64 last)
{
	for (u32 i = 0; i < crypt->range_count; i++)
		if (overlaps(&crypt->ranges[i], nsid, first, last))
			return &crypt->ranges[i];
	return NULL;
}

bool crypt_data_is_refused(const struct crypt *crypt, u32 nsid, u64 first,
			   u64 last)
{
	for (u32 i = 0; i < crypt->range_count; i++)
		if (crypt->ranges[i].is_refused &&
		    overlaps(&crypt->ranges[i], nsid, first, last))
			return true;
	return false;
}

/* Between sse_begin() and sse_end(). */
static void transform(const struct range *range, u64 lba, u8 *block,
		      bool encrypts)
{
	const struct xts_key *key = &range->volume->key;
	u64 number = (lba - range->first) * (range->lba_size / IV_UNIT);

	if (encrypts)
		xts_encrypt(key, number, block, range->lba_size);
	else
		xts_decrypt(key, number, block, range->lba_size);
}

void crypt_data_transform(const struct crypt *crypt,
			  const struct nvme_io_host_data *data)
{
	struct sse_state guest;

	sse_begin(&guest);
	for (u32 i = 0; i < data->n_lbas; i++) {
		u64 lba = data->lba + i;
		const struct range *range =
			crypt_data_find(crypt, data->nsid, lba, lba);

		if (range)
			transform(range, lba, data->bytes + i * data->lba_size,
				  data->is_write);
	}
	sse_end(&guest);
}

/* ---- Commands ------------------------------------------------------- */

static int encrypt_block(const struct crypt *crypt, struct nvme_request *req,
			 u32 i)
{
	const struct nvme_io_command *cmd = nvme_io_req_command(req);
	u64 lba = cmd->lba + i;
	const struct range *range =
		crypt_data_find(crypt, cmd->nsid, lba, lba);
	u8 *block;

	if (!range)
		return 0;
	block = nvme_io_req_buf(crypt->host, req, i);
	if (!block)
		return -1;
	transform(range, lba, block, true);
	return 0;
}

int crypt_data_encrypt(const struct crypt *crypt, struct nvme_request *req)
{
	u32 count = nvme_io_req_command(req)->n_lbas;
	struct sse_state guest;
	int result = 0;

	sse_begin(&guest);
	for (u32 i = 0; i < count && !result; i++)
		result = encrypt_block(crypt, req, i);
	sse_end(&guest);
	return result;
}

/* In the guest's memory, which it may change meanwhile, to its own harm. */
static void decrypt_block(const struct crypt *crypt, struct nvme_request *req,
			  u32 i)
{
	const struct nvme_io_command *cmd = nvme_io_req_command(req);
	u64 lba = cmd->lba + i;
	const struct range *range =
		crypt_data_find(crypt, cmd->nsid, lba, lba);
	u8 copy[BLOCK_MAX], *block;
	u64 offset;

	if (!range)
		return;
	block = nvme_io_req_buf(crypt->host, req, i);
	if (block) {
		transform(range, lba, block, false);
		return;
	}
	/* In pieces; or in a bit bucket, from which nothing comes. */
	offset = (u64)i * range->lba_size;
	if (nvme_io_req_read(req, offset, copy, range->lba_size))
		return;
	transform(range, lba, copy, false);
	nvme_io_req_write(req, offset, copy, range->lba_size);
}

void crypt_data_decrypt(const struct crypt *crypt, struct nvme_request *req)
{
	u32 count = nvme_io_req_command(req)->n_lbas;
	struct sse_state guest;

	sse_begin(&guest);
	for (u32 i = 0; i < count; i++)
		decrypt_block(crypt, req, i);
	sse_end(&guest);
}
