/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * fault: a drive that misbehaves as told, for those who write drivers, file
 * systems and databases.
 *
 *	fault = error=0x281 on=read lba=4096-8191	those blocks are bad
 *	fault = error=0x6 one-in=1000 PARTLABEL=data	now and then
 *	fault = drop on=write nth=500			never answered
 *	fault = tear=3 on=write every=100		three blocks, success
 *	fault = delay=2000-50000 on=read one-in=50	slow, sometimes
 *	fault = tear=all drop on=write nth=7		written, not answered
 *	fault.seed = 42
 *	fault.orders = on		sluicectl adds and clears some
 *
 * The first rule that fires has the command. Each has counters and a
 * generator of its own on each controller: the same seed and the same
 * commands make the same faults.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fault.h"

static void add(struct fault *fault, const struct fault_rule *rule)
{
	u32 index = fault->rule_count++;

	fault->rules[index] = *rule;
	fault->counts[index] = (struct fault_count){
		.random = fault_rules_seed() + index,
	};
}

/* ---- Chance --------------------------------------------------------- */

/* splitmix64 (Steele, Lea and Flood 2014): any state is a good one. */
static u64 next_random(u64 *state)
{
	u64 z = *state += 0x9e3779b97f4a7c15;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
	z = (z ^ z >> 27) * 0x94d049bb133111eb;
	return z ^ z >> 31;
}

static bool fires(const struct fault_rule *rule, struct fault_count *count)
{
	bool is_drawn = !rule->one_in ||
			!(next_random(&count->random) % rule->one_in);

	count->seen++;
	if (!is_drawn || (rule->nth && count->seen != rule->nth) ||
	    (rule->every && count->seen % rule->every) ||
	    (rule->times && count->fired == rule->times))
		return false;
	count->fired++;
	return true;
}

/* The rule that has this command; RULE_MAX: none. */
static u32 choose(struct fault *fault, const struct nvme_io_command *cmd)
{
	for (u32 i = 0; i < fault->rule_count; i++)
		if (fault_where_matches(fault, i, cmd) &&
		    fires(&fault->rules[i], &fault->counts[i]))
			return i;
	return RULE_MAX;
}

static u64 choose_delay(struct fault *fault, u32 index)
{
	const struct fault_action *action = &fault->rules[index].action;
	u64 span = action->delay_max_us - action->delay_min_us + 1;

	return action->delay_min_us +
	       next_random(&fault->counts[index].random) % span;
}

/* ---- Kept commands -------------------------------------------------- */

static struct fault_held *hold(struct fault *fault, struct nvme_request *req,
			       const struct fault_rule *rule)
{
	for (u32 i = 0; i < HELD_MAX; i++) {
		struct fault_held *held = &fault->held[i];

		if (held->state != HELD_NOT)
			continue;
		held->req = req;
		held->action = rule->action;
		return held;
	}
	nvme_io_log_limited(fault->host, NVME_IO_LOG_WARN,
			    "fault: %u commands are kept: line %u does nothing",
			    HELD_MAX, rule->line);
	return NULL;
}

void fault_end(struct fault *fault, struct fault_held *held)
{
	if (held->action.is_dropped) {
		held->state = HELD_FOR_EVER;
		return;
	}
	held->state = HELD_NOT;
	if (held->action.status || held->action.is_torn)
		nvme_io_finish_guest_request(fault->host, held->req,
					     held->action.status);
	else
		nvme_io_resume_guest_request(fault->host, held->req, 1);
}

void fault_go_on(struct fault *fault, struct fault_held *held)
{
	if (!held->action.is_torn) {
		fault_end(fault, held);
		return;
	}
	held->state = HELD_TO_TEAR;
	fault_tear_next(fault);
}

/* Their queues are gone: nobody is told, their memory becomes free. */
static void forget_dropped(struct fault *fault)
{
	for (u32 i = 0; i < HELD_MAX; i++) {
		if (fault->held[i].state != HELD_FOR_EVER)
			continue;
		fault->held[i].state = HELD_NOT;
		nvme_io_finish_guest_request(fault->host, fault->held[i].req,
					     NVME_IO_ABORTED);
	}
}

/* ---- Hooks ---------------------------------------------------------- */

static enum nvme_io_verdict keep(struct fault *fault, struct nvme_request *req,
				 u32 index)
{
	struct fault_held *held = hold(fault, req, &fault->rules[index]);

	if (!held)
		return NVME_IO_PASS;
	if (held->action.is_delayed) {
		held->due_us = nvme_io_now_us() + choose_delay(fault, index);
		fault_delay_begin(fault, held);
	} else {
		fault_go_on(fault, held);
	}
	return NVME_IO_HOLD;
}

static bool keeps(const struct fault_action *action)
{
	return action->is_delayed || action->is_torn || action->is_dropped;
}

static enum nvme_io_verdict on_command(void *interceptor,
				       struct nvme_request *req,
				       const struct nvme_io_command *cmd)
{
	struct fault *fault = interceptor;
	u32 index = choose(fault, cmd);
	const struct fault_rule *rule = &fault->rules[index];

	if (index == RULE_MAX)
		return NVME_IO_PASS;
	nvme_io_log_limited(fault->host, NVME_IO_LOG_INFO,
			    "fault: line %u: q%u cid %u opcode %02xh lba %lu+%u",
			    rule->line, cmd->queue_id, cmd->cid, cmd->opcode,
			    cmd->lba, cmd->n_lbas);
	if (keeps(&rule->action))
		return keep(fault, req, index);
	nvme_io_set_status(req, rule->action.status, 0);
	return NVME_IO_DONE;
}

static u8 on_init(void *interceptor)
{
	struct fault *fault = interceptor;

	forget_dropped(fault);
	fault->has_started = false;
	fault_where_look(fault);
	return 1;
}

/* ---- Orders --------------------------------------------------------- */

static bool add_line(const struct fault *fault, u32 index,
		     struct nvme_io_answer *answer)
{
	const struct fault_rule *rule = &fault->rules[index];
	char from[24] = "order";

	if (rule->line)
		snprintf(from, sizeof(from), "line %u", rule->line);
	return nvme_io_answer_line(answer, "number=%u\trule=%s\tfrom=%s\t"
				   "seen=%lu\tfired=%lu", index + 1,
				   rule->text, from, fault->counts[index].seen,
				   fault->counts[index].fired);
}

static bool ask(void *interceptor, struct nvme_io_answer *answer)
{
	struct fault *fault = interceptor;
	bool fits = !answer->verb;

	for (u64 i = answer->first; fits && i < fault->rule_count; i++)
		fits = add_line(fault, (u32)i, answer);
	return !answer->verb;
}

/* What is kept already goes on as it was to. */
static void clear_all(struct fault *fault)
{
	fault->rule_count = fault->extent_count = 0;
}

/* Those after it move up, with what they have counted. */
static const char *clear_one(struct fault *fault, const char *text)
{
	char *end;
	unsigned long number = strtoul(text, &end, 10);
	u32 index = (u32)number - 1, after;

	if (*text < '1' || *text > '9' || *end || number > fault->rule_count)
		return "expected clear, or clear NUMBER of the list";
	after = --fault->rule_count - index;
	memmove(&fault->rules[index], &fault->rules[index + 1],
		after * sizeof(fault->rules[0]));
	memmove(&fault->counts[index], &fault->counts[index + 1],
		after * sizeof(fault->counts[0]));
	fault_where_look(fault);
	return NULL;
}

static const char *take_order(struct fault *fault, const char *text)
{
	struct fault_rule rule;
	const char *why;

	if (!fault_rules_allow_orders())
		return "expected fault.orders = on in sluice.conf";
	if (fault->is_looking)
		return "expected the order before this one to be done";
	if (!strcmp(text, "clear")) {
		clear_all(fault);
		return NULL;
	}
	if (!strncmp(text, "clear ", 6))
		return clear_one(fault, text + 6);
	if (fault->rule_count == RULE_MAX)
		return "expected at most 32 rules";
	why = fault_rules_parse(&rule, text);
	if (why)
		return why;
	add(fault, &rule);
	fault_where_look(fault);
	return NULL;
}

static int order(void *interceptor, const char *text, char *why,
		 size_t why_size)
{
	const char *expected = take_order(interceptor, text);

	if (!expected)
		return 0;
	snprintf(why, why_size, "%s", expected);
	return -1;
}

static const struct nvme_io_control control = { .ask = ask, .order = order };

/* ---- Life ----------------------------------------------------------- */

/* A command that is kept must not keep others. */
static u32 needs(void)
{
	u32 needs = fault_rules_allow_orders() ? NVME_IO_NEEDS_COMPLETIONS |
		NVME_IO_NEEDS_HOST_REQUESTS : 0;

	for (u32 i = 0; i < fault_rules_count(); i++) {
		const struct fault_rule *rule = fault_rules_get(i);

		if (keeps(&rule->action))
			needs |= NVME_IO_NEEDS_COMPLETIONS;
		if (rule->action.is_torn || rule->has_selector)
			needs |= NVME_IO_NEEDS_HOST_REQUESTS;
	}
	return needs;
}

static int attach(struct nvme_host *host)
{
	struct fault *fault;

	if (!fault_rules_count() && !fault_rules_allow_orders())
		return 0;
	fault = nvme_io_alloc_pages(host, (sizeof(*fault) + 4095) / 4096, NULL);
	if (!fault)
		return -1;
	fault->host = host;
	if (fault_tear_attach(fault))
		return -1;
	for (u32 i = 0; i < fault_rules_count(); i++)
		add(fault, fault_rules_get(i));
	fault->interceptor = (struct nvme_io_interceptor){
		.interceptor = fault,
		.on_init = on_init,
		.needs = needs(),
		.on_command = on_command,
		.control = &control,
	};
	nvme_io_install_interceptor(host, &fault->interceptor);
	return 0;
}

static const struct nvme_io_plugin plugin = {
	.name = "fault",
	.configure = fault_rules_configure,
	.attach = attach,
};
NVME_IO_PLUGIN(plugin);
