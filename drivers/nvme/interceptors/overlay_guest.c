/* SPDX-License-Identifier: BSD-2-Clause */
/* What the guest, and its root, want of an overlay that has a store. */
#include "overlay_store.h"

#define WRITE_RESERVE 24u	/* pages of the map, for a commit */
#define FORCE_UNIT_ACCESS (1u << 30)	/* CDW12 (NVMe 1.4, 6.15) */

enum { WRITE = 0x01, READ = 0x02, COMPARE = 0x05, ZEROES = 0x08,
       VERIFY = 0x0c };

static enum nvme_io_verdict answer(struct nvme_request *req, u16 status)
{
	nvme_io_set_status(req, status, 0);
	return NVME_IO_DONE;
}

static bool is_usable(const struct overlay_store *store)
{
	return store->is_open && !store->is_broken;
}

/* ---- Reads and writes ---------------------------------------------------------- */

static void finish(struct overlay_store *store)
{
	nvme_io_finish_guest_request(store->host, store->job.req,
				     store->status);
}

static void warn(struct overlay_store *store)
{
	const struct overlay_pages *pages = store->volume->map.pages;
	u64 used, count;

	overlay_guest_count(store->volume, &used, &count);
	overlay_data_warn(store->volume, "store", used, count);
	overlay_data_warn(store->volume, "memory",
			  pages->count - 1 - pages->free_count,
			  pages->count - 1);
}

static void finish_change(struct overlay_store *store)
{
	warn(store);
	finish(store);
}

static void begin(struct overlay_store *store, struct nvme_request *req,
		  const struct nvme_io_command *cmd)
{
	store->job = (struct overlay_job){
		.req = req,
		.is_forced = cmd->cdw12 & FORCE_UNIT_ACCESS,
		.block = cmd->lba - store->volume->where.first_lba,
		.left = cmd->n_lbas,
	};
	if (cmd->opcode == READ)
		overlay_store_begin(store, overlay_piece_read, finish);
	else if (cmd->opcode == WRITE)
		overlay_store_begin(store, overlay_piece_write, finish_change);
	else
		overlay_store_begin(store, overlay_piece_zero, finish_change);
	overlay_store_go(store);
}

/* Does the drive have all of it, as the guest sees it? */
static bool is_the_drives(const struct overlay_volume *volume,
			  const struct nvme_io_command *cmd)
{
	return cmd->opcode == VERIFY ||
	       ((cmd->opcode == READ || cmd->opcode == COMPARE) &&
		!overlay_data_has(volume, cmd->lba, cmd->n_lbas));
}

enum nvme_io_verdict overlay_guest_command(struct overlay_volume *volume,
					   struct nvme_request *req,
					   const struct nvme_io_command *cmd)
{
	struct overlay_store *store = volume->store;

	if (!is_usable(store))
		return answer(req, NVME_IO_INTERNAL_ERROR);
	if (is_the_drives(volume, cmd))
		return NVME_IO_PASS;
	if (cmd->opcode != READ && cmd->opcode != WRITE &&
	    cmd->opcode != ZEROES)
		return answer(req, NVME_IO_INVALID_OPCODE | NVME_IO_DNR);
	if (overlay_store_is_busy(store))
		overlay_store_wait(store, req);
	else
		begin(store, req, cmd);
	return NVME_IO_HOLD;
}

/* ---- Flush ----------------------------------------------------------------------- */

static struct overlay_store *unsynced(struct overlay *overlay, u32 nsid)
{
	for (u32 i = 0; i < overlay->volume_count; i++) {
		struct overlay_volume *volume = &overlay->volumes[i];

		if (volume->is_here && !volume->is_closed && volume->store &&
		    volume->store->is_unsynced &&
		    (nsid == ALL_NSIDS || nsid == volume->where.nsid))
			return volume->store;
	}
	return NULL;
}

/* The drive's own Flush comes last, for what is elsewhere. */
static void finish_flush(struct overlay_store *store)
{
	struct overlay *overlay = store->volume->overlay;
	struct nvme_request *req = store->job.req;

	if (store->status)
		finish(store);
	else if (unsynced(overlay, nvme_io_req_command(req)->nsid))
		nvme_io_retry_guest_request(store->host, req);
	else
		nvme_io_resume_guest_request(store->host, req, 1);
}

enum nvme_io_verdict overlay_guest_flush(struct overlay *overlay,
					 struct nvme_request *req, u32 nsid)
{
	struct overlay_store *store = unsynced(overlay, nsid);

	if (!store)
		return NVME_IO_PASS;
	if (!is_usable(store))
		return answer(req, NVME_IO_INTERNAL_ERROR);
	if (overlay_store_is_busy(store)) {
		overlay_store_wait(store, req);
		return NVME_IO_HOLD;
	}
	store->job = (struct overlay_job){ .req = req };
	overlay_store_begin(store, overlay_sync, finish_flush);
	overlay_store_go(store);
	return NVME_IO_HOLD;
}

/* ---- Discards -------------------------------------------------------------------- */

/* Whoever comes next is told if there is no room now, either. */
static void made_room(struct overlay_store *store)
{
	(void)store;
}

bool overlay_guest_delays(struct overlay_volume *volume,
			  struct nvme_request *req, u32 n_ranges)
{
	struct overlay_store *store = volume->store;
	bool is_busy = overlay_store_is_busy(store);

	if (!is_usable(store))
		return false;
	if (!is_busy && (store->error || overlay_sync_has_room(
				 store, n_ranges * OVERLAY_ZERO_RUNS)))
		return false;
	overlay_store_wait(store, req);
	if (!is_busy) {
		overlay_store_begin(store, overlay_sync, made_room);
		overlay_store_go(store);
	}
	return true;
}

u16 overlay_guest_may_zero(struct overlay_volume *volume)
{
	struct overlay_store *store = volume->store;
	u16 status;

	if (!store)
		return NVME_IO_SUCCESS;
	if (!is_usable(store))
		return NVME_IO_INTERNAL_ERROR;
	if (!overlay_sync_has_room(store, OVERLAY_ZERO_RUNS)) {
		status = store->error;
		store->error = 0;
		return status ? status : NVME_IO_INTERNAL_ERROR;
	}
	if (volume->map.pages->free_count < WRITE_RESERVE ||
	    !overlay_sync_can_hold(store, OVERLAY_ZERO_RUNS))
		return overlay_data_full(volume);
	return NVME_IO_SUCCESS;
}

void overlay_guest_zeroed(struct overlay_volume *volume, u64 first, u64 count,
			  u64 entry)
{
	if (!volume->store)
		return;
	overlay_sync_note(volume->store, first, count, entry);
	volume->store->is_unsynced = true;
}

/* ---- Root, and the end ------------------------------------------------------------ */

void overlay_guest_count(const struct overlay_volume *volume, u64 *used,
			 u64 *count)
{
	const struct overlay_space *space = &volume->store->space;

	*count = space->count - space->first;
	*used = *count - space->free_count - space->dropped_count;
}

void overlay_guest_commit(struct overlay_volume *volume)
{
	overlay_merge_order(volume->store);
}

void overlay_guest_discard(struct overlay_volume *volume)
{
	overlay_merge_order_discard(volume->store);
}

bool overlay_guest_is_committing(const struct overlay_volume *volume)
{
	return volume->store->is_committing;
}

/* A commit rests until the drive is back. */
bool overlay_guest_can_stop(struct overlay_volume *volume)
{
	struct overlay_store *store = volume->store;

	store->is_resting = true;
	if (overlay_store_is_busy(store))
		return store->is_broken;
	if (!is_usable(store) || !store->is_unsynced || store->error)
		return true;
	overlay_store_begin(store, overlay_sync, made_room);
	overlay_store_go(store);
	return !overlay_store_is_busy(store);
}
