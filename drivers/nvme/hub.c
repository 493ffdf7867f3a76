/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Commands through a hub: fetch (guest to Sluice), issue (Sluice to device),
 * reap (device to Sluice), post (Sluice to guest). All under hub->lock.
 */
#include <errno.h>

#include "irq.h"
#include "nvme.h"
#include "page.h"

static struct hub *hub_of(const struct nvme_request *req)
{
	return req->sq->hub;
}

static u32 advance(u32 index, u32 size)
{
	return index + 1 == size ? 0 : index + 1;
}

static u32 distance(u32 from, u32 to, u32 size)
{
	return to >= from ? to - from : to + size - from;
}

/* ---- Places in the guest's completion queue -------------------------------- */

/* Full is one less than its size (4.1.2). */
static bool has_place(const struct hub *hub)
{
	const struct guest_ring *ring = &hub->guest;
	u32 unread = distance(ring->head, ring->tail, ring->size);

	return hub->place_count + unread < ring->size - 1;
}

bool hub_take_place(struct nvme_request *req)
{
	struct hub *hub = hub_of(req);

	if (!has_place(hub))
		return false;
	hub->place_count++;
	req->has_place = true;
	return true;
}

/* ---- Issue ------------------------------------------------------------------ */

/*
 * An event request may stay at the device for ever: were it counted, every
 * interrupt of an idle machine would exit. So the event itself is found by
 * the next exit that comes for another reason.
 */
static bool is_event_request(const struct nvme_request *req)
{
	return !req->own && req->cmd.admin && !req->is_carrier &&
		req->cmd.opcode == NVME_ADMIN_ASYNC_EVENT;
}

static void enter_device(struct nvme_request *req)
{
	struct hub *hub = hub_of(req);

	ASSERT(req->owner == OWNER_HUB);
	req->owner = OWNER_DEVICE;
	if (is_event_request(req))
		return;
	WRITE_ONCE(hub->busy, hub->busy + 1);
	/* Whoever works on a hub watches already: this does not wait. */
	if (!__atomic_fetch_add(&hub->host->busy, 1, __ATOMIC_RELAXED))
		irq_watch_get();
}

void hub_leave_device(struct nvme_request *req)
{
	struct hub *hub = hub_of(req);

	ASSERT(req->owner == OWNER_DEVICE);
	req->owner = OWNER_HUB;
	if (is_event_request(req))
		return;
	WRITE_ONCE(hub->busy, hub->busy - 1);
	if (!__atomic_sub_fetch(&hub->host->busy, 1, __ATOMIC_RELAXED))
		irq_watch_put();
}

/* A Flush of a namespace there is, or the harmless Get Features. */
static void build_carrier(const struct nvme_request *req, struct nvme_sqe *sqe)
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

static void build_sqe(const struct nvme_request *req, struct nvme_sqe *sqe)
{
	if (req->own) {
		*sqe = req->own->sqe;
	} else if (req->is_carrier || req->is_flush) {
		build_carrier(req, sqe);
	} else {
		const struct dptr *data = &req->data;

		*sqe = req->sqe;
		sqe->prp1 = data->copy ? page_hpa(data->copy).v : data->prp1;
		sqe->prp2 = data->copy ? 0 : data->prp2;
		sqe->flags = FIELD_SET(NVME_SQE_PSDT, sqe->flags,
				       data->is_sgl && !data->copy ?
				       NVME_PSDT_SGL : NVME_PSDT_PRP);
	}
	sqe->cid = req->slot;
}

/* The ring has more entries than there are slots, so it is never full. */
static void issue(struct nvme_request *req)
{
	struct shadow_ring *ring = &req->sq->shadow;
	struct nvme_sqe *entries = ring->entries;

	build_sqe(req, &entries[ring->tail]);
	ring->tail = advance(ring->tail, ring->size);
	enter_device(req);
}

/* One doorbell for all that was issued since the last. */
static void kick(struct hub *hub)
{
	struct list *node;

	list_for_each(node, &hub->sqs) {
		struct sq *sq = container_of(node, struct sq, node);

		if (sq->kicked == sq->shadow.tail)
			continue;
		sq->kicked = sq->shadow.tail;
		/* SQEs before the doorbell that announces them. */
		barrier_write();
		regs_kick(hub->host, sq->id, false, sq->kicked);
	}
}

static void wait(struct nvme_request *req)
{
	list_add_tail(&hub_of(req)->waiting, &req->node);
}

/* As soon as the guest has a place for the completion. */
static void carry(struct nvme_request *req)
{
	if (req->after_refresh && READ_ONCE(hub_of(req)->host->is_refreshing))
		wait(req);
	else if (req->has_place || hub_take_place(req))
		issue(req);
	else
		wait(req);
}

void hub_answer(struct nvme_request *req, u16 status, u32 result)
{
	req->completion.status = status;
	req->completion.result = result;
	req->is_carrier = true;
	req->stage = STAGE_CARRY;
	carry(req);
}

static bool get_data(struct nvme_request *req)
{
	u16 status;

	if (dptr_prepare(req, &status)) {
		wait(req);
		return false;
	}
	req->stage = STAGE_CHAIN;
	if (status)
		hub_answer(req, status, 0);
	return !status;
}

static void hold(struct nvme_request *req)
{
	req->owner = OWNER_CHAIN;
	req->sq->held_count++;
	hub_ref(hub_of(req));
}

static bool ask_chain(struct nvme_request *req)
{
	switch (chain_submit(req)) {
	case NVME_IO_HOLD:
		hold(req);
		return false;
	case NVME_IO_DONE:
		hub_answer(req, req->completion.status,
			   req->completion.result);
		return false;
	default:
		return req->is_flush || !req->cmd.admin || admin_submit(req);
	}
}

void hub_go_on(struct nvme_request *req)
{
	if (req->stage == STAGE_CARRY) {
		carry(req);
		return;
	}
	if (req->stage == STAGE_DATA && !get_data(req))
		return;
	if (ask_chain(req))
		issue(req);
}

static void retry(struct hub *hub)
{
	struct list again = LIST_INIT(again);
	struct list *node;

	list_splice_tail(&again, &hub->waiting);
	while ((node = list_pop(&again)))
		hub_go_on(container_of(node, struct nvme_request, node));
}

/* While a namespace may change its blocks, no command's size is known. */
static bool is_size_known(const struct hub *hub)
{
	const struct nvme_host *host = hub->host;

	return !hub->id || (!READ_ONCE(host->is_refreshing) &&
			    !READ_ONCE(host->reshape_count));
}

static void issue_own_on(struct sq *sq)
{
	struct nvme_io_descriptor *desc;
	struct nvme_request *req;

	while (sq->free_count && (desc = run_next_own(sq->hub))) {
		req = request_alloc(sq);
		req->own = desc;
		issue(req);
	}
}

static void issue_own(struct hub *hub)
{
	struct list *node;

	if (READ_ONCE(hub->host->reshape_count) && hub->id)
		return;
	list_for_each(node, &hub->sqs)
		issue_own_on(container_of(node, struct sq, node));
}

/* ---- Fetch ---------------------------------------------------------------------- */

static bool can_fetch(const struct sq *sq)
{
	return sq->guest.head != sq->guest.tail && sq->free_count &&
		sq->guest_used < sq->guest_slots && has_place(sq->hub);
}

/* What waits for pages has waited long enough to go first: a stream of small
 * commands would starve a large one. */
static bool may_fetch(const struct hub *hub)
{
	return ctrl_is_ready(hub->host) && hub->guest.size &&
		list_is_empty(&hub->waiting) && is_size_known(hub);
}

/* The only time that the guest's SQE is looked at. */
static void fetch_one(struct sq *sq)
{
	const struct nvme_sqe *entries = sq->guest.entries;
	struct nvme_request *req = request_alloc(sq);
	u16 status;

	req->sqe = entries[sq->guest.head];
	/* The copy before anything that judges it: nothing is read again. */
	barrier_compiler();
	sq->guest.head = advance(sq->guest.head, sq->guest.size);
	sq->guest_used++;
	hub_take_place(req);
	status = command_decode(req);
	if (status)
		hub_answer(req, status, 0);
	else
		hub_go_on(req);
}

static bool fetch_round(struct hub *hub)
{
	bool has_fetched = false;
	struct list *node;

	list_for_each(node, &hub->sqs) {
		struct sq *sq = container_of(node, struct sq, node);

		if (!can_fetch(sq))
			continue;
		fetch_one(sq);
		has_fetched = true;
	}
	return has_fetched;
}

/* One command of each queue in turn; the first place goes round, too. */
static void fetch(struct hub *hub)
{
	struct list *first;

	while (may_fetch(hub) && fetch_round(hub))
		;
	first = list_pop(&hub->sqs);
	if (first)
		list_add_tail(&hub->sqs, first);
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
	struct hub *hub = hub_of(req);
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
	ring->tail = advance(ring->tail, ring->size);
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

static struct nvme_request *find_request(struct hub *hub, u16 sq_id, u16 slot)
{
	struct sq *sq = sq_find(hub, sq_id);
	struct nvme_request *req;

	if (!sq || slot >= sq->slot_count)
		return NULL;
	req = &sq->slots[slot];
	return req->owner == OWNER_DEVICE || req->owner == OWNER_LOST ?
		req : NULL;
}

static void complete(struct hub *hub, const struct nvme_cqe *cqe)
{
	struct nvme_request *req = find_request(hub, cqe->sq_id, cqe->cid);

	if (!req) {
		log_limited(LOG_WARN, "%s: cq%u: device completed cid %u of sq%u, "
			    "which is not under way", hub->host->name, hub->id,
			    cqe->cid, cqe->sq_id);
	} else if (req->owner == OWNER_LOST) {
		request_free(req);
	} else {
		hub_leave_device(req);
		if (!req->own) {
			complete_guest(req, cqe);
			return;
		}
		run_done(req->own, cqe->status >> 1, cqe->result);
		request_free(req);
	}
}

static const struct nvme_cqe *next_cqe(const struct hub *hub)
{
	const struct nvme_cqe *entries = hub->shadow.entries;
	const struct nvme_cqe *cqe = &entries[READ_ONCE(hub->shadow.head)];

	/* The phase before the entry that it makes valid. */
	return (READ_FIRST(cqe->status) & 1) == READ_ONCE(hub->shadow.phase) ?
		cqe : NULL;
}

bool hub_has_completion(const struct hub *hub)
{
	return next_cqe(hub) != NULL;
}

void hub_reap(struct hub *hub)
{
	struct shadow_ring *ring = &hub->shadow;
	const struct nvme_cqe *next;
	struct nvme_cqe cqe;

	while ((next = next_cqe(hub))) {
		cqe = *next;
		WRITE_ONCE(ring->head, advance(ring->head, ring->size));
		WRITE_ONCE(ring->phase, ring->phase ^ !ring->head);
		complete(hub, &cqe);
	}
	if (hub->guest.head == hub->guest.tail)
		acknowledge(hub, ring->head);
}

void hub_work(struct hub *hub)
{
	lock_assert_held(&hub->lock);
	if (hub->is_dead)
		return;
	hub_reap(hub);
	retry(hub);
	issue_own(hub);
	fetch(hub);
	kick(hub);
}

/* ---- The guest's doorbells ------------------------------------------------------------ */

void hub_ring_sq(struct hub *hub, struct sq *sq, u32 tail)
{
	if (tail >= sq->guest.size)
		log_limited(LOG_WARN, "%s: sq%u: tail %u of %u",
			    hub->host->name, sq->id, tail, sq->guest.size);
	else
		sq->guest.tail = tail;
}

void hub_ring_cq(struct hub *hub, u32 head)
{
	struct guest_ring *ring = &hub->guest;
	u32 unread = distance(ring->head, ring->tail, ring->size);

	if (head >= ring->size ||
	    distance(ring->head, head, ring->size) > unread) {
		log_limited(LOG_WARN, "%s: cq%u: head %u of %u, %u unread",
			    hub->host->name, hub->id, head, ring->size, unread);
		return;
	}
	ring->head = head;
	if (head == ring->tail)
		acknowledge(hub, hub->shadow.head);
	else
		acknowledge(hub, hub->shadow_heads[head ? head - 1 :
						   ring->size - 1]);
}
