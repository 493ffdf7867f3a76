/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What root of the guest may say to gate while the system runs: what the
 * rules are, and more of them. The rules of sluice.conf are a floor: an order
 * only ever takes away.
 */
#include <stdio.h>
#include <string.h>

#include "gate.h"

/* ---- The list ------------------------------------------------------- */

static bool add_line(struct nvme_io_answer *answer, struct rule *rule,
		     u32 matches)
{
	char from[24] = "sluice";

	if (rule->line)
		snprintf(from, sizeof(from), "line %u", rule->line);
	else if (rule->only)
		snprintf(from, sizeof(from), "order");
	return nvme_io_answer_line(answer,
		"rule=%s\tfrom=%s\tmatches=%u\thits=%lu", rule->text, from,
		matches, __atomic_load_n(&rule->refused, __ATOMIC_RELAXED));
}

/* What refuses without a line comes last. */
static bool ask(void *interceptor, struct nvme_io_answer *answer)
{
	struct rule *const others[] = { &gate_rules_table,
					&gate_rules_stranger };
	struct gate *gate = interceptor;
	u32 count = gate_rules_count();
	bool fits = true;

	for (u64 i = answer->first; fits && i < count; i++)
		fits = add_line(answer, gate_rules_get(i),
				gate->match_counts[i]);
	for (u64 i = answer->next - count;
	     fits && answer->next >= count && i < COUNT(others); i++)
		fits = add_line(answer, others[i], 0);
	return !answer->verb;
}

/* ---- Orders --------------------------------------------------------- */

static int order(void *interceptor, const char *text, char *why,
		 size_t why_size)
{
	struct gate *gate = interceptor;
	const char *fault = "expected the system to be running: try again";

	if (gate->has_started)
		fault = gate_rules_order(gate, text);
	if (fault) {
		snprintf(why, why_size, "%s", fault);
		return -1;
	}
	gate->is_watched = true;
	gate_table_apply_order(gate);
	return 0;
}

const struct nvme_io_control gate_control = { .ask = ask, .order = order };
