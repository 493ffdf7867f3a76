/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The Host Memory Buffer (NVMe 1.4, 5.21.1.13 and 8.9): memory that the guest
 * lends the device for as long as it is enabled. These are DMA addresses like
 * any other: the list is copied once, checked, and the copy given to the
 * device, in pages of 4 KiB. Admin hub->lock held.
 */
#include "gmem.h"
#include "nvme.h"
#include "page.h"

/* The list is a page. That many chunks make any buffer drives ask for. */
#define ENTRY_MAX (PAGE_SIZE / sizeof(struct nvme_host_memory))

static struct nvme_host *host_of(const struct nvme_request *req)
{
	return req->sq->hub->host;
}

void hmb_filter(struct nvme_id_ctrl *id)
{
	if (!id->hmpre)
		return;
	if (!id->hmmaxd || id->hmmaxd > ENTRY_MAX)
		id->hmmaxd = ENTRY_MAX;
}

static void free_list(struct hmb *hmb)
{
	if (hmb->list)
		page_free(hmb->list, 1);
	*hmb = (struct hmb){ 0 };
}

void hmb_forget(struct nvme_host *host)
{
	free_list(&host->hmb);
}

bool hmb_has(const struct nvme_host *host, u64 address, u64 size)
{
	const struct hmb *hmb = &host->hmb;

	for (u32 i = 0; i < hmb->count; i++)
		if (ranges_overlap(hmb->list[i].address,
				   (u64)hmb->list[i].size << PAGE_SHIFT,
				   address, size))
			return true;
	return false;
}

/* ---- Enable ---------------------------------------------------------------------- */

/* From the guest's pages to the device's; false: more than can be said. */
static bool convert(const struct nvme_host *host, u32 *size)
{
	u64 pages = (u64)*size << (host->page_shift - PAGE_SHIFT);

	*size = pages;
	return pages && pages == (u32)pages;
}

static bool is_good(struct nvme_host *host, struct nvme_host_memory *entry)
{
	return is_aligned(entry->address, 1ull << host->page_shift) &&
		convert(host, &entry->size) &&
		dptr_is_safe(host, entry->address,
			     (u64)entry->size << PAGE_SHIFT);
}

/* An NVMe status. */
static u16 copy_list(struct nvme_host *host, const struct nvme_sqe *sqe)
{
	u64 from = (u64)sqe->cdw14 << 32 | sqe->cdw13;
	struct hmb *hmb = &host->hmb;
	u32 count = sqe->cdw15;

	if (!count || count > ENTRY_MAX ||
	    !is_aligned(from, sizeof(struct nvme_host_memory)))
		return NVME_SC_INVALID_FIELD;
	hmb->list = page_alloc(1);
	if (!hmb->list)
		return NVME_SC_INTERNAL_ERROR;
	if (gmem_read(hmb->list, gpa(from), count * sizeof(*hmb->list)))
		return NVME_SC_INVALID_FIELD;
	for (u32 i = 0; i < count; i++)
		if (!is_good(host, &hmb->list[i]))
			return NVME_SC_INVALID_FIELD;
	hmb->count = count;
	hmb->guest_list = from;
	return NVME_SC_SUCCESS;
}

static u16 enable(struct nvme_request *req)
{
	struct nvme_host *host = host_of(req);
	struct nvme_sqe *sqe = &req->sqe;
	u16 status;

	/* The device uses what it has until it is disabled (5.21.1.13). */
	if (host->hmb.is_enabled)
		return NVME_SC_SEQUENCE_ERROR;
	status = copy_list(host, sqe);
	if (!status && !convert(host, &sqe->cdw12))
		status = NVME_SC_INVALID_FIELD;
	if (status) {
		free_list(&host->hmb);
		return status;
	}
	sqe->cdw13 = (u32)page_hpa(host->hmb.list).v;
	sqe->cdw14 = page_hpa(host->hmb.list).v >> 32;
	return NVME_SC_SUCCESS;
}

bool hmb_set(struct nvme_request *req)
{
	struct hmb *hmb = &host_of(req)->hmb;
	u16 status = NVME_SC_SUCCESS;

	if (hmb->is_changing)
		status = NVME_SC_SEQUENCE_ERROR;
	else if (req->sqe.cdw11 & NVME_HOST_MEMORY_ENABLE)
		status = enable(req);
	if (status)
		return admin_refuse(req, status);
	hmb->is_changing = true;
	return true;
}

void hmb_set_done(struct nvme_request *req)
{
	struct hmb *hmb = &host_of(req)->hmb;
	bool enables = req->sqe.cdw11 & NVME_HOST_MEMORY_ENABLE;

	hmb->is_changing = false;
	if (enables && !req->completion.status)
		hmb->is_enabled = true;
	/* Refused, or given back. */
	else if (enables || !req->completion.status)
		free_list(hmb);
}

/* ---- Get Features -------------------------------------------------------------------- */

void hmb_get_done(struct nvme_request *req)
{
	struct nvme_host_memory_attributes *data = req->data.copy;
	struct nvme_host *host = host_of(req);

	if (!data || req->completion.status)
		return;
	data->size >>= host->page_shift - PAGE_SHIFT;
	/* Ours is none of its business. */
	data->list_low = (u32)host->hmb.guest_list;
	data->list_high = host->hmb.guest_list >> 32;
	if (dptr_write(req, 0, data, req->data.size))
		req->completion.status = NVME_SC_TRANSFER_ERROR | NVME_SC_DNR;
}
