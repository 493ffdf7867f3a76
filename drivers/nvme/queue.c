/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Memory of hubs, submission queues and requests, the tables that lead from
 * a queue id to them, and who may still be using what.
 */
#include <errno.h>
#include <string.h>

#include "irq.h"
#include "nvme.h"
#include "page.h"

static size_t pages_of(size_t size)
{
	return (size + PAGE_MASK) >> PAGE_SHIFT;
}

static struct hub *alloc_hub(struct nvme_host *host, u16 id, size_t size)
{
	struct hub *hub = page_alloc(pages_of(size));

	if (!hub)
		return NULL;
	hub->page_count = pages_of(size);
	hub->host = host;
	hub->id = id;
	hub->users = 1;
	list_init(&hub->sqs);
	list_init(&hub->dead_sqs);
	list_init(&hub->waiting);
	hub->shadow.phase = true;
	hub->guest.phase = true;
	hub->shadow_heads = (u16 *)(hub + 1);
	return hub;
}

struct hub *hub_alloc(struct nvme_host *host, u16 id, u32 shadow_size,
		      void *guest_entries, u32 guest_size)
{
	struct hub *hub = alloc_hub(host, id, sizeof(struct hub) +
				    guest_size * sizeof(u16));

	if (!hub)
		return NULL;
	hub->shadow_pages = pages_of(shadow_size * sizeof(struct nvme_cqe));
	hub->shadow.entries = page_alloc(hub->shadow_pages);
	if (!hub->shadow.entries) {
		page_free(hub, hub->page_count);
		return NULL;
	}
	hub->shadow.size = shadow_size;
	hub->guest.entries = guest_entries;
	hub->guest.size = guest_size;
	return hub;
}

struct hub *hub_alloc_direct(struct nvme_host *host, u16 id,
			     void *guest_entries, u32 guest_size)
{
	struct hub *hub = alloc_hub(host, id, sizeof(struct hub));

	if (!hub)
		return NULL;
	hub->is_direct = true;
	hub->shadow.entries = guest_entries;
	hub->shadow.size = hub->guest.size = guest_size;
	return hub;
}

static struct sq *alloc_sq(u32 slot_count, u32 shadow_size)
{
	size_t size = sizeof(struct sq) +
		slot_count * sizeof(struct nvme_request);
	struct sq *sq = page_alloc(pages_of(size));

	if (!sq)
		return NULL;
	sq->page_count = pages_of(size);
	sq->shadow.size = shadow_size;
	sq->shadow_pages = pages_of(sq->shadow.size * sizeof(struct nvme_sqe));
	sq->shadow.entries = page_alloc(sq->shadow_pages);
	if (!sq->shadow.entries) {
		page_free(sq, sq->page_count);
		return NULL;
	}
	list_init(&sq->node);
	request_init(sq, slot_count);
	return sq;
}

/* One place more than slots: a ring with as many is never full. */
struct sq *sq_alloc(u16 id, u32 slot_count, void *guest_entries,
		    u32 guest_size)
{
	struct sq *sq = alloc_sq(slot_count, slot_count + 1);

	if (!sq)
		return NULL;
	sq->id = id;
	sq->guest.entries = guest_entries;
	sq->guest.size = guest_size;
	return sq;
}

struct sq *sq_alloc_direct(u16 id, u32 slot_count, void *guest_entries,
			   u32 guest_size)
{
	struct sq *sq = alloc_sq(slot_count, guest_size);

	if (!sq)
		return NULL;
	sq->id = id;
	sq->is_direct = true;
	sq->guest.entries = guest_entries;
	sq->guest.size = guest_size;
	return sq;
}

/* The device may still use a ring when it has not answered for a while. */
static void free_ring(struct nvme_host *host, void *pages, size_t count)
{
	bool is_lost;

	lock_acquire(&host->table_lock);
	is_lost = host->is_lost && host->limbo_count < ARRAY_COUNT(host->limbo);
	if (is_lost)
		host->limbo[host->limbo_count++] =
			(struct limbo){ pages, count };
	lock_release(&host->table_lock);
	if (!is_lost)
		page_free(pages, count);
}

void queue_free_limbo(struct nvme_host *host)
{
	lock_acquire(&host->table_lock);
	while (host->limbo_count) {
		struct limbo *limbo = &host->limbo[--host->limbo_count];

		page_free(limbo->pages, limbo->count);
	}
	lock_release(&host->table_lock);
}

void sq_free(struct sq *sq)
{
	if (!sq)
		return;
	list_remove(&sq->node);
	if (sq->hub)
		free_ring(sq->hub->host, sq->shadow.entries, sq->shadow_pages);
	else
		page_free(sq->shadow.entries, sq->shadow_pages);
	page_free(sq, sq->page_count);
}

/* ---- References ---------------------------------------------------------- */

void hub_ref(struct hub *hub)
{
	__atomic_fetch_add(&hub->users, 1, __ATOMIC_RELAXED);
}

void hub_put(struct hub *hub)
{
	if (!hub || __atomic_sub_fetch(&hub->users, 1, __ATOMIC_ACQ_REL))
		return;
	ASSERT(list_is_empty(&hub->sqs) && list_is_empty(&hub->dead_sqs));
	direct_release(hub);
	if (hub->shadow_pages)
		free_ring(hub->host, hub->shadow.entries, hub->shadow_pages);
	page_free(hub, hub->page_count);
}

struct hub *hub_get(struct nvme_host *host, u16 id)
{
	struct hub *hub = NULL;

	if (id >= NVME_QUEUE_IDS)
		return NULL;
	lock_acquire(&host->table_lock);
	hub = host->hubs[id];
	if (hub)
		hub_ref(hub);
	lock_release(&host->table_lock);
	return hub;
}

struct hub *hub_get_by_sq(struct nvme_host *host, u16 sq_id)
{
	struct hub *hub = NULL;

	if (sq_id >= NVME_QUEUE_IDS)
		return NULL;
	lock_acquire(&host->table_lock);
	if (host->sqs[sq_id]) {
		hub = host->sqs[sq_id]->hub;
		hub_ref(hub);
	}
	lock_release(&host->table_lock);
	return hub;
}

/*
 * The tables' reference is enough: who takes the hub out of them takes its
 * lock before he puts that. Tried, not waited for, as table_lock is a leaf.
 */
HOT inline struct sq *sq_try_lock(struct nvme_host *host, u16 id)
{
	struct sq *sq = NULL;

	if (id >= NVME_QUEUE_IDS)
		return NULL;
	lock_acquire(&host->table_lock);
	if (host->sqs[id] && host->sqs[id]->is_direct &&
	    lock_try(&host->sqs[id]->hub->lock))
		sq = host->sqs[id];
	lock_release(&host->table_lock);
	return sq;
}

bool hub_enter(struct hub *hub)
{
	bool watches = !hub->is_direct;

	if (watches)
		irq_watch_get();
	lock_acquire(&hub->lock);
	return watches;
}

void hub_leave(struct hub *hub, bool watches)
{
	lock_release(&hub->lock);
	if (watches)
		irq_watch_put();
}

static void set_hub(struct nvme_host *host, u16 id, struct hub *hub)
{
	u64 *word = &host->hub_bits[id / 64], bit = 1ull << id % 64;

	lock_assert_held(&host->table_lock);
	host->hubs[id] = hub;
	*word = hub ? *word | bit : *word & ~bit;
}

/* `among`: a bit for each that comes into question. */
static inline struct hub *find(struct nvme_host *host, const u64 *among,
			       u32 *id, bool (*is_wanted)(const struct hub *))
{
	u64 bits, mask = ~0ull << *id % 64;

	for (u32 word = *id / 64; word < NVME_QUEUE_WORDS; word++) {
		bits = host->hub_bits[word] & READ_ONCE(among[word]) & mask;
		for (; bits; bits &= bits - 1) {
			*id = 64 * word + __builtin_ctzll(bits);
			if (is_wanted(host->hubs[*id]))
				return host->hubs[(*id)++];
		}
		mask = ~0ull;
	}
	*id = NVME_QUEUE_IDS;
	return NULL;
}

static inline struct hub *get(struct nvme_host *host, const u64 *among,
			      u32 *id, bool (*is_wanted)(const struct hub *))
{
	struct hub *hub;

	lock_acquire(&host->table_lock);
	hub = find(host, among, id, is_wanted);
	if (hub)
		hub_ref(hub);
	lock_release(&host->table_lock);
	return hub;
}

static bool is_any(const struct hub *hub)
{
	return hub;
}

struct hub *hub_next(struct nvme_host *host, u32 *id)
{
	return get(host, host->hub_bits, id, is_any);
}

struct hub *hub_next_live(struct nvme_host *host, u32 *id,
			  bool (*is_wanted)(const struct hub *hub))
{
	return get(host, host->live_bits, id, is_wanted);
}

/* Bits of other hubs are in this word, each under its own lock. */
void hub_set_live(struct hub *hub, bool is_live)
{
	u64 *word = &hub->host->live_bits[hub->id / 64];
	u64 bit = 1ull << hub->id % 64;

	hub->is_live = is_live;
	if (is_live)
		__atomic_fetch_or(word, bit, __ATOMIC_RELEASE);
	else
		__atomic_fetch_and(word, ~bit, __ATOMIC_RELEASE);
}

/* ---- Tables ---------------------------------------------------------------- */

int hub_publish(struct hub *hub)
{
	struct nvme_host *host = hub->host;
	int error = 0;

	dbbuf_add_hub(hub);
	lock_acquire(&host->table_lock);
	if (host->hubs[hub->id]) {
		error = -EEXIST;
	} else {
		hub_set_live(hub, hub_is_always_live(hub));
		set_hub(host, hub->id, hub);
	}
	lock_release(&host->table_lock);
	return error;
}

int sq_publish(struct hub *hub, struct sq *sq)
{
	struct nvme_host *host = hub->host;
	int error = -EEXIST;

	lock_assert_held(&hub->lock);
	lock_acquire(&host->table_lock);
	if (!host->sqs[sq->id] && !hub->is_dead &&
	    sq->is_direct == hub->is_direct) {
		sq->hub = hub;
		host->sqs[sq->id] = sq;
		list_add_tail(&hub->sqs, &sq->node);
		dbbuf_add_sq(sq);
		error = 0;
	}
	lock_release(&host->table_lock);
	return error;
}

struct sq *sq_find(struct hub *hub, u16 id)
{
	struct list *node;

	list_for_each(node, &hub->sqs) {
		struct sq *sq = container_of(node, struct sq, node);

		if (sq->id == id)
			return sq;
	}
	return NULL;
}

/*
 * The device has forgotten the command. One that an interceptor holds stays
 * until the interceptor lets it go.
 */
static void drop_request(struct nvme_request *req)
{
	if (req->owner == OWNER_NONE || req->owner == OWNER_CHAIN)
		return;
	if (req->owner == OWNER_DEVICE) {
		if (req->sq->is_direct)
			cid_take(req->sq, req->sqe.cid);
		request_leave_device(req);
	}
	if (req->own)
		run_done(req->own, NVME_IO_ABORTED, 0);
	list_remove(&req->node);
	request_free(req);
}

bool sq_exists(struct nvme_host *host)
{
	bool exists = false;

	lock_acquire(&host->table_lock);
	for (u32 id = 1; id < NVME_QUEUE_IDS && !exists; id++)
		exists = host->sqs[id];
	lock_release(&host->table_lock);
	return exists;
}

void sq_retire(struct sq *sq)
{
	struct hub *hub = sq->hub;
	struct nvme_host *host = hub->host;

	lock_assert_held(&hub->lock);
	lock_acquire(&host->table_lock);
	host->sqs[sq->id] = NULL;
	lock_release(&host->table_lock);
	list_remove(&sq->node);
	sq->is_dead = true;
	for (u32 i = 0; i < sq->slot_count; i++)
		drop_request(&sq->slots[i]);
	if (hub->is_closed && !hub->special_count)
		direct_open(hub);
	if (sq->held_count)
		list_add_tail(&hub->dead_sqs, &sq->node);
	else
		sq_free(sq);
}

static void keep_counts(const struct hub *hub)
{
	struct nvme_host *host = hub->host;
	struct hub_counts *past = &host->past[hub->id != 0];

	lock_acquire(&host->table_lock);
	past->fetched += hub->counts.fetched;
	past->carried += hub->counts.carried;
	past->own += hub->counts.own;
	lock_release(&host->table_lock);
}

void hub_retire(struct hub *hub)
{
	struct nvme_host *host = hub->host;
	struct list *node, *after;

	lock_acquire(&host->table_lock);
	set_hub(host, hub->id, NULL);
	lock_release(&host->table_lock);
	lock_acquire(&hub->lock);
	hub->is_dead = true;
	list_for_each_safe(node, after, &hub->sqs)
		sq_retire(container_of(node, struct sq, node));
	direct_release(hub);
	keep_counts(hub);
	if (hub->is_direct && hub->is_blocked)
		irq_watch_put();
	lock_release(&hub->lock);
	hub_put(hub);
}
