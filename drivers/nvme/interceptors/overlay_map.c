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

/* `level` is the entry's own: 0 is a chunk. */
static void drop(struct overlay_map *map, u64 entry, u32 level)
{
	for (u32 i = 0; level && ENTRY_PAGE(entry) && i < ENTRIES; i++)
		drop(map, node_at(map, entry)[i], level - 1);
	overlay_pages_put(map->pages, ENTRY_PAGE(entry));
}

/* Chunks [first, last] of those below the entry, which is opened already. */
static void zero_below(struct overlay_map *map, u64 entry, u32 level,
		       u64 first, u64 last)
{
	u64 size = 1ull << shift_of(level);

	for (u64 at = first; at <= last; at = (at / size + 1) * size) {
		u64 *below = &node_at(map, entry)[index_of(at, level)];
		u64 end = (at / size + 1) * size - 1;

		if (at % size || end > last) {
			if (*below != ENTRY_ALL_ZERO &&
			    open_entry(map, below))
				zero_below(map, *below, level - 1, at,
					   end < last ? end : last);
			continue;
		}
		drop(map, *below, level);
		*below = ENTRY_ALL_ZERO;
	}
}

/* At both ends of the range, a node for each level may be new. */
int overlay_map_zero(struct overlay_map *map, u64 first, u64 count)
{
	if (map->pages->free_count < 2 * LEVELS || !open_root(map))
		return -1;
	if (count)
		zero_below(map, root_of(map), LEVELS - 1, first,
			   first + count - 1);
	return 0;
}

/* Within one node: where to look next, or the chunk itself. */
static u64 step(const struct overlay_map *map, u64 chunk, bool *is_found)
{
	u64 entry = root_of(map);
	u32 level = LEVELS;

	while (level && ENTRY_PAGE(entry)) {
		level--;
		entry = node_at(map, entry)[index_of(chunk, level)];
	}
	*is_found = ENTRY_ZERO(entry) || ENTRY_DATA(entry);
	return *is_found ? chunk :
	       ((chunk >> shift_of(level)) + 1) << shift_of(level);
}

u64 overlay_map_next(const struct overlay_map *map, u64 chunk, u64 end)
{
	bool is_found = false;

	while (chunk < end && !is_found)
		chunk = step(map, chunk, &is_found);
	return chunk < end ? chunk : end;
}

void overlay_map_clear(struct overlay_map *map)
{
	drop(map, root_of(map), LEVELS);
	map->root = 0;
}
