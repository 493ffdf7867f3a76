/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The map: four levels of 512 entries, enough for 2^36 chunks. An entry above
 * the last level is a node's page, or nothing, or zeroes all the way down.
 */
#include "overlay.h"

#define LEVELS 4
#define BITS_EACH 9
#define ENTRIES (1u << BITS_EACH)

static u64 *node_at(const struct overlay_map *map, u64 entry)
{
	return overlay_pages_at(map->pages, ENTRY_PAGE(entry));
}

static u32 shift_of(u32 level)
{
	return level * BITS_EACH;
}

static u32 index_of(u64 chunk, u32 level)
{
	return chunk >> shift_of(level) & (ENTRIES - 1);
}

static u64 root_of(const struct overlay_map *map)
{
	return ENTRY_MAKE(map->root, 0, 0);
}

u64 overlay_map_get(const struct overlay_map *map, u64 chunk)
{
	u64 entry = root_of(map);

	for (u32 level = LEVELS; level-- && ENTRY_PAGE(entry);)
		entry = node_at(map, entry)[index_of(chunk, level)];
	return entry;
}

/* A node where there was none says the same all over. 0: no page is left. */
static u64 make_node(struct overlay_map *map, u64 entry)
{
	u32 page = overlay_pages_get(map->pages);
	u64 node = ENTRY_MAKE(page, 0, 0);

	for (u32 i = 0; page && i < ENTRIES; i++)
		node_at(map, node)[i] = entry;
	return node;
}

static bool open_entry(struct overlay_map *map, u64 *entry)
{
	u64 node;

	if (ENTRY_PAGE(*entry))
		return true;
	node = make_node(map, *entry);
	if (node)
		*entry = node;
	return node;
}

static bool open_root(struct overlay_map *map)
{
	if (!map->root)
		map->root = ENTRY_PAGE(make_node(map, 0));
	return map->root;
}

u64 *overlay_map_make(struct overlay_map *map, u64 chunk)
{
	u64 *entry;

	if (!open_root(map))
		return NULL;
	entry = &node_at(map, root_of(map))[index_of(chunk, LEVELS - 1)];
	for (u32 level = LEVELS - 1; level--;) {
		if (!open_entry(map, entry))
			return NULL;
		entry = &node_at(map, *entry)[index_of(chunk, level)];
	}
	return entry;
}

void overlay_map_drop(struct overlay_map *map, u32 page)
{
	if (!map->dropped)
		overlay_pages_put(map->pages, page);
	else if (page)
		map->dropped(map, page);
}

/* `level` is the entry's own: 0 is a chunk. */
static void drop(struct overlay_map *map, u64 entry, u32 level)
{
	u32 page = ENTRY_PAGE(entry);

	for (u32 i = 0; level && page && i < ENTRIES; i++)
		drop(map, node_at(map, entry)[i], level - 1);
	if (level)
		overlay_pages_put(map->pages, page);
	else
		overlay_map_drop(map, page);
}

static bool is_bare(const struct overlay_map *map, u64 entry)
{
	for (u32 i = 0; i < ENTRIES; i++)
		if (node_at(map, entry)[i])
			return false;
	return true;
}

struct fill {
	struct overlay_map *map;
	u64 entry;
};

static void fill_below(const struct fill *fill, u64 entry, u32 level,
		       u64 first, u64 last);

/* Of those below an entry, which may have to be opened and may end bare. */
static void fill_part(const struct fill *fill, u64 *entry, u32 level,
		      u64 first, u64 last)
{
	struct overlay_map *map = fill->map;

	if (*entry == fill->entry || !open_entry(map, entry))
		return;
	fill_below(fill, *entry, level, first, last);
	if (fill->entry || !is_bare(map, *entry))
		return;
	overlay_pages_put(map->pages, ENTRY_PAGE(*entry));
	*entry = 0;
}

/* Chunks [first, last] of those below the entry, which is opened already. */
static void fill_below(const struct fill *fill, u64 entry, u32 level,
		       u64 first, u64 last)
{
	struct overlay_map *map = fill->map;
	u64 size = 1ull << shift_of(level);

	for (u64 at = first; at <= last; at = (at / size + 1) * size) {
		u64 *below = &node_at(map, entry)[index_of(at, level)];
		u64 end = (at / size + 1) * size - 1;

		if (at % size || end > last) {
			fill_part(fill, below, level - 1, at,
				  end < last ? end : last);
			continue;
		}
		drop(map, *below, level);
		*below = fill->entry;
	}
}

/* At both ends of the range, a node for each level may be new. */
static int fill(struct overlay_map *map, u64 first, u64 count, u64 entry)
{
	const struct fill fill = { map, entry };

	if (map->pages->free_count < 2 * LEVELS || !open_root(map))
		return -1;
	if (count)
		fill_below(&fill, root_of(map), LEVELS - 1, first,
			   first + count - 1);
	return 0;
}

int overlay_map_zero(struct overlay_map *map, u64 first, u64 count)
{
	return fill(map, first, count, ENTRY_ALL_ZERO);
}

int overlay_map_forget(struct overlay_map *map, u64 first, u64 count)
{
	return fill(map, first, count, 0);
}

/* The entry that decides, and how many chunks it does from this one on. */
static u64 span(const struct overlay_map *map, u64 chunk, u64 *entry)
{
	u32 level = LEVELS;

	*entry = root_of(map);
	while (level && ENTRY_PAGE(*entry)) {
		level--;
		*entry = node_at(map, *entry)[index_of(chunk, level)];
	}
	return (1ull << shift_of(level)) -
	       (chunk & ((1ull << shift_of(level)) - 1));
}

u64 overlay_map_next(const struct overlay_map *map, u64 chunk, u64 end)
{
	u64 entry;

	for (; chunk < end; chunk += span(map, chunk, &entry)) {
		span(map, chunk, &entry);
		if (ENTRY_ZERO(entry) || ENTRY_DATA(entry))
			return chunk;
	}
	return end;
}

u64 overlay_run_entry(const struct overlay_run *run, u64 i)
{
	return ENTRY_PAGE(run->entry) ? run->entry + (i << 16) : run->entry;
}

bool overlay_map_run(const struct overlay_map *map, u64 chunk, u64 end,
		     struct overlay_run *run)
{
	u64 entry, count;

	run->first = overlay_map_next(map, chunk, end);
	run->count = 0;
	for (u64 at = run->first; at < end; at += count) {
		count = span(map, at, &entry);
		if (!run->count)
			run->entry = entry;
		else if (entry != overlay_run_entry(run, run->count))
			break;
		count = count < end - at ? count : end - at;
		run->count += count;
	}
	return run->count;
}

void overlay_map_clear(struct overlay_map *map)
{
	drop(map, root_of(map), LEVELS);
	map->root = 0;
}
