/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A guest's SGL (NVMe 1.4, 4.4), walked once and rewritten, checked, as data
 * blocks and bit buckets of exactly the transfer's length: in the SQE where
 * the guest's single one is there, else in pages of ours, 255 of them and the
 * pointer to the next page in each.
 */
#include "barrier.h"
#include "gmem.h"
#include "nvme.h"
#include "page.h"

#define PER_PAGE (PAGE_SIZE / sizeof(struct nvme_sgl) - 1)
#define SEEN_MAX 4096	/* descriptors of the guest's looked at */
#define AVERAGE_MIN 512	/* bytes a block of a list too long for a page */

struct walk {
	struct dptr_guard guard;
	struct dptr *data;
	struct nvme_sgl *slot, *end;	/* of the device's: that of the next
					 * one, and where there are no more */
	u32 next_list;
	u32 seen;
	u32 count;		/* of the device's */
	u64 left;		/* bytes not yet placed */
	bool is_source;		/* of the data: bit buckets mean nothing */
};

static bool is_segment(const struct nvme_sgl *sgl)
{
	return sgl->type == NVME_SGL_SEGMENT ||
		sgl->type == NVME_SGL_LAST_SEGMENT;
}

/* ---- The shadow list ------------------------------------------------------ */

static struct nvme_sgl *list_entry(const struct dptr *data, u32 index)
{
	struct nvme_sgl *list = data->lists[index / PER_PAGE];

	return &list[index % PER_PAGE];
}

static bool begin_list(struct walk *walk)
{
	const struct dptr *data = walk->data;

	if (walk->next_list == data->list_count)
		return false;
	walk->slot = data->lists[walk->next_list++];
	walk->end = walk->slot + PER_PAGE;
	return true;
}

/* Inline, as what follows: a transfer has many. */
static inline u16 put(struct walk *walk, u64 address, u32 length, u8 type)
{
	if (walk->slot == walk->end && !begin_list(walk))
		return NVME_SC_SGL_COUNT_INVALID | NVME_SC_DNR;
	*walk->slot++ = (struct nvme_sgl){
		.address = address, .length = length, .type = type,
	};
	walk->count++;
	walk->left -= length;
	return NVME_SC_SUCCESS;
}

/* What points to page `index`. */
static struct nvme_sgl link_to(const struct dptr *data, u32 index)
{
	u32 left = data->sgl_count - index * PER_PAGE;
	bool is_last = left <= PER_PAGE;
	u32 count = is_last ? left : PER_PAGE + 1;

	return (struct nvme_sgl){
		.address = page_hpa(data->lists[index]).v,
		.length = count * sizeof(struct nvme_sgl),
		.type = is_last ? NVME_SGL_LAST_SEGMENT : NVME_SGL_SEGMENT,
	};
}

static void link_lists(struct dptr *data)
{
	u32 count = sgl_list_count(data);

	for (u32 i = 1; i < count; i++) {
		struct nvme_sgl *list = data->lists[i - 1];

		list[PER_PAGE] = link_to(data, i);
	}
	if (count)
		data->sgl = link_to(data, 0);
}

u32 sgl_list_max(const struct nvme_request *req)
{
	u64 count = req->cmd.data_size / AVERAGE_MIN / PER_PAGE + 1;

	return is_segment(&req->sqe.sgl) ? MIN(count, NVME_LIST_MAX) : 0;
}

u32 sgl_list_count(const struct dptr *data)
{
	u32 count = (data->sgl_count + PER_PAGE - 1) / PER_PAGE;

	return MIN(count, data->list_count);
}

/* ---- The guest's ------------------------------------------------------------- */

static u16 check_type(const struct walk *walk, const struct nvme_sgl *sgl)
{
	if (sgl->type == NVME_SGL_DATA_BLOCK)
		return NVME_SC_SUCCESS;
	if (sgl->type == NVME_SGL_BIT_BUCKET &&
	    (walk->guard.host->sgls & NVME_SGLS_BIT_BUCKET))
		return NVME_SC_SUCCESS;
	return NVME_SC_SGL_TYPE_INVALID | NVME_SC_DNR;
}

static inline u16 add_block(struct walk *walk, u64 address, u32 length)
{
	return dptr_passes(&walk->guard, address, length) ?
		put(walk, address, length, NVME_SGL_DATA_BLOCK) :
		NVME_SC_TRANSFER_ERROR | NVME_SC_DNR;
}

/* A data block or a bit bucket; what is longer than the transfer is cut. */
static u16 add(struct walk *walk, const struct nvme_sgl *sgl)
{
	u32 length = MIN(sgl->length, walk->left);
	u16 status = check_type(walk, sgl);
	bool is_bucket = sgl->type == NVME_SGL_BIT_BUCKET;

	if (status || (is_bucket && walk->is_source))
		return status;
	if (length < sgl->length && !(walk->guard.host->sgls &
				      NVME_SGLS_LONGER))
		return NVME_SC_SGL_LENGTH_INVALID | NVME_SC_DNR;
	if (!length)
		return NVME_SC_SUCCESS;
	return is_bucket ? put(walk, 0, length, NVME_SGL_BIT_BUCKET) :
		add_block(walk, sgl->address, length);
}

/* A segment counts as seen before it is read: a circle of them ends. */
static u16 check_segment(struct walk *walk, const struct nvme_sgl *segment)
{
	u32 count = segment->length / sizeof(*segment);

	if (!count || !is_aligned(segment->length, sizeof(*segment)) ||
	    !is_aligned(segment->address, sizeof(u64)))
		return NVME_SC_SGL_SEGMENT_INVALID | NVME_SC_DNR;
	if (!range_inside(walk->seen, count, SEEN_MAX))
		return NVME_SC_SGL_COUNT_INVALID | NVME_SC_DNR;
	walk->seen += count;
	return NVME_SC_SUCCESS;
}

/* The last of a segment, and nothing before it, may lead on to `*next`. */
static u16 add_any(struct walk *walk, const struct nvme_sgl *sgl, bool is_end,
		   struct nvme_sgl *next)
{
	if (!is_segment(sgl))
		return add(walk, sgl);
	if (!is_end)
		return NVME_SC_SGL_COUNT_INVALID | NVME_SC_DNR;
	*next = *sgl;
	return NVME_SC_SUCCESS;
}

/* As most are: of at least a byte, and all of it needed. */
static inline bool is_plain(const struct walk *walk,
			    const struct nvme_sgl *sgl)
{
	return sgl->type == NVME_SGL_DATA_BLOCK &&
		sgl->length - 1ull < walk->left;
}

/* Each field read once. */
static u16 add_segment(struct walk *walk, const struct nvme_sgl *segment,
		       struct nvme_sgl *next)
{
	const struct nvme_sgl *from = gmem_map(gpa(segment->address),
					       segment->length);
	u32 count = segment->length / sizeof(*segment);
	u16 status;

	if (!from)
		return NVME_SC_TRANSFER_ERROR | NVME_SC_DNR;
	for (; count; from++, count--) {
		struct nvme_sgl sgl = {
			.address = READ_ONCE(from->address),
			.length = READ_ONCE(from->length),
			.type = READ_ONCE(from->type),
		};

		status = is_plain(walk, &sgl) ?
			add_block(walk, sgl.address, sgl.length) :
			add_any(walk, &sgl, count == 1, next);
		if (status)
			return status;
	}
	return NVME_SC_SUCCESS;
}

static u16 walk_segments(struct walk *walk, struct nvme_sgl segment)
{
	u16 status = NVME_SC_SUCCESS;

	while (is_segment(&segment) && !status) {
		struct nvme_sgl next = { .type = NVME_SGL_DATA_BLOCK };

		status = check_segment(walk, &segment);
		if (!status)
			status = add_segment(walk, &segment, &next);
		if (!status && segment.type == NVME_SGL_LAST_SEGMENT &&
		    is_segment(&next))
			status = NVME_SC_SGL_SEGMENT_INVALID | NVME_SC_DNR;
		segment = next;
	}
	return status;
}

u16 sgl_walk(struct nvme_request *req)
{
	struct dptr *data = &req->data;
	struct walk walk = {
		.guard = { req->sq->hub->host, SPAN_EMPTY }, .data = data,
		.slot = &data->sgl, .left = data->size,
		.end = &data->sgl + !data->list_count,
		.is_source = req->cmd.direction == NVME_IO_TO_DEVICE,
	};
	u16 status = is_segment(&req->sqe.sgl) ?
		walk_segments(&walk, req->sqe.sgl) : add(&walk, &req->sqe.sgl);

	data->sgl_count = walk.count;
	if (status)
		return status;
	if (walk.left)
		return NVME_SC_SGL_LENGTH_INVALID | NVME_SC_DNR;
	link_lists(data);
	return NVME_SC_SUCCESS;
}

/* ---- Looking at the data ------------------------------------------------------ */

u64 sgl_locate(const struct dptr *data, u64 offset, size_t size,
	       size_t *piece)
{
	const struct nvme_sgl *entry = &data->sgl;

	for (u32 i = 0; i < data->sgl_count; i++) {
		if (data->list_count)
			entry = list_entry(data, i);
		if (offset < entry->length)
			break;
		offset -= entry->length;
	}
	*piece = MIN(size, entry->length - offset);
	return entry->type == NVME_SGL_BIT_BUCKET ? DPTR_NOWHERE :
		entry->address + offset;
}
