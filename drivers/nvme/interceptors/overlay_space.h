/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Which chunks of a store are in use. One that is given up is not free before
 * the drive's own map says so, too: overlay_space_reclaim().
 */
#ifndef OVERLAY_SPACE_H
#define OVERLAY_SPACE_H

#include "nvme_io.h"

struct overlay_space {
	u64 *used, *dropped;	/* a bit for each */
	u32 first, count;	/* chunks [first, count) */
	u32 free_count, dropped_count;
	u32 next;		/* where to look first */
};

/* Bytes of each of the two. */
static inline u64 overlay_space_size(u32 count)
{
	return (u64)(count + 63) / 64 * 8;
}
/* All are free. */
void overlay_space_init(struct overlay_space *space, u64 *used, u64 *dropped,
			u32 first, u32 count);
/* The first of up to `wanted` adjacent ones, *got of them. 0: none is free. */
u32 overlay_space_take(struct overlay_space *space, u32 wanted, u32 *got);
/* This one. False: it is taken already, or there is none of that number. */
bool overlay_space_mark(struct overlay_space *space, u32 chunk);
void overlay_space_drop(struct overlay_space *space, u32 chunk);
void overlay_space_reclaim(struct overlay_space *space);

#endif
