/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A queue's requests: taken for each command, issued to the device, given
 * back. All under hub->lock.
 */
#include <string.h>

#include "irq.h"
#include "nvme.h"
#include "page.h"

static struct hub *hub_of(const struct nvme_request *req)
{
	return req->sq->hub;
}

/* ---- Memory ------------------------------------------------------------------ */

/* The last to be freed is the first to be taken: its memory is at hand. */
static void push_free(struct nvme_request *req)
{
	struct sq *sq = req->sq;

	req->next = sq->free;
	sq->free = req;
	sq->free_count++;
}

static struct nvme_request *pop_free(struct sq *sq)
{
	struct nvme_request *req = sq->free;

	if (!req)
		return NULL;
	sq->free = req->next;
	sq->free_count--;
	return req;
}

void request_init(struct sq *sq, u32 count)
{
	sq->slot_count = count;
	sq->guest_slots = count > 2 * NVME_HOST_SLOTS ?
		count - NVME_HOST_SLOTS : count;
	for (u32 i = count; i--;) {
		struct nvme_request *req = &sq->slots[i];

		list_init(&req->node);
		req->sq = sq;
		req->slot = i;
		push_free(req);
	}
}

HOT inline struct nvme_request *request_alloc(struct sq *sq)
{
	const size_t first = offsetof(struct nvme_request, stage);
	const size_t end = offsetof(struct nvme_request, private);
	struct nvme_request *req = pop_free(sq);

	if (!req)
		return NULL;
	ASSERT(req->owner == OWNER_NONE);
	memset((u8 *)req + first, 0, end - first);
	req->owner = OWNER_HUB;
	return req;
}

static __attribute__((noinline)) void free_holdings(struct nvme_request *req)
{
	if (dptr_has_pages(&req->data))
		dptr_release(req);
	dptr_forget(&req->data);
	hub_put(req->new_hub);
	sq_free(req->new_sq);
	req->new_hub = NULL;
	req->new_sq = NULL;
}

HOT inline void request_free(struct nvme_request *req)
{
	struct sq *sq = req->sq;

	ASSERT(req->owner == OWNER_HUB || req->owner == OWNER_LOST);
	if (req->is_plain)
		req->data.size = req->data.prp1 = 0;
	else
		free_holdings(req);
	if (req->has_place)
		sq->hub->place_count--;
	if (req->own)
		req->own = NULL;
	else if (req->owner == OWNER_HUB)
		sq->guest_used--;
	req->owner = OWNER_NONE;
	push_free(req);
}

/* ---- At the device ---------------------------------------------------------- */

/*
 * An event request may stay at the device for ever: were it counted, every
 * interrupt of an idle machine would exit. So the event itself is found by
 * the next exit that comes for another reason.
 */
static bool is_event_request(const struct nvme_request *req)
{
	return req->cmd.admin && !req->own && !req->is_carrier &&
		req->cmd.opcode == NVME_ADMIN_ASYNC_EVENT;
}

static void count_debt(struct hub *hub, const struct nvme_request *req,
		       int change)
{
	WRITE_ONCE(hub->debt_count, hub->debt_count + change);
	if (req->is_special)
		hub->special_count += change;
}

static void enter_direct(struct hub *hub, struct nvme_request *req)
{
	WRITE_ONCE(hub->busy, hub->busy + 1);
	req->has_debt = req->is_special || dptr_has_pages(&req->data);
	if (req->has_debt)
		count_debt(hub, req, 1);
	req->owner = OWNER_DEVICE;
}

/* Whoever works on a hub watches already: this does not wait. */
static void enter_relayed(struct hub *hub, struct nvme_request *req)
{
	req->owner = OWNER_DEVICE;
	if (!hub->is_live)
		hub_set_live(hub, true);
	if (is_event_request(req))
		return;
	WRITE_ONCE(hub->busy, hub->busy + 1);
	if (!__atomic_fetch_add(&hub->host->busy, 1, __ATOMIC_RELAXED))
		irq_watch_get();
}

static void leave_relayed(struct hub *hub, struct nvme_request *req)
{
	if (is_event_request(req))
		return;
	WRITE_ONCE(hub->busy, hub->busy - 1);
	if (!__atomic_sub_fetch(&hub->host->busy, 1, __ATOMIC_RELAXED))
		irq_watch_put();
}

HOT inline void request_leave_device(struct nvme_request *req)
{
	struct hub *hub = hub_of(req);

	ASSERT(req->owner == OWNER_DEVICE);
	req->owner = OWNER_HUB;
	if (!hub->is_direct) {
		leave_relayed(hub, req);
		return;
	}
	WRITE_ONCE(hub->busy, hub->busy - 1);
	if (req->has_debt)
		count_debt(hub, req, -1);
}

/* A Flush of a namespace there is, or the harmless Get Features. */
static COLD __attribute__((noinline)) void build_carrier(const struct nvme_request *req, struct nvme_sqe *sqe)
{
	struct nvme_namespace ns = { .public.nsid = req->cmd.nsid };
	struct nvme_host *host = hub_of(req)->host;

	*sqe = (struct nvme_sqe){ 0 };
	if (req->cmd.admin) {
		sqe->opcode = NVME_ADMIN_GET_FEATURES;
		sqe->cdw10 = NVME_FEATURE_ARBITRATION;
		return;
	}
	if (!req->is_flush && ns_find(host, req->cmd.nsid, &ns))
		ns_at(host, 0, &ns);
	sqe->opcode = NVME_CMD_FLUSH;
	sqe->nsid = ns.public.nsid;
}

static void set_pointers(struct nvme_sqe *sqe, const struct dptr *data)
{
	sqe->prp1 = data->copy ? page_hpa(data->copy).v : data->prp1;
	sqe->prp2 = data->copy ? 0 : data->prp2;
	if (!data->is_sgl || data->copy)
		sqe->flags &= ~NVME_SQE_PSDT;
}

/* The device is given what plain_decode() has left. */
static bool is_as_it_is(const struct nvme_request *req)
{
	return req->is_plain && !req->is_carrier && !req->is_flush;
}

static void build_sqe(const struct nvme_request *req, struct nvme_sqe *sqe)
{
	if (req->own) {
		*sqe = req->own->sqe;
	} else if (req->is_carrier || req->is_flush) {
		build_carrier(req, sqe);
	} else {
		*sqe = req->sqe;
		if (!req->is_plain)
			set_pointers(sqe, &req->data);
	}
}

/* Before the device could answer: nobody sees that answer but us. */
static COLD void make_special(struct hub *hub, struct nvme_request *req)
{
	req->is_special = true;
	if (!hub->special_count)
		direct_close(hub);
}

/* The ring has more places than there are slots, so it is never full; of a
 * direct queue hub_ring_sq() has seen to it. There the place is the guest's. */
static inline struct nvme_sqe *take_place(struct sq *sq)
{
	struct shadow_ring *ring = &sq->shadow;
	struct nvme_sqe *entries = ring->entries;
	u32 place = ring->tail;

	ring->tail = ring_advance(place, ring->size);
	ASSERT(!sq->is_direct || ring->tail == sq->guest.head);
	return &entries[place];
}

static __attribute__((noinline)) void issue_relayed(struct nvme_request *req)
{
	struct nvme_sqe *sqe = take_place(req->sq);

	build_sqe(req, sqe);
	sqe->cid = req->slot;
	enter_relayed(hub_of(req), req);
}

static __attribute__((noinline)) void issue_direct(struct nvme_request *req)
{
	struct nvme_sqe *sqe;

	if (req->is_carrier)
		make_special(hub_of(req), req);
	sqe = take_place(req->sq);
	build_sqe(req, sqe);
	sqe->cid = req->sqe.cid;
	enter_direct(hub_of(req), req);
}

/* As issue_direct() would; nothing is kept for it. */
static inline void issue_plain(struct hub *hub, struct nvme_request *req)
{
	*take_place(req->sq) = req->sqe;
	WRITE_ONCE(hub->busy, hub->busy + 1);
	req->owner = OWNER_DEVICE;
}

HOT bool request_issue(struct nvme_request *req)
{
	ASSERT(req->owner == OWNER_HUB);
	if (!req->sq->is_direct)
		issue_relayed(req);
	else if (!cid_add(req))
		return false;
	else if (is_as_it_is(req))
		issue_plain(hub_of(req), req);
	else
		issue_direct(req);
	return true;
}
