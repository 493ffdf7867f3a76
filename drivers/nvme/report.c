/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What Sluice says of itself and its controllers: the items of control.h.
 * Other controllers than the one asked are looked at without their locks.
 */
#include <stdio.h>
#include <string.h>

#include "nvme.h"
#include "pci.h"
#include "status.h"

/* False: there is no such item. */
typedef bool fill_fn(struct nvme_host *host, u64 index, void *item);

static bool fill_identity(struct nvme_host *host, u64 index, void *item)
{
	struct control_identity *identity = item;

	if (index)
		return false;
	identity->magic = CONTROL_MAGIC;
	identity->version = CONTROL_VERSION;
	snprintf(identity->sluice, sizeof(identity->sluice), "%s",
		 status_version());
	snprintf(identity->controller, sizeof(identity->controller), "%s",
		 host->name);
	return true;
}

static u32 count_controllers(void)
{
	struct list *node;
	u32 count = 0;

	list_for_each(node, &attach_hosts)
		count++;
	return count;
}

static bool fill_status(struct nvme_host *host, u64 index, void *item)
{
	struct control_status *status = item;

	(void)host;
	if (index)
		return false;
	status_get(status);
	status->controller_count = count_controllers();
	return true;
}

static bool fill_cpu(struct nvme_host *host, u64 index, void *item)
{
	(void)host;
	return index <= ~0u && status_get_cpu(index, item);
}

/* ---- Controllers ----------------------------------------------------- */

static struct nvme_host *find_host(u64 index)
{
	struct list *node;

	list_for_each(node, &attach_hosts)
		if (!index--)
			return container_of(node, struct nvme_host, node);
	return NULL;
}

static void add_counts(struct control_controller *to,
		       const struct hub_counts *counts, bool is_io)
{
	to->fetched[is_io] += READ_ONCE(counts->fetched);
	to->carried[is_io] += READ_ONCE(counts->carried);
	to->own += READ_ONCE(counts->own);
}

static void fill_queues(struct nvme_host *host, struct control_controller *to)
{
	struct hub *hub;
	u32 id = 0;

	add_counts(to, &host->past[0], false);
	add_counts(to, &host->past[1], true);
	while ((hub = hub_next(host, &id))) {
		add_counts(to, &hub->counts, hub->id);
		to->relayed_count += hub->id && hub->guest.size &&
			!hub->is_direct;
		to->direct_count += hub->is_direct;
		hub_put(hub);
	}
}

/* Somebody may be writing it; it ends all the same. */
static void copy_text(char *to, size_t size, const char *from)
{
	snprintf(to, size, "%.*s", (int)size - 1, from);
}

static u32 state_of(const struct nvme_host *host)
{
	u8 state = READ_ONCE(host->state);

	return state == CTRL_DISABLED ? 0 : state == CTRL_READY ? 1 : 2;
}

static bool fill_controller(struct nvme_host *asked, u64 index, void *item)
{
	struct nvme_host *host = find_host(index);
	struct control_controller *to = item;

	(void)asked;
	if (!host)
		return false;
	copy_text(to->name, sizeof(to->name), host->name);
	copy_text(to->serial, sizeof(to->serial), host->serial_number);
	copy_text(to->model, sizeof(to->model), host->model);
	to->state = state_of(host);
	to->namespace_count = ns_count(host);
	to->transfer_max = READ_ONCE(host->transfer_max);
	to->queues_max = READ_ONCE(host->guest_queues_max);
	to->resets = READ_ONCE(host->start_count);
	to->unsafe = READ_ONCE(host->unsafe_count);
	fill_queues(host, to);
	return true;
}

/* ---- Plug-ins -------------------------------------------------------- */

static u32 flags_of(const struct chain_entry *entry)
{
	const struct nvme_io_interceptor *it = entry->interceptor;
	u32 flags = 0;

	if (it->control && it->control->ask)
		flags |= CONTROL_PLUGIN_ASKS;
	if (it->control && it->control->order)
		flags |= CONTROL_PLUGIN_ORDERS;
	if (entry->is_off)
		flags |= CONTROL_PLUGIN_OFF;
	if (it->needs & NVME_IO_NEEDS_COMPLETIONS)
		flags |= CONTROL_PLUGIN_COMPLETIONS;
	return flags;
}

static bool fill_plugin(struct nvme_host *host, u64 index, void *item)
{
	struct control_plugin *plugin = item;

	if (index >= host->chain_count)
		return false;
	plugin->target = index + 1;
	plugin->flags = flags_of(&host->chain[index]);
	copy_text(plugin->name, sizeof(plugin->name),
		  chain_name(&host->chain[index]));
	return true;
}

/* ---- All of them ----------------------------------------------------- */

static bool fill_why(struct nvme_host *host, u64 index, void *item)
{
	if (index >= strlen(host->why))
		return false;
	*(char *)item = host->why[index];
	return true;
}

static bool fill_panic_log(struct nvme_host *host, u64 index, void *item)
{
	(void)host;
	return status_read_panic_log(index, item, 1);
}

static const struct {
	u32 size;
	fill_fn *fill;		/* NULL: log_read() */
} verbs[CONTROL_VERBS] = {
	[CONTROL_IDENTITY] = { sizeof(struct control_identity), fill_identity },
	[CONTROL_STATUS] = { sizeof(struct control_status), fill_status },
	[CONTROL_CPUS] = { sizeof(struct control_cpu), fill_cpu },
	[CONTROL_CONTROLLERS] = { sizeof(struct control_controller),
				  fill_controller },
	[CONTROL_PLUGINS] = { sizeof(struct control_plugin), fill_plugin },
	[CONTROL_LOG] = { 1, NULL },
	[CONTROL_WHY] = { 1, fill_why },
	[CONTROL_PANIC_LOG] = { 1, fill_panic_log },
};

u32 report_item_size(u32 verb)
{
	return verb < CONTROL_VERBS ? verbs[verb].size : 0;
}

u32 report_items(struct nvme_host *host, enum control_verb verb, u64 *first,
		 void *to, u32 size)
{
	u32 item_size = verbs[verb].size, used = 0;
	u64 index = *first;

	if (!verbs[verb].fill)
		return log_read(first, to, size);
	while (range_inside(used, item_size, size) &&
	       verbs[verb].fill(host, index++, (u8 *)to + used))
		used += item_size;
	return used;
}
