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
 *
 * The first rule that fires has the command. Each has counters and a
 * generator of its own on each controller: the same seed and the same
 * commands make the same faults.
 */
#include "fault.h"

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
	for (u32 i = 0; i < fault_rules_count(); i++)
		if (fault_where_matches(fault, i, cmd) &&
		    fires(fault_rules_get(i), &fault->counts[i]))
			return i;
	return RULE_MAX;
}

static u64 choose_delay(struct fault *fault, u32 index)
{
	const struct fault_rule *rule = fault_rules_get(index);
	u64 span = rule->delay_max_us - rule->delay_min_us + 1;

	return rule->delay_min_us +
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
		held->rule = rule;
		return held;
	}
	nvme_io_log_limited(fault->host, NVME_IO_LOG_WARN,
			    "fault: %u commands are kept: line %u does nothing",
			    HELD_MAX, rule->line);
	return NULL;
}

void fault_end(struct fault *fault, struct fault_held *held)
{
	if (held->rule->is_dropped) {
		held->state = HELD_FOR_EVER;
		return;
	}
	held->state = HELD_NOT;
	if (held->rule->status || held->rule->is_torn)
		nvme_io_finish_guest_request(fault->host, held->req,
					     held->rule->status);
	else
		nvme_io_resume_guest_request(fault->host, held->req, 1);
}

void fault_go_on(struct fault *fault, struct fault_held *held)
{
	if (!held->rule->is_torn) {
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
	const struct fault_rule *rule = fault_rules_get(index);
	struct fault_held *held = hold(fault, req, rule);

	if (!held)
		return NVME_IO_PASS;
	if (rule->is_delayed) {
		held->due_us = nvme_io_now_us() + choose_delay(fault, index);
		fault_delay_begin(fault, held);
	} else {
		fault_go_on(fault, held);
	}
	return NVME_IO_HOLD;
}

static bool keeps(const struct fault_rule *rule)
{
	return rule->is_delayed || rule->is_torn || rule->is_dropped;
}

static enum nvme_io_verdict on_command(void *interceptor,
				       struct nvme_request *req,
				       const struct nvme_io_command *cmd)
{
	struct fault *fault = interceptor;
	u32 index = choose(fault, cmd);
	const struct fault_rule *rule = fault_rules_get(index);

	if (index == RULE_MAX)
		return NVME_IO_PASS;
	nvme_io_log_limited(fault->host, NVME_IO_LOG_INFO,
			    "fault: line %u: q%u cid %u opcode %02xh lba %lu+%u",
			    rule->line, cmd->queue_id, cmd->cid, cmd->opcode,
			    cmd->lba, cmd->n_lbas);
	if (keeps(rule))
		return keep(fault, req, index);
	nvme_io_set_status(req, rule->status, 0);
	return NVME_IO_DONE;
}

static u8 on_init(void *interceptor)
{
	struct fault *fault = interceptor;

	forget_dropped(fault);
	fault_where_look(fault);
	return 1;
}

/* ---- Life ----------------------------------------------------------- */

/* A command that is kept must not keep others. */
static u32 needs(void)
{
	u32 needs = 0;

	for (u32 i = 0; i < fault_rules_count(); i++) {
		const struct fault_rule *rule = fault_rules_get(i);

		if (keeps(rule))
			needs |= NVME_IO_NEEDS_COMPLETIONS;
		if (rule->is_torn || rule->has_selector)
			needs |= NVME_IO_NEEDS_HOST_REQUESTS;
	}
	return needs;
}

static int attach(struct nvme_host *host)
{
	struct fault *fault;

	if (!fault_rules_count())
		return 0;
	fault = nvme_io_alloc_pages(host, (sizeof(*fault) + 4095) / 4096, NULL);
	if (!fault)
		return -1;
	fault->host = host;
	if (fault_tear_attach(fault))
		return -1;
	for (u32 i = 0; i < RULE_MAX; i++)
		fault->counts[i].random = fault_rules_seed() + i;
	fault->interceptor = (struct nvme_io_interceptor){
		.interceptor = fault,
		.on_init = on_init,
		.needs = needs(),
		.on_command = on_command,
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
