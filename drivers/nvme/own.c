/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What Sluice asks the device for itself: while the guest waits for RDY who
 * it is, its namespaces, queues, a pair of our own; later the namespaces
 * again. A chain of steps, one admin command at a time, nobody waits.
 */
#include <string.h>

#include "own_step.h"
#include "page.h"

/* ---- One command ------------------------------------------------------------ */

static void on_done(struct nvme_host *host, u16 status, void *arg)
{
	struct own *own = &host->own;
	bool is_wanted;

	(void)arg;
	lock_acquire(&host->lock);
	is_wanted = !own->is_stale && own->step;
	own->is_pending = own->is_stale = false;
	if (is_wanted && !(*own->step)->done(host, status, own->command.result))
		ctrl_fail(host, "device refused what Sluice needs");
	ctrl_step(host);
	lock_release(&host->lock);
}

enum own_next own_send(struct nvme_host *host, const struct nvme_sqe *sqe)
{
	struct own *own = &host->own;

	own->command = (struct nvme_io_descriptor){
		.host = host, .sqe = *sqe, .is_internal = true,
		.done = on_done,
	};
	own->is_pending = !run_submit(&own->command, true);
	return own->is_pending ? OWN_SENT : OWN_WAIT;
}

enum own_next own_identify(struct nvme_host *host, u8 cns, u32 nsid)
{
	memset(host->own.page, 0, PAGE_SIZE);
	return own_send(host, &(struct nvme_sqe){
		.opcode = NVME_ADMIN_IDENTIFY, .nsid = nsid, .cdw10 = cns,
		.prp1 = page_hpa(host->own.page).v,
	});
}

/* ---- The interceptors ------------------------------------------------------- */

/* Callbacks of the last life come before on_init() of this one. */
static enum own_next start_chain(struct nvme_host *host)
{
	struct own *own = &host->own;

	if (!own->is_end) {
		if (READ_ONCE(host->own_count))
			return OWN_WAIT;
		own->is_end = true;
		chain_start(host);
	}
	if (host->state != CTRL_PREPARING || !chain_has_started(host))
		return OWN_WAIT;
	/* A pair that is to be deleted has to be idle first. */
	return own->is_temporary && READ_ONCE(host->own_count) ?
		OWN_WAIT : OWN_NEXT;
}

static const struct own_step start_chain_step = { start_chain, NULL };

/* ---- The chain of steps ----------------------------------------------------- */

static const struct own_step *const prepare_steps[] = {
	&own_controller,
	&own_list,
	&own_namespace,
	&own_guards,
	&own_descriptors,
	&own_use_namespaces,
	&own_queue_count,
	&own_create_cq,
	&own_create_sq,
	&start_chain_step,
	&own_delete_sq,
	&own_delete_cq,
	NULL,
};

static const struct own_step *const refresh_steps[] = {
	&own_list,
	&own_namespace,
	&own_guards,
	&own_descriptors,
	&own_use_namespaces,
	NULL,
};

static const struct own_step *const give_back_steps[] = {
	&own_delete_sq,
	&own_delete_cq,
	NULL,
};

/* NULL, or of NULL: none. */
static void begin_step(struct own *own, const struct own_step *const *step)
{
	own->step = step && *step ? step : NULL;
	own->cursor = 0;
	own->is_end = false;
}

void own_step(struct nvme_host *host)
{
	struct own *own = &host->own;

	lock_assert_held(&host->lock);
	if (own_is_idle(host) && host->is_refreshing &&
	    host->state == CTRL_READY) {
		WRITE_ONCE(host->wants_refresh, false);
		begin_step(own, refresh_steps);
	}
	while (own->step && !own->is_pending &&
	       (*own->step)->send(host) == OWN_NEXT)
		begin_step(own, own->step + 1);
}

void own_prepare(struct nvme_host *host)
{
	host->own.is_temporary = host->own.gives_back = false;
	begin_step(&host->own, prepare_steps);
	own_step(host);
}

void own_stop(struct nvme_host *host)
{
	struct own *own = &host->own;

	begin_step(own, NULL);
	own->is_stale = own->is_pending;
	hub_put(own->hub);
	sq_free(own->sq);
	own->hub = NULL;
	own->sq = NULL;
}

bool own_give_back(struct nvme_host *host)
{
	struct own *own = &host->own;

	if (own->gives_back || !own->is_temporary || !host->own_id)
		return false;
	own->gives_back = true;
	begin_step(own, give_back_steps);
	return true;
}

void own_want_refresh(struct nvme_host *host)
{
	WRITE_ONCE(host->wants_refresh, true);
	WRITE_ONCE(host->is_refreshing, true);
	run_wake(host, RUN_STEP);
}
