/* SPDX-License-Identifier: BSD-2-Clause */
/* The blocks that rules restrict: added once, looked through at every command. */
#include "gate.h"

#define MIN(a, b) ((a) < (b) ? (a) : (b))
#define MAX(a, b) ((a) > (b) ? (a) : (b))

static struct rule full_rule = { .mode = NONE, .text = "too many extents" };

static bool is_same(const struct extent *a, const struct extent *b)
{
	return a->nsid == b->nsid && a->first == b->first &&
	       a->last == b->last && a->rule == b->rule;
}

static bool is_in(const struct extent *extent, u32 nsid)
{
	return nsid == ALL_NSIDS || extent->nsid == ALL_NSIDS ||
	       extent->nsid == nsid;
}

static void weigh(struct space *space, const struct extent *extent)
{
	if (is_in(extent, space->nsid) &&
	    space->strictest < extent->rule->mode)
		space->strictest = extent->rule->mode;
}

void gate_extents_weigh(const struct gate *gate, struct space *space)
{
	for (u32 i = 0; i < gate->extent_count; i++)
		weigh(space, &gate->extents[i]);
}

bool gate_extents_add(struct gate *gate, u32 nsid, u64 first, u64 last,
		      struct rule *rule)
{
	struct extent extent = { nsid, first, last, rule };
	u32 count = gate->extent_count;

	if (rule->mode == RW)
		return !gate->has_started;
	for (u32 i = 0; i < count; i++)
		if (is_same(&gate->extents[i], &extent))
			return false;
	if (count > EXTENT_MAX)
		return true;
	if (count == EXTENT_MAX) {
		nvme_io_log(gate->host, NVME_IO_LOG_ERROR, "gate: more than "
			    "%u extents: all is refused", EXTENT_MAX);
		extent = (struct extent){ ALL_NSIDS, 0, LAST_LBA, &full_rule };
	}
	/* The extent before the count that makes it valid. */
	gate->extents[count] = extent;
	gate->extent_count = count + 1;
	for (u32 i = 0; i < gate->space_count; i++)
		weigh(&gate->spaces[i], &extent);
	nvme_io_ask_again(gate->host);
	return true;
}

__attribute__((hot))
struct rule *gate_extents_find(const struct gate *gate, u32 nsid, u64 first,
			       u64 last, enum mode mode)
{
	const struct extent *end = gate->extents + gate->extent_count;
	struct rule *found = NULL;

	if (last < first)
		last = LAST_LBA;
	for (const struct extent *at = gate->extents; at < end; at++) {
		if (at->last < first || at->first > last ||
		    !is_in(at, nsid) || at->rule->mode < mode)
			continue;
		if (!found || at->rule->mode > found->mode)
			found = at->rule;
	}
	return found;
}

void gate_extents_narrow(const struct gate *gate,
			 const struct nvme_io_command *cmd, enum mode mode,
			 u64 *first, u64 *last)
{
	const struct extent *end = gate->extents + gate->extent_count;

	for (const struct extent *at = gate->extents; at < end; at++) {
		if (!is_in(at, cmd->nsid) || at->rule->mode < mode)
			continue;
		if (at->last < cmd->lba) {
			*first = MAX(*first, at->last + 1);
		} else if (at->first > cmd->lba) {
			*last = MIN(*last, at->first - 1);
		} else {	/* it has come just now */
			*first = 1;
			*last = 0;
			return;
		}
	}
}

bool gate_extents_cover(const struct gate *gate, u32 nsid)
{
	u32 count = gate->extent_count;

	for (u32 i = 0; i < count; i++) {
		const struct extent *extent = &gate->extents[i];

		if (is_in(extent, nsid) && !extent->first &&
		    extent->last == LAST_LBA)
			return true;
	}
	return false;
}
