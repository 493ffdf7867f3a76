/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The direct path: the device posts into the guest's own completion queue,
 * and Sluice reads there, at a later doorbell, which commands are over and
 * how far the device has fetched: then their lists, and their places in the
 * shadow queue, may be used again. While nobody is short of any of that,
 * nothing is read. Had the guest written that, the device
 * could find half of another command, or of another list, and do what nobody
 * has checked. So the device alone writes there:
 *
 * - The guest's stores are trapped from the first command on, when what
 *   stands there is cleared. A driver that marks what it has read may; the
 *   phase it cannot change, and what it has not read, or the device may be
 *   writing, it cannot change at all.
 * - The guest's own DMA to it is refused from Create CQ on, and a queue where
 *   such DMA is under way already takes the relayed path.
 *
 * A command that Sluice answers rides on a carrier here as well. While one is
 * at the device the guest's loads are trapped, too, so that it never sees the
 * carrier's own completion.
 */
#include <errno.h>
#include <string.h>

#include "gmem.h"
#include "nvme.h"
#include "page.h"
#include "setting.h"

/* ---- Setting -------------------------------------------------------------------- */

static enum { COMPLETIONS_UNSET, COMPLETIONS_AUTO, COMPLETIONS_RELAYED } path;

static int apply_completions(const struct setting *setting, char *why,
			     size_t size)
{
	(void)why;
	(void)size;
	if (path)
		return -EEXIST;
	if (!strcmp(setting->value, "auto"))
		path = COMPLETIONS_AUTO;
	else if (!strcmp(setting->value, "relayed"))
		path = COMPLETIONS_RELAYED;
	else
		return -EINVAL;
	return 0;
}

static const struct setting_handler completions_setting = {
	.key = "completions",
	.expects = "auto or relayed",
	.apply = apply_completions,
};
SETTING(completions_setting);

/* ---- Which memory ------------------------------------------------------------------ */

/*
 * Of all controllers: one's data could be another's queue. Where the first
 * begins and the last ends, and a place for each page in a small hash, so that
 * the usual answer is no.
 */
static struct lock windows_lock;	/* a leaf: they come and go under it */
static u64 windows_start, windows_end;
static u64 window_pages[NVME_WINDOW_WORDS];
static u32 window_count;

static u64 *page_word(u64 page, u64 *mask)
{
	u64 frame = page >> PAGE_SHIFT;
	u64 hash = frame ^ frame >> 12 ^ frame >> 24;

	*mask = 1ull << (hash & 63);
	return &window_pages[hash >> 6 & (NVME_WINDOW_WORDS - 1)];
}

static void note_pages(const struct mmio_region *region)
{
	u64 start = region->base.v, end = start + region->size;
	u64 mask;

	__atomic_store_n(&windows_start, window_count ?
			 MIN(windows_start, start) : start, __ATOMIC_SEQ_CST);
	__atomic_store_n(&windows_end, MAX(windows_end, end),
			 __ATOMIC_SEQ_CST);
	for (u64 at = 0; at < region->size; at += PAGE_SIZE) {
		u64 *word = page_word(region->base.v + at, &mask);

		__atomic_fetch_or(word, mask, __ATOMIC_SEQ_CST);
	}
}

/* Not for lent memory, which is large: the windows themselves are found as
 * quickly. */
static bool is_in_hash(u64 address, u64 size)
{
	u64 count = ((address & PAGE_MASK) + size + PAGE_MASK) >> PAGE_SHIFT;
	u64 mask;

	if (count > NVME_QUEUE_IDS)
		return true;
	for (; count; count--, address += PAGE_SIZE)
		if (READ_ONCE(*page_word(align_down(address, PAGE_SIZE),
					 &mask)) & mask)
			return true;
	return false;
}

static bool has_window_at(const struct nvme_host *host, u64 address, u64 size)
{
	for (u32 id = 1; id < NVME_QUEUE_IDS; id++) {
		const struct mmio_region *region = &host->windows[id].region;

		if (ranges_overlap(address, size, region->base.v,
				   READ_ONCE(region->size)))
			return true;
	}
	return false;
}

HOT bool direct_may_watch(u64 page)
{
	u64 mask;

	return page < READ_FIRST(windows_end) &&
		page >= READ_ONCE(windows_start) &&
		READ_ONCE(*page_word(page, &mask)) & mask;
}

HOT bool direct_is_near(u64 address, u64 size)
{
	return address < READ_FIRST(windows_end) &&
		ranges_overlap(address, size, READ_ONCE(windows_start), ~0ull);
}

struct span direct_span(u64 at)
{
	u64 end = READ_FIRST(windows_end), start = READ_ONCE(windows_start);

	return span_beside(gmem_dma_span(gpa(at)), at, start,
			   end ? end - start : 0);
}

bool direct_is_watched(u64 address, u64 size)
{
	struct list *node;

	if (!direct_is_near(address, size) || !is_in_hash(address, size))
		return false;
	list_for_each(node, &attach_hosts)
		if (has_window_at(container_of(node, struct nvme_host, node),
				  address, size))
			return true;
	return false;
}

/* ---- DMA that is under way there ------------------------------------------------------ */

static bool has_data_in(const struct nvme_request *req, u64 base, u64 size)
{
	u64 offset = 0;
	size_t piece;

	for (; offset < req->data.size; offset += piece) {
		u64 at = dptr_locate(&req->data, offset,
				     req->data.size - offset, &piece);

		if (at != DPTR_NOWHERE && ranges_overlap(at, piece, base, size))
			return true;
	}
	/* Metadata of a block is at most 65,535 bytes. */
	return ranges_overlap(req->sqe.mptr, req->cmd.n_lbas * 65535ull,
			      base, size);
}

static bool uses(const struct nvme_request *req, u64 base, u64 size)
{
	return req->owner != OWNER_NONE && !req->own && !req->is_carrier &&
		req->data.size && has_data_in(req, base, size);
}

static bool hub_uses(const struct hub *hub, u64 base, u64 size)
{
	u64 posts_to = hub->is_direct ? 0 : (u64)hub->guest.entries;
	struct list *node;

	if (posts_to && ranges_overlap(posts_to, (u64)hub->guest.size *
				       sizeof(struct nvme_cqe), base, size))
		return true;
	list_for_each(node, &hub->sqs) {
		const struct sq *sq = container_of(node, struct sq, node);

		for (u32 i = 0; i < sq->slot_count; i++)
			if (uses(&sq->slots[i], base, size))
				return true;
	}
	return false;
}

/*
 * The caller has its own admin queue's lock. Another controller's may be held
 * by one who waits for ours: then nobody knows, and the answer is yes.
 */
static bool hub_is_used(struct hub *hub, const struct hub *locked, u64 base,
			u64 size)
{
	bool is_used;

	if (hub == locked)
		return hub_uses(hub, base, size);
	if (hub->id)
		lock_acquire(&hub->lock);
	else if (!lock_try(&hub->lock))
		return true;
	/* What is over may not have been looked at. */
	if (hub->is_direct)
		hub_reap(hub);
	is_used = hub_uses(hub, base, size) ||
		(!hub->id && hmb_has(hub->host, base, size));
	lock_release(&hub->lock);
	return is_used;
}

static bool host_uses(struct nvme_host *host, const struct hub *locked,
		      u64 base, u64 size)
{
	u64 events = (u64)READ_ONCE(host->dbbuf_events);
	bool is_used = events && ranges_overlap(events, 1ull << host->page_shift,
						base, size);
	struct hub *hub;
	u32 id = 0;

	while ((hub = hub_next(host, &id))) {
		is_used |= hub_is_used(hub, locked, base, size);
		hub_put(hub);
	}
	return is_used;
}

static bool is_in_use(struct nvme_host *host, u64 base, u64 size)
{
	struct list *node;

	if (hmb_has(host, base, size))
		return true;
	list_for_each(node, &attach_hosts)
		if (host_uses(container_of(node, struct nvme_host, node),
			      host->hubs[0], base, size))
			return true;
	return false;
}

/* ---- What the guest does there --------------------------------------------------------- */

static u64 load(const void *from, unsigned size)
{
	u64 value = 0;

	switch (size) {
	case 1:
		memcpy(&value, from, 1);
		break;
	case 2:
		memcpy(&value, from, 2);
		break;
	case 4:
		memcpy(&value, from, 4);
		break;
	default:
		memcpy(&value, from, 8);
	}
	return value;
}

static void store(void *to, unsigned size, u64 value)
{
	switch (size) {
	case 1:
		memcpy(to, &value, 1);
		break;
	case 2:
		memcpy(to, &value, 2);
		break;
	case 4:
		memcpy(to, &value, 4);
		break;
	default:
		memcpy(to, &value, 8);
	}
}

static void *memory_at(const struct hub *hub, const struct mmio_access *access)
{
	return (u8 *)hub->shadow.entries + access->offset;
}

/* What the device posts meanwhile is looked at before the guest gets it. */
static void read_queue(struct hub *hub, struct mmio_access *access)
{
	do {
		hub_reap(hub);
		access->value = load(memory_at(hub, access), access->size);
	} while (hub_has_completion(hub));
}

/* Posted, and its place not yet the device's again. */
static bool is_unread(const struct hub *hub, u32 entry)
{
	const struct guest_ring *ring = &hub->guest;

	return ring_distance(ring->head, entry, ring->size) <
		ring_distance(ring->head, ring->tail, ring->size);
}

static u64 phase_mask(const struct mmio_access *access)
{
	u32 phase = offsetof(struct nvme_cqe, status);
	u32 at = access->offset % sizeof(struct nvme_cqe);
	u32 next = phase + (at > phase ? sizeof(struct nvme_cqe) : 0);

	return next - at < access->size ? 1ull << 8 * (next - at) : 0;
}

static bool may_write(const struct hub *hub, const struct mmio_access *access)
{
	u32 first = access->offset / sizeof(struct nvme_cqe);
	u32 last = (access->offset + access->size - 1) /
		sizeof(struct nvme_cqe);

	return first >= hub->guest.size ||
		(last < hub->guest.size && is_unread(hub, first) &&
		 is_unread(hub, last));
}

/* False: it is not the guest's to write. */
static bool write_queue(struct hub *hub, struct mmio_access *access)
{
	void *memory = memory_at(hub, access);
	u32 entry = access->offset / sizeof(struct nvme_cqe);
	u64 kept = entry < hub->guest.size ? phase_mask(access) : 0;

	hub_reap(hub);
	if (!may_write(hub, access))
		return false;
	store(memory, access->size, (access->value & ~kept) |
	      (load(memory, access->size) & kept));
	return true;
}

static u64 window_size(const struct hub *hub)
{
	return align_up(hub->guest.size * sizeof(struct nvme_cqe), PAGE_SIZE);
}

/* The queue may have gone, and another have come, while this access was on
 * its way: of a queue that the guest has deleted it expects nothing. */
static bool is_there(const struct hub *hub, const struct mmio_access *access)
{
	return hub->has_window && !hub->is_dead &&
		range_inside(access->offset, access->size, window_size(hub));
}

/* False: a write that the guest may not do. */
static bool access_queue(struct hub *hub, struct mmio_access *access)
{
	bool is_good = true;

	lock_acquire(&hub->lock);
	if (is_there(hub, access) && access->is_write)
		is_good = write_queue(hub, access);
	else if (is_there(hub, access))
		read_queue(hub, access);
	lock_release(&hub->lock);
	return is_good;
}

/* A driver whose device was pulled out tells nobody that it is through. */
static void refuse(struct hub *hub, const struct mmio_access *access)
{
	if (ctrl_gives_up(hub->host))
		store(memory_at(hub, access), access->size, access->value);
	else
		log_limited(LOG_WARN, "%s: cq%u: guest writes entry %llu, "
			    "which is not its to write", hub->host->name,
			    hub->id, (unsigned long long)access->offset /
			    sizeof(struct nvme_cqe));
}

static void access_window(struct mmio_region *region,
			  struct mmio_access *access)
{
	struct direct_window *window =
		container_of(region, struct direct_window, region);
	struct hub *hub = hub_get(window->host, window->id);

	if (hub && !access_queue(hub, access))
		refuse(hub, access);
	hub_put(hub);
	run_all(window->host);
}

/* ---- Life --------------------------------------------------------------------------------- */

static struct direct_window *window_of(const struct hub *hub)
{
	return &hub->host->windows[hub->id];
}

static int open_window(struct nvme_host *host, u16 id, u64 base, u64 size)
{
	struct direct_window *window = &host->windows[id];
	int error;

	/* Two of one id are on their way: the device will refuse one. */
	if (window->region.size)
		return -EEXIST;
	window->host = host;
	window->id = id;
	window->region = (struct mmio_region){
		.name = "completion queue", .base = gpa(base),
		.size = align_up(size, PAGE_SIZE),
		.traps = MMIO_TRAPS_NOTHING, .access = access_window,
	};
	error = mmio_register(&window->region);
	lock_acquire(&windows_lock);
	if (error)
		window->region.size = 0;
	else
		note_pages(&window->region);
	window_count += !error;
	lock_release(&windows_lock);
	return error;
}

static void close_window(struct nvme_host *host, u16 id)
{
	struct mmio_region *region = &host->windows[id].region;

	mmio_unregister(region);
	lock_acquire(&windows_lock);
	WRITE_ONCE(region->size, 0);
	/* What is in the hash for nothing costs a look; what is missing, if
	 * only for a moment, would let DMA through. */
	if (!--window_count) {
		memset(window_pages, 0, sizeof(window_pages));
		WRITE_ONCE(windows_end, 0);
	}
	lock_release(&windows_lock);
}

/* Without a pair of its own, Sluice's commands go through the guest's. */
static bool is_wanted(const struct nvme_host *host)
{
	return path != COMPLETIONS_RELAYED &&
		!chain_needs(host, NVME_IO_NEEDS_COMPLETIONS) &&
		(host->own_id ||
		 !chain_needs(host, NVME_IO_NEEDS_HOST_REQUESTS));
}

struct hub *direct_hub_alloc(struct nvme_host *host, u16 id, void *entries,
			     u32 size, bool has_interrupt)
{
	u64 base = (u64)entries, bytes = size * sizeof(struct nvme_cqe);
	struct hub *hub;

	/* Who polls it, as firmware does, gets answers without an exit only
	 * where they are posted while it rings the doorbell. */
	if (!has_interrupt || !is_wanted(host) ||
	    open_window(host, id, base, bytes))
		return NULL;
	/* Whatever is checked from here on stays out of it. */
	hub = is_in_use(host, base, align_up(bytes, PAGE_SIZE)) ? NULL :
		hub_alloc_direct(host, id, entries, size);
	if (hub)
		hub->has_window = true;
	else
		close_window(host, id);
	return hub;
}

void direct_watch(struct hub *hub)
{
	struct nvme_cqe *entries = hub->shadow.entries;

	if (hub->is_watched)
		return;
	mmio_set_traps(&window_of(hub)->region, MMIO_TRAPS_WRITES);
	/* As 4.1.3 wants it, whatever the guest has left there. */
	memset(entries, 0, hub->shadow.size * sizeof(*entries));
	WRITE_LAST(hub->is_watched, true);
}

void direct_close(struct hub *hub)
{
	hub->is_closed = true;
	mmio_set_traps(&window_of(hub)->region, MMIO_TRAPS_ALL);
}

void direct_open(struct hub *hub)
{
	hub->is_closed = false;
	mmio_set_traps(&window_of(hub)->region, MMIO_TRAPS_WRITES);
}

void direct_release(struct hub *hub)
{
	if (!hub->has_window)
		return;
	hub->has_window = hub->is_closed = false;
	WRITE_ONCE(hub->is_watched, false);
	close_window(hub->host, hub->id);
}
