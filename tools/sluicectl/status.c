/* SPDX-License-Identifier: BSD-2-Clause */
/* sluicectl status: the machine as Sluice sees it. */
#include "sluicectl.h"

/* Whether a disk is encrypted is asked as often as whether it is there. */
static enum result add_crypt(json_t *object)
{
	json_t *lines;
	u32 target;
	enum result result = channel_look_for("crypt", &target);

	if (result || !target)
		return result;
	lines = must(json_array());
	json_object_set_new(object, "crypt", lines);
	return plugin_list(target, lines);
}

static enum result run(int argc, char **argv)
{
	const struct control_status *status;
	const void *items;
	json_t *object;
	enum result result;

	(void)argv;
	if (argc)
		return wrong_usage(&status_command);
	result = channel_ask(0, CONTROL_STATUS, 0, NULL, &items);
	if (result)
		return result;
	status = items;
	object = must(json_pack("{s:f, s:i, s:i, s:I, s:I, s:s, s:I, s:I}",
		"uptime_s", status->uptime_us / 1e6,
		"cpus", status->cpu_count,
		"controllers", status->controller_count,
		"memory_kib", (json_int_t)status->memory_size >> 10,
		"memory_free_kib", (json_int_t)status->memory_free >> 10,
		"fail", status->fails_closed ? "closed" : "open",
		"log_first", (json_int_t)status->log_first,
		"log_end", (json_int_t)status->log_end));
	result = add_crypt(object);
	return result ? result : output(object);
}

const struct command status_command = {
	.name = "status", .usage = "", .what = "uptime, memory, log, encryption",
	.run = run,
};
