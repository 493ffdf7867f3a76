/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What crosses hubs, or comes by itself: interrupts, host requests and their
 * callbacks, requests that interceptors let go, deadlines.
 */
#include <errno.h>

#include "clock.h"
#include "irq.h"
#include "nvme.h"

#define CHECK_US 50000		/* between two looks at deadlines */

/* ---- Into the lists: any lock may be held ------------------------------------- */

void run_wake(struct nvme_host *host, enum run_work work)
{
	__atomic_fetch_or(&host->work, work, __ATOMIC_RELEASE);
}

void run_release(struct nvme_request *req)
{
	struct nvme_host *host = req->sq->hub->host;

	lock_acquire(&host->inbox_lock);
	if (!req->in_inbox) {
		__atomic_store_n(&req->in_inbox, true, __ATOMIC_RELEASE);
		list_add_tail(&host->inbox, &req->node);
	}
	lock_release(&host->inbox_lock);
	run_wake(host, RUN_INBOX);
}

/*
 * Sluice's own commands raise no interrupt, and a guest with nothing to do
 * makes no exit. A timer that is set has an idle CPU look all the time; on
 * busy ones there are exits, and this at the latest.
 */
static void poll_fired(struct timer *timer)
{
	struct nvme_host *host = container_of(timer, struct nvme_host, poll);

	run_poll(host);
	if (READ_ONCE(host->own_count))
		timer_set(timer, clock_deadline_us(NVME_POLL_US));
}

void run_init(struct nvme_host *host)
{
	list_init(&host->inbox);
	list_init(&host->own_io);
	list_init(&host->own_admin);
	list_init(&host->done);
	host->poll.fire = poll_fired;
}

/*
 * Where there were others, the timer is set, or has yet to look at the count:
 * which is why that comes first.
 */
static void count_own(struct nvme_host *host)
{
	lock_assert_held(&host->inbox_lock);
	WRITE_ONCE(host->own_count, host->own_count + 1);
	if (host->own_count == 1)
		timer_set(&host->poll, clock_deadline_us(NVME_POLL_US));
}

int run_submit(struct nvme_io_descriptor *desc, bool is_admin)
{
	struct nvme_host *host = desc->host;
	bool is_online;

	desc->deadline_us = clock_deadline_us(NVME_HOST_DEADLINE_US);
	lock_acquire(&host->inbox_lock);
	is_online = host->is_online;
	if (is_online) {
		list_add_tail(is_admin ? &host->own_admin : &host->own_io,
			      &desc->node);
		if (!desc->is_internal)
			count_own(host);
	}
	lock_release(&host->inbox_lock);
	run_wake(host, RUN_OWN);
	return is_online ? 0 : -ENODEV;
}

static void finish_own(struct nvme_io_descriptor *desc, u16 status, u32 result)
{
	lock_assert_held(&desc->host->inbox_lock);
	desc->status = status;
	desc->result = result;
	list_add_tail(&desc->host->done, &desc->node);
}

void run_done(struct nvme_io_descriptor *desc, u16 status, u32 result)
{
	struct nvme_host *host = desc->host;

	lock_acquire(&host->inbox_lock);
	finish_own(desc, status, result);
	lock_release(&host->inbox_lock);
	run_wake(host, RUN_DONE);
}

/* Which list a hub serves: a device with one I/O pair has the guest's only. */
static struct list *own_list(const struct hub *hub)
{
	struct nvme_host *host = hub->host;

	if (!hub->id)
		return &host->own_admin;
	if (!host->own_id || host->own_id == hub->id)
		return &host->own_io;
	return NULL;
}

bool run_has_own(const struct hub *hub)
{
	const struct list *list = own_list(hub);

	return list && !list_is_empty(list);
}

struct nvme_io_descriptor *run_next_own(struct hub *hub)
{
	struct nvme_host *host = hub->host;
	struct list *node;

	if (!run_has_own(hub))
		return NULL;
	lock_acquire(&host->inbox_lock);
	node = list_pop(own_list(hub));
	lock_release(&host->inbox_lock);
	return node ? container_of(node, struct nvme_io_descriptor, node) :
		NULL;
}

void run_return_own(struct hub *hub, struct nvme_io_descriptor *desc)
{
	struct nvme_host *host = hub->host;

	lock_acquire(&host->inbox_lock);
	list_add_head(own_list(hub), &desc->node);
	lock_release(&host->inbox_lock);
}

static void abort_list(struct list *list, u16 status, u64 now_us)
{
	struct list *node, *after;

	list_for_each_safe(node, after, list) {
		struct nvme_io_descriptor *desc =
			container_of(node, struct nvme_io_descriptor, node);

		if (desc->deadline_us > now_us)
			continue;
		list_remove(node);
		finish_own(desc, status, 0);
	}
}

static void abort_waiting(struct nvme_host *host, u16 status, u64 now_us)
{
	lock_assert_held(&host->inbox_lock);
	abort_list(&host->own_admin, status, now_us);
	abort_list(&host->own_io, status, now_us);
	run_wake(host, RUN_DONE);
}

void run_set_online(struct nvme_host *host, bool is_online)
{
	lock_acquire(&host->inbox_lock);
	host->is_online = is_online;
	if (!is_online)
		abort_waiting(host, NVME_IO_ABORTED, ~0ull);
	lock_release(&host->inbox_lock);
}

void run_abort_stranded(struct nvme_host *host)
{
	if (sq_exists(host))
		return;
	lock_acquire(&host->inbox_lock);
	abort_list(&host->own_io, NVME_IO_ABORTED, ~0ull);
	lock_release(&host->inbox_lock);
	run_wake(host, RUN_DONE);
}

/* ---- Out of the lists: no lock held --------------------------------------------- */

static void visit(struct hub *hub)
{
	bool watches = hub_enter(hub);

	hub_work(hub);
	hub_leave(hub, watches);
}

static void visit_hubs(struct nvme_host *host)
{
	struct hub *hub;
	u32 id = 0;

	while ((hub = hub_next(host, &id))) {
		visit(hub);
		hub_put(hub);
	}
}

/* Its queue may be gone; then its memory waited for this. */
static void let_go(struct nvme_request *req)
{
	struct sq *sq = req->sq;
	struct hub *hub = sq->hub;
	bool is_finished = req->is_finished;

	req->in_inbox = false;
	ASSERT(req->owner == OWNER_CHAIN && sq->held_count);
	req->owner = OWNER_HUB;
	sq->held_count--;
	if (sq->is_dead) {
		request_free(req);
		if (!sq->held_count)
			sq_free(sq);
	} else if (is_finished) {
		hub_answer(req, req->completion.status,
			   req->completion.result);
	} else {
		hub_go_on(req);
	}
	if (!hub->is_dead)
		hub_work(hub);
}

static void drain_inbox(struct nvme_host *host)
{
	struct nvme_request *req;
	struct list *node;
	struct hub *hub;
	bool watches;

	for (;;) {
		lock_acquire(&host->inbox_lock);
		node = list_pop(&host->inbox);
		lock_release(&host->inbox_lock);
		if (!node)
			return;
		req = container_of(node, struct nvme_request, node);
		/* The reference that it held: see hold() in hub.c. */
		hub = req->sq->hub;
		watches = hub_enter(hub);
		let_go(req);
		hub_leave(hub, watches);
		hub_put(hub);
	}
}

static void call_back(struct nvme_io_descriptor *desc)
{
	struct nvme_host *host = desc->host;

	if (desc->is_internal) {
		desc->done(host, desc->status, desc->arg1);
		return;
	}
	chain_lock(host);
	if (desc->classic)
		desc->classic(host, desc->arg1, desc->arg2, desc->arg3);
	else
		desc->done(host, desc->status, desc->arg1);
	chain_unlock(host);
	pool_put(&host->descriptors, desc);
	lock_acquire(&host->inbox_lock);
	WRITE_ONCE(host->own_count, host->own_count - 1);
	lock_release(&host->inbox_lock);
	if (ctrl_is_waiting(host))
		run_wake(host, RUN_STEP);
}

static void drain_done(struct nvme_host *host)
{
	struct list *node;

	for (;;) {
		lock_acquire(&host->inbox_lock);
		node = list_pop(&host->done);
		lock_release(&host->inbox_lock);
		if (!node)
			return;
		call_back(container_of(node, struct nvme_io_descriptor, node));
	}
}

static void step(struct nvme_host *host)
{
	lock_acquire(&host->lock);
	ctrl_step(host);
	lock_release(&host->lock);
}

void run_work(struct nvme_host *host)
{
	u32 work;

	while (READ_ONCE(host->work)) {
		work = __atomic_exchange_n(&host->work, 0, __ATOMIC_ACQUIRE);
		if (work & RUN_INBOX)
			drain_inbox(host);
		if (work & (RUN_OWN | RUN_HUBS))
			visit_hubs(host);
		if (work & RUN_DONE)
			drain_done(host);
		if (work & RUN_STEP)
			step(host);
	}
}

/* ---- Deadlines --------------------------------------------------------------------- */

/* The command stays at the device; its slot is free when that answers. */
static void lose_late(struct sq *sq, u64 now_us)
{
	for (u32 i = 0; i < sq->slot_count; i++) {
		struct nvme_request *req = &sq->slots[i];
		struct nvme_io_descriptor *desc = req->own;

		if (req->owner != OWNER_DEVICE || !desc ||
		    desc->deadline_us > now_us)
			continue;
		request_leave_device(req);
		req->owner = OWNER_LOST;
		req->own = NULL;
		log_limited(LOG_WARN, "%s: sq%u: no answer to opcode %02x "
			    "in %llu s", sq->hub->host->name, sq->id,
			    desc->sqe.opcode, NVME_HOST_DEADLINE_US / 1000000ull);
		run_done(desc, NVME_IO_TIMED_OUT, 0);
	}
}

/* Only Sluice's own have a deadline. */
static bool may_be_late(const struct hub *hub)
{
	return !hub->is_direct && READ_ONCE(hub->busy) && own_list(hub);
}

static void check_hub(struct hub *hub, u64 now_us)
{
	struct list *node;

	lock_acquire(&hub->lock);
	list_for_each(node, &hub->sqs)
		lose_late(container_of(node, struct sq, node), now_us);
	lock_release(&hub->lock);
}

static void check_deadlines(struct nvme_host *host)
{
	u64 now_us = clock_now_us();
	struct hub *hub;
	u32 id = 0;

	if (now_us < READ_ONCE(host->next_check_us))
		return;
	WRITE_ONCE(host->next_check_us, now_us + CHECK_US);
	lock_acquire(&host->inbox_lock);
	abort_waiting(host, NVME_IO_TIMED_OUT, now_us);
	lock_release(&host->inbox_lock);
	while ((hub = hub_next_live(host, &id, may_be_late))) {
		check_hub(hub, now_us);
		hub_put(hub);
	}
}

/* ---- Looking for completions --------------------------------------------------------- */

/*
 * Another CPU may have taken a completion off the device's queue and not yet
 * posted it: were this CPU's interrupt to reach the guest before that, the
 * guest would find nothing and get no other. So a lock that is held is waited
 * for.
 */
static bool needs_visit(const struct hub *hub)
{
	bool has_completion = hub_has_completion(hub);

	if (hub->is_direct)
		return has_completion && (READ_ONCE(hub->is_blocked) ||
					  READ_ONCE(hub->debt_count));
	if (has_completion)
		return true;
	/* The queue's head before the lock it was moved under. */
	barrier_read();
	return lock_is_held(&hub->lock);
}

static void reap_hubs(struct nvme_host *host)
{
	struct hub *hub;
	u32 id = 0;

	while ((hub = hub_next_live(host, &id, needs_visit))) {
		visit(hub);
		hub_put(hub);
	}
}

void run_poll(struct nvme_host *host)
{
	reap_hubs(host);
	check_deadlines(host);
	run_all(host);
}

void run_exit(struct nvme_host *host)
{
	if (READ_ONCE(host->busy) || READ_ONCE(host->own_count) ||
	    READ_ONCE(host->event_count))
		run_poll(host);
	else
		run_all(host);
}

static void on_interrupt(struct irq_listener *listener)
{
	struct list *node;

	(void)listener;
	/* Idle ones as well: the last command may be in another CPU's hands. */
	list_for_each(node, &attach_hosts)
		run_poll(container_of(node, struct nvme_host, node));
}

void run_listen(void)
{
	static struct irq_listener listener = { .interrupt = on_interrupt };

	irq_listen(&listener);
}
