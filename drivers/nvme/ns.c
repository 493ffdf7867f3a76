/* SPDX-License-Identifier: BSD-2-Clause */
/* Which namespaces are active and what a block of each is. */
#include <errno.h>

#include "nvme.h"

#define LBA_SHIFT_MIN 9
#define LBA_SHIFT_MAX 16

static const struct nvme_namespace *search(const struct ns_table *table,
					   u32 nsid)
{
	u32 low = 0, high = table->count;

	while (low < high) {
		u32 middle = (low + high) / 2;

		if (table->entries[middle].public.nsid < nsid)
			low = middle + 1;
		else
			high = middle;
	}
	if (low == table->count || table->entries[low].public.nsid != nsid)
		return NULL;
	return &table->entries[low];
}

int ns_find(struct nvme_host *host, u32 nsid, struct nvme_namespace *out)
{
	const struct nvme_namespace *ns;

	lock_acquire(&host->ns_lock);
	ns = search(&host->ns, nsid);
	if (ns)
		*out = *ns;
	lock_release(&host->ns_lock);
	return ns ? 0 : -ENOENT;
}

static u32 plain_lba_size(const struct nvme_host *host,
			  const struct nvme_io_namespace *ns)
{
	bool has_rw = ns->command_set == NVME_CSI_NVM ||
		ns->command_set == NVME_CSI_ZONED;

	return has_rw && !ns->metadata_size && !chain_may_copy(host) ?
		ns->lba_size : 0;
}

const struct nvme_namespace *ns_look_up(struct hub *hub, u32 nsid)
{
	struct nvme_host *host = hub->host;
	const struct nvme_namespace *ns;

	if (nsid && hub->ns.public.nsid == nsid &&
	    hub->ns_version == READ_ONCE(host->ns_version))
		return &hub->ns;
	lock_acquire(&host->ns_lock);
	ns = search(&host->ns, nsid);
	if (ns) {
		hub->ns = *ns;
		clear_forget(hub);
		hub->plain_lba_size = plain_lba_size(host, &ns->public);
		hub->ns_version = host->ns_version;
	}
	lock_release(&host->ns_lock);
	return ns ? &hub->ns : NULL;
}

int ns_at(struct nvme_host *host, u32 index, struct nvme_namespace *out)
{
	int error = -ENOENT;

	lock_acquire(&host->ns_lock);
	if (index < host->ns.count) {
		*out = host->ns.entries[index];
		error = 0;
	}
	lock_release(&host->ns_lock);
	return error;
}

u32 ns_count(struct nvme_host *host)
{
	return READ_ONCE(host->ns.count);
}

void ns_forget(struct nvme_host *host)
{
	lock_acquire(&host->ns_lock);
	WRITE_ONCE(host->ns_version, host->ns_version + 1);
	lock_release(&host->ns_lock);
}

void ns_swap(struct nvme_host *host, struct ns_table *next)
{
	struct ns_table old;

	lock_acquire(&host->ns_lock);
	old = host->ns;
	host->ns = *next;
	WRITE_ONCE(host->ns_version, host->ns_version + 1);
	lock_release(&host->ns_lock);
	*next = old;
}

/* In a format no block device has there are no blocks. */
void ns_parse(struct nvme_namespace *ns, const struct nvme_id_ns *id)
{
	u32 index = FIELD_GET(NVME_FLBAS_FORMAT, id->flbas) |
		FIELD_GET(NVME_FLBAS_FORMAT_HIGH, id->flbas) << 4;
	const struct nvme_lba_format *format = &id->lbaf[index];
	bool is_usable = format->lbads >= LBA_SHIFT_MIN &&
		format->lbads <= LBA_SHIFT_MAX;

	ns->public.n_lbas = is_usable ? id->nsze : 0;
	ns->public.lba_size = is_usable ? 1u << format->lbads : 0;
	ns->public.metadata_size = format->ms;
	ns->public.metadata_inline = format->ms &&
		(id->flbas & NVME_FLBAS_INLINE);
	ns->format_idx = index;
	ns->has_pi = FIELD_GET(NVME_DPS_TYPE, id->dps);
	ns->has_pi_only = ns->has_pi && format->ms == NVME_PI_SIZE;
}

void ns_parse_guard(struct nvme_namespace *ns,
		    const struct nvme_id_ns_nvm *id)
{
	u32 guard = FIELD_GET(NVME_ELBAF_GUARD, id->elbaf[ns->format_idx]);

	ns->has_pi_only = ns->has_pi && ns->public.metadata_size ==
		(guard ? NVME_PI_SIZE_LONG : NVME_PI_SIZE);
}
