/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * From a store to the base, a piece at a time, and nothing that the power
 * could tear: what is copied is safe on the store until the log says that it
 * is not there any more, and that comes behind a Flush of the base.
 */
#include <string.h>

#include "overlay_store.h"

static u64 block_count(const struct overlay_store *store)
{
	const struct nvme_io_extent *where = &store->volume->where;

	return where->last_lba - where->first_lba + 1;
}

static u64 chunk_count(const struct overlay_store *store)
{
	return (block_count(store) - 1) / store->blocks + 1;
}

/* ---- A piece ----------------------------------------------------------------- */

/* False: there is nothing in the map from the cursor on. */
static bool plan(struct overlay_store *store)
{
	struct overlay_job *job = &store->job;
	u64 end = chunk_count(store), blocks;

	job->chunk = overlay_map_next(&store->volume->map, store->cursor, end);
	if (job->chunk == end)
		return false;
	end -= job->chunk;
	job->chunks = end < store->piece ? (u32)end : store->piece;
	job->block = job->chunk * store->blocks;
	blocks = (u64)job->chunks * store->blocks;
	job->left = block_count(store) - job->block;
	job->left = job->left < blocks ? job->left : blocks;
	return true;
}

/* Blocks of one kind into the buffer; the base's are passed. */
static enum overlay_next fetch(struct overlay_store *store,
			       struct overlay_call *call)
{
	struct overlay_job *job = &store->job;
	struct overlay_stretch stretch =
		overlay_piece_stretch(store, job->block, job->left);

	job->blocks = stretch.count;
	if (!stretch.is_data && !stretch.is_zero) {
		job->block += stretch.count;
		job->left -= stretch.count;
		call->at--;
		return NEXT_STEP;
	}
	if (stretch.is_data)
		return overlay_store_transfer(store, (struct overlay_transfer){
			.operation = NVME_IO_READ, .block = stretch.store_block,
			.count = stretch.count,
		});
	memset(store->pages, 0, (u64)stretch.count * store->volume->lba_size);
	return NEXT_STEP;
}

static enum overlay_next write_base(struct overlay_store *store)
{
	const struct overlay_job *job = &store->job;

	return overlay_store_transfer(store, (struct overlay_transfer){
		.operation = NVME_IO_WRITE, .is_base = true,
		.block = job->block, .count = job->blocks,
	});
}

static enum overlay_next forget(struct overlay_store *store)
{
	const struct overlay_job *job = &store->job;

	if (overlay_map_forget(&store->volume->map, job->chunk, job->chunks)) {
		store->status = NVME_IO_CAPACITY_EXCEEDED;
		return NEXT_CALLER;
	}
	overlay_sync_note(store, job->chunk, job->chunks, 0);
	store->cursor = job->chunk + job->chunks;
	return NEXT_CALLER;
}

/* ---- The end ------------------------------------------------------------------- */

static bool is_empty(const struct overlay_store *store)
{
	u64 end = chunk_count(store);

	return overlay_map_next(&store->volume->map, 0, end) == end;
}

enum { MERGE_BEGIN, MERGE_PLAN, MERGE_FETCH, MERGE_WRITE, MERGE_WRITTEN,
       MERGE_OVER, MERGE_END };

/* What was written behind the cursor has its turn now; if there is nothing,
 * the log says so. */
static enum overlay_next end_pass(struct overlay_store *store,
				  struct overlay_call *call)
{
	store->cursor = 0;
	if (!is_empty(store)) {
		store->passes += store->passes < 31;
		return NEXT_CALLER;
	}
	store->is_committing = false;
	store->has_flags = true;
	call->at = MERGE_OVER;
	overlay_store_call(store, overlay_sync);
	return NEXT_STEP;
}

/* What might yet get lost must not be in the base: a block of it torn there
 * would be nobody's. */
static enum overlay_next begin(struct overlay_store *store)
{
	if (store->is_unsynced || store->has_flags ||
	    !overlay_sync_has_room(store, 1))
		overlay_store_call(store, overlay_sync);
	return NEXT_STEP;
}

static enum overlay_next written(struct overlay_store *store,
				 struct overlay_call *call)
{
	store->job.block += store->job.blocks;
	store->job.left -= store->job.blocks;
	call->at = MERGE_FETCH;
	return NEXT_STEP;
}

/* The last sync has failed: it is done, but will be done again. */
static enum overlay_next over(struct overlay_store *store)
{
	store->is_committing = store->status != NVME_IO_SUCCESS;
	store->has_flags |= store->is_committing;
	if (!store->is_committing)
		nvme_io_log(store->host, NVME_IO_LOG_INFO,
			    "overlay: %s: committed",
			    store->volume->rule->text);
	return NEXT_CALLER;
}

enum overlay_next overlay_merge(struct overlay_store *store,
				struct overlay_call *call)
{
	u32 at = call->at++;

	if (at == MERGE_OVER)
		return over(store);
	if (store->status)
		return NEXT_CALLER;
	switch (at) {
	case MERGE_BEGIN:
		return begin(store);
	case MERGE_PLAN:
		return plan(store) ? NEXT_STEP : end_pass(store, call);
	case MERGE_FETCH:
		return store->job.left ? fetch(store, call) : forget(store);
	case MERGE_WRITE:
		return write_base(store);
	default:
		return written(store, call);
	}
}

/* Not until the drive is back, or the next order. */
void overlay_merge_ended(struct overlay_store *store)
{
	if (!store->status)
		return;
	store->is_paused = true;
	nvme_io_log(store->host, NVME_IO_LOG_ERROR,
		    "overlay: %s: commit stops with status %04x: what is left "
		    "of it waits for a reset of the drive, a new order or the "
		    "next start", store->volume->rule->text, store->status);
}

void overlay_merge_order(struct overlay_store *store)
{
	store->is_paused = false;
	if (!store->is_committing) {
		store->is_committing = store->has_flags = true;
		store->cursor = 0;
		store->passes = 0;
	}
	overlay_store_kick(store);
}

/* ---- Discard ------------------------------------------------------------------- */

enum overlay_next overlay_merge_discard(struct overlay_store *store,
					struct overlay_call *call)
{
	if (call->at++)
		return NEXT_CALLER;
	store->wants_discard = false;
	overlay_map_clear(&store->volume->map);
	store->volume->warned_percent = 0;
	store->pending = 0;
	store->needs_turn = store->is_unsynced = true;
	overlay_store_call(store, overlay_sync);
	return NEXT_STEP;
}

void overlay_merge_discarded(struct overlay_store *store)
{
	if (store->status)
		nvme_io_log(store->host, NVME_IO_LOG_ERROR,
			    "overlay: %s: discard failed with status %04x: it "
			    "may come back with the next start",
			    store->volume->rule->text, store->status);
	else
		nvme_io_log(store->host, NVME_IO_LOG_WARN,
			    "overlay: %s: discarded",
			    store->volume->rule->text);
}

void overlay_merge_order_discard(struct overlay_store *store)
{
	if (store->is_committing || !store->volume->is_here)
		return;
	store->wants_discard = true;
	overlay_store_kick(store);
}
