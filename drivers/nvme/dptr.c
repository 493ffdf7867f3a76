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
	struct dptr_guard guard;
	struct dptr *data;
	u64 page_size;		/* of the guest */
	u64 *slot, *end;	/* of the device's PRPs: that of the next page,
				 * and where there are no more */
	u32 left;		/* pages without a slot yet */
	u32 next_list;
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

/* Not where the last ones were: the next may be where this one is. */
__attribute__((noinline)) bool dptr_look(struct dptr_guard *guard, u64 address,
					 u64 size)
{
	if (!direct_is_near(address, size))
		guard->safe = direct_span(address);
	return span_has(&guard->safe, address, size) ||
		dptr_is_safe(guard->host, address, size);
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

/* Of the device's: the first and the last may be parts. */
static u32 page_count(const struct nvme_request *req)
{
	u64 offset = req->sqe.prp1 & PAGE_MASK;

	return (offset + req->cmd.data_size + PAGE_MASK) >> PAGE_SHIFT;
}

static u32 lists_for(const struct nvme_request *req)
{
	u32 entries = page_count(req) - 1;

	if (entries <= 1)
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

/* PRP2 or the next list, whose last entry may have to lead on; walk->end when
 * each page has had its slot. */
static u64 *begin_list(struct walk *walk)
{
	struct dptr *data = walk->data;
	u32 room = walk->left <= LIST_ENTRIES ? walk->left : LIST_ENTRIES - 1;
	u64 *slot = walk->end;

	if (room) {
		slot = data->list_count ? data->lists[walk->next_list++] :
			&data->prp2;
		walk->end = slot + room;
		walk->left -= room;
	}
	return slot;
}

/*
 * [page, end) of one page of the guest's, as far as the transfer goes, from
 * `slot` on. NULL: the device may not have it, and gets nothing of this
 * command. Inline: a transfer has many.
 */
static inline u64 *add_pages(struct walk *walk, u64 *slot, u64 page, u64 end)
{
	do {
		if (slot == walk->end) {
			slot = begin_list(walk);
			if (slot == walk->end)
				break;
		}
		/* All that is known to be safe is whole pages. */
		if (!span_has(&walk->guard.safe, page, 1) &&
		    !dptr_look(&walk->guard, page, PAGE_SIZE))
			return NULL;
		*slot++ = page;
		page += PAGE_SIZE;
	} while (page != end);
	return slot;
}

/* Each read once. */
static u16 add_entries(struct walk *walk, const u64 *entries, u32 count)
{
	u64 size = walk->page_size, *slot = walk->slot;

	for (u32 i = 0; i < count; i++) {
		u64 page = READ_ONCE(entries[i]);

		if (!is_aligned(page, size))
			return NVME_SC_PRP_OFFSET_INVALID | NVME_SC_DNR;
		slot = add_pages(walk, slot, page, page + size);
		if (!slot)
			return NVME_SC_TRANSFER_ERROR | NVME_SC_DNR;
	}
	walk->slot = slot;
	return NVME_SC_SUCCESS;
}

/*
 * What stands in one page of the guest's, from `*list` on: the last there is
 * a pointer to the next list only when there is more than one to come (4.3).
 */
static u16 add_some(struct walk *walk, u64 *list, u32 *count)
{
	u32 room = (walk->page_size - (*list & (walk->page_size - 1))) /
		sizeof(u64);
	u32 here = *count > room ? room - 1 : *count;
	const u64 *entries = gmem_map(gpa(*list), MIN(*count, room) *
				      sizeof(u64));

	if (!entries)
		return NVME_SC_TRANSFER_ERROR | NVME_SC_DNR;
	*count -= here;
	if (*count)
		*list = READ_ONCE(entries[here]);
	return add_entries(walk, entries, here);
}

/* Each turn but a first one on the last entry of a page places data. */
static u16 add_list(struct walk *walk, u64 list, u32 count)
{
	u64 align = sizeof(u64);
	u16 status = NVME_SC_SUCCESS;

	for (; count && !status; align = walk->page_size) {
		if (!is_aligned(list, align))
			return NVME_SC_PRP_OFFSET_INVALID | NVME_SC_DNR;
		status = add_some(walk, &list, &count);
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

static u16 walk_entries(struct walk *walk, const struct nvme_request *req)
{
	u64 mask = walk->page_size - 1, prp1 = req->sqe.prp1;
	u32 count = ((prp1 & mask) + req->data.size + mask) >>
		walk->guard.host->page_shift;

	walk->slot = add_pages(walk, walk->slot, align_down(prp1, PAGE_SIZE),
			       (prp1 | mask) + 1);
	if (!walk->slot)
		return NVME_SC_TRANSFER_ERROR | NVME_SC_DNR;
	walk->data->prp1 = prp1;
	return count > 2 ? add_list(walk, req->sqe.prp2, count - 1) :
		add_entries(walk, &req->sqe.prp2, count - 1);
}

static u16 walk_prps(struct nvme_request *req)
{
	struct nvme_host *host = req->sq->hub->host;
	struct dptr *data = &req->data;
	struct walk walk = {
		.guard = { host, SPAN_EMPTY }, .data = data,
		.page_size = 1ull << host->page_shift,
		.slot = &data->prp1, .end = &data->prp1 + 1,
		.left = page_count(req) - 1,
	};

	if (!is_aligned(req->sqe.prp1, 4))
		return NVME_SC_PRP_OFFSET_INVALID | NVME_SC_DNR;
	link_lists(data);
	return walk_entries(&walk, req);
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
