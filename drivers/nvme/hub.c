/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Commands through a hub: fetch (guest to Sluice), what happens to them, and
 * kick; completions come back in cq.c. All under hub->lock.
 */
#include <errno.h>

#include "irq.h"
#include "nvme.h"

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

/* Two commands of one id at the device could not be told apart: the second
 * waits, where a device would do either. */
static __attribute__((noinline)) void issue_later(struct nvme_request *req)
{
	hub_reap(hub_of(req));
	if (request_issue(req))
		return;
	req->stage = STAGE_ISSUE;
	wait(req);
}

static inline void issue(struct nvme_request *req)
{
	if (!request_issue(req))
		issue_later(req);
}

/* One doorbell for all that was issued since the last. */
static void kick_sq(const struct hub *hub, struct sq *sq)
{
	if (sq->kicked == sq->shadow.tail)
		return;
	sq->kicked = sq->shadow.tail;
	/* SQEs before the doorbell that announces them. */
	barrier_write();
	regs_kick(hub->host, sq->id, false, sq->kicked);
}

static void kick(const struct hub *hub)
{
	struct list *node;

	list_for_each(node, &hub->sqs)
		kick_sq(hub, container_of(node, struct sq, node));
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

/* True: it goes on. */
static bool heed(struct nvme_request *req, enum nvme_io_verdict verdict)
{
	switch (verdict) {
	case NVME_IO_HOLD:
		hold(req);
		return false;
	case NVME_IO_DONE:
		hub_answer(req, req->completion.status,
			   req->completion.result);
		return false;
	default:
		return true;
	}
}

static bool ask_chain(struct nvme_request *req)
{
	if (req->is_control)
		return control_submit(req);
	if (!heed(req, chain_submit(req)))
		return false;
	return req->is_flush || !req->cmd.admin || admin_submit(req);
}

static void go_through_chain(struct nvme_request *req)
{
	if (ask_chain(req))
		issue(req);
}

HOT void hub_go_on(struct nvme_request *req)
{
	if (req->stage == STAGE_CARRY || req->stage == STAGE_ISSUE) {
		carry(req);
		return;
	}
	if (req->stage == STAGE_CHAIN || get_data(req))
		go_through_chain(req);
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
	if (sq->guest.head == sq->guest.tail)
		return false;
	return sq->free_count && sq->guest_used < sq->guest_slots &&
		(sq->is_direct ? !sq->held_count : hub_has_place(sq->hub));
}

/* What waits for pages has waited long enough to go first: a stream of small
 * commands would starve a large one. */
static inline bool may_fetch(const struct hub *hub)
{
	return ctrl_is_ready(hub->host) && list_is_empty(&hub->waiting) &&
		is_size_known(hub);
}

/* The only time that the guest's SQE is looked at. */
static struct nvme_request *take_next(struct sq *sq)
{
	const struct nvme_sqe *entries = sq->guest.entries;
	struct nvme_request *req = request_alloc(sq);

	req->sqe = entries[sq->guest.head];
	/* The copy before anything that judges it: nothing is read again. */
	barrier_compiler();
	sq->guest.head = ring_advance(sq->guest.head, sq->guest.size);
	sq->guest_used++;
	count(&sq->hub->counts.fetched);
	if (!sq->is_direct)
		hub_take_place(req);
	return req;
}

/* Where all have been asked, it may be that not all need be again. */
static __attribute__((noinline)) void ask_plainly(struct nvme_request *req,
						  u32 asked)
{
	bool is_new = asked == CHAIN_ALL;

	if (!heed(req, is_new ? chain_submit(req) : chain_ask(req, asked)))
		return;
	if (is_new)
		clear_learn(req);
	issue(req);
}

static __attribute__((noinline)) void go_otherwise(struct nvme_request *req)
{
	u16 status = command_decode(req);

	if (status)
		hub_answer(req, status, 0);
	else
		hub_go_on(req);
}

static HOT void fetch_one(struct sq *sq)
{
	struct nvme_request *req = take_next(sq);
	u32 asked;

	if (!plain_decode(req))
		go_otherwise(req);
	else if ((asked = clear_asked(req)))
		ask_plainly(req, asked);
	else
		issue(req);
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
static void set_blocked(struct hub *hub, bool is_blocked)
{
	if (is_blocked == hub->is_blocked)
		return;
	WRITE_ONCE(hub->is_blocked, is_blocked);
	if (!hub->is_direct)
		return;
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
	set_blocked(hub, is_blocked_now(hub));
}

/* Nothing is to be done but what this doorbell is for. */
static bool is_quiet(struct hub *hub)
{
	if (!hub->is_direct || hub->debt_count)
		hub_reap(hub);
	return !hub->is_blocked && list_is_empty(&hub->waiting) &&
		!run_has_own(hub);
}

HOT void hub_work_on(struct hub *hub, struct sq *sq)
{
	lock_assert_held(&hub->lock);
	if (!is_quiet(hub)) {
		hub_work(hub);
		return;
	}
	while (can_fetch(sq) && may_fetch(hub))
		fetch_one(sq);
	kick_sq(hub, sq);
	if (dbbuf_arm_one(hub, sq))
		hub_work(hub);
	else
		set_blocked(hub, !list_is_empty(&hub->waiting) ||
			    sq->guest.head != sq->guest.tail);
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

	direct_watch(sq->hub);
	hub_reap(sq->hub);
	room = ring->size - 1 - ring_distance(sq->device_head, ring->tail,
					      ring->size);
	wanted = sq->guest_used + ring_distance(ring->head, ring->tail,
						ring->size);
	sq->credit = MIN(room, sq->guest_slots - MIN(wanted, sq->guest_slots));
	sq->credit = MAX(MIN(sq->credit, NVME_REAP_BATCH), count);
	return count <= room;
}

static COLD void tell_bad_tail(const struct sq *sq, u32 tail)
{
	log_limited(LOG_WARN, "%s: sq%u: tail %u of %u", sq->hub->host->name,
		    sq->id, tail, sq->guest.size);
}

static void take_tail(struct sq *sq, u32 tail, u32 count)
{
	if (sq->is_direct)
		sq->credit -= count;
	sq->guest.tail = tail;
}

/* The tail is inside the ring. */
static HOT __attribute__((noinline)) void ring_short(struct sq *sq, u32 tail,
						     u32 count)
{
	if (make_room(sq, count))
		take_tail(sq, tail, count);
	else
		tell_bad_tail(sq, tail);
}

/* A direct queue begins without credit. */
HOT void hub_ring_sq(struct sq *sq, u32 tail)
{
	u32 count = ring_distance(sq->guest.tail, tail, sq->guest.size);

	if (tail >= sq->guest.size)
		tell_bad_tail(sq, tail);
	else if (sq->is_direct && count > sq->credit)
		ring_short(sq, tail, count);
	else
		take_tail(sq, tail, count);
}
