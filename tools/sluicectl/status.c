/* SPDX-License-Identifier: BSD-2-Clause */
/* sluicectl status: the machine as Sluice sees it. */
#include "sluicectl.h"

static enum result run(int argc, char **argv)
{
	const struct control_status *status;
	const void *items;
	enum result result;

	(void)argv;
	if (argc)
		return wrong_usage(&status_command);
	result = channel_ask(0, CONTROL_STATUS, 0, NULL, &items);
	if (result)
		return result;
	status = items;
	return output(json_pack("{s:f, s:i, s:i, s:I, s:I, s:s, s:I, s:I}",
		"uptime_s", status->uptime_us / 1e6,
		"cpus", status->cpu_count,
		"controllers", status->controller_count,
		"memory_kib", (json_int_t)status->memory_size >> 10,
		"memory_free_kib", (json_int_t)status->memory_free >> 10,
		"fail", status->fails_closed ? "closed" : "open",
		"log_first", (json_int_t)status->log_first,
		"log_end", (json_int_t)status->log_end));
}

const struct command status_command = {
	.name = "status", .usage = "", .what = "uptime, memory, log",
	.run = run,
};
