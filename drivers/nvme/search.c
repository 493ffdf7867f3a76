/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * nvme_io_find(): from selectors to blocks, one namespace after the other,
 * each partition table's callback going on with the next.
 */
#include "nvme_io.h"

static void go_on(struct nvme_host *host, struct nvme_io_search *search);

static bool names_partition(const struct nvme_io_selector *selector)
{
	return selector->by != NVME_IO_BY_NAMESPACE;
}

static bool wants_table(struct nvme_host *host,
			const struct nvme_io_search *search, u32 nsid)
{
	for (u32 i = 0; i < search->n_selectors; i++)
		if (names_partition(search->selectors[i]) &&
		    nvme_io_selector_is_in(search->selectors[i], host, nsid))
			return true;
	return false;
}

static void tell_partition(struct nvme_host *host,
			   const struct nvme_io_search *search, u32 nsid,
			   const struct nvme_io_partition *partition)
{
	struct nvme_io_extent extent = {
		nsid, partition->first_lba, partition->last_lba,
	};

	for (u32 i = 0; i < search->n_selectors; i++)
		if (nvme_io_selector_is_in(search->selectors[i], host, nsid) &&
		    nvme_io_selector_names(search->selectors[i], partition))
			search->found(search->arg, i, &extent);
}

static void table_read(struct nvme_host *host, u32 nsid,
		       const struct nvme_io_table_info *info, void *arg)
{
	struct nvme_io_search *search = arg;

	if (info->state == NVME_IO_TABLE_BAD ||
	    info->state == NVME_IO_TABLE_UNREAD)
		search->is_incomplete = true;
	for (u32 i = 0; i < info->n_partitions; i++)
		tell_partition(host, search, nsid, &info->partitions[i]);
	go_on(host, search);
}

static void tell_namespace(struct nvme_host *host,
			   const struct nvme_io_search *search,
			   const struct nvme_io_namespace *ns)
{
	struct nvme_io_extent extent = { ns->nsid, 0, ns->n_lbas - 1 };

	for (u32 i = 0; i < search->n_selectors && ns->n_lbas; i++)
		if (!names_partition(search->selectors[i]) &&
		    nvme_io_selector_is_in(search->selectors[i], host,
					   ns->nsid))
			search->found(search->arg, i, &extent);
}

static void go_on(struct nvme_host *host, struct nvme_io_search *search)
{
	struct nvme_io_namespace ns;

	while (!nvme_io_namespace_get(host, search->next, &ns)) {
		search->next++;
		tell_namespace(host, search, &ns);
		if (!wants_table(host, search, ns.nsid))
			continue;
		if (nvme_io_read_partitions(host, ns.nsid, table_read, search))
			return;
		search->is_incomplete = true;
	}
	search->done(search->arg, !search->is_incomplete);
}

void nvme_io_find(struct nvme_host *host, struct nvme_io_search *search)
{
	search->next = 0;
	search->is_incomplete = false;
	go_on(host, search);
}
