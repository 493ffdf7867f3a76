/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What has changed in the map goes to the log, in the order that overlay_log.h
 * gives; when that is full, all of the map to the other one.
 */
#include <string.h>

#include "overlay_store.h"

#define PENDING_AT (STORE_PIECE * CHUNK_SIZE)	/* in store->pages */

/* ---- Changes ---------------------------------------------------------------- */

static u64 chunk_count(const struct overlay_store *store)
{
	const struct nvme_io_extent *where = &store->volume->where;

	return (where->last_lba - where->first_lba) / store->blocks + 1;
}

static u32 count_runs(const struct overlay_store *store)
{
	u64 end = chunk_count(store);
	struct overlay_run run;
	u32 count = 0;

	for (u64 at = 0;
	     overlay_map_run(&store->volume->map, at, end, &run);
	     at = run.first + run.count)
		count++;
	return count;
}

/* A change is a run, and may make two of the one it is in. */
bool overlay_sync_can_hold(struct overlay_store *store, u32 runs)
{
	if (store->run_count + 2 * runs > store->run_max)
		store->run_count = count_runs(store);
	return store->run_count + 2 * runs <= store->run_max;
}

static struct overlay_run *pending_at(struct overlay_store *store, u32 index)
{
	struct overlay_log_page *page = overlay_store_page(
		store, STORE_PIECE + index / OVERLAY_LOG_RUNS);

	return &page->runs[index % OVERLAY_LOG_RUNS];
}

static bool continues(const struct overlay_run *last, u64 first, u64 entry)
{
	return last->first + last->count == first &&
	       overlay_run_entry(last, last->count) == entry;
}

void overlay_sync_note(struct overlay_store *store, u64 first, u64 count,
		       u64 entry)
{
	struct overlay_run *last;

	if (store->pending) {
		last = pending_at(store, store->pending - 1);
		if (continues(last, first, entry)) {
			last->count += count;
			return;
		}
	}
	*pending_at(store, store->pending++) =
		(struct overlay_run){ first, count, entry };
	store->run_count += 2;
}

/* ---- Pages ------------------------------------------------------------------- */

static void fill_head(const struct overlay_store *store,
		      struct overlay_log_page *page, u32 index, u16 count)
{
	const struct overlay_volume *volume = store->volume;

	page->head = (struct overlay_log_head){
		.magic = OVERLAY_LOG_MAGIC,
		.generation = store->generation,
		.index = index, .count = count,
		.flags = store->is_committing ? LOG_COMMITTING : 0,
		.first_lba = volume->where.first_lba,
		.last_lba = volume->where.last_lba,
		.nsid = volume->where.nsid, .lba_size = volume->lba_size,
	};
	memset(&page->runs[count], 0,
	       (OVERLAY_LOG_RUNS - count) * sizeof(page->runs[0]));
	page->unused = 0;
}

static u64 seal(struct overlay_log_page *page, u64 chain)
{
	page->head.checksum = overlay_log_checksum(page, chain);
	return page->head.checksum;
}

static enum overlay_next write_pages(struct overlay_store *store, u32 log,
				     u32 index, u32 count, u32 offset)
{
	u32 page = log * store->log_pages + index;

	return overlay_store_transfer(store, (struct overlay_transfer){
		.operation = NVME_IO_WRITE,
		.block = (u64)page * store->blocks,
		.count = count * store->blocks, .offset = offset,
	});
}

/* ---- A checkpoint ------------------------------------------------------------ */

/* One page of it. True: it is the last. */
static bool fill_turn(struct overlay_store *store,
		      struct overlay_log_page *page)
{
	u64 end = chunk_count(store);
	u16 count = 0;
	bool is_last;

	while (count < OVERLAY_LOG_RUNS &&
	       overlay_map_run(&store->volume->map, store->turn_chunk, end,
			       &page->runs[count])) {
		store->turn_chunk = page->runs[count].first +
				    page->runs[count].count;
		count++;
	}
	is_last = count < OVERLAY_LOG_RUNS;
	store->turn_runs += count;
	fill_head(store, page, store->turn_page++, count);
	page->head.flags |= is_last ? LOG_CHECKPOINT : 0;
	store->turn_chain = seal(page, store->turn_chain);
	return is_last;
}

static enum overlay_next write_turn(struct overlay_store *store,
				    struct overlay_call *call)
{
	u32 first = store->turn_page, count = 0;
	bool is_last = false;

	while (count < store->piece && !is_last)
		is_last = fill_turn(store, overlay_store_page(store, count++));
	if (store->turn_page > store->log_pages) {
		store->status = NVME_IO_CAPACITY_EXCEEDED;
		return NEXT_CALLER;
	}
	call->at -= !is_last;
	return write_pages(store, !store->log, first, count, 0);
}

static void begin_turn(struct overlay_store *store)
{
	store->generation++;
	store->turn_chunk = 0;
	store->turn_runs = store->turn_page = 0;
	store->turn_chain = OVERLAY_LOG_MAGIC;
	store->needs_turn = true;
}

/* From now on the other log would be wrong: nobody is to find it if this
 * one gets damaged. */
static enum overlay_next end_other(struct overlay_store *store)
{
	struct overlay_log_page *page = overlay_store_page(store, 0);

	store->log = !store->log;
	store->log_next = store->turn_page;
	store->chain = store->turn_chain;
	store->run_count = store->turn_runs;
	store->needs_turn = store->has_flags = false;
	store->pending = store->appended = 0;
	fill_head(store, page, 0, 0);
	page->head.flags = LOG_OVER;
	seal(page, OVERLAY_LOG_MAGIC);
	return write_pages(store, !store->log, 0, 1, 0);
}

enum overlay_next overlay_sync_turn(struct overlay_store *store,
				    struct overlay_call *call)
{
	u32 at = call->at++;

	if (at && store->status)
		return NEXT_CALLER;
	switch (at) {
	case 0:
		begin_turn(store);
		return NEXT_STEP;
	case 1:
		return write_turn(store, call);
	case 2:
		return overlay_store_flush(store, false);
	case 3:
		return end_other(store);
	default:
		return NEXT_CALLER;
	}
}

/* ---- Changes to the log ------------------------------------------------------ */

static u32 pending_pages(const struct overlay_store *store)
{
	u32 pages = (store->pending + OVERLAY_LOG_RUNS - 1) / OVERLAY_LOG_RUNS;

	return pages ? pages : 1;
}

static enum overlay_next append(struct overlay_store *store)
{
	u32 count = pending_pages(store), left = store->pending;

	store->appended = 0;
	if (!store->pending && !store->has_flags && !store->needs_turn)
		return NEXT_STEP;
	if (store->needs_turn || store->log_next + count > store->log_pages) {
		overlay_store_call(store, overlay_sync_turn);
		return NEXT_STEP;
	}
	store->appended = count;
	store->appended_chain = store->chain;
	for (u32 i = 0; i < count; i++) {
		struct overlay_log_page *page =
			overlay_store_page(store, STORE_PIECE + i);
		u32 runs = left < OVERLAY_LOG_RUNS ? left : OVERLAY_LOG_RUNS;

		fill_head(store, page, store->log_next + i, (u16)runs);
		store->appended_chain = seal(page, store->appended_chain);
		left -= runs;
	}
	return write_pages(store, store->log, store->log_next, count,
			   PENDING_AT);
}

static void settle(struct overlay_store *store)
{
	if (store->appended) {
		store->log_next += store->appended;
		store->chain = store->appended_chain;
	}
	store->pending = store->appended = 0;
	store->has_flags = store->is_unsynced = false;
	store->error = 0;
	overlay_space_reclaim(&store->space);
}

/* A page that may be on the drive or not is not written a second time. */
static enum overlay_next fail(struct overlay_store *store)
{
	store->needs_turn = true;
	store->error = store->status;
	return NEXT_CALLER;
}

enum overlay_next overlay_sync(struct overlay_store *store,
			       struct overlay_call *call)
{
	u32 at = call->at++;

	if (at && store->status)
		return fail(store);
	switch (at) {
	case 0:
		return overlay_store_flush(store, false);
	case 1:
		return store->where.nsid == store->volume->where.nsid ?
			NEXT_STEP : overlay_store_flush(store, true);
	case 2:
		return append(store);
	case 3:
		return overlay_store_flush(store, false);
	default:
		settle(store);
		return NEXT_CALLER;
	}
}
