/* SPDX-License-Identifier: BSD-2-Clause */
/* What a store does, one thing at a time: overlay_store.h. */
#include "overlay_store.h"

#define PAUSE_US 200		/* of a commit, for what has waited */

/* ---- Requests to the drive ---------------------------------------------- */

static void answered(struct nvme_host *host, u16 status, void *arg)
{
	struct overlay_store *store = arg;

	store->status = status;
	/* The drive may still be at it: with the buffer, and on the disk. */
	if (status == NVME_IO_TIMED_OUT)
		store->is_broken = true;
	overlay_store_go(store);
}

static enum overlay_next submit(struct overlay_store *store,
				struct nvme_io_descriptor *desc,
				enum nvme_io_operation operation)
{
	if (nvme_io_submit(store->host, desc, operation, answered, store))
		return NEXT_ANSWER;
	store->status = NVME_IO_ABORTED;
	return NEXT_STEP;
}

static struct nvme_io_descriptor *describe(struct overlay_store *store,
					   u32 nsid, u64 lba, u32 count)
{
	struct nvme_io_descriptor *desc = nvme_io_init_descriptor(
		store->host, nsid, 0, lba, (u16)count);

	if (desc)
		nvme_io_set_sender(desc, &store->volume->overlay->interceptor);
	else
		store->status = NVME_IO_ABORTED;
	return desc;
}

enum overlay_next overlay_store_transfer(struct overlay_store *store,
					 struct overlay_transfer transfer)
{
	const struct nvme_io_extent *where = transfer.is_base ?
		&store->volume->where : &store->where;
	u32 first = transfer.offset / CHUNK_SIZE;
	u32 offset = transfer.offset % CHUNK_SIZE;
	u32 size = offset + transfer.count * store->volume->lba_size;
	u32 pages = (size + CHUNK_SIZE - 1) / CHUNK_SIZE;
	struct nvme_io_descriptor *desc =
		describe(store, where->nsid, where->first_lba + transfer.block,
			 transfer.count);

	if (!desc)
		return NEXT_STEP;
	for (u32 i = 0; i < pages; i++)
		store->list[i] = store->phys + (u64)(first + i) * CHUNK_SIZE;
	/* What does not fit is refused when it is submitted. */
	nvme_io_set_phys_buffers(store->host, desc, store->list,
				 store->list_phys, pages, offset);
	return submit(store, desc, transfer.operation);
}

enum overlay_next overlay_store_flush(struct overlay_store *store,
				      bool is_base)
{
	u32 nsid = is_base ? store->volume->where.nsid : store->where.nsid;
	struct nvme_io_descriptor *desc = describe(store, nsid, 0, 1);

	return desc ? submit(store, desc, NVME_IO_FLUSH) : NEXT_STEP;
}

/* ---- What waits ----------------------------------------------------------- */

static u64 *link_of(struct overlay_store *store, struct nvme_request *req)
{
	return nvme_io_req_private(req, &store->volume->overlay->interceptor);
}

void overlay_store_wait(struct overlay_store *store, struct nvme_request *req)
{
	*link_of(store, req) = 0;
	if (store->first_waiting)
		*link_of(store, store->last_waiting) = (u64)req;
	else
		store->first_waiting = req;
	store->last_waiting = req;
}

static void release(struct overlay_store *store)
{
	struct nvme_request *req = store->first_waiting;

	store->first_waiting = NULL;
	while (req) {
		u64 next = *link_of(store, req);

		nvme_io_retry_guest_request(store->host, req);
		req = (struct nvme_request *)next;
	}
}

/* ---- What comes next ------------------------------------------------------ */

static void choose(struct overlay_store *store);

void overlay_store_kick(struct overlay_store *store)
{
	if (overlay_store_is_busy(store))
		return;
	choose(store);
	overlay_store_go(store);
}

static void pause_over(struct nvme_host *host, void *arg)
{
	struct overlay_store *store = arg;

	store->has_timer = false;
	overlay_store_kick(store);
}

static bool may_merge(const struct overlay_store *store)
{
	return store->is_committing && store->is_open && !store->is_broken &&
	       !store->is_paused && !store->is_resting;
}

/*
 * A commit comes to an end however much the guest writes: between two of its
 * commands more is committed in each pass over the map. What has waited is on
 * its way back, and goes first.
 */
static void choose(struct overlay_store *store)
{
	if (store->wants_discard && store->is_open && !store->is_broken) {
		overlay_store_begin(store, overlay_merge_discard,
				    overlay_merge_discarded);
		return;
	}
	if (may_merge(store) && (!store->first_waiting ||
				 store->batches >> store->passes == 0)) {
		store->batches++;
		overlay_store_begin(store, overlay_merge, overlay_merge_ended);
		return;
	}
	store->batches = 0;
	release(store);
	if (may_merge(store) && !store->has_timer)
		store->has_timer = nvme_io_call_after(store->host, PAUSE_US,
						      pause_over, store);
}

/* ---- One thing at a time -------------------------------------------------- */

void overlay_store_call(struct overlay_store *store,
			enum overlay_next (*step)(struct overlay_store *,
						  struct overlay_call *))
{
	store->status = NVME_IO_SUCCESS;
	store->calls[store->depth++] = (struct overlay_call){ .step = step };
}

void overlay_store_begin(struct overlay_store *store,
			 enum overlay_next (*step)(struct overlay_store *,
						   struct overlay_call *),
			 void (*finish)(struct overlay_store *store))
{
	store->finish = finish;
	overlay_store_call(store, step);
}

void overlay_store_go(struct overlay_store *store)
{
	while (store->depth) {
		struct overlay_call *call = &store->calls[store->depth - 1];
		enum overlay_next next = call->step(store, call);

		if (next == NEXT_ANSWER)
			return;
		if (next == NEXT_CALLER && !--store->depth) {
			store->finish(store);
			choose(store);
		}
	}
}
