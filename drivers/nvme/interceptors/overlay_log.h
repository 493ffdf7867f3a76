/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What an overlay keeps on its store, a partition of the drive:
 *
 *	log 0 | log 1 | chunks of 4 KiB that the guest has written
 *
 * all of them counted from the store's first block in pages of 4 KiB. A log
 * has 1/64 of the store, at least OVERLAY_LOG_MIN pages. Numbers are little
 * endian.
 *
 * A log begins with a checkpoint, the map as it was: as many pages as it
 * takes, the last of them with LOG_CHECKPOINT. Then come pages with what has
 * changed. A page is written once, behind the one before it; when a log is
 * full the other one begins, with the next generation. The one that counts
 * is that of the higher generation whose checkpoint is complete. It ends with
 * the first page that does not belong to it.
 *
 * A page belongs to a log by its checksum, which goes on from that of the page
 * before it: what an earlier attempt has left behind never continues a later
 * one, and of a page that the power failed in nothing is believed.
 *
 * The order that makes the log true:
 *
 *	the guest's data, into chunks that nothing on the drive points to;
 *	a Flush;
 *	pages that say where the data is;
 *	a Flush: now the guest's own Flush may be answered, and the chunks
 *	that those pages have given up may be written to.
 *
 * To commit goes the same way: a page with LOG_COMMITTING; what chunks have,
 * to their places; a Flush; pages that say of them that nothing is there; a
 * Flush. While the last page says LOG_COMMITTING, whoever reads the log goes
 * on with that, whatever else it was to do.
 */
#ifndef OVERLAY_LOG_H
#define OVERLAY_LOG_H

#include "overlay.h"

#define OVERLAY_LOG_MAGIC 0x31454349554c534full	/* "OSLUICE1" */
#define OVERLAY_LOG_RUNS 168u
#define OVERLAY_LOG_MIN 16u
#define OVERLAY_LOG_SHARE 64u

enum overlay_log_flags {
	LOG_CHECKPOINT = 1,	/* ends here */
	LOG_COMMITTING = 2,
	LOG_OVER = 4,		/* first page only: the other log counts */
};

/* Of a page, before it is written; the runs follow. */
struct overlay_log_head {
	u64 magic, checksum;
	u64 generation;
	u32 index;		/* of the page in its log */
	u16 count;		/* of runs */
	u16 flags;
	u64 first_lba, last_lba;	/* what the overlay is over */
	u32 nsid, lba_size;
};

struct overlay_log_page {
	struct overlay_log_head head;
	/* Chunks of what it is over, and ENTRY_MAKE() of the first. */
	struct overlay_run runs[OVERLAY_LOG_RUNS];
	u64 unused;
};
_Static_assert(sizeof(struct overlay_log_page) == CHUNK_SIZE, "a page");

/* `chain` is the checksum of the page before, or OVERLAY_LOG_MAGIC. */
u64 overlay_log_checksum(const struct overlay_log_page *page, u64 chain);
/* Is it of this log, at `head`'s place? */
bool overlay_log_continues(const struct overlay_log_page *page,
			   const struct overlay_log_head *head, u64 chain);

#endif
