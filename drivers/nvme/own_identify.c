/* SPDX-License-Identifier: BSD-2-Clause */
/* Steps of own.c: what the device is, and which namespaces it has. */
#include "own_step.h"
#include "page.h"

/* ---- Who are you? ----------------------------------------------------------- */

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
	return own_identify(host, NVME_CNS_CONTROLLER, 0);
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

const struct own_step own_controller = { send_controller, done_controller };

/* ---- Which namespaces? ------------------------------------------------------ */

static enum own_next send_list(struct nvme_host *host)
{
	struct own *own = &host->own;

	if (own->is_end)
		return OWN_NEXT;
	if (!own->cursor)
		own->next.count = 0;
	return own_identify(host, NVME_CNS_ACTIVE_NAMESPACES, own->cursor);
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
	return own_identify(host, cns,
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

const struct own_step own_list = { send_list, done_list };
const struct own_step own_namespace = { send_namespace, done_namespace };
const struct own_step own_guards = { send_guards, done_guards };
const struct own_step own_descriptors = { send_descriptors, done_descriptors };
const struct own_step own_use_namespaces = { use_namespaces, NULL };
