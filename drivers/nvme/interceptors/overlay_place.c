/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * From a partition that a rule names to a store: is it one that can be used,
 * and what of the rule's memory goes to it? The map has the rest.
 */
#include <string.h>

#include "overlay_store.h"

#define OVERLAY_MAP_MIN 64u	/* pages, at least, for the map */

static bool is_alone(const struct overlay_volume *volume,
		     const struct nvme_io_extent *where)
{
	const struct overlay *overlay = volume->overlay;

	for (u32 i = 0; i < overlay->volume_count; i++)
		if (overlay->volumes[i].is_here &&
		    overlay_extents_overlap(&overlay->volumes[i].where, where))
			return false;
	for (u32 i = 0; i < overlay->place_count; i++)
		if (overlay->places[i].rule != volume->rule &&
		    overlay_extents_overlap(&overlay->places[i].where, where))
			return false;
	return true;
}

static const struct nvme_io_extent *
find_place(const struct overlay_volume *volume, u32 *count)
{
	const struct overlay *overlay = volume->overlay;
	const struct nvme_io_extent *where = NULL;

	*count = 0;
	for (u32 i = 0; i < overlay->place_count; i++)
		if (overlay->places[i].rule == volume->rule) {
			where = &overlay->places[i].where;
			++*count;
		}
	return where;
}

static u64 chunk_count(const struct overlay_volume *volume,
		       const struct nvme_io_extent *where)
{
	return (where->last_lba - where->first_lba + 1) /
	       overlay_blocks(volume);
}

static u32 log_pages(u64 chunks)
{
	u64 pages = chunks / OVERLAY_LOG_SHARE;

	return pages < OVERLAY_LOG_MIN ? OVERLAY_LOG_MIN : (u32)pages;
}

/* NULL: it can be used. */
static const char *obstacle(const struct overlay_volume *volume,
			    const struct nvme_io_extent *where, u32 count)
{
	struct nvme_io_namespace ns;
	u64 chunks;

	if (count != 1)
		return count ? "is there more than once" : "is not there";
	if (nvme_io_namespace_find(volume->overlay->host, where->nsid, &ns) ||
	    ns.lba_size != volume->lba_size || ns.metadata_size ||
	    ns.command_set)
		return "wants blocks as large as those it is for";
	if (!is_alone(volume, where))
		return "is over something else";
	chunks = chunk_count(volume, where);
	if (chunks < 4 * OVERLAY_LOG_MIN || chunks > ~0u)
		return "wants 256 KiB to 16 TiB";
	return NULL;
}

/* ---- Memory ----------------------------------------------------------------------- */

struct carver {
	u8 *memory;
	phys_t phys;
	u32 count;		/* pages left */
};

/* NULL: there is too little. */
static void *carve(struct carver *carver, u64 size, phys_t *phys)
{
	u64 pages = (size + CHUNK_SIZE - 1) / CHUNK_SIZE;
	u8 *memory = carver->memory;

	if (pages > carver->count)
		return NULL;
	*phys = carver->phys;
	carver->memory += pages * CHUNK_SIZE;
	carver->phys += pages * CHUNK_SIZE;
	carver->count -= (u32)pages;
	memset(memory, 0, pages * CHUNK_SIZE);
	return memory;
}

static bool carve_space(struct overlay_store *store, struct carver *carver,
			u32 chunks)
{
	u64 size = overlay_space_size(chunks);
	phys_t phys;
	u64 *used = carve(carver, size, &phys);
	u64 *dropped = carve(carver, size, &phys);

	if (!used || !dropped)
		return false;
	overlay_space_init(&store->space, used, dropped, 2 * store->log_pages,
			   chunks);
	return true;
}

static struct overlay_store *make(struct overlay_volume *volume,
				  const struct nvme_io_extent *where)
{
	struct overlay_pages *pages = &volume->rule->pages;
	struct carver carver = { pages->memory, pages->phys, pages->count };
	u32 chunks = (u32)chunk_count(volume, where);
	phys_t phys;
	struct overlay_store *store = carve(&carver, sizeof(*store), &phys);

	if (!store)
		return NULL;
	store->volume = volume;
	store->host = volume->overlay->host;
	store->where = *where;
	store->blocks = overlay_blocks(volume);
	store->log_pages = log_pages(chunks);
	store->run_max = store->log_pages * 3 / 4 * OVERLAY_LOG_RUNS;
	store->pages = carve(&carver, STORE_PAGES * CHUNK_SIZE, &store->phys);
	store->list = carve(&carver, CHUNK_SIZE, &store->list_phys);
	if (!store->pages || !store->list ||
	    !carve_space(store, &carver, chunks) ||
	    carver.count < OVERLAY_MAP_MIN)
		return NULL;
	overlay_pages_init(pages, carver.memory, carver.phys, carver.count);
	return store;
}

/* ---- Opening ---------------------------------------------------------------------- */

static void close_volume(struct overlay_volume *volume, const char *why)
{
	volume->is_closed = true;
	nvme_io_log(volume->overlay->host, NVME_IO_LOG_ERROR,
		    "overlay: n%u: lba %lu to %lu: read-only: the store %s "
		    "(line %u)", volume->where.nsid, volume->where.first_lba,
		    volume->where.last_lba, why, volume->rule->line);
}

static void say_open(const struct overlay_store *store)
{
	const struct overlay_volume *volume = store->volume;
	u64 used, count;

	overlay_guest_count(volume, &used, &count);
	nvme_io_log(store->host, NVME_IO_LOG_INFO,
		    "overlay: n%u: lba %lu to %lu: writes go to n%u lba %lu, "
		    "%lu KiB of %lu KiB used%s (line %u)", volume->where.nsid,
		    volume->where.first_lba, volume->where.last_lba,
		    store->where.nsid, store->where.first_lba, used * 4,
		    count * 4,
		    store->is_committing ? ", a commit goes on" : "",
		    volume->rule->line);
}

void overlay_place_opened(struct overlay *overlay)
{
	if (!--overlay->opening)
		nvme_io_start_fetching_g_reqs(overlay->host);
}

/* One that was interrupted by a reset is opened again after that. */
static void opened(struct overlay_store *store)
{
	if (store->is_open)
		say_open(store);
	else if (store->status != NVME_IO_ABORTED)
		close_volume(store->volume, store->why);
	overlay_place_opened(store->volume->overlay);
}

static void open_store(struct overlay_store *store)
{
	struct overlay_volume *volume = store->volume;
	struct overlay_pages *pages = volume->map.pages;
	struct overlay_space *space = &store->space;

	overlay_pages_init(pages, pages->memory, pages->phys, pages->count);
	volume->map = (struct overlay_map){
		.pages = pages, .dropped = overlay_open_ignore,
	};
	overlay_space_init(space, space->used, space->dropped, space->first,
			   space->count);
	store->heads = (struct overlay_heads){ 0 };
	store->why = NULL;
	store->generation = 0;
	store->pending = 0;
	store->is_unsynced = store->has_flags = store->is_committing = false;
	volume->overlay->opening++;
	overlay_store_begin(store, overlay_open, opened);
	overlay_store_go(store);
}

static bool is_as_it_was(const struct overlay_store *store,
			 const struct nvme_io_extent *where)
{
	return where && store->where.nsid == where->nsid &&
	       store->where.first_lba == where->first_lba &&
	       store->where.last_lba == where->last_lba;
}

static void go_on(struct overlay_store *store)
{
	u64 pages = nvme_io_transfer_max(store->host) / CHUNK_SIZE;

	store->piece = pages < STORE_PIECE ? (u32)pages : STORE_PIECE;
	store->is_broken = store->is_resting = store->is_paused = false;
	store->error = 0;
	if (store->is_open)
		overlay_store_kick(store);
	else
		open_store(store);
}

void overlay_place_use(struct overlay_volume *volume)
{
	u32 count;
	const struct nvme_io_extent *where = find_place(volume, &count);
	const char *why = obstacle(volume, where, count);

	if (volume->is_closed || !volume->rule->has_store)
		return;
	if (!why && !volume->store) {
		volume->store = make(volume, where);
		if (!volume->store)
			why = "wants more memory";
	}
	if (!why && !is_as_it_was(volume->store, where))
		why = "was another one";
	if (why)
		close_volume(volume, why);
	else
		go_on(volume->store);
}
