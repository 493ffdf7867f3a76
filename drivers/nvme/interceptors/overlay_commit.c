/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the overlay has goes to the base, by host requests, chunk by chunk. The
 * guest works on meanwhile; then its commands wait until those at the device
 * are done and what has changed is copied, too, and the overlay is empty.
 * Whatever fails, the overlay stays: to the guest nothing has happened.
 */
#include "overlay.h"

static void go_on(struct overlay_volume *volume);

static u64 chunk_count(const struct overlay_volume *volume)
{
	u32 blocks = overlay_blocks(volume);

	return (volume->where.last_lba - volume->where.first_lba) / blocks + 1;
}

static void set_range(struct overlay_volume *volume, u64 first, u64 end)
{
	volume->cursor = first;
	volume->end = end;
	volume->block = 0;
	volume->dirty_first = ~0ull;
	volume->dirty_end = 0;
}

void overlay_commit_note(struct overlay_volume *volume, u64 first, u64 count)
{
	if (first < volume->dirty_first)
		volume->dirty_first = first;
	if (first + count > volume->dirty_end)
		volume->dirty_end = first + count;
}

/* ---- The guest's commands meanwhile ---------------------------------- */

bool overlay_commit_delays(struct overlay_volume *volume,
			   struct nvme_request *req)
{
	struct overlay *overlay = volume->overlay;

	if (volume->commit <= COMMIT_COPYING)
		return false;
	*nvme_io_req_private(req, &overlay->interceptor) =
		(u64)volume->waiting;
	volume->waiting = req;
	return true;
}

static void release(struct overlay_volume *volume)
{
	struct overlay *overlay = volume->overlay;
	struct nvme_request *req = volume->waiting;

	volume->waiting = NULL;
	while (req) {
		u64 next = *nvme_io_req_private(req, &overlay->interceptor);

		nvme_io_retry_guest_request(overlay->host, req);
		req = (struct nvme_request *)next;
	}
}

void overlay_commit_enter(struct overlay_volume *volume)
{
	volume->reading++;
}

void overlay_commit_leave(struct overlay_volume *volume)
{
	volume->reading--;
	if (volume->commit == COMMIT_WAITING)
		go_on(volume);
}

/* ---- The end --------------------------------------------------------- */

static void end(struct overlay_volume *volume, u16 status)
{
	volume->commit = COMMIT_NOT;
	if (status == NVME_IO_SUCCESS) {
		overlay_map_clear(&volume->map);
		volume->warned_percent = 0;
		nvme_io_log(volume->overlay->host, NVME_IO_LOG_INFO,
			    "overlay: %s: committed", volume->rule->text);
	} else {
		nvme_io_log(volume->overlay->host, NVME_IO_LOG_ERROR,
			    "overlay: %s: commit failed with status %04x: the "
			    "overlay stays, the base is partly changed",
			    volume->rule->text, status);
	}
	release(volume);
}

void overlay_commit_stop(struct overlay_volume *volume)
{
	volume->reading = 0;
	if (volume->commit != COMMIT_NOT && !volume->is_pending)
		end(volume, NVME_IO_ABORTED);
}

static void done(struct nvme_host *host, u16 status, void *arg)
{
	struct overlay_volume *volume = arg;

	volume->is_pending = false;
	if (status != NVME_IO_SUCCESS || volume->commit == COMMIT_FLUSHING)
		end(volume, status);
	else
		go_on(volume);
}

/* ---- Copying ---------------------------------------------------------- */

static bool submit(struct overlay_volume *volume,
		   struct nvme_io_descriptor *desc,
		   enum nvme_io_operation operation)
{
	volume->is_pending = desc &&
		nvme_io_submit(volume->overlay->host, desc, operation, done,
			       volume);
	return volume->is_pending;
}

static bool write_run(struct overlay_volume *volume, u64 chunk, u32 block,
		      u32 count, phys_t data)
{
	struct overlay *overlay = volume->overlay;
	u64 lba = volume->where.first_lba + chunk * overlay_blocks(volume) +
		  block;
	struct nvme_io_descriptor *desc = nvme_io_init_descriptor(
		overlay->host, volume->where.nsid, 0, lba, (u16)count);

	if (!desc)
		return false;
	nvme_io_set_sender(desc, &overlay->interceptor);
	overlay->list[0] = data;
	/* What does not fit is refused when it is submitted. */
	nvme_io_set_phys_buffers(overlay->host, desc, overlay->list,
				 overlay->list_phys, 1,
				 block * volume->lba_size);
	return submit(volume, desc, NVME_IO_WRITE);
}

/* Blocks of one kind of the chunk at the cursor; the base's are passed. */
static bool copy_run(struct overlay_volume *volume)
{
	u32 blocks = overlay_blocks(volume), run, first = volume->block;
	struct overlay_part part = {
		.chunk = volume->cursor, .first = first,
		.count = blocks - first,
	};
	u64 entry = overlay_map_get(&volume->map, volume->cursor);
	bool is_data, is_zero;
	phys_t data;

	run = overlay_data_run(&part, entry, &is_data, &is_zero);
	volume->block += run;
	if (volume->block == blocks) {
		volume->block = 0;
		volume->cursor++;
	}
	if (!is_data && !is_zero)
		return true;
	data = is_zero ? volume->overlay->zeroes_phys :
		volume->map.pages->phys + (u64)ENTRY_PAGE(entry) * CHUNK_SIZE;
	return write_run(volume, part.chunk, first, run, data);
}

/* Up to one request. False: it cannot be sent. */
static bool copy(struct overlay_volume *volume)
{
	while (!volume->is_pending) {
		if (!volume->block)
			volume->cursor = overlay_map_next(
				&volume->map, volume->cursor, volume->end);
		if (volume->cursor >= volume->end)
			return true;
		if (!copy_run(volume))
			return false;
	}
	return true;
}

static void flush(struct overlay_volume *volume)
{
	struct overlay *overlay = volume->overlay;

	volume->commit = COMMIT_FLUSHING;
	if (!submit(volume,
		    nvme_io_init_descriptor(overlay->host, volume->where.nsid,
					    0, 0, 1), NVME_IO_FLUSH))
		end(volume, NVME_IO_ABORTED);
}

static void next_stage(struct overlay_volume *volume)
{
	if (volume->commit == COMMIT_COPYING)
		volume->commit = COMMIT_WAITING;
	if (volume->commit == COMMIT_ENDING) {
		flush(volume);
	} else if (!volume->reading) {
		volume->commit = COMMIT_ENDING;
		set_range(volume, volume->dirty_first, volume->dirty_end);
		go_on(volume);
	}
}

static void go_on(struct overlay_volume *volume)
{
	if (volume->is_pending)
		return;
	if (!copy(volume))
		end(volume, NVME_IO_ABORTED);
	else if (!volume->is_pending)
		next_stage(volume);
}

void overlay_commit_begin(struct overlay_volume *volume)
{
	if (volume->commit != COMMIT_NOT)
		return;
	volume->commit = COMMIT_COPYING;
	set_range(volume, 0, chunk_count(volume));
	go_on(volume);
}
