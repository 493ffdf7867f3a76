/* SPDX-License-Identifier: BSD-2-Clause */
/* sluicectl stats: exits of each processor by cause, commands and queues. */
#include <string.h>

#include "sluicectl.h"

static const char *const exit_names[CONTROL_EXITS] = {
	[CONTROL_EXIT_OTHER] = "other",
	[CONTROL_EXIT_MEMORY] = "memory",
	[CONTROL_EXIT_CPUID] = "cpuid",
	[CONTROL_EXIT_MSR] = "msr",
	[CONTROL_EXIT_IO] = "io",
	[CONTROL_EXIT_INTERRUPT] = "interrupt",
	[CONTROL_EXIT_INVD] = "invd",
	[CONTROL_EXIT_HIDDEN] = "hidden",
	[CONTROL_EXIT_SHUTDOWN] = "shutdown",
	[CONTROL_EXIT_UNKNOWN] = "unknown",
};

static void add_cpus(const void *items, u32 size, void *array)
{
	const struct control_cpu *it = items;

	for (; size >= sizeof(*it); size -= sizeof(*it), it++) {
		json_t *row = must(json_pack("{s:i}", "cpu", it->index));
		json_int_t total = 0;

		for (u32 i = 0; i < CONTROL_EXITS; i++)
			total += it->exits[i];
		json_object_set_new(row, "exits", json_integer(total));
		for (u32 i = 0; i < CONTROL_EXITS; i++)
			json_object_set_new(row, exit_names[i],
					    json_integer(it->exits[i]));
		json_array_append_new(array, row);
	}
}

static void add_controllers(const void *items, u32 size, void *array)
{
	const struct control_controller *it = items;

	for (; size >= sizeof(*it); size -= sizeof(*it), it++)
		json_array_append_new(array, json_pack(
			"{s:s%, s:I, s:I, s:I, s:I, s:I, s:i, s:i, s:I, s:I}",
			"name", it->name, strnlen(it->name, sizeof(it->name)),
			"admin", (json_int_t)it->fetched[0],
			"io", (json_int_t)it->fetched[1],
			"admin_carried", (json_int_t)it->carried[0],
			"io_carried", (json_int_t)it->carried[1],
			"own", (json_int_t)it->own,
			"direct", it->direct_count,
			"relayed", it->relayed_count,
			"resets", (json_int_t)it->resets,
			"unsafe", (json_int_t)it->unsafe));
}

static enum result run(int argc, char **argv)
{
	json_t *cpus = must(json_array());
	json_t *controllers = must(json_array());
	enum result result;

	(void)argv;
	if (argc)
		return wrong_usage(&stats_command);
	result = channel_ask_all(0, CONTROL_CPUS, add_cpus, cpus);
	if (!result)
		result = channel_ask_all(0, CONTROL_CONTROLLERS,
					 add_controllers, controllers);
	if (result)
		return result;
	return output(json_pack("{s:o, s:o}", "cpus", cpus, "controllers",
				controllers));
}

const struct command stats_command = {
	.name = "stats", .usage = "", .what = "exits and commands, counted",
	.run = run,
};
