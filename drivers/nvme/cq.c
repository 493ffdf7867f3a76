/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The completion side of a hub: reap (device to Sluice) and post (Sluice to
 * guest), by the relayed path; on the direct one the device has posted, and
 * what is left is to see which command it was. All under hub->lock.
 */
#include "nvme.h"

/* ---- Places in the guest's completion queue -------------------------------- */

/* Full is one less than its size (4.1.2). A direct one the device minds. */
bool hub_has_place(const struct hub *hub)
{
	const struct guest_ring *ring = &hub->guest;

	return hub->is_direct || hub->place_count +
		ring_distance(ring->head, ring->tail, ring->size) <
		ring->size - 1;
}

HOT inline bool hub_is_half_full(const struct hub *hub)
{
	const struct guest_ring *guest = &hub->guest;
	const struct shadow_ring *shadow = &hub->shadow;

	if (ring_distance(hub->acknowledged, shadow->head, shadow->size) +
	    hub->busy >= shadow->size / 2)
		return true;
	return !hub->is_direct &&
		ring_distance(guest->head, guest->tail, guest->size) +
		hub->place_count >= guest->size / 2;
}

bool hub_take_place(struct nvme_request *req)
{
	struct hub *hub = req->sq->hub;

	if (!hub_has_place(hub))
		return false;
	if (hub->is_direct)
		return true;
	hub->place_count++;
	req->has_place = true;
	return true;
}

/* ---- Post ------------------------------------------------------------------------- */

static void write_cqe(struct nvme_cqe *to, const struct nvme_cqe *from)
{
	WRITE_ONCE(to->result, from->result);
	WRITE_ONCE(to->reserved, 0);
	WRITE_ONCE(to->sq_head, from->sq_head);
	WRITE_ONCE(to->sq_id, from->sq_id);
	WRITE_ONCE(to->cid, from->cid);
	/* The entry before the phase that makes it valid (4.6). */
	WRITE_LAST(to->status, from->status);
}

static void post(struct nvme_request *req)
{
	struct hub *hub = req->sq->hub;
	struct guest_ring *ring = &hub->guest;
	struct nvme_cqe *entries = ring->entries;
	struct nvme_cqe cqe = {
		.result = req->completion.result,
		.sq_head = req->sq->guest.head,
		.sq_id = req->sq->id,
		.cid = req->sqe.cid,
		.status = req->completion.status << 1 | ring->phase,
	};

	ASSERT(req->has_place);
	write_cqe(&entries[ring->tail], &cqe);
	hub->shadow_heads[ring->tail] = hub->shadow.head;
	ring->tail = ring_advance(ring->tail, ring->size);
	ring->phase ^= !ring->tail;
	request_free(req);
}

/* ---- Reap -------------------------------------------------------------------------- */

/* The device may use entries before `head` again, and drop its interrupt. */
static void acknowledge(struct hub *hub, u32 head)
{
	if (hub->acknowledged == head)
		return;
	hub->acknowledged = head;
	regs_kick(hub->host, hub->id, true, head);
}

static void complete_guest(struct nvme_request *req, const struct nvme_cqe *cqe)
{
	if (!req->is_carrier) {
		req->completion.result = cqe->result;
		req->completion.status = cqe->status >> 1;
		if (req->cmd.admin && !admin_complete(req))
			return;
	}
	chain_complete(req);
	post(req);
}

/* The guest cannot read it yet: see direct_close(). */
static void alter(struct nvme_request *req, struct nvme_cqe *cqe)
{
	if (!req->is_carrier) {
		req->completion.result = cqe->result;
		req->completion.status = cqe->status >> 1;
	}
	chain_complete(req);
	WRITE_ONCE(cqe->result, req->completion.result);
	WRITE_LAST(cqe->status, req->completion.status << 1 |
		   (cqe->status & 1));
}

/* The device has posted it: what is left is what was kept for it. */
static bool complete_direct(struct hub *hub, struct nvme_cqe *cqe)
{
	struct sq *sq = sq_find(hub, READ_ONCE(cqe->sq_id));
	u32 head = READ_ONCE(cqe->sq_head);
	struct nvme_request *req;

	if (!sq)
		return false;
	if (head < sq->guest.size)
		sq->device_head = head;
	req = cid_take(sq, READ_ONCE(cqe->cid));
	if (!req)
		return false;
	request_leave_device(req);
	if (req->is_special)
		alter(req, cqe);
	request_free(req);
	return true;
}

/* Inlined, the slot's place would be worked out again for each use. */
static __attribute__((noinline)) struct nvme_request *
find_request(struct hub *hub, u16 sq_id, u16 slot)
{
	struct sq *sq = sq_find(hub, sq_id);
	struct nvme_request *req;

	if (!sq || slot >= sq->slot_count)
		return NULL;
	req = &sq->slots[slot];
	return req->owner == OWNER_DEVICE || req->owner == OWNER_LOST ?
		req : NULL;
}

static void complete_own(struct nvme_request *req, const struct nvme_cqe *cqe)
{
	u16 status = cqe->status >> 1;

	bounce_finish(req, &status);
	run_done(req->own, status, cqe->result);
	request_free(req);
}

static bool complete_relayed(struct hub *hub, const struct nvme_cqe *from)
{
	struct nvme_cqe cqe = *from;
	struct nvme_request *req = find_request(hub, cqe.sq_id, cqe.cid);

	if (!req)
		return false;
	if (req->owner == OWNER_LOST) {
		request_free(req);
		return true;
	}
	request_leave_device(req);
	if (req->own)
		complete_own(req, &cqe);
	else
		complete_guest(req, &cqe);
	return true;
}

static bool complete(struct hub *hub, struct nvme_cqe *cqe)
{
	return hub->is_direct ? complete_direct(hub, cqe) :
		complete_relayed(hub, cqe);
}

/* Before a direct queue is watched it is the guest that may have written. */
static inline struct nvme_cqe *next_cqe(const struct hub *hub)
{
	struct nvme_cqe *entries = hub->shadow.entries;
	struct nvme_cqe *cqe = &entries[READ_ONCE(hub->shadow.head)];

	if (hub->is_direct && !READ_FIRST(hub->is_watched))
		return NULL;
	/* The phase before the entry that it makes valid. */
	return (READ_FIRST(cqe->status) & 1) == READ_ONCE(hub->shadow.phase) ?
		cqe : NULL;
}

bool hub_has_completion(const struct hub *hub)
{
	return next_cqe(hub) != NULL;
}

static void reap_one(struct hub *hub, struct nvme_cqe *cqe)
{
	struct shadow_ring *ring = &hub->shadow;
	u32 head = ring_advance(ring->head, ring->size);

	WRITE_ONCE(ring->head, head);
	WRITE_ONCE(ring->phase, ring->phase ^ !head);
	if (hub->is_direct)
		hub->guest.tail = head;
	if (!complete(hub, cqe))
		log_limited(LOG_WARN, "%s: cq%u: device completed cid %u of sq%u, "
			    "which is not under way", hub->host->name, hub->id,
			    cqe->cid, cqe->sq_id);
}

HOT void hub_reap(struct hub *hub)
{
	struct nvme_cqe *cqe = next_cqe(hub);

	if (!cqe)
		return;
	for (; cqe; cqe = next_cqe(hub))
		reap_one(hub, cqe);
	if (!hub->busy && !hub_is_always_live(hub))
		hub_set_live(hub, false);
	if (hub->guest.head == hub->guest.tail)
		acknowledge(hub, hub->shadow.head);
	if (hub->is_closed && !hub->special_count)
		direct_open(hub);
}

/* How far the device's queue is read when the guest's is up to `head`. */
static u32 shadow_head_at(const struct hub *hub, u32 head)
{
	if (hub->is_direct)
		return head;
	if (head == hub->guest.tail)
		return hub->shadow.head;
	return hub->shadow_heads[head ? head - 1 : hub->guest.size - 1];
}

void hub_ring_cq(struct hub *hub, u32 head)
{
	struct guest_ring *ring = &hub->guest;
	u32 unread;

	if (hub->is_direct)
		hub_reap(hub);
	unread = ring_distance(ring->head, ring->tail, ring->size);
	if (head >= ring->size ||
	    ring_distance(ring->head, head, ring->size) > unread) {
		log_limited(LOG_WARN, "%s: cq%u: head %u of %u, %u unread",
			    hub->host->name, hub->id, head, ring->size, unread);
		return;
	}
	ring->head = head;
	acknowledge(hub, shadow_head_at(hub, head));
}
