/* SPDX-License-Identifier: BSD-2-Clause */
/* Chunks of a store, as two bit maps. */
#include <string.h>

#include "overlay_space.h"

static bool has(const u64 *bits, u32 chunk)
{
	return bits[chunk / 64] >> chunk % 64 & 1;
}

static void set(u64 *bits, u32 chunk)
{
	bits[chunk / 64] |= 1ull << chunk % 64;
}

void overlay_space_init(struct overlay_space *space, u64 *used, u64 *dropped,
			u32 first, u32 count)
{
	*space = (struct overlay_space){
		.used = used, .dropped = dropped, .first = first,
		.count = count, .free_count = count - first, .next = first,
	};
	memset(used, 0, overlay_space_size(count));
	memset(dropped, 0, overlay_space_size(count));
}

/* From `chunk` on, the first that is free; there is one. */
static u32 find_free(const struct overlay_space *space, u32 chunk)
{
	for (;;) {
		if (chunk >= space->count)
			chunk = space->first;
		if (!(chunk % 64) && space->used[chunk / 64] == ~0ull)
			chunk += 64;
		else if (has(space->used, chunk))
			chunk++;
		else
			return chunk;
	}
}

u32 overlay_space_take(struct overlay_space *space, u32 wanted, u32 *got)
{
	u32 first, end;

	*got = 0;
	if (!space->free_count)
		return 0;
	first = end = find_free(space, space->next);
	while (*got < wanted && end < space->count && !has(space->used, end)) {
		set(space->used, end++);
		++*got;
	}
	space->free_count -= *got;
	space->next = end;
	return first;
}

bool overlay_space_mark(struct overlay_space *space, u32 chunk)
{
	if (chunk < space->first || chunk >= space->count ||
	    has(space->used, chunk))
		return false;
	set(space->used, chunk);
	space->free_count--;
	return true;
}

void overlay_space_drop(struct overlay_space *space, u32 chunk)
{
	set(space->dropped, chunk);
	space->dropped_count++;
}

void overlay_space_reclaim(struct overlay_space *space)
{
	if (!space->dropped_count)
		return;
	for (u32 i = 0; i < (space->count + 63) / 64; i++)
		space->used[i] &= ~space->dropped[i];
	memset(space->dropped, 0, overlay_space_size(space->count));
	space->free_count += space->dropped_count;
	space->dropped_count = 0;
}
