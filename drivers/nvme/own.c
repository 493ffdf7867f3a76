/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What Sluice asks the device for itself: while the guest waits for RDY who
 * it is, its namespaces, queues, a pair of our own; later the namespaces
 * again. A chain of steps, one admin command at a time, nobody waits.
 */
#include <string.h>

#include "nvme.h"
#include "page.h"

enum own_next {
	OWN_SENT,	/* a command is on its way */
	OWN_NEXT,	/* nothing (more) to send: the next step */
	OWN_WAIT,	/* look again at the next exit */
};

struct own_step {
	enum own_next (*send)(struct nvme_host *host);
	/* The command's answer. False: the preparation has failed. */
	bool (*done)(struct nvme_host *host, u16 status, u32 result);
};

/* ---- One command ------------------------------------------------------------------ */

static void on_done(struct nvme_host *host, u16 status, void *arg)
{
	struct own *own = &host->own;
	bool is_wanted;

	(void)arg;
	lock_acquire(&host->lock);
	is_wanted = !own->is_stale && own->step;
	own->is_pending = own->is_stale = false;
	if (is_wanted && !own->step->done(host, status, own->command.result))
		ctrl_fail(host, "device refused what Sluice needs");
	ctrl_step(host);
	lock_release(&host->lock);
}

static enum own_next send(struct nvme_host *host, const struct nvme_sqe *sqe)
{
	struct own *own = &host->own;

	own->command = (struct nvme_io_descriptor){
		.host = host, .sqe = *sqe, .is_internal = true,
		.done = on_done,
	};
	own->is_pending = !run_submit(&own->command, true);
	return own->is_pending ? OWN_SENT : OWN_WAIT;
}

static enum own_next identify(struct nvme_host *host, u8 cns, u32 nsid)
{
	memset(host->own.page, 0, PAGE_SIZE);
	return send(host, &(struct nvme_sqe){
		.opcode = NVME_ADMIN_IDENTIFY, .nsid = nsid, .cdw10 = cns,
		.prp1 = page_hpa(host->own.page).v,
	});
}

/* ---- Who are you? ------------------------------------------------------------------- */

static void copy_text(char *to, const char *from, size_t size)
{
	size_t start = 0;

	while (size && (from[size - 1] == ' ' || !from[size - 1]))
		size--;
	while (start < size && from[start] == ' ')
		start++;
	for (; start < size; start++)
		*to++ = from[start] >= ' ' && from[start] <= '~' ?
			from[start] : '?';
	*to = '\0';
}

static enum own_next send_controller(struct nvme_host *host)
{
	if (host->own.is_end)
		return OWN_NEXT;
	return identify(host, NVME_CNS_CONTROLLER, 0);
}

/* What sgl.c walks: neither keyed nor of metadata, no offsets. */
static u32 offered_sgls(u32 sgls)
{
	if (!(sgls & NVME_SGLS_SUPPORT))
		return 0;
	return sgls & (NVME_SGLS_SUPPORT | NVME_SGLS_THRESHOLD |
		       NVME_SGLS_BIT_BUCKET | NVME_SGLS_METADATA_BYTES |
		       NVME_SGLS_LONGER);
}

static bool done_controller(struct nvme_host *host, u16 status, u32 result)
{
	const struct nvme_id_ctrl *id = host->own.page;
	u64 limit = attach_limits.mdts_kb ?
		(u64)attach_limits.mdts_kb << 10 : NVME_TRANSFER_MAX;

	(void)result;
	copy_text(host->serial_number, id->serial, sizeof(id->serial));
	copy_text(host->model, id->model, sizeof(id->model));
	if (id->mdts && id->mdts < 32)
		limit = MIN(limit, PAGE_SIZE << id->mdts);
	if (chain_copies(host))
		limit = MIN(limit, NVME_BOUNCE_MAX);
	host->transfer_max = limit;
	host->sgls = offered_sgls(id->sgls);
	host->has_standard_io = id->icsvscc & 1;
	host->has_standard_admin = id->avscc & 1;
	host->own.nn = id->nn;
	host->own.has_guards = id->ctratt & NVME_CTRATT_ELBAS;
	host->own.is_end = true;
	return !status;
}

/* ---- Which namespaces? ----------------------------------------------------------------- */

static enum own_next send_list(struct nvme_host *host)
{
	struct own *own = &host->own;

	if (own->is_end)
		return OWN_NEXT;
	if (!own->cursor)
		own->next.count = 0;
	return identify(host, NVME_CNS_ACTIVE_NAMESPACES, own->cursor);
}

static bool add_namespace(struct own *own, u32 nsid)
{
	struct nvme_namespace *ns = &own->next.entries[own->next.count];

	if (!nsid || nsid <= own->cursor ||
	    own->next.count == NVME_NAMESPACE_MAX)
		return false;
	*ns = (struct nvme_namespace){ .public.nsid = nsid };
	own->next.count++;
	own->cursor = nsid;
	return true;
}

/* A full page of ids may have a successor; before 1.1 there is no list. */
static bool done_list(struct nvme_host *host, u16 status, u32 result)
{
	struct own *own = &host->own;
	const u32 *nsids = own->page;
	u32 i = 0;

	(void)result;
	if (status)
		while (add_namespace(own, own->cursor + 1) &&
		       own->cursor < own->nn)
			;
	else
		while (i < PAGE_SIZE / sizeof(u32) &&
		       add_namespace(own, nsids[i]))
			i++;
	own->is_end = i < PAGE_SIZE / sizeof(u32) ||
		own->next.count == NVME_NAMESPACE_MAX;
	return true;
}

static enum own_next send_each(struct nvme_host *host, u8 cns)
{
	struct own *own = &host->own;

	if (own->cursor == own->next.count)
		return OWN_NEXT;
	return identify(host, cns,
			own->next.entries[own->cursor].public.nsid);
}

static enum own_next send_namespace(struct nvme_host *host)
{
	return send_each(host, NVME_CNS_NAMESPACE);
}

static bool done_namespace(struct nvme_host *host, u16 status, u32 result)
{
	struct own *own = &host->own;

	(void)result;
	if (!status)
		ns_parse(&own->next.entries[own->cursor], own->page);
	own->cursor++;
	return true;
}

/* A longer guard decides how many bytes a block with PRACT has. */
static enum own_next send_guards(struct nvme_host *host)
{
	return host->own.has_guards ?
		send_each(host, NVME_CNS_NVM_NAMESPACE) : OWN_NEXT;
}

/* Of a namespace that could have either nothing is known. */
static bool done_guards(struct nvme_host *host, u16 status, u32 result)
{
	struct own *own = &host->own;
	struct nvme_namespace *ns = &own->next.entries[own->cursor];

	(void)result;
	if (!status)
		ns_parse_guard(ns, own->page);
	else if (ns->has_pi && ns->public.metadata_size == NVME_PI_SIZE_LONG)
		ns->public.lba_size = 0;
	own->cursor++;
	return true;
}

/* Command sets are told apart only where the guest has asked for them. */
static enum own_next send_descriptors(struct nvme_host *host)
{
	if (FIELD_GET(NVME_CC_CSS, host->cc) != NVME_CC_CSS_ALL)
		return OWN_NEXT;
	return send_each(host, NVME_CNS_DESCRIPTORS);
}

static bool done_descriptors(struct nvme_host *host, u16 status, u32 result)
{
	struct own *own = &host->own;
	const u8 *page = own->page;
	u32 at = 0;

	(void)result;
	/* Type, length, two reserved bytes, then `length` bytes. */
	while (!status && at + 4 < PAGE_SIZE && page[at + 1]) {
		if (page[at] == NVME_NIDT_CSI)
			own->next.entries[own->cursor].public.command_set =
				page[at + 4];
		at += 4 + page[at + 1];
	}
	own->cursor++;
	return true;
}

/* One whose blocks nobody understands is as good as not there. */
static void drop_unusable(struct ns_table *table)
{
	u32 kept = 0;

	for (u32 i = 0; i < table->count; i++)
		if (table->entries[i].public.lba_size)
			table->entries[kept++] = table->entries[i];
	table->count = kept;
}

static enum own_next use_namespaces(struct nvme_host *host)
{
	drop_unusable(&host->own.next);
	ns_swap(host, &host->own.next);
	if (host->is_refreshing) {
		/* Once more when something changed meanwhile. */
		WRITE_ONCE(host->is_refreshing,
			   READ_ONCE(host->wants_refresh));
		run_wake(host, RUN_HUBS | RUN_STEP);
	}
	return OWN_NEXT;
}

/* ---- How many queues? ----------------------------------------------------------------------- */

static u32 queues_wanted(void)
{
	u32 limit = attach_limits.max_queues;

	return limit ? MIN(limit, NVME_QUEUE_MAX) : NVME_QUEUE_MAX;
}

static enum own_next send_queue_count(struct nvme_host *host)
{
	u32 last = queues_wanted() + chain_needs(host,
		NVME_IO_NEEDS_HOST_REQUESTS) - 1;

	if (host->own.is_end)
		return OWN_NEXT;
	return send(host, &(struct nvme_sqe){
		.opcode = NVME_ADMIN_SET_FEATURES,
		.cdw10 = NVME_FEATURE_QUEUE_COUNT,
		.cdw11 = FIELD_PREP(NVME_QUEUE_COUNT_SQ, last) |
			FIELD_PREP(NVME_QUEUE_COUNT_CQ, last),
	});
}

/* One pair there is always; Sluice takes one only when there are more. */
static bool done_queue_count(struct nvme_host *host, u16 status, u32 result)
{
	struct own *own = &host->own;
	u32 granted = status ? 1 : 1 +
		MIN(FIELD_GET(NVME_QUEUE_COUNT_SQ, result),
		    FIELD_GET(NVME_QUEUE_COUNT_CQ, result));
	bool needs_own = chain_needs(host, NVME_IO_NEEDS_HOST_REQUESTS);

	own->is_end = true;
	own->is_temporary = needs_own && granted == 1;
	if (needs_own && granted > 1)
		granted--;
	WRITE_ONCE(host->guest_queues_max, MIN(granted, queues_wanted()));
	host->guest_queues = host->guest_queues_max;
	host->own_id = !needs_own ? 0 :
		own->is_temporary ? 1 : host->guest_queues_max + 1;
	return true;
}

/* ---- A pair of our own ------------------------------------------------------------------------ */

static u32 own_slots(const struct nvme_host *host)
{
	return MIN(NVME_HOST_REQUEST_MAX,
		   FIELD_GET(NVME_CAP_MQES, host->cap));
}

static enum own_next send_create_cq(struct nvme_host *host)
{
	u32 size = own_slots(host) + 1;
	struct own *own = &host->own;

	if (!host->own_id || own->is_end)
		return OWN_NEXT;
	if (!own->hub)
		own->hub = hub_alloc(host, host->own_id, size, NULL, 0);
	if (!own->hub)
		return OWN_WAIT;
	return send(host, &(struct nvme_sqe){
		.opcode = NVME_ADMIN_CREATE_CQ,
		.prp1 = page_hpa(own->hub->shadow.entries).v,
		.cdw10 = FIELD_PREP(NVME_QUEUE_SIZE, size - 1) |
			host->own_id,
		.cdw11 = NVME_QUEUE_PC,
	});
}

static bool done_create_cq(struct nvme_host *host, u16 status, u32 result)
{
	struct own *own = &host->own;

	(void)result;
	if (status || hub_publish(own->hub))
		return false;
	own->hub = NULL;
	own->is_end = true;
	return true;
}

static enum own_next send_create_sq(struct nvme_host *host)
{
	struct own *own = &host->own;

	if (!host->own_id || own->is_end)
		return OWN_NEXT;
	if (!own->sq)
		own->sq = sq_alloc(host->own_id, own_slots(host), NULL, 0);
	if (!own->sq)
		return OWN_WAIT;
	return send(host, &(struct nvme_sqe){
		.opcode = NVME_ADMIN_CREATE_SQ,
		.prp1 = page_hpa(own->sq->shadow.entries).v,
		.cdw10 = FIELD_PREP(NVME_QUEUE_SIZE, own->sq->shadow.size - 1) |
			host->own_id,
		.cdw11 = FIELD_PREP(NVME_SQ_CQID, host->own_id) |
			NVME_QUEUE_PC,
	});
}

static bool done_create_sq(struct nvme_host *host, u16 status, u32 result)
{
	struct hub *hub = host->hubs[host->own_id];
	struct own *own = &host->own;
	int error;

	(void)result;
	if (status)
		return false;
	lock_acquire(&hub->lock);
	error = sq_publish(hub, own->sq);
	lock_release(&hub->lock);
	ASSERT(!error);
	own->sq = NULL;
	own->is_end = true;
	return true;
}

static enum own_next send_delete(struct nvme_host *host, u8 opcode)
{
	if (!host->own.is_temporary || !host->own_id || host->own.is_end)
		return OWN_NEXT;
	return send(host, &(struct nvme_sqe){ .opcode = opcode,
					      .cdw10 = host->own_id });
}

static enum own_next send_delete_sq(struct nvme_host *host)
{
	return send_delete(host, NVME_ADMIN_DELETE_SQ);
}

/*
 * What the device does not delete it may still write to, so that stays. To
 * give back is not to fail once more: half of the pair may never have been.
 */
static bool done_delete_sq(struct nvme_host *host, u16 status, u32 result)
{
	struct hub *hub = host->hubs[host->own_id];
	struct sq *sq = host->sqs[host->own_id];

	(void)result;
	host->own.is_end = true;
	if (!status && sq) {
		lock_acquire(&hub->lock);
		sq_retire(sq);
		lock_release(&hub->lock);
	}
	return !status || host->own.gives_back;
}

static enum own_next send_delete_cq(struct nvme_host *host)
{
	return send_delete(host, NVME_ADMIN_DELETE_CQ);
}

static bool done_delete_cq(struct nvme_host *host, u16 status, u32 result)
{
	struct hub *hub = host->hubs[host->own_id];

	(void)result;
	host->own.is_end = true;
	if (!status && hub)
		hub_retire(hub);
	if (!status || !hub)
		host->own_id = 0;
	return !status || host->own.gives_back;
}

/* ---- The interceptors ---------------------------------------------------------------------------- */

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

/* ---- The chain of steps ------------------------------------------------------------------------------ */

static const struct own_step prepare_steps[] = {
	{ send_controller, done_controller },
	{ send_list, done_list },
	{ send_namespace, done_namespace },
	{ send_guards, done_guards },
	{ send_descriptors, done_descriptors },
	{ use_namespaces, NULL },
	{ send_queue_count, done_queue_count },
	{ send_create_cq, done_create_cq },
	{ send_create_sq, done_create_sq },
	{ start_chain, NULL },
	{ send_delete_sq, done_delete_sq },
	{ send_delete_cq, done_delete_cq },
	{ NULL, NULL },
};

static const struct own_step refresh_steps[] = {
	{ send_list, done_list },
	{ send_namespace, done_namespace },
	{ send_guards, done_guards },
	{ send_descriptors, done_descriptors },
	{ use_namespaces, NULL },
	{ NULL, NULL },
};

static const struct own_step give_back_steps[] = {
	{ send_delete_sq, done_delete_sq },
	{ send_delete_cq, done_delete_cq },
	{ NULL, NULL },
};

static void begin_step(struct own *own, const struct own_step *step)
{
	own->step = step && step->send ? step : NULL;
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
	       own->step->send(host) == OWN_NEXT)
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
