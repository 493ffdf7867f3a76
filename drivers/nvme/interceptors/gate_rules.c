/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The rules of sluice.conf, which partitions and namespaces they are for,
 * and what is said of them.
 */
#include <stdio.h>
#include <string.h>

#include "gate.h"

#define TOLD_MAX 16		/* partitions of a namespace in the log */

static const char *const mode_names[] = { "rw", "ro", "none" };

static struct rule rules[RULE_MAX];
static u32 rule_count;

struct rule gate_rules_table = { .mode = RO, .text = "partition table" };
struct rule gate_rules_stranger = {
	.mode = NONE, .text = "namespace not known",
};

/* ---- sluice.conf ---------------------------------------------------- */

/* NULL, or what was expected. */
static const char *take_rule(struct rule *rule, const char *text)
{
	size_t size = strcspn(text, " \t");

	snprintf(rule->text, sizeof(rule->text), "%s", text);
	for (size_t i = 0; i < COUNT(mode_names); i++) {
		if (strlen(mode_names[i]) != size ||
		    memcmp(text, mode_names[i], size))
			continue;
		rule->mode = (enum mode)i;
		return nvme_io_selector_parse(text + size, &rule->selector);
	}
	return "expected rw, ro or none, then " NVME_IO_SELECTORS;
}

int gate_rules_configure(u32 line, const char *key, const char *value,
			 char *why, size_t why_size)
{
	struct rule *rule = &rules[rule_count];
	const char *fault = "expected the key gate";

	if (rule_count == RULE_MAX) {
		fault = "expected at most 64 rules";
	} else if (!strcmp(key, "gate")) {
		rule->line = line;
		fault = take_rule(rule, value);
	}
	if (!fault) {
		rule_count++;
		return 0;
	}
	snprintf(why, why_size, "%s", fault);
	return -1;
}

/* ---- From rules to extents ------------------------------------------ */

static bool is_here(const struct rule *rule, struct gate *gate)
{
	return nvme_io_selector_is_on(&rule->selector, gate->host);
}

bool gate_rules_exist(void)
{
	return rule_count;
}

bool gate_rules_may_restrict(struct gate *gate)
{
	for (u32 i = 0; i < rule_count; i++)
		if (rules[i].mode != RW && is_here(&rules[i], gate))
			return true;
	return false;
}

static bool is_for(const struct rule *rule, struct gate *gate, u32 nsid)
{
	return nvme_io_selector_is_in(&rule->selector, gate->host, nsid);
}

static bool names_partition(const struct rule *rule)
{
	return rule->selector.by != NVME_IO_BY_NAMESPACE;
}

static void count_match(struct gate *gate, struct rule *rule)
{
	u32 count = ++gate->match_counts[rule - rules];
	struct nvme_host *before = __atomic_exchange_n(
		&rule->matched, gate->host, __ATOMIC_RELAXED);

	if (count == 2 || (count == 1 && before && before != gate->host))
		nvme_io_log(gate->host, NVME_IO_LOG_WARN,
			    "gate: %s: matches more than once and applies "
			    "everywhere (line %u)", rule->text, rule->line);
}

/* The label is a stranger's: nothing in it may move the cursor. */
static void tell_partition(struct gate *gate, u32 nsid,
			   const struct nvme_io_partition *partition)
{
	struct rule *rule = gate_extents_find(gate, nsid, partition->first_lba,
				      partition->last_lba, RO);
	char label[sizeof(partition->label)], uuid[37];

	strcpy(label, partition->label);
	for (char *c = label; *c; c++)
		if ((u8)*c < ' ' || *c == 0x7f)
			*c = '?';
	nvme_io_uuid_format(partition->uuid, uuid);
	nvme_io_log(gate->host, NVME_IO_LOG_INFO,
		    "gate: n%u: %s PARTUUID=%s PARTLABEL=\"%s\"", nsid,
		    rule ? mode_names[rule->mode] : "rw", uuid, label);
}

static void tell_table(struct gate *gate, u32 nsid,
		       const struct nvme_io_table_info *info)
{
	for (u32 i = 0; i < info->n_partitions && i < TOLD_MAX; i++)
		tell_partition(gate, nsid, &info->partitions[i]);
}

/* True: by a rule that is stricter than rw. */
static bool apply_to_partition(struct gate *gate, u32 nsid,
			       const struct nvme_io_partition *partition)
{
	bool is_restricted = false;

	for (u32 i = 0; i < rule_count; i++) {
		if (!is_for(&rules[i], gate, nsid) ||
		    !nvme_io_selector_names(&rules[i].selector, partition))
			continue;
		is_restricted |= rules[i].mode != RW;
		if (gate_extents_add(gate, nsid, partition->first_lba,
				    partition->last_lba, &rules[i]))
			count_match(gate, &rules[i]);
	}
	return is_restricted;
}

bool gate_rules_apply_to_table(struct gate *gate, u32 nsid,
			       const struct nvme_io_table_info *info)
{
	u32 count = gate->extent_count;
	bool is_restricted = false;

	for (u32 i = 0; i < info->n_partitions; i++)
		is_restricted |= apply_to_partition(gate, nsid,
						    &info->partitions[i]);
	if (!gate->has_started || gate->extent_count != count)
		tell_table(gate, nsid, info);
	if (!is_restricted || (gate->has_started && !info->is_complete))
		return false;
	gate_extents_add(gate, nsid, 0, info->head_lbas - 1, &gate_rules_table);
	gate_extents_add(gate, nsid, info->tail_lba, LAST_LBA, &gate_rules_table);
	return true;
}

/* Rules for all blocks; for every rule when no partition can be told. */
static void apply_to_all(struct gate *gate, u32 nsid, bool is_blind)
{
	for (u32 i = 0; i < rule_count; i++) {
		if (!is_for(&rules[i], gate, nsid) ||
		    is_blind != names_partition(&rules[i]))
			continue;
		if (is_blind)
			gate->match_counts[i]++;
		else
			count_match(gate, &rules[i]);
		gate_extents_add(gate, nsid, 0, LAST_LBA, &rules[i]);
	}
}

void gate_rules_apply(struct gate *gate, u32 nsid)
{
	apply_to_all(gate, nsid, false);
}

bool gate_rules_want_table(struct gate *gate, u32 nsid, enum mode mode)
{
	for (u32 i = 0; i < rule_count; i++)
		if (names_partition(&rules[i]) && rules[i].mode >= mode &&
		    is_for(&rules[i], gate, nsid))
			return true;
	return false;
}

void gate_rules_lock(struct gate *gate, u32 nsid)
{
	nvme_io_log(gate->host, NVME_IO_LOG_ERROR,
		    "gate: n%u: rules name partitions, but where they are is "
		    "not known: the rules apply to all of n%u", nsid, nsid);
	apply_to_all(gate, nsid, true);
}

void gate_rules_tell_unmatched(struct gate *gate)
{
	for (u32 i = 0; i < rule_count; i++) {
		bool is_elsewhere = __atomic_load_n(&rules[i].matched,
						    __ATOMIC_RELAXED);

		if (gate->match_counts[i] || !is_here(&rules[i], gate))
			continue;
		nvme_io_log(gate->host, is_elsewhere ? NVME_IO_LOG_INFO :
						       NVME_IO_LOG_WARN,
			    "gate: %s: matches nothing here (line %u)",
			    rules[i].text, rules[i].line);
	}
}

static void tell_count(struct gate *gate, struct rule *rule)
{
	u64 refused = __atomic_load_n(&rule->refused, __ATOMIC_RELAXED);
	u64 told = __atomic_exchange_n(&rule->told, refused, __ATOMIC_RELAXED);

	if (refused != told)
		nvme_io_log(gate->host, NVME_IO_LOG_INFO,
			    "gate: %s: %lu commands refused so far",
			    rule->text, refused);
}

void gate_rules_tell_refused(struct gate *gate)
{
	for (u32 i = 0; i < rule_count; i++)
		tell_count(gate, &rules[i]);
	tell_count(gate, &gate_rules_table);
	tell_count(gate, &gate_rules_stranger);
}
