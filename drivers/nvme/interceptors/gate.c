/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * gate: which partitions and namespaces the guest may change or see.
 *
 *	gate = ro PARTUUID=1b2c0f6a-...		rw | ro | none, and what
 *	gate = none PARTLABEL="my data"		quoted: it has a space
 *	gate = ro QF0:n1			all of a namespace: SERIAL:nNSID
 *	gate = ro QF0:n1 PARTLABEL=data		a partition, there only
 *	gate = ro QF0:n1:p3			the third, whatever its names
 *
 * Where rules overlap, the strictest wins. Every command, admin and I/O, is
 * looked up in a list of what it can do; what is not on the list is refused
 * where a rule restricts anything, and so is what reaches across a boundary.
 * A namespace whose table cannot be used while rules name partitions is
 * restricted as a whole: the guest could have broken the table itself.
 *
 * A table that no rule restricts yet may be written, and is then read again
 * before any later command passes: a rule holds as soon as the primary copy
 * is good and says so; the table is closed when the backup agrees. While the
 * guest is in between, what held before goes on to hold.
 *
 * While the system runs, its root may add rules, and only such as restrict:
 * `sluicectl gate ro PARTUUID=...`. Where no rule stands in sluice.conf, gate
 * is there for that when it says so:
 *
 *	gate.orders = on
 */
#include <stdio.h>
#include <string.h>

#include "gate.h"
#include "gate_operations.h"

#define HOT __attribute__((hot))	/* see every command */
#define NEEDS (NVME_IO_NEEDS_HOST_REQUESTS | NVME_IO_CONCURRENT)

/* ---- on_init -------------------------------------------------------- */

static void next_namespace(struct gate *gate);

static void table_read(struct nvme_host *host, u32 nsid,
		       const struct nvme_io_table_info *info, void *arg)
{
	struct gate *gate = arg;
	struct space *space = gate_table_find(gate, nsid);

	if (info->state == NVME_IO_TABLE_BAD ||
	    info->state == NVME_IO_TABLE_UNREAD) {
		gate_rules_lock(gate, nsid);
	} else if (!gate_rules_apply_to_table(gate, nsid, info, false) &&
		   gate_rules_want_table(gate, nsid, RO)) {
		gate_table_open(gate, space, info);
		gate->interceptor.needs |= NVME_IO_NEEDS_COMPLETIONS;
	}
	next_namespace(gate);
}

/* One after the other, each table's callback going on with the next. */
static void next_namespace(struct gate *gate)
{
	struct nvme_io_namespace ns;

	while (gate->space_count < NAMESPACE_MAX &&
	       !nvme_io_namespace_get(gate->host, gate->space_count, &ns)) {
		gate->spaces[gate->space_count++] =
			(struct space){ .nsid = ns.nsid };
		gate_extents_weigh(gate, &gate->spaces[gate->space_count - 1]);
		gate_rules_apply(gate, ns.nsid);
		if (!gate_rules_want_table(gate, ns.nsid, RW))
			continue;
		if (nvme_io_read_partitions(gate->host, ns.nsid, table_read,
					    gate))
			return;
		gate_rules_lock(gate, ns.nsid);
	}
	gate_rules_tell_unmatched(gate);
	gate->has_started = true;
	nvme_io_start_fetching_g_reqs(gate->host);
}

static u8 on_init(void *interceptor)
{
	struct gate *gate = interceptor;

	gate->format_is_local = gate->has_started = gate->may_delay = false;
	gate->interceptor.needs = NEEDS;
	gate->extent_count = gate->space_count = 0;
	memset(gate->match_counts, 0, sizeof(gate->match_counts));
	gate->is_watched = gate_rules_may_restrict(gate);
	next_namespace(gate);
	return 1;
}

/* ---- Refusing ------------------------------------------------------- */

/* A namespace that came after on_init() was not looked at for partitions: it
 * is closed until the guest resets the controller. */
static struct rule *judge(struct gate *gate,
			  const struct nvme_io_command *cmd,
			  const struct operation *operation)
{
	u32 nsid = cmd->nsid ? cmd->nsid : ALL_NSIDS;
	bool has_range = cmd->n_lbas &&
			 cmd->effects & (NVME_IO_READS | NVME_IO_WRITES);
	const struct space *space;

	if (operation->reach == CONTROLLER)
		nsid = ALL_NSIDS;
	if (nsid != ALL_NSIDS) {
		space = gate_table_find(gate, nsid);
		if (!space)
			return &gate_rules_stranger;
		if (space->strictest < operation->mode)
			return NULL;
	}
	if (operation->reach == RANGE && has_range)
		return gate_extents_find(gate, nsid, cmd->lba,
				 cmd->lba + cmd->n_lbas - 1, operation->mode);
	return gate_extents_find(gate, nsid, 0, LAST_LBA, operation->mode);
}

static void tell(struct gate *gate, const struct nvme_io_command *cmd,
		 const struct operation *operation, const struct rule *rule)
{
	char detail[48], line[24];

	if (operation->status == NVME_IO_INVALID_OPCODE)
		snprintf(detail, sizeof(detail), " %02xh", cmd->opcode);
	else if (operation->reach == RANGE)
		snprintf(detail, sizeof(detail), " lba %lu+%u of n%u",
			 cmd->lba, cmd->n_lbas, cmd->nsid);
	else
		snprintf(detail, sizeof(detail), " for n%u", cmd->nsid);
	nvme_io_log_limited(gate->host, NVME_IO_LOG_WARN,
			    "gate: %s: refused %s%s%s", rule->text,
			    operation->name, detail,
			    gate_rules_where(rule, line));
}

static u16 status_of(const struct operation *operation,
		     const struct rule *rule)
{
	if (operation->status)
		return operation->status;
	if (rule == &gate_rules_stranger)
		return NVME_IO_INVALID_NAMESPACE;
	return rule->mode == NONE ? NVME_IO_ACCESS_DENIED :
				    NVME_IO_WRITE_PROTECTED;
}

static __attribute__((cold)) u16 refuse(struct gate *gate, const struct nvme_io_command *cmd,
		  const struct operation *operation, struct rule *rule)
{
	__atomic_fetch_add(&rule->refused, 1, __ATOMIC_RELAXED);
	tell(gate, cmd, operation, rule);
	return status_of(operation, rule) | NVME_IO_DNR;
}

/* The status to refuse with; NVME_IO_SUCCESS: let it pass. */
static HOT u16 police(struct gate *gate, const struct nvme_io_command *cmd,
		  const struct operation *operation)
{
	struct rule *rule = gate->is_watched && operation ?
			    judge(gate, cmd, operation) : NULL;

	return rule ? refuse(gate, cmd, operation, rule) : NVME_IO_SUCCESS;
}

/* One of the ranges that stand in the command's data. */
static u16 police_range(struct gate *gate, const struct nvme_io_command *cmd,
			u64 lba, u32 n_lbas, const struct operation *operation)
{
	struct nvme_io_command part = *cmd;

	if (!n_lbas)
		return NVME_IO_SUCCESS;
	part.lba = lba;
	part.n_lbas = n_lbas;
	part.effects = NVME_IO_READS | NVME_IO_WRITES;
	return police(gate, &part, operation);
}

/* ---- Hooks ---------------------------------------------------------- */

static enum nvme_io_verdict answer(struct nvme_request *req, u16 status)
{
	if (status == NVME_IO_SUCCESS)
		return NVME_IO_PASS;
	nvme_io_set_status(req, status, 0);
	return NVME_IO_DONE;
}

static HOT enum nvme_io_verdict on_command(void *interceptor,
				       struct nvme_request *req,
				       const struct nvme_io_command *cmd)
{
	struct gate *gate = interceptor;
	const struct operation *operation =
		classify(cmd, gate->format_is_local);

	if (gate->may_delay && operation && gate_table_delays(gate, req))
		return NVME_IO_HOLD;
	return answer(req, police(gate, cmd, operation));
}

/* While a table has yet to be read, each command is looked at. */
static void on_passed(void *interceptor, const struct nvme_io_command *cmd,
		      u64 *first, u64 *last)
{
	bool is_write = cmd->effects & NVME_IO_WRITES;
	struct gate *gate = interceptor;

	if (gate->may_delay && gate_table_awaited(gate, cmd)) {
		*first = 1;
		*last = 0;
	} else if (gate->is_watched) {
		gate_extents_narrow(gate, cmd, is_write ? RO : NONE, first,
				    last);
	}
}

static u32 on_data_management(void *interceptor, struct nvme_request *req,
			      u32 nsid, struct nvme_io_range *ranges,
			      u32 buf_len, u32 n_ranges)
{
	const struct nvme_io_command *cmd = nvme_io_req_command(req);
	struct gate *gate = interceptor;
	u16 status;

	if (gate_table_delays(gate, req))
		return n_ranges;
	status = police(gate, cmd, cmd->fuse ? &fused : NULL);
	for (u32 i = 0; i < n_ranges && !status; i++)
		status = police_range(gate, cmd, ranges[i].lba_start,
				      ranges[i].n_lbas, &discard_range);
	if (!status)
		return n_ranges;
	nvme_io_finish_guest_request(gate->host, req, status);
	return 0;
}

static enum nvme_io_verdict on_copy(void *interceptor,
				    struct nvme_request *req,
				    const struct nvme_io_command *cmd,
				    const struct nvme_io_copy_source *sources,
				    u32 n_sources)
{
	u32 descriptor_format = cmd->cdw12 >> 8 & 15;
	struct gate *gate = interceptor;
	u16 status;

	if (gate_table_delays(gate, req))
		return NVME_IO_HOLD;
	status = police(gate, cmd, descriptor_format > 1 ?
			&copy_across : classify(cmd, false));
	for (u32 i = 0; i < n_sources && !status; i++)
		status = police_range(gate, cmd, sources[i].lba_start,
				      sources[i].n_lbas, &copy_source);
	return answer(req, status);
}

static void on_complete(void *interceptor, struct nvme_request *req,
			const struct nvme_io_command *cmd,
			struct nvme_io_completion *completion)
{
	gate_table_note(interceptor, cmd);
}

static void identify_controller(struct gate *gate, u8 *data)
{
	bool is_local = formats_locally(data);

	gate->format_is_local = is_local;
	if (gate_extents_find(gate, ALL_NSIDS, 0, LAST_LBA, RO))
		withdraw(data, is_local);
}

/* NSATTR bit 0: the OS mounts read-only instead of failing later. */
static void on_identify(void *interceptor, u8 cns, u32 nsid, u16 controller_id,
			void *data)
{
	struct gate *gate = interceptor;
	u8 *bytes = data;

	if (cns == 0x01)
		identify_controller(gate, bytes);
	else if ((cns == 0x00 || cns == 0x11) && gate_extents_cover(gate, nsid))
		bytes[99] |= 1;
	else if (cns == 0x08 && gate_extents_cover(gate, nsid))
		bytes[8] |= 1;
}

static u8 can_stop(void *interceptor)
{
	gate_rules_tell_refused(interceptor);
	return 1;
}

/* Without a rule there is nothing to stand in the way for. */
static int attach(struct nvme_host *host)
{
	struct gate *gate;
	phys_t phys;

	if (!gate_rules_exist())
		return 0;
	gate = nvme_io_alloc_pages(host, (sizeof(*gate) + 4095) / 4096, &phys);
	if (!gate)
		return -1;
	gate->host = host;
	gate->interceptor = (struct nvme_io_interceptor){
		.interceptor = gate,
		.on_init = on_init,
		.on_data_management = on_data_management,
		.can_stop = can_stop,
		.needs = NEEDS,
		.on_command = on_command,
		.on_passed = on_passed,
		.on_copy = on_copy,
		.on_complete = on_complete,
		.on_identify = on_identify,
		.control = &gate_control,
	};
	nvme_io_install_interceptor(host, &gate->interceptor);
	return 0;
}

static const struct nvme_io_plugin plugin = {
	.name = "gate",
	.configure = gate_rules_configure,
	.attach = attach,
};
NVME_IO_PLUGIN(plugin);
