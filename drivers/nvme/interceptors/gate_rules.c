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
static _Atomic u32 rule_count;
static bool takes_orders;	/* even without a rule */
static bool order_is_taken;	/* atomic: one after the other */

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
	const char *fault = "expected the key gate or gate.orders";

	if (!strcmp(key, "gate.orders")) {
		takes_orders = !strcmp(value, "on");
		if (takes_orders || !strcmp(value, "off"))
			return 0;
		fault = "expected on or off";
	} else if (rule_count == RULE_MAX) {
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

/* ---- Orders --------------------------------------------------------- */

static bool is_here(const struct rule *rule, struct gate *gate)
{
	return (!rule->only || rule->only == gate) &&
	       nvme_io_selector_is_on(&rule->selector, gate->host);
}

static bool is_known(struct gate *gate, const struct rule *wanted)
{
	for (u32 i = 0; i < rule_count; i++)
		if ((!rules[i].only || rules[i].only == gate) &&
		    rules[i].mode == wanted->mode &&
		    !strcmp(rules[i].text, wanted->text))
			return true;
	return false;
}

/* NULL, or what was expected. Others look at the rules meanwhile: it is one
 * when it is counted. */
static const char *add_rule(struct gate *gate, const char *text)
{
	struct rule *rule = &rules[rule_count];
	const char *fault;

	if (rule_count == RULE_MAX)
		return "expected at most 64 rules";
	if (strlen(text) >= sizeof(rule->text))
		return "expected at most 192 characters";
	*rule = (struct rule){ .only = gate };
	fault = take_rule(rule, text);
	if (fault)
		return fault;
	if (rule->mode == RW)
		return "expected ro or none: an order cannot open what is "
		       "closed";
	if (!is_here(rule, gate))
		return "expected a namespace or partition of this controller";
	rule_count += !is_known(gate, rule);
	return NULL;
}

const char *gate_rules_order(struct gate *gate, const char *text)
{
	const char *fault;

	if (__atomic_exchange_n(&order_is_taken, true, __ATOMIC_ACQUIRE))
		return "another order is being taken: try again";
	fault = add_rule(gate, text);
	__atomic_store_n(&order_is_taken, false, __ATOMIC_RELEASE);
	return fault;
}

/* ---- From rules to extents ------------------------------------------ */

bool gate_rules_exist(void)
{
	return rule_count || takes_orders;
}

u32 gate_rules_count(void)
{
	return rule_count;
}

struct rule *gate_rules_get(u32 index)
{
	return &rules[index];
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
	return (!rule->only || rule->only == gate) &&
	       nvme_io_selector_is_in(&rule->selector, gate->host, nsid);
}

static bool names_partition(const struct rule *rule)
{
	return rule->selector.by != NVME_IO_BY_NAMESPACE;
}

const char *gate_rules_where(const struct rule *rule, char text[24])
{
	text[0] = '\0';
	if (rule->line)
		snprintf(text, 24, " (line %u)", rule->line);
	return text;
}

static void count_match(struct gate *gate, struct rule *rule)
{
	u32 count = ++gate->match_counts[rule - rules];
	struct nvme_host *before = __atomic_exchange_n(
		&rule->matched, gate->host, __ATOMIC_RELAXED);
	char where[24];

	if (count == 2 || (count == 1 && before && before != gate->host))
		nvme_io_log(gate->host, NVME_IO_LOG_WARN,
			    "gate: %s: matches more than once and applies "
			    "everywhere%s", rule->text,
			    gate_rules_where(rule, where));
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
			       const struct nvme_io_table_info *info,
			       bool is_final)
{
	u32 count = gate->extent_count;
	bool is_restricted = false;

	for (u32 i = 0; i < info->n_partitions; i++)
		is_restricted |= apply_to_partition(gate, nsid,
						    &info->partitions[i]);
	if (!gate->has_started || gate->extent_count != count)
		tell_table(gate, nsid, info);
	if (!is_restricted ||
	    (gate->has_started && !is_final && !info->is_complete))
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
		char where[24];

		if (gate->match_counts[i] || !is_here(&rules[i], gate))
			continue;
		nvme_io_log(gate->host, is_elsewhere ? NVME_IO_LOG_INFO :
						       NVME_IO_LOG_WARN,
			    "gate: %s: matches nothing here%s",
			    rules[i].text,
			    gate_rules_where(&rules[i], where));
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
