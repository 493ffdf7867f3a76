/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * overlay: a base that stays as it is, and what the guest writes above it.
 *
 *	overlay = memory=512 PARTLABEL=rootfs
 *	overlay = memory=64 warn=50 QF0:n1	all of a namespace
 *	overlay.orders = on		root of the guest may commit
 *
 *	overlay = memory=16 PARTLABEL=rootfs
 *	overlay.store = PARTLABEL=scratch
 *	overlay.boot = keep
 *
 * Writes go to memory; reads go down to the device, and what has been written
 * is put over their data when they come back, so that whatever is below has
 * done its part. What memory holds is gone with the machine's next start, or
 * by order, unless an order puts it into the base. With a store, a partition
 * that the guest cannot reach, memory holds the map only: overlay_store.h.
 */
#include "overlay.h"

/* ---- Which volume? --------------------------------------------------- */

enum reach { OUTSIDE, INSIDE, ACROSS };

static enum reach reach_of(const struct overlay_volume *volume, u32 nsid,
			   u64 lba, u64 n_lbas)
{
	const struct nvme_io_extent *where = &volume->where;
	u64 last = lba + (n_lbas - 1);

	if (!volume->is_here || where->nsid != nsid || !n_lbas)
		return OUTSIDE;
	if (last < lba)
		return lba <= where->last_lba ? ACROSS : OUTSIDE;
	if (last < where->first_lba || lba > where->last_lba)
		return OUTSIDE;
	return lba >= where->first_lba && last <= where->last_lba ? INSIDE :
								     ACROSS;
}

/* The first volume that any of the blocks belong to. */
static struct overlay_volume *find(struct overlay *overlay, u32 nsid, u64 lba,
				   u64 n_lbas, enum reach *reach)
{
	for (u32 i = 0; i < overlay->volume_count; i++) {
		struct overlay_volume *volume = &overlay->volumes[i];

		*reach = reach_of(volume, nsid, lba, n_lbas);
		if (*reach != OUTSIDE)
			return volume;
	}
	*reach = OUTSIDE;
	return NULL;
}

bool overlay_is_on(const struct overlay *overlay, u32 nsid)
{
	for (u32 i = 0; i < overlay->volume_count; i++)
		if (overlay->volumes[i].is_here &&
		    (nsid == ALL_NSIDS || !nsid ||
		     overlay->volumes[i].where.nsid == nsid))
			return true;
	return overlay->is_closed;
}

/* ---- Commands -------------------------------------------------------- */

static enum nvme_io_verdict answer(struct nvme_request *req, u16 status)
{
	nvme_io_set_status(req, status, 0);
	return NVME_IO_DONE;
}

static enum nvme_io_verdict refuse(struct overlay *overlay,
				   struct nvme_request *req, u16 status)
{
	const struct nvme_io_command *cmd = nvme_io_req_command(req);

	nvme_io_log_limited(overlay->host, NVME_IO_LOG_WARN,
			    "overlay: refused %s %02xh lba %lu+%u of n%u",
			    cmd->admin ? "admin opcode" : "opcode", cmd->opcode,
			    cmd->lba, cmd->n_lbas, cmd->nsid);
	return answer(req, status | NVME_IO_DNR);
}

/* The device reads the base; on_complete() sees to the rest. */
static enum nvme_io_verdict pass(struct overlay_volume *volume,
				 struct nvme_request *req)
{
	*nvme_io_req_private(req, &volume->overlay->interceptor) = 1;
	overlay_commit_enter(volume);
	return NVME_IO_PASS;
}

enum { FLUSH = 0x00, WRITE = 0x01, READ = 0x02, COMPARE = 0x05, ZEROES = 0x08,
       VERIFY = 0x0c };

/* All blocks are the volume's. */
static enum nvme_io_verdict on_blocks(struct overlay_volume *volume,
				      struct nvme_request *req,
				      const struct nvme_io_command *cmd)
{
	if (volume->is_closed && cmd->effects & NVME_IO_WRITES)
		return refuse(volume->overlay, req, NVME_IO_WRITE_PROTECTED);
	if (volume->is_closed)
		return NVME_IO_PASS;
	if (volume->store)
		return overlay_guest_command(volume, req, cmd);
	if (overlay_commit_delays(volume, req))
		return NVME_IO_HOLD;
	switch (cmd->opcode) {
	case WRITE:
		return answer(req, overlay_data_write(volume, req, cmd->lba,
						      cmd->n_lbas));
	case ZEROES:
		return answer(req, overlay_data_zero(volume, cmd->lba,
						     cmd->n_lbas));
	case COMPARE:
		if (overlay_data_has(volume, cmd->lba, cmd->n_lbas))
			break;
		return pass(volume, req);
	case READ:
	case VERIFY:
		return pass(volume, req);
	}
	return refuse(volume->overlay, req, NVME_IO_INVALID_OPCODE);
}

static enum nvme_io_verdict on_command(void *interceptor,
				       struct nvme_request *req,
				       const struct nvme_io_command *cmd)
{
	const u32 anything = NVME_IO_WHOLE | NVME_IO_UNKNOWN;
	struct overlay *overlay = interceptor;
	struct overlay_volume *volume;
	enum reach reach;

	*nvme_io_req_private(req, &overlay->interceptor) = 0;
	if (cmd->effects & anything && overlay_is_on(overlay, cmd->nsid))
		return refuse(overlay, req, cmd->effects & NVME_IO_UNKNOWN ?
			      NVME_IO_INVALID_OPCODE : NVME_IO_WRITE_PROTECTED);
	if (cmd->admin)
		return overlay_cache_command(overlay, req, cmd);
	if (cmd->opcode == FLUSH)
		return overlay_guest_flush(overlay, req, cmd->nsid);
	if (overlay_where_is_store(overlay, cmd->nsid, cmd->lba, cmd->n_lbas))
		return refuse(overlay, req, NVME_IO_ACCESS_DENIED);
	if (overlay->is_closed &&
	    cmd->effects & (NVME_IO_WRITES | NVME_IO_RANGES))
		return refuse(overlay, req, NVME_IO_WRITE_PROTECTED);
	volume = find(overlay, cmd->nsid, cmd->lba, cmd->n_lbas, &reach);
	if (!volume)
		return NVME_IO_PASS;
	if (reach == ACROSS)
		return refuse(overlay, req, NVME_IO_LBA_OUT_OF_RANGE);
	return on_blocks(volume, req, cmd);
}

static enum nvme_io_verdict on_copy(void *interceptor,
				    struct nvme_request *req,
				    const struct nvme_io_command *cmd,
				    const struct nvme_io_copy_source *sources,
				    u32 n_sources)
{
	struct overlay *overlay = interceptor;
	enum reach reach;

	for (u32 i = 0; i < n_sources; i++)
		if (overlay_where_is_store(overlay, cmd->nsid,
					   sources[i].lba_start,
					   sources[i].n_lbas))
			return refuse(overlay, req, NVME_IO_ACCESS_DENIED);
	for (u32 i = 0; i < n_sources; i++)
		if (find(overlay, cmd->nsid, sources[i].lba_start,
			 sources[i].n_lbas, &reach))
			return refuse(overlay, req, NVME_IO_INVALID_OPCODE);
	return NVME_IO_PASS;
}

static void on_complete(void *interceptor, struct nvme_request *req,
			const struct nvme_io_command *cmd,
			struct nvme_io_completion *completion)
{
	struct overlay *overlay = interceptor;
	u64 *is_counted = nvme_io_req_private(req, &overlay->interceptor);
	struct overlay_volume *volume;
	enum reach reach;

	if (!*is_counted)
		return;
	*is_counted = 0;
	volume = find(overlay, cmd->nsid, cmd->lba, cmd->n_lbas, &reach);
	if (!volume)
		return;
	/* Nor does a bad block of the base matter that is not shown. */
	if (cmd->opcode == READ &&
	    overlay_data_patch(volume, req, cmd->lba, cmd->n_lbas))
		completion->status = NVME_IO_SUCCESS;
	overlay_commit_leave(volume);
}

/* What is on a store is not at hand here. */
static bool is_away(const struct overlay_volume *volume,
		    const struct nvme_io_host_data *data)
{
	for (u32 i = 0; volume->store && i < data->n_lbas; i++)
		if (data->lba + i >= volume->where.first_lba &&
		    data->lba + i <= volume->where.last_lba &&
		    overlay_data_has(volume, data->lba + i, 1))
			return true;
	return false;
}

static u16 show(const struct overlay_volume *volume,
		const struct nvme_io_host_data *data)
{
	if (data->is_write)
		return NVME_IO_WRITE_PROTECTED | NVME_IO_DNR;
	if (is_away(volume, data))
		return NVME_IO_ACCESS_DENIED | NVME_IO_DNR;
	overlay_data_show(volume, data);
	return NVME_IO_SUCCESS;
}

/* Interceptors above see what the guest sees; what they would write has
 * nowhere to go but to the base. */
static u16 on_host_data(void *interceptor, const struct nvme_io_host_data *data)
{
	struct overlay *overlay = interceptor;
	u16 status = NVME_IO_SUCCESS;

	if (overlay_where_is_store(overlay, data->nsid, data->lba,
				   data->n_lbas))
		return NVME_IO_ACCESS_DENIED | NVME_IO_DNR;
	for (u32 i = 0; i < overlay->volume_count && !status; i++) {
		struct overlay_volume *volume = &overlay->volumes[i];

		if (!volume->is_closed &&
		    reach_of(volume, data->nsid, data->lba, data->n_lbas) !=
			    OUTSIDE)
			status = show(volume, data);
	}
	return status;
}

/* ---- Dataset Management ---------------------------------------------- */

#define DEALLOCATE 4u		/* of CDW11 (NVMe 1.4, 6.7) */

/* A status. *is_ours: the device need not know of the range. */
static u16 discard_range(struct overlay *overlay, const struct nvme_io_command *cmd,
		   const struct nvme_io_range *range, bool *is_ours)
{
	enum reach reach;
	struct overlay_volume *volume = find(overlay, cmd->nsid,
					     range->lba_start, range->n_lbas,
					     &reach);

	*is_ours = volume || !range->n_lbas;
	if (overlay_where_is_store(overlay, cmd->nsid, range->lba_start,
				   range->n_lbas))
		return NVME_IO_ACCESS_DENIED | NVME_IO_DNR;
	if (!volume || !(cmd->cdw11 & DEALLOCATE))
		return NVME_IO_SUCCESS;
	if (reach == ACROSS)
		return NVME_IO_LBA_OUT_OF_RANGE | NVME_IO_DNR;
	if (volume->is_closed)
		return NVME_IO_WRITE_PROTECTED | NVME_IO_DNR;
	return overlay_data_zero(volume, range->lba_start, range->n_lbas);
}

static bool is_delayed(struct overlay *overlay, struct nvme_request *req,
		       const struct nvme_io_range *ranges, u32 n_ranges)
{
	const struct nvme_io_command *cmd = nvme_io_req_command(req);
	struct overlay_volume *volume;
	enum reach reach;

	for (u32 i = 0; i < n_ranges; i++) {
		volume = find(overlay, cmd->nsid, ranges[i].lba_start,
			      ranges[i].n_lbas, &reach);
		if (volume && (volume->store && !volume->is_closed ?
			       overlay_guest_delays(volume, req, n_ranges) :
			       overlay_commit_delays(volume, req)))
			return true;
	}
	return false;
}

/* What is not ours goes on to the device. */
static u32 on_data_management(void *interceptor, struct nvme_request *req,
			      u32 nsid, struct nvme_io_range *ranges,
			      u32 buf_len, u32 n_ranges)
{
	const struct nvme_io_command *cmd = nvme_io_req_command(req);
	struct overlay *overlay = interceptor;
	u32 others = 0;
	u16 status = NVME_IO_SUCCESS;

	if (is_delayed(overlay, req, ranges, n_ranges)) {
		nvme_io_pause_guest_request(req);
		return n_ranges;
	}
	*nvme_io_req_private(req, &overlay->interceptor) = 0;
	for (u32 i = 0; i < n_ranges && !status; i++) {
		bool is_ours;

		status = discard_range(overlay, cmd, &ranges[i], &is_ours);
		if (!is_ours)
			ranges[others++] = ranges[i];
	}
	if (!status && others && overlay->is_closed)
		status = NVME_IO_WRITE_PROTECTED | NVME_IO_DNR;
	if (!status)
		return others;
	nvme_io_finish_guest_request(overlay->host, req, status);
	return 0;
}

/* ---- Life ------------------------------------------------------------ */

static u8 on_init(void *interceptor)
{
	struct overlay *overlay = interceptor;

	for (u32 i = 0; i < overlay->volume_count; i++)
		overlay_commit_stop(&overlay->volumes[i]);
	overlay->interceptor.needs = NVME_IO_NEEDS_HOST_REQUESTS;
	overlay_where_look(overlay);
	return 1;
}

static u8 can_stop(void *interceptor)
{
	struct overlay *overlay = interceptor;
	bool can = true;

	for (u32 i = 0; i < overlay->volume_count; i++)
		if (overlay->volumes[i].store &&
		    !overlay_guest_can_stop(&overlay->volumes[i]))
			can = false;
	return can;
}

/* With the first controller: which one will need it is not known yet. */
static int take_memory(struct nvme_host *host)
{
	for (u32 i = 0; i < overlay_rules_count(); i++) {
		struct overlay_rule *rule = overlay_rules_get(i);
		u32 count = rule->memory_mib << 8;
		phys_t phys;
		void *memory;

		if (rule->pages.count)
			continue;
		memory = nvme_io_alloc_pages(host, count, &phys);
		if (!memory)
			return -1;
		overlay_pages_init(&rule->pages, memory, phys, count);
	}
	return 0;
}

static int attach(struct nvme_host *host)
{
	struct overlay *overlay;

	if (!overlay_rules_count())
		return 0;
	overlay = nvme_io_alloc_pages(host, (sizeof(*overlay) + 4095) / 4096,
				      NULL);
	if (!overlay || take_memory(host))
		return -1;
	overlay->list = nvme_io_alloc_pages(host, 1, &overlay->list_phys);
	overlay->zeroes = nvme_io_alloc_pages(host, 1, &overlay->zeroes_phys);
	if (!overlay->list || !overlay->zeroes)
		return -1;
	overlay->host = host;
	overlay->interceptor = (struct nvme_io_interceptor){
		.interceptor = overlay,
		.on_init = on_init,
		.on_data_management = on_data_management,
		.needs = NVME_IO_NEEDS_HOST_REQUESTS,
		.on_command = on_command,
		.on_copy = on_copy,
		.on_complete = on_complete,
		.on_host_data = on_host_data,
		.on_identify = overlay_cache_identify,
		.can_stop = can_stop,
		.control = &overlay_orders,
	};
	nvme_io_install_interceptor(host, &overlay->interceptor);
	return 0;
}

static const struct nvme_io_plugin plugin = {
	.name = "overlay",
	.configure = overlay_rules_configure,
	.attach = attach,
};
NVME_IO_PLUGIN(plugin);
