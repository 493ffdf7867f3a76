/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * An overlay whose blocks are on a store (overlay_log.h says how), and what
 * its files share. It does one thing at a time: a command of the guest that
 * needs it, or a part of a commit. What comes meanwhile is held and asked
 * about again.
 *
 * What takes several requests to the drive is a step function, called again
 * when the last request has been answered, with where it has come to in
 * call->at. It may call another one, whose end is an answer, too.
 */
#ifndef OVERLAY_STORE_H
#define OVERLAY_STORE_H

#include "overlay.h"
#include "overlay_log.h"
#include "overlay_space.h"

#define STORE_PIECE 32u		/* pages of the buffer */
#define STORE_PENDING 8u	/* pages of the log, before they are written */
#define STORE_PAGES (STORE_PIECE + STORE_PENDING)
#define STORE_CALLS 4
#define STORE_RUNS (STORE_PENDING * OVERLAY_LOG_RUNS)

struct overlay_store;

enum overlay_next {
	NEXT_STEP,		/* at once */
	NEXT_ANSWER,		/* of the drive */
	NEXT_CALLER,		/* this is the end */
};

struct overlay_call {
	enum overlay_next (*step)(struct overlay_store *store,
				  struct overlay_call *call);
	u32 at;
};

/* Blocks of the store, or of what it is over, from or to store->pages. */
struct overlay_transfer {
	enum nvme_io_operation operation;
	bool is_base;
	u64 block;		/* from the first on */
	u32 count;
	u32 offset;		/* into the pages, in bytes */
};

/* What of a command is under way: a piece of at most STORE_PIECE chunks. */
struct overlay_job {
	struct nvme_request *req;	/* NULL: none of the guest's */
	bool is_forced;		/* FUA */
	u64 block, left;	/* blocks of the volume, still to be done */
	u64 offset;		/* into the command's data */
	u64 chunk;		/* the piece */
	u32 chunks, blocks;
	u32 written;		/* chunks of it */
	u32 run, run_count;	/* of the store, being written */
};

struct overlay_heads {		/* of both logs, when it is opened */
	u64 generation[2];	/* 0: nothing usable */
	bool was_over;		/* one was ended by the other */
	bool has_checkpoint;
};

struct overlay_store {
	struct overlay_volume *volume;
	struct nvme_host *host;
	struct nvme_io_extent where;
	u32 blocks;		/* of a chunk */
	u32 piece;		/* pages the drive takes at once */
	bool is_open;
	bool is_broken;		/* a request is lost: until the next reset */
	bool is_resting;	/* the guest leaves, or the drive has */
	const char *why;	/* it could not be opened */
	u8 *pages;		/* STORE_PIECE, then STORE_PENDING */
	phys_t phys;
	phys_t *list, list_phys;
	struct overlay_space space;
	struct overlay_heads heads;

	/* The log. */
	u32 log;		/* 0 or 1 */
	u32 log_pages;		/* of each */
	u32 log_next;		/* page to be written */
	u64 generation;		/* the highest there is */
	u64 chain;		/* checksum of the page before */
	u32 pending;		/* runs that are not written */
	u32 run_count, run_max;	/* of a checkpoint; no less than there are */
	bool is_unsynced;	/* the guest's last changes can get lost */
	bool has_flags;		/* to be written */
	bool needs_turn;	/* what is behind the log is not known */
	u16 error;		/* the last sync had, and nobody was told */
	/* A page or more of it on the way. */
	u32 appended;
	u64 appended_chain;
	u64 turn_chunk;		/* a checkpoint has come to */
	u32 turn_runs, turn_page;
	u64 turn_chain;

	/* What it is doing. */
	struct overlay_call calls[STORE_CALLS];
	u32 depth;
	u16 status;		/* of the last answer */
	void (*finish)(struct overlay_store *store);
	struct overlay_job job;
	struct nvme_request *first_waiting, *last_waiting;

	/* overlay_merge.c */
	bool is_committing, is_paused, wants_discard;
	u64 cursor;		/* chunks before it are done in this pass */
	u32 passes, batches;
	bool has_timer;
};

static inline struct overlay_log_page *
overlay_store_page(const struct overlay_store *store, u32 index)
{
	return (struct overlay_log_page *)(store->pages +
					   (u64)index * CHUNK_SIZE);
}

/* ---- overlay_store.c: one thing at a time ------------------------------- */

/* From within a step: the next one is that of `step`. */
void overlay_store_call(struct overlay_store *store,
			enum overlay_next (*step)(struct overlay_store *,
						  struct overlay_call *));
enum overlay_next overlay_store_transfer(struct overlay_store *store,
					 struct overlay_transfer transfer);
/* All that the drive has answered is safe: for the store, or the base. */
enum overlay_next overlay_store_flush(struct overlay_store *store,
				      bool is_base);
/* `step` is what it does now: it was idle. `finish` comes at the end. */
void overlay_store_begin(struct overlay_store *store,
			 enum overlay_next (*step)(struct overlay_store *,
						   struct overlay_call *),
			 void (*finish)(struct overlay_store *store));
/* After overlay_store_begin(), outside of steps. */
void overlay_store_go(struct overlay_store *store);
/* Whatever there is to do, if it does nothing. */
void overlay_store_kick(struct overlay_store *store);
static inline bool overlay_store_is_busy(const struct overlay_store *store)
{
	return store->depth;
}
/* Held, and asked about again when this is idle. */
void overlay_store_wait(struct overlay_store *store,
			struct nvme_request *req);

/* ---- overlay_sync.c ------------------------------------------------------ */

/* Room for so many changes in what is to be written? */
static inline bool overlay_sync_has_room(const struct overlay_store *store,
					 u32 runs)
{
	return store->pending + runs <= STORE_RUNS;
}
/* Will a log hold the map after so many changes? */
bool overlay_sync_can_hold(struct overlay_store *store, u32 runs);
/* This is what these chunks have now. There is room. */
void overlay_sync_note(struct overlay_store *store, u64 first, u64 count,
		       u64 entry);
/* Steps: what is done is safe; the log begins anew with all of the map. */
enum overlay_next overlay_sync(struct overlay_store *store,
			       struct overlay_call *call);
enum overlay_next overlay_sync_turn(struct overlay_store *store,
				    struct overlay_call *call);

/* ---- overlay_open.c ------------------------------------------------------ */

/* What the map is to do with chunks before that. */
void overlay_open_ignore(struct overlay_map *map, u32 page);
/* Then store->is_open, or store->why. */
enum overlay_next overlay_open(struct overlay_store *store,
			       struct overlay_call *call);

/* ---- overlay_merge.c ----------------------------------------------------- */

enum overlay_next overlay_merge(struct overlay_store *store,
				struct overlay_call *call);
void overlay_merge_ended(struct overlay_store *store);
enum overlay_next overlay_merge_discard(struct overlay_store *store,
					struct overlay_call *call);
void overlay_merge_discarded(struct overlay_store *store);
void overlay_merge_order(struct overlay_store *store);
void overlay_merge_order_discard(struct overlay_store *store);

/* ---- overlay_piece.c ----------------------------------------------------- */

/* Blocks from `block` on, up to `left` and to a buffer, of one kind. */
struct overlay_stretch {
	u32 count;
	bool is_data, is_zero;	/* neither: the base's */
	u64 store_block;	/* with is_data */
};
struct overlay_stretch overlay_piece_stretch(const struct overlay_store *store,
					     u64 block, u64 left);
/* Steps: job.left blocks from job.block on. */
enum overlay_next overlay_piece_read(struct overlay_store *store,
				     struct overlay_call *call);
enum overlay_next overlay_piece_write(struct overlay_store *store,
				      struct overlay_call *call);
enum overlay_next overlay_piece_zero(struct overlay_store *store,
				     struct overlay_call *call);

#endif
