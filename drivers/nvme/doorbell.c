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

static HOT bool is_waited_for(struct nvme_host *host, const struct hub *hub)
{
	return (hub->is_polled && READ_ONCE(hub->busy)) || is_alone(host);
}

/*
 * A guest that polls its queue in memory makes no exit, and Sluice's own
 * commands raise no interrupt: those are waited for here, for a while.
 */
static void spin(struct nvme_host *host, struct hub *hub)
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
	} else {
		hub_ring_sq(hub, sq, value);
	}
	hub_work(hub);
}

static COLD void tell_missing(const struct nvme_host *host, u16 id, bool is_cq)
{
	log_limited(LOG_WARN, "%s: doorbell of %s%u, which is not there",
		    host->name, is_cq ? "cq" : "sq", id);
}

HOT void doorbell_ring(struct nvme_host *host, u16 id, bool is_cq, u32 value)
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
