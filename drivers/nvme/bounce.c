/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A request's data in pages of Sluice's own: a copy of what the guest writes,
 * where an interceptor wants to change it, and of host requests that others
 * change on their way. The pages of both, and those of PRP lists, come from
 * pools.
 */
#include <errno.h>
#include <string.h>

#include "nvme.h"
#include "page.h"

/* ---- Pages --------------------------------------------------------------- */

int bounce_init_pool(struct page_pool *pages, size_t count)
{
	pages->left = count;
	return pool_init(&pages->pool, PAGE_SIZE, count);
}

static bool try_reserve(struct page_pool *pages, u32 count)
{
	u32 left = READ_ONCE(pages->left);

	while (left >= count)
		if (__atomic_compare_exchange_n(&pages->left, &left,
						left - count, false,
						__ATOMIC_SEQ_CST,
						__ATOMIC_RELAXED))
			return true;
	return false;
}

/*
 * All that a request needs or nothing: two that each hold a part would wait
 * for each other, and one that gives its part back would wake itself.
 */
bool bounce_reserve(struct page_pool *pages, u32 count)
{
	if (try_reserve(pages, count))
		return true;
	/* The flag before the second look: a return in between sees it. */
	__atomic_store_n(&pages->is_starved, true, __ATOMIC_SEQ_CST);
	return try_reserve(pages, count);
}

void *bounce_get_page(struct page_pool *pages)
{
	void *page = pool_get(&pages->pool);

	ASSERT(page);
	return page;
}

void bounce_put_page(struct page_pool *pages, void *page)
{
	pool_put(&pages->pool, page);
}

void bounce_give_back(struct nvme_host *host, struct page_pool *pages,
		      u32 count)
{
	if (!count)
		return;
	__atomic_add_fetch(&pages->left, count, __ATOMIC_SEQ_CST);
	if (READ_ONCE(pages->is_starved) &&
	    __atomic_exchange_n(&pages->is_starved, false, __ATOMIC_SEQ_CST))
		run_wake(host, RUN_HUBS);
}

/* ---- Copies ----------------------------------------------------------------- */

static u32 page_count(u64 size)
{
	return (size + PAGE_MASK) >> PAGE_SHIFT;
}

u32 bounce_pages(u64 size)
{
	return page_count(size) + 1;
}

void bounce_make(struct dptr *data, struct page_pool *pages, u64 size)
{
	u32 count = page_count(size);
	u64 *list = bounce_get_page(pages);

	for (u32 i = 0; i < count; i++)
		list[i] = page_hpa(bounce_get_page(pages)).v;
	data->size = size;
	data->bounce = list;
	data->bounce_count = count;
	data->bounce_pool = pages;
	data->prp1 = list[0];
	data->prp2 = count == 1 ? 0 : count == 2 ? list[1] :
		page_hpa(list).v + sizeof(u64);
}

void bounce_release(struct nvme_host *host, struct dptr *data)
{
	struct page_pool *pages = data->bounce_pool;

	if (!data->bounce)
		return;
	for (u32 i = 0; i < data->bounce_count; i++)
		bounce_put_page(pages, page_pointer(hpa(data->bounce[i])));
	bounce_put_page(pages, data->bounce);
	data->bounce = NULL;
	bounce_give_back(host, pages, data->bounce_count + 1);
}

u8 *bounce_at(const struct dptr *data, u64 offset)
{
	u64 page = data->bounce[offset >> PAGE_SHIFT];

	return (u8 *)page_pointer(hpa(page)) + (offset & PAGE_MASK);
}

static size_t piece_at(u64 offset, size_t size)
{
	return MIN(size, PAGE_SIZE - (offset & PAGE_MASK));
}

void bounce_read(const struct dptr *data, u64 offset, void *to, size_t size)
{
	size_t piece;

	for (; size; size -= piece, offset += piece, to = (u8 *)to + piece) {
		piece = piece_at(offset, size);
		memcpy(to, bounce_at(data, offset), piece);
	}
}

void bounce_write(const struct dptr *data, u64 offset, const void *from,
		  size_t size)
{
	size_t piece;

	for (; size; size -= piece, offset += piece,
	     from = (const u8 *)from + piece) {
		piece = piece_at(offset, size);
		memcpy(bounce_at(data, offset), from, piece);
	}
}

/* ---- Host requests ------------------------------------------------------------- */

static void copy_sender(const struct nvme_io_descriptor *desc,
			const struct dptr *data, bool is_write)
{
	size_t piece;

	for (u64 at = 0; at < desc->size; at += piece) {
		u64 place = desc->buffer_offset + at;
		u8 *theirs = (u8 *)page_pointer(
			hpa(desc->buffers[place >> PAGE_SHIFT])) +
			(place & PAGE_MASK);

		piece = piece_at(place, desc->size - at);
		if (is_write)
			bounce_write(data, at, theirs, piece);
		else
			bounce_read(data, at, theirs, piece);
	}
}

static u16 show(struct nvme_request *req, bool is_write)
{
	struct nvme_io_descriptor *desc = req->own;
	struct nvme_io_host_data data = {
		.is_write = is_write, .nsid = desc->sqe.nsid,
		.lba = (u64)desc->sqe.cdw11 << 32 | desc->sqe.cdw10,
		.lba_size = desc->size / desc->n_lbas,
	};
	u16 status = NVME_IO_SUCCESS;

	for (u64 at = 0; at < desc->size && !status; at += PAGE_SIZE) {
		data.bytes = bounce_at(&req->data, at);
		data.n_lbas = MIN(PAGE_SIZE, desc->size - at) / data.lba_size;
		status = chain_host_data(desc->host, desc->first_entry, &data);
		data.lba += data.n_lbas;
	}
	return status;
}

static bool is_shown(const struct nvme_io_descriptor *desc)
{
	return desc->buffers && desc->sqe.opcode != NVME_CMD_FLUSH &&
		chain_has_host_data(desc->host, desc->first_entry);
}

static int refuse(u16 *status, u16 with)
{
	*status = with;
	return -EIO;
}

int bounce_begin(struct nvme_request *req, u16 *status)
{
	struct nvme_io_descriptor *desc = req->own;
	struct page_pool *pages = &desc->host->own_pages;
	bool is_write = desc->sqe.opcode == NVME_CMD_WRITE;

	*status = NVME_IO_SUCCESS;
	if (!is_shown(desc))
		return 0;
	if (desc->size / desc->n_lbas > PAGE_SIZE)
		return refuse(status, NVME_IO_INVALID_FIELD);
	if (!bounce_reserve(pages, bounce_pages(desc->size)))
		return -EAGAIN;
	bounce_make(&req->data, pages, desc->size);
	desc->sqe.prp1 = req->data.prp1;
	desc->sqe.prp2 = req->data.prp2;
	if (!is_write)
		return 0;
	copy_sender(desc, &req->data, true);
	*status = show(req, true);
	return *status ? -EIO : 0;
}

void bounce_finish(struct nvme_request *req, u16 *status)
{
	if (!req->data.bounce || *status ||
	    req->own->sqe.opcode != NVME_CMD_READ)
		return;
	*status = show(req, false);
	if (!*status)
		copy_sender(req->own, &req->data, false);
}
