/* SPDX-License-Identifier: BSD-2-Clause */
/* The guest's reads and writes where there is a store, piece by piece. */
#include <string.h>

#include "overlay_store.h"

static struct overlay_map *map_of(const struct overlay_store *store)
{
	return &store->volume->map;
}

static u8 *byte_at(const struct overlay_store *store, u32 offset)
{
	return store->pages + offset;
}

static enum overlay_next end(struct overlay_store *store, u16 status)
{
	store->status = status;
	return NEXT_CALLER;
}

/* ---- Of one kind ------------------------------------------------------------- */

static bool is_like(const struct overlay_stretch *stretch, bool is_data,
		    bool is_zero, u64 store_block)
{
	return stretch->is_data == is_data && stretch->is_zero == is_zero &&
	       (!is_data ||
		stretch->store_block + stretch->count == store_block);
}

struct overlay_stretch overlay_piece_stretch(const struct overlay_store *store,
					     u64 block, u64 left)
{
	u32 max = store->piece * store->blocks, run;
	struct overlay_stretch found = { 0 };
	bool is_data, is_zero;

	left = left < max ? left : max;
	for (; left; block += run, left -= run) {
		struct overlay_part part =
			overlay_data_part(store->volume, block, left);
		u64 entry = overlay_map_get(map_of(store), part.chunk);
		u64 at = (u64)ENTRY_PAGE(entry) * store->blocks + part.first;

		run = overlay_data_run(&part, entry, &is_data, &is_zero);
		if (!found.count)
			found = (struct overlay_stretch){ 0, is_data, is_zero,
							  at };
		else if (!is_like(&found, is_data, is_zero, at))
			break;
		found.count += run;
	}
	return found;
}

/* ---- Reading ----------------------------------------------------------------- */

static enum overlay_next fetch(struct overlay_store *store)
{
	struct overlay_job *job = &store->job;
	struct overlay_stretch stretch =
		overlay_piece_stretch(store, job->block, job->left);

	job->blocks = stretch.count;
	if (stretch.is_zero) {
		memset(store->pages, 0,
		       (u64)stretch.count * store->volume->lba_size);
		return NEXT_STEP;
	}
	return overlay_store_transfer(store, (struct overlay_transfer){
		.operation = NVME_IO_READ, .is_base = !stretch.is_data,
		.block = stretch.is_data ? stretch.store_block : job->block,
		.count = stretch.count,
	});
}

static void advance(struct overlay_store *store)
{
	struct overlay_job *job = &store->job;

	job->block += job->blocks;
	job->left -= job->blocks;
	job->offset += (u64)job->blocks * store->volume->lba_size;
}

static bool deliver(struct overlay_store *store)
{
	struct overlay_job *job = &store->job;

	if (nvme_io_req_write(job->req, job->offset, store->pages,
			      (u64)job->blocks * store->volume->lba_size))
		return false;
	advance(store);
	return true;
}

enum overlay_next overlay_piece_read(struct overlay_store *store,
				     struct overlay_call *call)
{
	if (store->status)
		return NEXT_CALLER;
	if (call->at && !deliver(store))
		return end(store, NVME_IO_TRANSFER_ERROR | NVME_IO_DNR);
	call->at = 1;
	return store->job.left ? fetch(store) : NEXT_CALLER;
}

/* ---- Writing ----------------------------------------------------------------- */

static u64 piece_end(const struct overlay_store *store)
{
	return store->job.block + store->job.blocks;
}

static struct overlay_part part_of(const struct overlay_store *store, u32 i)
{
	const struct overlay_job *job = &store->job;
	u64 block = i ? (job->chunk + i) * store->blocks : job->block;

	return overlay_data_part(store->volume, block,
				 piece_end(store) - block);
}

static void plan(struct overlay_store *store)
{
	struct overlay_job *job = &store->job;
	u32 first = job->block % store->blocks;
	u64 max = (u64)store->piece * store->blocks - first;

	job->chunk = job->block / store->blocks;
	job->blocks = (u32)(job->left < max ? job->left : max);
	job->chunks = (first + job->blocks - 1) / store->blocks + 1;
	job->written = 0;
}

/* All that the piece can want, before any of it changes anything. */
static bool make_room(struct overlay_store *store)
{
	const struct overlay_job *job = &store->job;

	if (store->space.free_count < job->chunks ||
	    !overlay_sync_can_hold(store, job->chunks) ||
	    !overlay_data_may_map(store->volume))
		return false;
	for (u32 i = 0; i < job->chunks; i++)
		if (!overlay_map_make(map_of(store), job->chunk + i))
			return false;
	return true;
}

/* Chunks are written as a whole; of those at the ends there may be blocks
 * already that stay. */
static enum overlay_next read_old(struct overlay_store *store, u32 i)
{
	struct overlay_part part = part_of(store, i);
	u64 entry = overlay_map_get(map_of(store), part.chunk);

	if (!(ENTRY_DATA(entry) & ~part.mask)) {
		memset(byte_at(store, i * CHUNK_SIZE), 0, CHUNK_SIZE);
		return NEXT_STEP;
	}
	return overlay_store_transfer(store, (struct overlay_transfer){
		.operation = NVME_IO_READ,
		.block = (u64)ENTRY_PAGE(entry) * store->blocks,
		.count = store->blocks, .offset = i * CHUNK_SIZE,
	});
}

/* The only time that the guest's data is looked at. */
static bool take_data(struct overlay_store *store)
{
	const struct overlay_job *job = &store->job;
	u32 lba_size = store->volume->lba_size;
	u32 first = job->block % store->blocks;

	return !nvme_io_req_read(job->req, job->offset,
				 byte_at(store, first * lba_size),
				 (u64)job->blocks * lba_size);
}

/* Into chunks that nothing on the drive points to. */
static enum overlay_next write_run(struct overlay_store *store)
{
	struct overlay_job *job = &store->job;

	job->run = overlay_space_take(&store->space,
				      job->chunks - job->written,
				      &job->run_count);
	return overlay_store_transfer(store, (struct overlay_transfer){
		.operation = NVME_IO_WRITE,
		.block = (u64)job->run * store->blocks,
		.count = job->run_count * store->blocks,
		.offset = job->written * CHUNK_SIZE,
	});
}

static void map_chunk(struct overlay_store *store, u32 i, u32 page)
{
	struct overlay_part part = part_of(store, i);
	u64 *entry = overlay_map_make(map_of(store), part.chunk);
	u32 old = ENTRY_PAGE(*entry);

	*entry = ENTRY_MAKE(page, ENTRY_ZERO(*entry) & ~part.mask,
			    ENTRY_DATA(*entry) | part.mask);
	if (old)
		overlay_space_drop(&store->space, old);
	overlay_sync_note(store, part.chunk, 1, *entry);
}

static void map_run(struct overlay_store *store)
{
	struct overlay_job *job = &store->job;

	for (u32 i = 0; i < job->run_count; i++)
		map_chunk(store, job->written + i, job->run + i);
	job->written += job->run_count;
	store->is_unsynced = true;
	if (job->written == job->chunks)
		advance(store);
}

static void drop_run(struct overlay_store *store)
{
	for (u32 i = 0; i < store->job.run_count; i++)
		overlay_space_drop(&store->space, store->job.run + i);
}

enum { WRITE_BEGIN, WRITE_FIRST, WRITE_LAST, WRITE_TAKE, WRITE_RUN,
       WRITE_WRITTEN, WRITE_END };

static enum overlay_next next_piece(struct overlay_store *store,
				    struct overlay_call *call)
{
	if (!store->job.left) {
		call->at = WRITE_END;
		if (store->job.is_forced)
			overlay_store_call(store, overlay_sync);
		return NEXT_STEP;
	}
	plan(store);
	if (!overlay_sync_has_room(store, store->job.chunks) ||
	    store->space.free_count < store->job.chunks)
		overlay_store_call(store, overlay_sync);
	return NEXT_STEP;
}

static enum overlay_next take(struct overlay_store *store)
{
	return take_data(store) ? NEXT_STEP :
		end(store, NVME_IO_TRANSFER_ERROR | NVME_IO_DNR);
}

static enum overlay_next written(struct overlay_store *store,
				 struct overlay_call *call)
{
	map_run(store);
	call->at = store->job.written < store->job.chunks ? WRITE_RUN :
							    WRITE_BEGIN;
	return NEXT_STEP;
}

enum overlay_next overlay_piece_write(struct overlay_store *store,
				      struct overlay_call *call)
{
	u32 at = call->at++;

	if (store->status) {
		if (at == WRITE_WRITTEN)
			drop_run(store);
		return NEXT_CALLER;
	}
	switch (at) {
	case WRITE_BEGIN:
		return next_piece(store, call);
	case WRITE_FIRST:
		return make_room(store) ? read_old(store, 0) :
			end(store, overlay_data_full(store->volume));
	case WRITE_LAST:
		return store->job.chunks == 1 ? NEXT_STEP :
			read_old(store, store->job.chunks - 1);
	case WRITE_TAKE:
		return take(store);
	case WRITE_RUN:
		return write_run(store);
	case WRITE_WRITTEN:
		return written(store, call);
	default:
		return NEXT_CALLER;
	}
}

/* ---- Zeroes -------------------------------------------------------------------- */

enum { ZERO_BEGIN, ZERO_MAP, ZERO_END };

static enum overlay_next zero(struct overlay_store *store)
{
	struct overlay_job *job = &store->job;

	store->status = overlay_data_zero(
		store->volume, store->volume->where.first_lba + job->block,
		job->left);
	if (!store->status && job->is_forced)
		overlay_store_call(store, overlay_sync);
	return NEXT_STEP;
}

enum overlay_next overlay_piece_zero(struct overlay_store *store,
				     struct overlay_call *call)
{
	u32 at = call->at++;

	if (store->status)
		return NEXT_CALLER;
	switch (at) {
	case ZERO_BEGIN:
		if (!overlay_sync_has_room(store, OVERLAY_ZERO_RUNS))
			overlay_store_call(store, overlay_sync);
		return NEXT_STEP;
	case ZERO_MAP:
		return zero(store);
	default:
		return NEXT_CALLER;
	}
}
