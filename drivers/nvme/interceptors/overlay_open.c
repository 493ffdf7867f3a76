/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a store has when the machine starts: the map, from the log that counts,
 * or nothing. Nobody vouches for what is there: a page is checked, and so is
 * what it says. Whatever was found, it begins a log of its own.
 */
#include "overlay_store.h"

static u64 chunk_count(const struct overlay_store *store)
{
	const struct nvme_io_extent *where = &store->volume->where;

	return (where->last_lba - where->first_lba) / store->blocks + 1;
}

static enum overlay_next refuse(struct overlay_store *store, const char *why)
{
	store->why = why;
	return NEXT_CALLER;
}

/* ---- Which log? ---------------------------------------------------------------- */

static enum overlay_next read_pages(struct overlay_store *store, u32 log,
				    u32 index, u32 count)
{
	u32 page = log * store->log_pages + index;

	return overlay_store_transfer(store, (struct overlay_transfer){
		.operation = NVME_IO_READ, .block = (u64)page * store->blocks,
		.count = count * store->blocks,
	});
}

static void take_head(struct overlay_store *store, u32 log)
{
	const struct overlay_log_page *page = overlay_store_page(store, 0);
	struct overlay_log_head head = { .generation = page->head.generation };
	struct overlay_heads *heads = &store->heads;

	heads->generation[log] = 0;
	if (!overlay_log_continues(page, &head, OVERLAY_LOG_MAGIC))
		return;
	if (head.generation > store->generation)
		store->generation = head.generation;
	if (page->head.flags & LOG_OVER)
		heads->was_over = true;
	else
		heads->generation[log] = head.generation;
}

/* False: neither. */
static bool choose(struct overlay_store *store)
{
	const u64 *generations = store->heads.generation;

	store->log = generations[1] > generations[0];
	store->log_next = 0;
	store->chain = OVERLAY_LOG_MAGIC;
	store->is_committing = store->heads.has_checkpoint = false;
	overlay_map_clear(&store->volume->map);
	return generations[store->log];
}

/* ---- What it says -------------------------------------------------------------- */

static bool is_plausible(const struct overlay_store *store,
			 const struct overlay_run *run)
{
	const struct overlay_space *space = &store->space;
	u64 chunks = chunk_count(store), page = run->entry >> 16;

	if (!run->count || run->first >= chunks ||
	    run->count > chunks - run->first)
		return false;
	if (!page)
		return !ENTRY_DATA(run->entry);
	return page >= space->first && page < space->count &&
	       run->count <= space->count - page;
}

static bool set_each(struct overlay_store *store,
		     const struct overlay_run *run)
{
	for (u64 i = 0; i < run->count; i++) {
		u64 *entry = overlay_map_make(&store->volume->map,
					      run->first + i);

		if (!entry)
			return false;
		*entry = overlay_run_entry(run, i);
	}
	return true;
}

static bool apply_run(struct overlay_store *store,
		      const struct overlay_run *run)
{
	struct overlay_map *map = &store->volume->map;

	if (!is_plausible(store, run))
		return false;
	if (!run->entry)
		return !overlay_map_forget(map, run->first, run->count);
	if (run->entry == ENTRY_ALL_ZERO)
		return !overlay_map_zero(map, run->first, run->count);
	return set_each(store, run);
}

static bool is_of_this_place(const struct overlay_store *store,
			     const struct overlay_log_head *head)
{
	const struct nvme_io_extent *where = &store->volume->where;

	return head->nsid == where->nsid &&
	       head->first_lba == where->first_lba &&
	       head->last_lba == where->last_lba &&
	       head->lba_size == store->volume->lba_size;
}

/* NULL, or why the store cannot be used. */
static const char *apply_page(struct overlay_store *store,
			      const struct overlay_log_page *page)
{
	if (!is_of_this_place(store, &page->head))
		return "is that of another place";
	for (u32 i = 0; i < page->head.count; i++)
		if (!apply_run(store, &page->runs[i]))
			return "is damaged, or wants more memory";
	return NULL;
}

/* The flags count even of a log that cannot be used. */
static void take_page(struct overlay_store *store,
		      const struct overlay_log_page *page)
{
	store->is_committing = page->head.flags & LOG_COMMITTING;
	store->heads.has_checkpoint |= page->head.flags & LOG_CHECKPOINT;
	store->chain = page->head.checksum;
	store->log_next++;
	if (!store->why)
		store->why = apply_page(store, page);
}

static u32 batch(const struct overlay_store *store)
{
	u32 left = store->log_pages - store->log_next;

	return left < store->piece ? left : store->piece;
}

/* True: the log ends here. */
static bool apply_batch(struct overlay_store *store)
{
	u32 count = batch(store);

	for (u32 i = 0; i < count; i++) {
		const struct overlay_log_page *page =
			overlay_store_page(store, i);
		struct overlay_log_head head = {
			.generation = store->heads.generation[store->log],
			.index = store->log_next,
		};

		if (!overlay_log_continues(page, &head, store->chain))
			return true;
		take_page(store, page);
	}
	return store->log_next == store->log_pages;
}

/* ---- What becomes of it -------------------------------------------------------- */

static bool mark_run(struct overlay_store *store, const struct overlay_run *run)
{
	for (u64 i = 0; ENTRY_PAGE(run->entry) && i < run->count; i++)
		if (!overlay_space_mark(&store->space,
					ENTRY_PAGE(run->entry) + (u32)i))
			return false;
	return true;
}

static bool mark_used(struct overlay_store *store)
{
	u64 end = chunk_count(store);
	struct overlay_run run;

	for (u64 at = 0;
	     overlay_map_run(&store->volume->map, at, end, &run);
	     at = run.first + run.count)
		if (!mark_run(store, &run))
			return false;
	return true;
}

/* Until then nothing has been marked. */
void overlay_open_ignore(struct overlay_map *map, u32 page)
{
	(void)map;
	(void)page;
}

static void give_up(struct overlay_map *map, u32 page)
{
	struct overlay_volume *volume = (struct overlay_volume *)
		((u8 *)map - offsetof(struct overlay_volume, map));

	overlay_space_drop(&volume->store->space, page);
}

enum { OPEN_FIRST, OPEN_SECOND, OPEN_HEADS, OPEN_CHOOSE, OPEN_READ, OPEN_APPLY,
       OPEN_TURN, OPEN_END };

/* It was all there, or (the power failed in it) the other one counts. */
static enum overlay_next applied(struct overlay_store *store,
				 struct overlay_call *call)
{
	const struct overlay_rule *rule = store->volume->rule;

	if (!apply_batch(store)) {
		call->at = OPEN_READ;
		return NEXT_STEP;
	}
	if (store->heads.has_checkpoint && !store->why && !mark_used(store))
		store->why = "is damaged";
	if (store->heads.has_checkpoint &&
	    (store->is_committing || rule->keeps))
		return store->why ? NEXT_CALLER : NEXT_STEP;
	store->why = NULL;
	if (store->heads.has_checkpoint)
		return NEXT_STEP;
	store->heads.generation[store->log] = 0;
	call->at = OPEN_CHOOSE;
	return NEXT_STEP;
}

static void begin_empty(struct overlay_store *store)
{
	struct overlay_space *space = &store->space;

	store->is_committing = false;
	overlay_map_clear(&store->volume->map);
	overlay_space_init(space, space->used, space->dropped, space->first,
			   space->count);
}

static enum overlay_next turn(struct overlay_store *store)
{
	const struct overlay_rule *rule = store->volume->rule;

	if (!rule->keeps && !store->is_committing)
		begin_empty(store);
	overlay_store_call(store, overlay_sync_turn);
	return NEXT_STEP;
}

static enum overlay_next choose_log(struct overlay_store *store,
				    struct overlay_call *call)
{
	if (choose(store))
		return NEXT_STEP;
	if (store->heads.was_over && store->volume->rule->keeps)
		return refuse(store, "is damaged");
	begin_empty(store);
	call->at = OPEN_TURN;
	return NEXT_STEP;
}

static enum overlay_next step(struct overlay_store *store,
			      struct overlay_call *call, u32 at)
{
	switch (at) {
	case OPEN_FIRST:
		return read_pages(store, 0, 0, 1);
	case OPEN_SECOND:
		take_head(store, 0);
		return read_pages(store, 1, 0, 1);
	case OPEN_HEADS:
		take_head(store, 1);
		return NEXT_STEP;
	case OPEN_CHOOSE:
		return choose_log(store, call);
	case OPEN_READ:
		return read_pages(store, store->log, store->log_next,
				  batch(store));
	case OPEN_APPLY:
		return applied(store, call);
	case OPEN_TURN:
		return turn(store);
	default:
		store->is_open = true;
		store->volume->map.dropped = give_up;
		return NEXT_CALLER;
	}
}

enum overlay_next overlay_open(struct overlay_store *store,
			       struct overlay_call *call)
{
	if (store->status)
		return refuse(store, "cannot be read or written");
	return step(store, call, call->at++);
}
