/* SPDX-License-Identifier: BSD-2-Clause */
/* Building, splitting and looking up page tables. */
#include <errno.h>

#include "barrier.h"
#include "bits.h"
#include "mtrr.h"
#include "page.h"
#include "pagetable.h"
#include "spec/x86.h"

#define ENTRY_COUNT 512
#define LEVEL_1G 2

struct mapping {
	u64 base, end;
	u64 leaf;
	bool onto_one_page;
	u64 target;
};

int pagetable_init(struct pagetable *table, const struct slat_format *format,
		   unsigned levels, bool has_1g_pages)
{
	table->format = format;
	table->levels = levels;
	table->has_1g_pages = has_1g_pages;
	table->root = page_alloc(1);
	return table->root ? 0 : -ENOMEM;
}

static u64 entry_size(unsigned level)
{
	return BIT(PAGE_SHIFT + 9 * level);
}

static bool is_present(const struct pagetable *table, u64 entry)
{
	return entry & table->format->present_mask;
}

static bool is_table(const struct pagetable *table, u64 entry, unsigned level)
{
	return level && is_present(table, entry) &&
	       !(entry & table->format->large);
}

static u64 *table_of(u64 entry)
{
	return (u64 *)(entry & PTE_ADDRESS);
}

/* May one entry of this level map [base, base + its size)? */
static bool can_be_leaf(const struct pagetable *table, unsigned level,
			u64 base, const struct mapping *map)
{
	u64 size = entry_size(level);

	if (!level)
		return true;
	if (level > LEVEL_1G || (level == LEVEL_1G && !table->has_1g_pages))
		return false;
	/* A page across a change of memory type is undefined (7.7.5). */
	return !map->onto_one_page && base >= map->base &&
	       map->end - base >= size && !mtrr_changes_within(base, size);
}

static u64 type_of(const struct pagetable *table, u64 address)
{
	return table->format->type ? table->format->type(address) : 0;
}

static u64 make_leaf(const struct pagetable *table, unsigned level, u64 base,
		     const struct mapping *map)
{
	u64 address = map->onto_one_page ? map->target : base;

	if (!is_present(table, map->leaf))
		return 0;
	return address | map->leaf | type_of(table, address) |
	       (level ? table->format->large : 0);
}

/*
 * A table in place of an entry that is empty or a large leaf: the same
 * translation in smaller pages, put in with one store.
 */
static int split(const struct pagetable *table, u64 *entry, unsigned level)
{
	u64 *below = page_alloc(1);
	u64 old = *entry;
	u64 step = entry_size(level - 1);

	if (!below)
		return -ENOMEM;
	if (is_present(table, old)) {
		if (level == 1)
			old &= ~table->format->large;
		for (unsigned i = 0; i < ENTRY_COUNT; i++)
			below[i] = old + i * step;
	}
	barrier_write();	/* the table's content before the table */
	WRITE_ONCE(*entry, page_hpa(below).v | table->format->table);
	return 0;
}

static int map_level(const struct pagetable *table, u64 *entries,
		     unsigned level, u64 entries_base,
		     const struct mapping *map)
{
	u64 size = entry_size(level);
	u64 base = MAX(align_down(map->base, size), entries_base);
	u64 end = MIN(map->end, entries_base + ENTRY_COUNT * size);
	int error;

	for (; base < end; base += size) {
		u64 *entry = &entries[(base - entries_base) / size];

		if (!is_table(table, *entry, level) &&
		    can_be_leaf(table, level, base, map)) {
			WRITE_ONCE(*entry, make_leaf(table, level, base, map));
			continue;
		}
		error = is_table(table, *entry, level)
				? 0
				: split(table, entry, level);
		if (!error)
			error = map_level(table, table_of(*entry), level - 1,
					  base, map);
		if (error)
			return error;
	}
	return 0;
}

static int map_all(struct pagetable *table, const struct mapping *map)
{
	return map_level(table, table->root, table->levels - 1, 0, map);
}

int pagetable_map(struct pagetable *table, u64 base, u64 size, u64 leaf)
{
	struct mapping map = { .base = base, .end = base + size, .leaf = leaf };

	return map_all(table, &map);
}

int pagetable_map_onto(struct pagetable *table, u64 base, u64 size,
		       u64 target, u64 leaf)
{
	struct mapping map = {
		.base = base, .end = base + size, .leaf = leaf,
		.onto_one_page = true, .target = target,
	};

	return map_all(table, &map);
}

static int update_level(const struct pagetable *table, u64 *entries,
			unsigned level, u64 base)
{
	u64 size = entry_size(level);
	int error = 0;

	for (u64 *entry = entries; entry < entries + ENTRY_COUNT && !error;
	     entry++, base += size) {
		u64 old = *entry;

		if (!is_present(table, old))
			continue;
		if (!is_table(table, old, level) &&
		    (!level || !mtrr_changes_within(base, size))) {
			old &= ~table->format->type_mask;
			WRITE_ONCE(*entry, old | type_of(table, old & PTE_ADDRESS));
			continue;
		}
		if (!is_table(table, old, level))
			error = split(table, entry, level);
		if (!error)
			error = update_level(table, table_of(*entry),
					     level - 1, base);
	}
	return error;
}

int pagetable_update_types(struct pagetable *table)
{
	return update_level(table, table->root, table->levels - 1, 0);
}

u64 pagetable_lookup(const struct pagetable *table, u64 address)
{
	unsigned level = table->levels - 1;
	const u64 *entries = table->root;
	u64 entry;

	for (;; level--) {
		entry = READ_ONCE(entries[address / entry_size(level) %
					  ENTRY_COUNT]);
		if (!is_table(table, entry, level))
			return is_present(table, entry) ? entry : 0;
		entries = table_of(entry);
	}
}

bool pagetable_is_empty(const struct pagetable *table, u64 address)
{
	unsigned level = table->levels - 1;
	const u64 *entries = table->root;
	u64 entry;

	for (;; level--) {
		entry = READ_ONCE(entries[address / entry_size(level) %
					  ENTRY_COUNT]);
		if (!is_present(table, entry))
			return true;
		if (level == LEVEL_1G || !is_table(table, entry, level))
			return false;
		entries = table_of(entry);
	}
}
