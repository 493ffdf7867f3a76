/* SPDX-License-Identifier: BSD-2-Clause */
/* Blocks in and out of an overlay. */
#include <string.h>

#include "overlay.h"

#define WARN_STEP 5		/* percent */
#define RESERVE 32		/* pages, so that a discard can make room */

static u64 block_of(const struct overlay_volume *volume, u64 lba)
{
	return lba - volume->where.first_lba;
}

struct overlay_part overlay_data_part(const struct overlay_volume *volume,
				      u64 block, u64 count)
{
	u32 blocks = overlay_blocks(volume);
	struct overlay_part part = {
		.chunk = block / blocks, .first = block % blocks,
	};

	part.count = count < blocks - part.first ? (u32)count :
						   blocks - part.first;
	part.mask = (u8)(((1u << part.count) - 1) << part.first);
	return part;
}

u32 overlay_data_run(const struct overlay_part *part, u64 entry, bool *is_data,
		     bool *is_zero)
{
	u32 i = part->first;

	*is_data = ENTRY_DATA(entry) >> i & 1;
	*is_zero = ENTRY_ZERO(entry) >> i & 1;
	for (; i < part->first + part->count; i++)
		if ((ENTRY_DATA(entry) >> i & 1) != *is_data ||
		    (ENTRY_ZERO(entry) >> i & 1) != *is_zero)
			break;
	return i - part->first;
}

static u8 *data_at(const struct overlay_volume *volume, u64 entry, u32 block)
{
	return (u8 *)overlay_pages_at(volume->map.pages, ENTRY_PAGE(entry)) +
	       block * volume->lba_size;
}

/* ---- Writing -------------------------------------------------------- */

void overlay_data_warn(struct overlay_volume *volume, const char *what,
		       u64 used, u64 count)
{
	u32 percent = (u32)(used * 100 / count);

	if (percent < volume->rule->warn_percent ||
	    percent < volume->warned_percent + WARN_STEP)
		return;
	volume->warned_percent = percent;
	nvme_io_log(volume->overlay->host, NVME_IO_LOG_WARN,
		    "overlay: %s: %u%% of the %s is used",
		    volume->rule->text, percent, what);
}

static void warn(struct overlay_volume *volume)
{
	const struct overlay_pages *pages = volume->map.pages;

	overlay_data_warn(volume, "memory", pages->count - 1 -
			  pages->free_count, pages->count - 1);
}

bool overlay_data_may_map(const struct overlay_volume *volume)
{
	return volume->map.pages->free_count > RESERVE;
}

u16 overlay_data_full(struct overlay_volume *volume)
{
	nvme_io_log_limited(volume->overlay->host, NVME_IO_LOG_ERROR,
			    "overlay: %s: full: a write has failed",
			    volume->rule->text);
	return NVME_IO_CAPACITY_EXCEEDED | NVME_IO_DNR;
}

/* A page for each chunk, before any of them changes. */
static bool make_room(struct overlay_volume *volume, u64 block, u32 n_lbas)
{
	while (n_lbas) {
		struct overlay_part part =
			overlay_data_part(volume, block, n_lbas);
		u64 *entry = overlay_map_make(&volume->map, part.chunk);
		u32 page = 0;

		if (entry && !ENTRY_PAGE(*entry) &&
		    volume->map.pages->free_count > RESERVE)
			page = overlay_pages_get(volume->map.pages);
		if (!entry || !(page || ENTRY_PAGE(*entry)))
			return false;
		*entry |= ENTRY_MAKE(page, 0, 0);
		block += part.count;
		n_lbas -= part.count;
	}
	return true;
}

static int fill(struct overlay_volume *volume, struct nvme_request *req,
		u64 block, u32 n_lbas)
{
	u64 offset = 0;

	while (n_lbas) {
		struct overlay_part part =
			overlay_data_part(volume, block, n_lbas);
		u64 *entry = overlay_map_make(&volume->map, part.chunk);
		u32 size = part.count * volume->lba_size;

		if (nvme_io_req_read(req, offset,
				     data_at(volume, *entry, part.first), size))
			return -1;
		*entry = ENTRY_MAKE(ENTRY_PAGE(*entry),
				    ENTRY_ZERO(*entry) & ~part.mask,
				    ENTRY_DATA(*entry) | part.mask);
		offset += size;
		block += part.count;
		n_lbas -= part.count;
	}
	return 0;
}

u16 overlay_data_write(struct overlay_volume *volume, struct nvme_request *req,
		       u64 lba, u32 n_lbas)
{
	u64 block = block_of(volume, lba);
	u64 last = (block + n_lbas - 1) / overlay_blocks(volume);

	if (!make_room(volume, block, n_lbas))
		return overlay_data_full(volume);
	warn(volume);
	overlay_commit_note(volume, block / overlay_blocks(volume),
			    last - block / overlay_blocks(volume) + 1);
	return fill(volume, req, block, n_lbas) ?
		NVME_IO_TRANSFER_ERROR | NVME_IO_DNR : NVME_IO_SUCCESS;
}

/* ---- Zeroes --------------------------------------------------------- */

static bool zero_part(struct overlay_volume *volume,
		      const struct overlay_part *part)
{
	u64 *entry = overlay_map_make(&volume->map, part->chunk);
	u8 data, zero;
	u32 page;

	if (!entry)
		return false;
	data = ENTRY_DATA(*entry) & ~part->mask;
	zero = ENTRY_ZERO(*entry) | part->mask;
	page = ENTRY_PAGE(*entry);
	if (!data)
		overlay_map_drop(&volume->map, page);
	*entry = ENTRY_MAKE(data ? page : 0, zero, data);
	overlay_guest_zeroed(volume, part->chunk, 1, *entry);
	return true;
}

static int zero_chunks(struct overlay_volume *volume, u64 first, u64 count)
{
	if (!count)
		return 0;
	if (overlay_map_zero(&volume->map, first, count))
		return -1;
	overlay_guest_zeroed(volume, first, count, ENTRY_ALL_ZERO);
	return 0;
}

/* The chunk at one end of the range, where it is not all of it. */
static bool zero_end(struct overlay_volume *volume, u64 block, u64 count,
		     u32 *done)
{
	struct overlay_part part = overlay_data_part(volume, block, count);

	*done = 0;
	if (!count || part.count == overlay_blocks(volume))
		return true;
	*done = part.count;
	return zero_part(volume, &part);
}

u16 overlay_data_zero(struct overlay_volume *volume, u64 lba, u64 n_lbas)
{
	u32 blocks = overlay_blocks(volume), done;
	u64 block = block_of(volume, lba), chunks;
	u16 status = overlay_guest_may_zero(volume);

	if (!n_lbas || status)
		return status;
	overlay_commit_note(volume, block / blocks,
			    (block + n_lbas - 1) / blocks - block / blocks + 1);
	if (!zero_end(volume, block, n_lbas, &done))
		return overlay_data_full(volume);
	block += done;
	n_lbas -= done;
	chunks = n_lbas / blocks;
	if (zero_chunks(volume, block / blocks, chunks))
		return overlay_data_full(volume);
	if (!zero_end(volume, block + chunks * blocks,
		      n_lbas - chunks * blocks, &done))
		return overlay_data_full(volume);
	return NVME_IO_SUCCESS;
}

/* ---- Reading -------------------------------------------------------- */

static int patch_part(struct overlay_volume *volume, struct nvme_request *req,
		      u64 offset, struct overlay_part part, u64 entry)
{
	bool is_data, is_zero;
	int error = 0;

	while (part.count && !error) {
		u32 run = overlay_data_run(&part, entry, &is_data, &is_zero);
		u32 size = run * volume->lba_size;

		if (is_zero)
			error = nvme_io_req_write(
				req, offset, volume->overlay->zeroes, size);
		else if (is_data)
			error = nvme_io_req_write(
				req, offset,
				data_at(volume, entry, part.first), size);
		part.first += run;
		part.count -= run;
		offset += size;
	}
	return error;
}

bool overlay_data_patch(struct overlay_volume *volume,
			struct nvme_request *req, u64 lba, u32 n_lbas)
{
	u64 block = block_of(volume, lba), offset = 0;
	bool is_all = true;

	while (n_lbas) {
		struct overlay_part part =
			overlay_data_part(volume, block, n_lbas);
		u64 entry = overlay_map_get(&volume->map, part.chunk);
		u8 there = ENTRY_DATA(entry) | ENTRY_ZERO(entry);

		if (patch_part(volume, req, offset, part, entry) ||
		    (there & part.mask) != part.mask)
			is_all = false;
		offset += part.count * volume->lba_size;
		block += part.count;
		n_lbas -= part.count;
	}
	return is_all;
}

static void show_block(const struct overlay_volume *volume, u64 block,
		       u8 *bytes)
{
	struct overlay_part part = overlay_data_part(volume, block, 1);
	u64 entry = overlay_map_get(&volume->map, part.chunk);

	if (ENTRY_ZERO(entry) & part.mask)
		memset(bytes, 0, volume->lba_size);
	else if (ENTRY_DATA(entry) & part.mask)
		memcpy(bytes, data_at(volume, entry, part.first),
		       volume->lba_size);
}

void overlay_data_show(const struct overlay_volume *volume,
		       const struct nvme_io_host_data *data)
{
	for (u32 i = 0; i < data->n_lbas; i++)
		if (data->lba + i >= volume->where.first_lba &&
		    data->lba + i <= volume->where.last_lba)
			show_block(volume, block_of(volume, data->lba + i),
				   data->bytes + i * data->lba_size);
}

bool overlay_data_has(const struct overlay_volume *volume, u64 lba, u32 n_lbas)
{
	u64 block = block_of(volume, lba);

	while (n_lbas) {
		struct overlay_part part =
			overlay_data_part(volume, block, n_lbas);
		u64 entry = overlay_map_get(&volume->map, part.chunk);

		if ((ENTRY_DATA(entry) | ENTRY_ZERO(entry)) & part.mask)
			return true;
		block += part.count;
		n_lbas -= part.count;
	}
	return false;
}
