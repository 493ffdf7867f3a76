/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A request's data: the guest's PRPs (NVMe 1.4, 4.3) in pages of CC.MPS,
 * walked once and rewritten, checked, as the device's in pages of 4 KiB.
 * SGLs have their own walk: sgl.c.
 */
#include <errno.h>
#include <string.h>

#include "barrier.h"
#include "gmem.h"
#include "nvme.h"
#include "page.h"

#define LIST_ENTRIES (PAGE_SIZE / sizeof(u64))

struct walk {
	struct nvme_host *host;
	struct dptr *data;
	u64 page_size;		/* of the guest */
	u64 left;		/* bytes not yet placed */
	u64 *slot, *last_slot;	/* of the device's PRPs: that of the next page,
				 * and the last before another list */
	u32 next_list;
	u64 run, run_size;	/* pages placed last, not yet checked */
};

static COLD void tell_unsafe(struct nvme_host *host, u64 address, u64 size)
{
	u32 count = __atomic_add_fetch(&host->unsafe_count, 1,
				       __ATOMIC_RELAXED);

	log_limited(LOG_WARN, "%s: refused DMA at %#llx+%#llx (%u so far)",
		    host->name, (unsigned long long)address,
		    (unsigned long long)size, count);
}

static __attribute__((noinline)) bool look_closely(struct nvme_host *host,
						   u64 address, u64 size)
{
	if (gmem_is_dma_safe(gpa(address), size) &&
	    !direct_is_watched(address, size))
		return true;
	tell_unsafe(host, address, size);
	return false;
}

HOT bool dptr_is_safe(struct nvme_host *host, u64 address, u64 size)
{
	return (gmem_is_dma_safe(gpa(address), size) &&
		!direct_is_near(address, size)) ||
		look_closely(host, address, size);
}

/* ---- The shadow list --------------------------------------------------------- */

/*
 * Where page `index` from 1 on stands. Every list page but the last has 511
 * entries and the pointer to the next; the last may have 512.
 */
static u64 *list_entry(const struct dptr *data, u32 index)
{
	u32 entry = index - 1;
	u32 list = data->list_count == 1 ? 0 :
		MIN(entry / (LIST_ENTRIES - 1), data->list_count - 1);

	return (u64 *)data->lists[list] + entry - list * (LIST_ENTRIES - 1);
}

static u64 page_at(const struct dptr *data, u32 index)
{
	if (!index)
		return align_down(data->prp1, PAGE_SIZE);
	return data->list_count ? *list_entry(data, index) : data->prp2;
}

static u32 lists_for(const struct nvme_request *req)
{
	u64 offset = req->sqe.prp1 & PAGE_MASK;
	u32 page_count = (offset + req->cmd.data_size + PAGE_MASK) >>
		PAGE_SHIFT;
	u32 entries = page_count - 1;

	if (page_count <= 2)
		return 0;
	if (entries <= LIST_ENTRIES)
		return 1;
	return (entries - 1 + LIST_ENTRIES - 2) / (LIST_ENTRIES - 1);
}

/* ---- Pages from the pool -------------------------------------------------------- */

/* What Sluice or a hook looks at or changes goes through a page of ours. */
static bool is_copied(const struct nvme_request *req)
{
	const struct nvme_io_command *cmd = &req->cmd;

	if (req->is_control)
		return true;
	if (cmd->admin)
		return cmd->opcode == NVME_ADMIN_IDENTIFY ||
			(cmd->opcode == NVME_ADMIN_GET_FEATURES &&
			 FIELD_GET(NVME_FEATURE_ID, cmd->cdw10) ==
			 NVME_FEATURE_HOST_MEMORY);
	return cmd->effects & NVME_IO_RANGES;
}

static bool has_scratch(const struct nvme_io_command *cmd)
{
	return cmd->effects & NVME_IO_RANGES && cmd->opcode == NVME_CMD_COPY;
}

static u32 pages_for(const struct nvme_request *req, u32 list_count)
{
	return list_count + is_copied(req) + has_scratch(&req->cmd);
}

static void get_pages(struct nvme_host *host, struct nvme_request *req)
{
	struct dptr *data = &req->data;
	u32 count = data->list_count;

	for (u32 i = 0; i < count; i++)
		data->lists[i] = bounce_get_page(&host->pages);
	if (is_copied(req))
		data->copy = memset(bounce_get_page(&host->pages), 0,
				    PAGE_SIZE);
	if (has_scratch(&req->cmd))
		data->scratch = bounce_get_page(&host->pages);
}

static void put_pages(struct nvme_host *host, struct dptr *data)
{
	u32 count = data->list_count;

	bounce_release(host, data);
	for (u32 i = 0; i < data->list_count; i++)
		bounce_put_page(&host->pages, data->lists[i]);
	if (data->copy) {
		bounce_put_page(&host->pages, data->copy);
		count++;
	}
	if (data->scratch) {
		bounce_put_page(&host->pages, data->scratch);
		count++;
	}
	bounce_give_back(host, &host->pages, count);
}

void dptr_release(struct nvme_request *req)
{
	struct dptr *data = &req->data;

	if (dptr_has_pages(data))
		put_pages(req->sq->hub->host, data);
	memset(data, 0, offsetof(struct dptr, lists));
}

/* What the guest's SGL could have needed and did not. */
static void trim(struct nvme_host *host, struct dptr *data)
{
	u32 kept = sgl_list_count(data);
	u32 count = data->list_count - kept;

	while (data->list_count > kept)
		bounce_put_page(&host->pages,
				data->lists[--data->list_count]);
	bounce_give_back(host, &host->pages, count);
}

/* ---- The guest's PRPs --------------------------------------------------------------- */

/* May the device have it? Otherwise it gets nothing of this command. */
static u16 check_run(const struct walk *walk)
{
	return !walk->run_size ||
		dptr_is_safe(walk->host, walk->run, walk->run_size) ?
		NVME_SC_SUCCESS : NVME_SC_TRANSFER_ERROR | NVME_SC_DNR;
}

/* The PRPs are full, or this list is but for the pointer to the next. */
static void begin_list(struct walk *walk)
{
	struct dptr *data = walk->data;
	u32 list = walk->next_list++;

	if (!data->list_count) {
		walk->slot = walk->last_slot = &data->prp2;
		return;
	}
	walk->slot = (u64 *)data->lists[list];
	walk->last_slot = walk->slot + LIST_ENTRIES -
		(list + 1 < data->list_count ? 2 : 1);
}

static inline void place(struct walk *walk, u64 address)
{
	*walk->slot = address;
	if (walk->slot != walk->last_slot)
		walk->slot++;
	else if (walk->left)
		begin_list(walk);
}

/* At most one page of the guest's. Those that follow each other in memory are
 * checked together. Inline: a transfer has many. */
static inline u16 add_page(struct walk *walk, u64 address, u64 size)
{
	u64 left = (address & PAGE_MASK) + size;
	u16 status = NVME_SC_SUCCESS;

	if (address != walk->run + walk->run_size) {
		status = check_run(walk);
		walk->run = address;
		walk->run_size = 0;
	}
	walk->run_size += size;
	for (; left > PAGE_SIZE; left -= PAGE_SIZE) {
		place(walk, address);
		address = align_down(address, PAGE_SIZE) + PAGE_SIZE;
	}
	walk->left -= size;
	place(walk, address);
	return status;
}

/*
 * `count` entries from `*list` on, up to the end of its page, each read once.
 * The last is a pointer to the next list only when more than a page of data
 * remains (4.3).
 */
static u16 add_entries(struct walk *walk, u64 *list, u32 count, bool is_end)
{
	const u64 *entries = gmem_map(gpa(*list), count * sizeof(u64));
	u16 status = NVME_SC_SUCCESS;

	if (!entries)
		return NVME_SC_TRANSFER_ERROR | NVME_SC_DNR;
	*list += count * sizeof(u64);
	for (u32 i = 0; i < count && walk->left && !status; i++) {
		u64 entry = READ_ONCE(entries[i]);

		if (!is_aligned(entry, walk->page_size))
			return NVME_SC_PRP_OFFSET_INVALID | NVME_SC_DNR;
		if (is_end && i == count - 1 && walk->left > walk->page_size)
			*list = entry;
		else
			status = add_page(walk, entry, MIN(walk->left,
							   walk->page_size));
	}
	return status;
}

/* Each turn but a first one on the last entry of a page places data. */
static u16 add_list(struct walk *walk, u64 list)
{
	u16 status = NVME_SC_SUCCESS;

	if (!is_aligned(list, sizeof(u64)))
		return NVME_SC_PRP_OFFSET_INVALID | NVME_SC_DNR;
	while (walk->left && !status) {
		u64 in_page = (walk->page_size -
			       (list & (walk->page_size - 1))) / sizeof(u64);
		u64 pages = (walk->left + walk->page_size - 1) /
			walk->page_size;
		u32 count = MIN(in_page, pages);

		status = add_entries(walk, &list, count, count == in_page);
	}
	return status;
}

static void link_lists(struct dptr *data)
{
	for (u32 i = 1; i < data->list_count; i++)
		((u64 *)data->lists[i - 1])[LIST_ENTRIES - 1] =
			page_hpa(data->lists[i]).v;
	if (data->list_count)
		data->prp2 = page_hpa(data->lists[0]).v;
}

static u16 walk_entries(struct walk *walk, const struct nvme_sqe *sqe)
{
	u16 status;

	status = add_page(walk, sqe->prp1, MIN(walk->left, walk->page_size -
					       (sqe->prp1 &
						(walk->page_size - 1))));
	if (status || !walk->left)
		return status;
	if (walk->left > walk->page_size)
		return add_list(walk, sqe->prp2);
	if (!is_aligned(sqe->prp2, walk->page_size))
		return NVME_SC_PRP_OFFSET_INVALID | NVME_SC_DNR;
	return add_page(walk, sqe->prp2, walk->left);
}

static u16 walk_prps(struct nvme_request *req)
{
	struct nvme_host *host = req->sq->hub->host;
	struct walk walk = {
		.host = host, .data = &req->data, .left = req->data.size,
		.page_size = 1ull << host->page_shift,
		.slot = &req->data.prp1, .last_slot = &req->data.prp1,
	};
	u16 status;

	if (!is_aligned(req->sqe.prp1, 4))
		return NVME_SC_PRP_OFFSET_INVALID | NVME_SC_DNR;
	link_lists(&req->data);
	status = walk_entries(&walk, &req->sqe);
	return status ? status : check_run(&walk);
}

/* ---- Looking at the data --------------------------------------------------------------- */

u64 dptr_locate(const struct dptr *data, u64 offset, size_t size,
		size_t *piece)
{
	u64 from_page = (data->prp1 & PAGE_MASK) + offset;
	u64 in_page = from_page & PAGE_MASK;

	if (data->is_sgl)
		return sgl_locate(data, offset, size, piece);
	*piece = MIN(size, PAGE_SIZE - in_page);
	return page_at(data, from_page >> PAGE_SHIFT) + in_page;
}

/* Inside the data. */
static int read_guest(const struct dptr *data, u64 offset, void *to,
		      size_t size)
{
	size_t piece;

	for (; size; size -= piece, offset += piece, to = (u8 *)to + piece) {
		u64 from = dptr_locate(data, offset, size, &piece);

		if (gmem_read(to, gpa(from), piece))
			return -EFAULT;
	}
	return 0;
}

int dptr_read(struct nvme_request *req, u64 offset, void *to, size_t size)
{
	const struct dptr *data = &req->data;

	if (!range_inside(offset, size, data->size))
		return -EFAULT;
	if (!data->bounce)
		return read_guest(data, offset, to, size);
	bounce_read(data, offset, to, size);
	return 0;
}

int dptr_write(struct nvme_request *req, u64 offset, const void *from,
	       size_t size)
{
	size_t piece;

	if (!range_inside(offset, size, req->data.size))
		return -EFAULT;
	if (req->data.bounce) {
		bounce_write(&req->data, offset, from, size);
		return 0;
	}
	for (; size; size -= piece, offset += piece,
	     from = (const u8 *)from + piece) {
		u64 to = dptr_locate(&req->data, offset, size, &piece);

		if (to != DPTR_NOWHERE && gmem_write(gpa(to), from, piece))
			return -EFAULT;
	}
	return 0;
}

/* ---- Either ------------------------------------------------------------------------- */

/* Reserved beside the lists, in case; the guest's are not needed after it. */
static u16 bounce(struct nvme_host *host, struct nvme_request *req)
{
	struct dptr *data = &req->data, guest = *data;
	u16 status = NVME_SC_SUCCESS;
	size_t size;

	*data = (struct dptr){ 0 };
	bounce_make(data, &host->pages, guest.size);
	for (u64 at = 0; at < guest.size && !status; at += size) {
		size = MIN(guest.size - at, PAGE_SIZE);
		if (read_guest(&guest, at, bounce_at(data, at), size))
			status = NVME_SC_TRANSFER_ERROR | NVME_SC_DNR;
	}
	for (u32 i = 0; i < guest.list_count; i++)
		bounce_put_page(&host->pages, guest.lists[i]);
	bounce_give_back(host, &host->pages, guest.list_count);
	return status;
}

static HOT bool is_bounced(struct nvme_request *req)
{
	const struct nvme_io_command *cmd = &req->cmd;

	return !cmd->admin && cmd->direction == NVME_IO_TO_DEVICE &&
		!is_copied(req) && cmd->n_lbas &&
		chain_wants_copy(req->sq->hub->host, cmd);
}

/*
 * Most transfers: nothing is kept and nothing looked at, and with one page
 * there is nothing to walk. A page of the guest's is no smaller.
 */
static bool is_one_page(struct nvme_request *req)
{
	return !(req->sqe.flags & NVME_SQE_PSDT) &&
		(req->sqe.prp1 & PAGE_MASK) + req->cmd.data_size <=
		PAGE_SIZE && !is_copied(req) && !is_bounced(req);
}

static u16 take_page(struct nvme_host *host, struct nvme_request *req)
{
	u64 address = req->sqe.prp1, size = req->cmd.data_size;

	if (!is_aligned(address, 4))
		return NVME_SC_PRP_OFFSET_INVALID | NVME_SC_DNR;
	if (!dptr_is_safe(host, address, size))
		return NVME_SC_TRANSFER_ERROR | NVME_SC_DNR;
	req->data.prp1 = address;
	req->data.size = size;
	return NVME_SC_SUCCESS;
}

static u16 fill(struct nvme_host *host, struct nvme_request *req)
{
	struct dptr *data = &req->data;
	u16 status;

	if (data->is_sgl) {
		status = sgl_walk(req);
		trim(host, data);
	} else {
		status = walk_prps(req);
	}
	if (status || !data->copy ||
	    req->cmd.direction != NVME_IO_TO_DEVICE)
		return status;
	return dptr_read(req, 0, data->copy, data->size) ?
		NVME_SC_TRANSFER_ERROR | NVME_SC_DNR : NVME_SC_SUCCESS;
}

/* With what the device's PRPs or SGL, or a copy of the data, need. */
static int prepare(struct nvme_host *host, struct nvme_request *req,
		   u16 *status)
{
	struct dptr *data = &req->data;
	bool is_sgl = req->sqe.flags & NVME_SQE_PSDT;
	u32 list_count = is_sgl ? sgl_list_max(req) : lists_for(req);
	u32 page_count = pages_for(req, list_count), copy_count;

	if (list_count > NVME_LIST_MAX) {
		*status = NVME_SC_INVALID_FIELD | NVME_SC_DNR;
		return 0;
	}
	copy_count = is_bounced(req) ? bounce_pages(req->cmd.data_size) : 0;
	/* All or nothing: two that each hold a part would wait for each
	 * other. */
	if (page_count + copy_count &&
	    !bounce_reserve(&host->pages, page_count + copy_count))
		return -EAGAIN;
	data->size = req->cmd.data_size;
	data->is_sgl = is_sgl;
	data->list_count = list_count;
	if (page_count)
		get_pages(host, req);
	*status = fill(host, req);
	if (copy_count && *status)
		bounce_give_back(host, &host->pages, copy_count);
	else if (copy_count)
		*status = bounce(host, req);
	return 0;
}

int dptr_prepare(struct nvme_request *req, u16 *status)
{
	struct nvme_host *host = req->sq->hub->host;

	*status = NVME_SC_SUCCESS;
	if (!req->cmd.data_size)
		return 0;
	if (!is_one_page(req))
		return prepare(host, req, status);
	*status = take_page(host, req);
	return 0;
}
