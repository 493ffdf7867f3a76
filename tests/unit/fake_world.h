/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * An overlay on a store, and all that outlives a machine: the drive, and what
 * each block may have. A machine's life is a process: it ends when its work
 * is done or the power fails, and what it finds at its start is checked.
 */
#ifndef FAKE_WORLD_H
#define FAKE_WORLD_H

#include "fake_power.h"

#define BLOCKS 701u			/* not a whole number of chunks */
#define HISTORY 48u

/* What a block may have: its versions since the last that is safe. */
struct history {
	u32 count;
	u32 versions[HISTORY];
};

struct world {
	struct power_drive drive;
	struct history blocks[BLOCKS];
	u32 base[BLOCKS];		/* versions on the drive */
	u32 version;			/* the last that was used */
	u32 block, count;		/* of a change under way */
	bool keeps;
	bool commits;			/* ordered, and not known to be over */
	bool discards;
	u32 lives, commit_count, discard_count;
};

extern struct world *world;		/* in memory that processes share */

/* keeps: overlay.boot = keep. */
void world_make(bool keeps);
/* The power fails at that step; 0: it does not. True: the life ended as it
 * should, by itself or with the power. */
bool world_live(void (*work)(void), u32 steps);

/* Within a life, commands of the guest. */
void world_change(u32 block, u32 count, bool is_zero, bool is_forced);
void world_trim(u32 block, u32 count);
void world_flush(void);
void world_order_commit(void);
void world_order_discard(void);

/* Every block has what was written last. */
void world_check(void);
/* False: so much is not safe yet that a flush has to come. */
bool world_has_room(void);

#endif
