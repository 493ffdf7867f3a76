/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the files of overlay share: volumes, their pages, and the map from
 * blocks to pages. The plug-in itself is overlay.c.
 */
#ifndef OVERLAY_H
#define OVERLAY_H

#include "nvme_io.h"

#define VOLUME_MAX 16
#define CHUNK_SIZE 4096u	/* what the map counts; one page */
#define ALL_NSIDS 0xffffffffu

/* ---- Pages: overlay_pages.c --------------------------------------------- */

/* By number from 1; 0 is no page. */
struct overlay_pages {
	u8 *memory;
	phys_t phys;
	u32 count;		/* of all, page 0 too */
	u32 free_count;
	u32 used_max;		/* pages from here on were never in use */
	u32 first_free;		/* of those given back; linked through them */
};

void overlay_pages_init(struct overlay_pages *pages, void *memory, phys_t phys,
			u32 count);
/* Zeroed. 0: there is none left. */
u32 overlay_pages_get(struct overlay_pages *pages);
void overlay_pages_put(struct overlay_pages *pages, u32 page);
static inline void *overlay_pages_at(const struct overlay_pages *pages,
				     u32 page)
{
	return pages->memory + (u64)page * CHUNK_SIZE;
}

/* ---- The map: overlay_map.c --------------------------------------------- */

/*
 * What there is of a chunk: a page, and for each block whether it is there,
 * or is zero whatever the page says. A block with neither is the base's.
 */
#define ENTRY_DATA(entry) ((u8)(entry))
#define ENTRY_ZERO(entry) ((u8)((entry) >> 8))
#define ENTRY_PAGE(entry) ((u32)((entry) >> 16))
#define ENTRY_ALL_ZERO 0xff00ull
#define ENTRY_MAKE(page, zero, data) \
	((u64)(page) << 16 | (u64)(u8)(zero) << 8 | (u8)(data))

/* A tree as a processor's page table is one, with the same large entries:
 * a range of zeroes is one. */
struct overlay_map {
	struct overlay_pages *pages;
	u32 root;
	/* A chunk's page is not needed any more. NULL: it is of `pages`. */
	void (*dropped)(struct overlay_map *map, u32 page);
};

/* A chunk's page, or 0, that its entry has no more. */
void overlay_map_drop(struct overlay_map *map, u32 page);

/* Chunks with the same entry, or with pages one after the other. */
struct overlay_run {
	u64 first, count, entry;
};
u64 overlay_run_entry(const struct overlay_run *run, u64 i);

u64 overlay_map_get(const struct overlay_map *map, u64 chunk);
/* To be changed in place until the map is. NULL: no page is left. */
u64 *overlay_map_make(struct overlay_map *map, u64 chunk);
/* [first, first + count) is zero. -1: too few pages are left. */
int overlay_map_zero(struct overlay_map *map, u64 first, u64 count);
/* Nothing is there any more. -1: as above. */
int overlay_map_forget(struct overlay_map *map, u64 first, u64 count);
/* The first run from `chunk` on, below `end`. False: there is none. */
bool overlay_map_run(const struct overlay_map *map, u64 chunk, u64 end,
		     struct overlay_run *run);
/* The first chunk from `chunk` on, below `end`, that has anything. */
u64 overlay_map_next(const struct overlay_map *map, u64 chunk, u64 end);
void overlay_map_clear(struct overlay_map *map);

/* ---- Rules: overlay_rules.c --------------------------------------------- */

struct overlay_rule {
	u32 line;
	u32 memory_mib;
	u32 warn_percent;
	char text[193];		/* as it stands there */
	struct nvme_io_selector selector;
	bool has_store, keeps;	/* what is on it over a start */
	struct nvme_io_selector store;
	struct overlay_pages pages;	/* count 0: not yet there */
	bool is_taken;		/* by a volume */
};

int overlay_rules_configure(u32 line, const char *key, const char *value,
			    char *why, size_t why_size);
u32 overlay_rules_count(void);
struct overlay_rule *overlay_rules_get(u32 index);
/* May root of the guest commit and discard? */
bool overlay_rules_allow_orders(void);

/* ---- A controller ------------------------------------------------------- */

enum overlay_commit {
	COMMIT_NOT,
	COMMIT_COPYING,		/* while the guest goes on */
	COMMIT_WAITING,		/* for what the device still reads */
	COMMIT_ENDING,		/* once more, what changed meanwhile */
	COMMIT_FLUSHING,
};

struct overlay;
struct overlay_store;

struct overlay_volume {
	struct overlay *overlay;
	struct overlay_rule *rule;
	struct overlay_store *store;	/* NULL: it is all in memory */
	struct nvme_io_extent where;
	char serial[21];
	u32 lba_size;
	bool is_closed;		/* there is no overlay for it: read-only */
	bool is_here;		/* found in this life of the controller */
	u32 warned_percent;
	struct overlay_map map;
	/* overlay_commit.c */
	enum overlay_commit commit;
	u64 cursor, end;	/* chunks left to be copied */
	u32 block;		/* of the chunk at the cursor */
	u64 dirty_first, dirty_end;	/* chunks changed since then */
	bool is_pending;	/* a request of ours */
	u32 reading;		/* commands that the device has */
	struct nvme_request *waiting;	/* linked by their private words */
};

/* A store as found: the guest cannot see or touch it. */
struct overlay_place {
	struct overlay_rule *rule;
	struct nvme_io_extent where;
};

struct overlay {
	struct nvme_host *host;
	struct nvme_io_interceptor interceptor;
	struct nvme_io_search search;
	const struct nvme_io_selector *selectors[2 * VOLUME_MAX];
	u32 selector_count;
	struct overlay_rule *rules[2 * VOLUME_MAX];	/* of each */
	u32 volume_count;
	struct overlay_volume volumes[VOLUME_MAX];
	bool is_closed;		/* what is where is not known: read-only */
	struct overlay_place places[VOLUME_MAX];	/* of stores */
	u32 place_count;
	u32 opening;		/* stores, before the guest's first command */
	phys_t *list, list_phys;	/* of one page, for a host request */
	void *zeroes;
	phys_t zeroes_phys;
};

/* ---- overlay.c ---------------------------------------------------------- */

/* Is there anything of it in this namespace? */
bool overlay_is_on(const struct overlay *overlay, u32 nsid);

/* ---- overlay_orders.c --------------------------------------------------- */

extern const struct nvme_io_control overlay_orders;

/* ---- overlay_where.c ---------------------------------------------------- */

/* Begins to look for volumes, then starts fetching. */
void overlay_where_look(struct overlay *overlay);
/* Are any of these blocks a store's? */
bool overlay_where_is_store(const struct overlay *overlay, u32 nsid, u64 lba,
			    u64 n_lbas);
static inline bool overlay_extents_overlap(const struct nvme_io_extent *a,
					   const struct nvme_io_extent *b)
{
	return a->nsid == b->nsid && a->first_lba <= b->last_lba &&
	       b->first_lba <= a->last_lba;
}
static inline u32 overlay_blocks(const struct overlay_volume *volume)
{
	return CHUNK_SIZE / volume->lba_size;	/* of a chunk */
}

/* ---- overlay_data.c ----------------------------------------------------- */

/* A chunk is part of a range of blocks of the volume: which of its blocks. */
struct overlay_part {
	u64 chunk;
	u32 first, count;	/* blocks of the chunk */
	u8 mask;
};
/* The part that begins at a block, counted from the volume's first. */
struct overlay_part overlay_data_part(const struct overlay_volume *volume,
				      u64 block, u64 count);
/* Blocks from the part's first on that are of one kind: in the page, zero, or
 * (neither) the base's. */
u32 overlay_data_run(const struct overlay_part *part, u64 entry, bool *is_data,
		     bool *is_zero);

#define OVERLAY_ZERO_RUNS 3	/* changes, of a range that is zeroed */

/* Enough pages for what a command may add to a map? */
bool overlay_data_may_map(const struct overlay_volume *volume);
/* Says that it is full: a status. */
u16 overlay_data_full(struct overlay_volume *volume);
/* Says, in steps, how full it is. */
void overlay_data_warn(struct overlay_volume *volume, const char *what,
		       u64 used, u64 count);

/* Statuses. The range is inside of the volume. */
u16 overlay_data_write(struct overlay_volume *volume, struct nvme_request *req,
		       u64 lba, u32 n_lbas);
u16 overlay_data_zero(struct overlay_volume *volume, u64 lba, u64 n_lbas);
/* Puts what is there over what the device has read. True: it was all. */
bool overlay_data_patch(struct overlay_volume *volume,
			struct nvme_request *req, u64 lba, u32 n_lbas);
/* The same for data of a host request. */
void overlay_data_show(const struct overlay_volume *volume,
		       const struct nvme_io_host_data *data);
bool overlay_data_has(const struct overlay_volume *volume, u64 lba,
		      u32 n_lbas);

/* ---- overlay_commit.c --------------------------------------------------- */

/* Not of one that is closed. Nothing happens when it is under way. */
void overlay_commit_begin(struct overlay_volume *volume);
/* A command for the volume comes. True: it is held, and comes again. */
bool overlay_commit_delays(struct overlay_volume *volume,
			   struct nvme_request *req);
/* The device has one of the guest's commands, or no more. */
void overlay_commit_enter(struct overlay_volume *volume);
void overlay_commit_leave(struct overlay_volume *volume);
/* These chunks have changed. */
void overlay_commit_note(struct overlay_volume *volume, u64 first, u64 count);
/* The controller was reset. */
void overlay_commit_stop(struct overlay_volume *volume);

/* ---- overlay_guest.c: where there is a store ------------------------------ */

/* A command of the guest inside of the volume. */
enum nvme_io_verdict overlay_guest_command(struct overlay_volume *volume,
					   struct nvme_request *req,
					   const struct nvme_io_command *cmd);
/* A Flush waits for what was written to be safe. */
enum nvme_io_verdict overlay_guest_flush(struct overlay *overlay,
					 struct nvme_request *req, u32 nsid);
/* Ranges that are to be discarded come. True: held, and comes again. */
bool overlay_guest_delays(struct overlay_volume *volume,
			  struct nvme_request *req, u32 n_ranges);
/* What was discarded or zeroed is to be safe with the next Flush. */
void overlay_guest_zeroed(struct overlay_volume *volume, u64 first, u64 count,
			  u64 entry);
/* NVME_IO_SUCCESS, or a range cannot be zeroed now. */
u16 overlay_guest_may_zero(struct overlay_volume *volume);
/* Chunks of the store, for the list. */
void overlay_guest_count(const struct overlay_volume *volume, u64 *used,
			 u64 *count);
/* The guest leaves: is everything safe? */
bool overlay_guest_can_stop(struct overlay_volume *volume);
void overlay_guest_commit(struct overlay_volume *volume);
void overlay_guest_discard(struct overlay_volume *volume);
bool overlay_guest_is_committing(const struct overlay_volume *volume);

/* ---- overlay_cache.c ------------------------------------------------------ */

void overlay_cache_identify(void *interceptor, u8 cns, u32 nsid,
			    u16 controller_id, void *data);
/* An admin command: that of the drive's cache is answered here. */
enum nvme_io_verdict overlay_cache_command(struct overlay *overlay,
					   struct nvme_request *req,
					   const struct nvme_io_command *cmd);

/* ---- overlay_place.c ------------------------------------------------------ */

/* After a reset, for each volume that is here: its store is opened, or goes
 * on; overlay->opening counts. Where that cannot be the volume is closed. */
void overlay_place_use(struct overlay_volume *volume);
/* One less to wait for; after the last the guest's commands may come. */
void overlay_place_opened(struct overlay *overlay);

#endif
