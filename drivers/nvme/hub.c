/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Commands through a hub: fetch (guest to Sluice) and issue (Sluice to
 * device); completions come back in cq.c. All under hub->lock.
 */
#include <errno.h>

#include "irq.h"
#include "nvme.h"
#include "page.h"

static struct hub *hub_of(const struct nvme_request *req)
{
	return req->sq->hub;
}

static void wait(struct nvme_request *req)
{
	list_add_tail(&hub_of(req)->waiting, &req->node);
}

/* Read without the lock. */
static void count(u64 *counter)
{
	WRITE_ONCE(*counter, *counter + 1);
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
	if (!hub->is_direct && is_event_request(req))
		return;
	WRITE_ONCE(hub->busy, hub->busy + 1);
	/* Whoever works on a hub watches already: this does not wait. */
	if (hub->is_direct)
		cid_add(req);
	else if (!__atomic_fetch_add(&hub->host->busy, 1, __ATOMIC_RELAXED))
		irq_watch_get();
}

void hub_leave_device(struct nvme_request *req)
{
	struct hub *hub = hub_of(req);

	ASSERT(req->owner == OWNER_DEVICE);
	req->owner = OWNER_HUB;
	if (!hub->is_direct && is_event_request(req))
		return;
	WRITE_ONCE(hub->busy, hub->busy - 1);
	if (!hub->is_direct &&
	    !__atomic_sub_fetch(&hub->host->busy, 1, __ATOMIC_RELAXED))
		irq_watch_put();
}

/* A Flush of a namespace there is, or the harmless Get Features. */
static COLD void build_carrier(const struct nvme_request *req, struct nvme_sqe *sqe)
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

static void build_sqe(const struct nvme_request *req, struct nvme_sqe *sqe)
{
	if (req->own) {
		*sqe = req->own->sqe;
	} else if (req->is_carrier || req->is_flush) {
		build_carrier(req, sqe);
	} else {
		*sqe = req->sqe;
		set_pointers(sqe, &req->data);
	}
	sqe->cid = request_device_id(req);
}

/* Before the device could answer: nobody sees that answer but us. */
static COLD void make_special(struct nvme_request *req)
{
	struct hub *hub = hub_of(req);

	req->is_special = true;
	if (!hub->special_count++)
		direct_close(hub);
}

/* Two commands of one id at the device could not be told apart: the second
 * waits, where a device would do either. */
static bool is_id_free(const struct nvme_request *req)
{
	struct sq *sq = req->sq;

	if (!sq->is_direct || !cid_has(sq, req->sqe.cid))
		return true;
	hub_reap(sq->hub);
	return !cid_has(sq, req->sqe.cid);
}

/*
 * The ring has more entries than there are slots, so it is never full; of a
 * direct queue hub_ring_sq() has seen to it. There the place is the guest's.
 */
static HOT void issue(struct nvme_request *req)
{
	struct shadow_ring *ring = &req->sq->shadow;
	struct nvme_sqe *entries = ring->entries;

	if (!is_id_free(req)) {
		req->stage = STAGE_ISSUE;
		wait(req);
		return;
	}
	if (req->sq->is_direct)
		ASSERT(ring_advance(ring->tail, ring->size) ==
		       req->sq->guest.head);
	if (req->is_carrier && req->sq->is_direct)
		make_special(req);
	build_sqe(req, &entries[ring->tail]);
	ring->tail = ring_advance(ring->tail, ring->size);
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
	count(&hub_of(req)->counts.carried);
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
	if (req->is_control)
		return control_submit(req);
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

HOT void hub_go_on(struct nvme_request *req)
{
	if (req->stage == STAGE_CARRY || req->stage == STAGE_ISSUE) {
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

/* False: it waits for pages. */
static bool issue_next_own(struct sq *sq, struct nvme_io_descriptor *desc)
{
	struct nvme_request *req = request_alloc(sq);
	u16 status;
	int error;

	req->own = desc;
	error = bounce_begin(req, &status);
	if (!error) {
		count(&sq->hub->counts.own);
		issue(req);
		return true;
	}
	if (error == -EAGAIN)
		run_return_own(sq->hub, desc);
	else
		run_done(desc, status, 0);
	request_free(req);
	return error != -EAGAIN;
}

static void issue_own_on(struct sq *sq)
{
	struct nvme_io_descriptor *desc;

	while (sq->free_count && (desc = run_next_own(sq->hub)))
		if (!issue_next_own(sq, desc))
			return;
}

static void issue_own(struct hub *hub)
{
	struct list *node;

	if (!run_has_own(hub) ||
	    (READ_ONCE(hub->host->reshape_count) && hub->id))
		return;
	list_for_each(node, &hub->sqs)
		issue_own_on(container_of(node, struct sq, node));
}

/* ---- Fetch ---------------------------------------------------------------------- */

/* Of a direct queue nothing passes what an interceptor holds. */
static bool can_fetch(const struct sq *sq)
{
	if (sq->is_direct && sq->held_count)
		return false;
	return sq->guest.head != sq->guest.tail && sq->free_count &&
		sq->guest_used < sq->guest_slots && hub_has_place(sq->hub);
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
	sq->guest.head = ring_advance(sq->guest.head, sq->guest.size);
	sq->guest_used++;
	count(&sq->hub->counts.fetched);
	if (!sq->is_direct)
		hub_take_place(req);
	status = command_decode(req);
	if (status)
		hub_answer(req, status, 0);
	else
		hub_go_on(req);
}

/* True: there may be more. */
static bool fetch_round(struct hub *hub)
{
	bool has_more = false;
	struct list *node;

	list_for_each(node, &hub->sqs) {
		struct sq *sq = container_of(node, struct sq, node);

		if (!can_fetch(sq))
			continue;
		fetch_one(sq);
		has_more |= sq->guest.head != sq->guest.tail;
	}
	return has_more;
}

/* One command of each queue in turn; the first place goes round, too. */
static void fetch(struct hub *hub)
{
	struct list *first = hub->sqs.next;

	while (may_fetch(hub) && fetch_round(hub))
		;
	if (first->next == &hub->sqs)
		return;
	list_remove(first);
	list_add_tail(&hub->sqs, first);
}

static bool is_blocked_now(const struct hub *hub)
{
	struct list *node;

	if (!list_is_empty(&hub->waiting))
		return true;
	list_for_each(node, &hub->sqs) {
		const struct sq *sq = container_of(node, struct sq, node);

		if (sq->guest.head != sq->guest.tail)
			return true;
	}
	return false;
}

/* Of what waits for another command's end, no doorbell tells. */
static void watch_if_blocked(struct hub *hub)
{
	bool is_blocked = hub->is_direct && is_blocked_now(hub);

	if (is_blocked == hub->is_blocked)
		return;
	WRITE_ONCE(hub->is_blocked, is_blocked);
	if (is_blocked)
		irq_watch_get();
	else
		irq_watch_put();
}

/* Of a direct queue only when something can come of it. */
static bool wants_reaping(const struct hub *hub)
{
	return !hub->is_direct || hub->debt_count || hub->is_blocked ||
		!list_is_empty(&hub->waiting);
}

HOT void hub_work(struct hub *hub)
{
	lock_assert_held(&hub->lock);
	if (hub->is_dead)
		return;
	do {
		if (wants_reaping(hub))
			hub_reap(hub);
		if (!list_is_empty(&hub->waiting))
			retry(hub);
		issue_own(hub);
		fetch(hub);
		kick(hub);
	} while (dbbuf_arm(hub));
	watch_if_blocked(hub);
}

/* ---- The guest's doorbell ------------------------------------------------------------- */

/*
 * A direct queue's places are the shadow's: one may be filled again when a
 * completion has said that the device has fetched it, which is also how the
 * guest knows (4.1). Of slots it is better to have enough.
 */
static bool make_room(struct sq *sq, u32 count)
{
	const struct guest_ring *ring = &sq->guest;
	u32 room, wanted;

	hub_reap(sq->hub);
	room = ring->size - 1 - ring_distance(sq->device_head, ring->tail,
					      ring->size);
	wanted = sq->guest_used + ring_distance(ring->head, ring->tail,
						ring->size);
	sq->credit = MIN(room, sq->guest_slots - MIN(wanted, sq->guest_slots));
	sq->credit = MAX(MIN(sq->credit, NVME_REAP_BATCH), count);
	return count <= room;
}

/* Of a tail that is inside the ring. */
static bool has_room(struct sq *sq, u32 tail)
{
	u32 count = ring_distance(sq->guest.tail, tail, sq->guest.size);

	if (!sq->is_direct)
		return true;
	direct_watch(sq->hub);
	if (count > sq->credit && !make_room(sq, count))
		return false;
	sq->credit -= count;
	return true;
}

HOT void hub_ring_sq(struct hub *hub, struct sq *sq, u32 tail)
{
	if (tail >= sq->guest.size || !has_room(sq, tail))
		log_limited(LOG_WARN, "%s: sq%u: tail %u of %u",
			    hub->host->name, sq->id, tail, sq->guest.size);
	else
		sq->guest.tail = tail;
}
