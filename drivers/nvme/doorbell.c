/* SPDX-License-Identifier: BSD-2-Clause */
/* A doorbell of the guest: to its hub, and all that can move then, moves. */
#include "clock.h"
#include "nvme.h"

/* Nothing but Sluice's own commands is under way: no interrupt will come. */
static bool is_alone(struct nvme_host *host)
{
	return READ_ONCE(host->own_count) &&
		READ_ONCE(host->busy) <= READ_ONCE(host->own_count);
}

/* NULL: a hub that is not polled. */
static bool is_waited_for(struct nvme_host *host, const struct hub *hub)
{
	return (hub && hub->is_polled && READ_ONCE(hub->busy)) ||
		is_alone(host);
}

/*
 * A guest that polls its queue in memory makes no exit, and Sluice's own
 * commands raise no interrupt: those are waited for here, for a while.
 */
static COLD void spin(struct nvme_host *host, struct hub *hub)
{
	u64 deadline_us = clock_deadline_us(NVME_SPIN_US);

	while (is_waited_for(host, hub) && !clock_is_past(deadline_us)) {
		run_poll(host);
		cpu_relax();
	}
}

static void ring(struct hub *hub, u16 id, bool is_cq, u32 value)
{
	struct sq *sq = is_cq ? NULL : sq_find(hub, id);

	if (hub->is_dead || (!is_cq && !sq))
		return;
	if (is_cq) {
		dbbuf_note_head(hub, value);
		hub_ring_cq(hub, value);
		hub_work(hub);
	} else {
		hub_ring_sq(sq, value);
		hub_work_on(hub, sq);
	}
}

static COLD void tell_missing(const struct nvme_host *host, u16 id, bool is_cq)
{
	log_limited(LOG_WARN, "%s: doorbell of %s%u, which is not there",
		    host->name, is_cq ? "cq" : "sq", id);
}

static __attribute__((noinline)) void
ring_in_turn(struct nvme_host *host, u16 id, bool is_cq, u32 value)
{
	struct hub *hub = is_cq ? hub_get(host, id) : hub_get_by_sq(host, id);
	bool watches;

	if (!hub || !hub->guest.size) {
		tell_missing(host, id, is_cq);
		hub_put(hub);
		return;
	}
	watches = hub_enter(hub);
	ring(hub, id, is_cq, value);
	hub_leave(hub, watches);
	run_all(host);
	if (is_waited_for(host, hub))
		spin(host, hub);
	hub_put(hub);
}

/* As it is most of the time: a direct queue that nobody else is at. */
static bool ring_at_once(struct nvme_host *host, u16 id, u32 tail)
{
	struct sq *sq = sq_try_lock(host, id);
	struct hub *hub;

	if (!sq)
		return false;
	hub = sq->hub;
	hub_ring_sq(sq, tail);
	hub_work_on(hub, sq);
	lock_release(&hub->lock);
	return true;
}

HOT void doorbell_ring(struct nvme_host *host, u16 id, bool is_cq, u32 value)
{
	if (is_cq || !ring_at_once(host, id, value)) {
		ring_in_turn(host, id, is_cq, value);
		return;
	}
	run_all(host);
	if (is_alone(host))
		spin(host, NULL);
}
