/* SPDX-License-Identifier: BSD-2-Clause */
/* Which commands a rule is for: by kind, by block, by what is selected. */
#include "fault.h"

/* ---- Selected blocks ------------------------------------------------ */

static void found(void *arg, u32 index, const struct nvme_io_extent *extent)
{
	struct fault *fault = arg;
	u32 rule = fault->selected[index];

	if (fault->extent_count == EXTENT_MAX) {
		nvme_io_log(fault->host, NVME_IO_LOG_WARN,
			    "fault: more than %u matches: line %u is without "
			    "one", EXTENT_MAX, fault->rules[rule].line);
		return;
	}
	fault->extents[fault->extent_count++] =
		(struct fault_extent){ rule, *extent };
}

static bool has_extent(const struct fault *fault, u32 rule)
{
	for (u32 i = 0; i < fault->extent_count; i++)
		if (fault->extents[i].rule == rule)
			return true;
	return false;
}

static void done(void *arg, bool is_complete)
{
	struct fault *fault = arg;

	for (u32 i = 0; i < fault->search.n_selectors; i++)
		if (!has_extent(fault, fault->selected[i]))
			nvme_io_log(fault->host, NVME_IO_LOG_WARN,
				    "fault: line %u: matches nothing here",
				    fault->rules[fault->selected[i]].line);
	fault->is_looking = false;
	if (!fault->has_started)
		nvme_io_start_fetching_g_reqs(fault->host);
	fault->has_started = true;
}

void fault_where_look(struct fault *fault)
{
	u32 count = 0;

	fault->is_looking = true;
	fault->extent_count = 0;
	for (u32 i = 0; i < fault->rule_count; i++) {
		const struct fault_rule *rule = &fault->rules[i];

		if (!rule->has_selector)
			continue;
		fault->selected[count] = i;
		fault->selectors[count++] = &rule->selector;
	}
	fault->search = (struct nvme_io_search){
		.selectors = fault->selectors, .n_selectors = count,
		.found = found, .done = done, .arg = fault,
	};
	nvme_io_find(fault->host, &fault->search);
}

/* ---- Matching ------------------------------------------------------- */

static bool overlaps(const struct nvme_io_command *cmd, u64 first, u64 last)
{
	u64 end = cmd->lba + (cmd->n_lbas - 1);

	if (!cmd->n_lbas || end < cmd->lba)
		return false;
	return cmd->lba <= last && first <= end;
}

static bool is_selected(const struct fault *fault, u32 rule,
			const struct nvme_io_command *cmd)
{
	bool is_whole = fault->rules[rule].selector.by ==
			NVME_IO_BY_NAMESPACE;

	for (u32 i = 0; i < fault->extent_count; i++) {
		const struct nvme_io_extent *where = &fault->extents[i].where;

		if (fault->extents[i].rule == rule &&
		    where->nsid == cmd->nsid &&
		    (is_whole ||
		     overlaps(cmd, where->first_lba, where->last_lba)))
			return true;
	}
	return false;
}

bool fault_where_matches(const struct fault *fault, u32 index,
			 const struct nvme_io_command *cmd)
{
	const struct fault_rule *rule = &fault->rules[index];

	if (cmd->admin != rule->is_admin ||
	    (rule->opcode >= 0 && cmd->opcode != rule->opcode))
		return false;
	if (rule->has_lbas &&
	    !overlaps(cmd, rule->first_lba, rule->last_lba))
		return false;
	return !rule->has_selector || is_selected(fault, index, cmd);
}
