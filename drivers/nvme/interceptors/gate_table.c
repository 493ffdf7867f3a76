/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Tables that the guest writes while it runs: followed, read again, and what
 * comes meanwhile waits.
 */
#include "gate.h"

#define SEQ_CST __ATOMIC_SEQ_CST

/* While there is half a table, its other half may be anywhere. */
static void watch(struct space *space, const struct nvme_io_table_info *info)
{
	bool is_half = info->state == NVME_IO_TABLE_BAD ||
		       info->state == NVME_IO_TABLE_UNREAD;

	space->head = is_half ? LAST_LBA : info->head_lbas;
	space->tail = is_half ? LAST_LBA : info->tail_lba;
}

static bool is_waited_for(const struct space *space)
{
	return space->write_count != space->read_count;
}

static void wait_for(struct gate *gate, struct space *space,
		     struct nvme_request *req)
{
	u64 *link = nvme_io_req_private(req, &gate->interceptor);

	*link = __atomic_load_n(&space->waiting, SEQ_CST);
	while (!__atomic_compare_exchange_n(&space->waiting, link, (u64)req,
					    true, SEQ_CST, SEQ_CST))
		;
}

/* The last first: commands have no order among each other. */
static void let_go(struct gate *gate, struct space *space)
{
	struct nvme_request *req, *next;

	req = (void *)__atomic_exchange_n(&space->waiting, 0, SEQ_CST);
	for (; req; req = next) {
		next = (void *)*nvme_io_req_private(req, &gate->interceptor);
		nvme_io_retry_guest_request(gate->host, req);
	}
}

/*
 * Who gives an order is to see it hold, whatever half is missing: nobody may
 * be watching for the rest of the table.
 */
static void apply_order(struct gate *gate, struct space *space,
			const struct nvme_io_table_info *info)
{
	bool wants_table = gate_rules_want_table(gate, space->nsid, RO);

	space->is_ordered = false;
	gate_rules_apply(gate, space->nsid);
	if (wants_table && (info->state == NVME_IO_TABLE_BAD ||
			    info->state == NVME_IO_TABLE_UNREAD))
		gate_rules_lock(gate, space->nsid);
	else if (gate_rules_apply_to_table(gate, space->nsid, info, true))
		space->is_open = false;
}

/* Whatever is no good primary copy changes no rule: the guest may be in the
 * middle of writing it. */
static void finish_reading(struct gate *gate, struct space *space,
			   const struct nvme_io_table_info *info)
{
	watch(space, info);
	if (space->is_ordered)
		apply_order(gate, space, info);
	else if (info->state == NVME_IO_TABLE_GOOD &&
		 gate_rules_apply_to_table(gate, space->nsid, info, false))
		space->is_open = false;
	space->read_count = gate->begun_count;
	__atomic_store_n(&gate->reading, NULL, SEQ_CST);
	if (!is_waited_for(space))
		let_go(gate, space);
}

struct space *gate_table_find(struct gate *gate, u32 nsid)
{
	u32 first = 0, count = gate->space_count;

	while (count > 1) {
		u32 half = count / 2;

		if (gate->spaces[first + half].nsid <= nsid)
			first += half;
		count -= half;
	}
	return count && gate->spaces[first].nsid == nsid ?
	       &gate->spaces[first] : NULL;
}

static void table_read_again(struct nvme_host *host, u32 nsid,
			     const struct nvme_io_table_info *info, void *arg);

/* One at a time. NULL: none, or whoever is reading goes on with it. */
static struct space *begin_reading(struct gate *gate)
{
	struct space *space = gate->spaces, *end = space + gate->space_count;
	struct space *nobody = NULL;

	while (space < end && !is_waited_for(space))
		space++;
	if (space == end ||
	    !__atomic_compare_exchange_n(&gate->reading, &nobody, space,
					 false, SEQ_CST, SEQ_CST))
		return NULL;
	gate->begun_count = space->write_count;
	return space;
}

static void read_written(struct gate *gate)
{
	struct nvme_io_table_info unread = { .state = NVME_IO_TABLE_UNREAD };
	struct space *space;

	while ((space = begin_reading(gate))) {
		if (nvme_io_read_partitions(gate->host, space->nsid,
					    table_read_again, gate))
			return;
		finish_reading(gate, space, &unread);
	}
}

static void table_read_again(struct nvme_host *host, u32 nsid,
			     const struct nvme_io_table_info *info, void *arg)
{
	struct gate *gate = arg;

	finish_reading(gate, gate_table_find(gate, nsid), info);
	read_written(gate);
}

void gate_table_open(struct gate *gate, struct space *space,
		     const struct nvme_io_table_info *info)
{
	watch(space, info);
	space->is_open = gate->may_delay = true;
}

static bool is_meant(const struct space *space,
		     const struct nvme_io_command *cmd)
{
	return cmd->admin || !cmd->nsid || cmd->nsid == ALL_NSIDS ||
	       cmd->nsid == space->nsid;
}

struct space *gate_table_awaited(struct gate *gate,
				 const struct nvme_io_command *cmd)
{
	struct space *space = gate->spaces, *end = space + gate->space_count;

	while (space < end && !(is_waited_for(space) && is_meant(space, cmd)))
		space++;
	return space < end ? space : NULL;
}

bool gate_table_delays(struct gate *gate, struct nvme_request *req)
{
	struct space *space;

	if (!gate->may_delay)
		return false;
	space = gate_table_awaited(gate, nvme_io_req_command(req));
	if (!space)
		return false;
	nvme_io_pause_guest_request(req);
	wait_for(gate, space, req);
	/* Whoever has read it meanwhile may not have seen this one. */
	if (!is_waited_for(space))
		let_go(gate, space);
	read_written(gate);
	return true;
}

/*
 * Discards make no table; of other sets, only what names its blocks. First
 * of all: what is being read may not have had this, and what is to be watched
 * from then on is not known yet.
 */
static bool may_change_table(const struct gate *gate,
			     const struct space *space,
			     const struct nvme_io_command *cmd)
{
	bool is_read = __atomic_load_n(&gate->reading, SEQ_CST) == space;
	u64 last = cmd->lba + cmd->n_lbas - 1;

	if (cmd->effects & NVME_IO_UNKNOWN ||
	    (cmd->admin && cmd->effects & NVME_IO_WHOLE))
		return true;
	return cmd->effects & NVME_IO_WRITES &&
	       (is_read || cmd->lba < space->head || last >= space->tail ||
		last < cmd->lba);
}

/* What was said to be clear before that is not; after it, this is awaited. */
void gate_table_note(struct gate *gate, const struct nvme_io_command *cmd)
{
	bool is_noted = false;

	for (u32 i = 0; i < gate->space_count; i++) {
		struct space *space = &gate->spaces[i];

		if (!space->is_open || !is_meant(space, cmd) ||
		    !may_change_table(gate, space, cmd))
			continue;
		space->write_count++;
		is_noted = true;
	}
	if (is_noted)
		nvme_io_ask_again(gate->host);
}

/* As if the guest had just written every table that a rule may go by: whoever
 * is asked again is to find that. */
void gate_table_apply_order(struct gate *gate)
{
	gate->may_delay = true;
	for (u32 i = 0; i < gate->space_count; i++) {
		gate->spaces[i].is_ordered = true;
		gate->spaces[i].write_count++;
	}
	nvme_io_ask_again(gate->host);
	read_written(gate);
}
