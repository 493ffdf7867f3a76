/* SPDX-License-Identifier: BSD-2-Clause */
/* sluicectl list: controllers, and the plug-ins before the one asked. */
#include <string.h>

#include "sluicectl.h"

static json_t *text(const char *from, size_t size)
{
	return must(json_stringn_nocheck(from, strnlen(from, size)));
}

static void add_controllers(const void *items, u32 size, void *array)
{
	static const char *const states[] = { "off", "ready", "between" };
	const struct control_controller *it = items;

	for (; size >= sizeof(*it); size -= sizeof(*it), it++)
		json_array_append_new(array, json_pack(
			"{s:o, s:o, s:o, s:s, s:i, s:i}",
			"name", text(it->name, sizeof(it->name)),
			"serial", text(it->serial, sizeof(it->serial)),
			"model", text(it->model, sizeof(it->model)),
			"state", it->state < 3 ? states[it->state] : "?",
			"namespaces", it->namespace_count,
			"mdts_kib", it->transfer_max >> 10));
}

static void add_plugins(const void *items, u32 size, void *array)
{
	const struct control_plugin *it = items;

	for (; size >= sizeof(*it); size -= sizeof(*it), it++)
		json_array_append_new(array, json_pack(
			"{s:o, s:s, s:s, s:b, s:b}",
			"name", text(it->name, sizeof(it->name)),
			"state", it->flags & CONTROL_PLUGIN_OFF ?
			"off" : "on",
			"queues", it->flags & CONTROL_PLUGIN_COMPLETIONS ?
			"relayed" : "direct",
			"list", !!(it->flags & CONTROL_PLUGIN_ASKS),
			"orders", !!(it->flags & CONTROL_PLUGIN_ORDERS)));
}

static enum result run(int argc, char **argv)
{
	json_t *controllers = must(json_array());
	json_t *plugins = must(json_array());
	enum result result;

	(void)argv;
	if (argc)
		return wrong_usage(&list_command);
	result = channel_ask_all(0, CONTROL_CONTROLLERS, add_controllers,
				 controllers);
	if (!result)
		result = channel_ask_all(0, CONTROL_PLUGINS, add_plugins,
					 plugins);
	if (result)
		return result;
	return output(json_pack("{s:o, s:o}", "controllers", controllers,
				"plugins", plugins));
}

const struct command list_command = {
	.name = "list", .usage = "", .what = "controllers and plug-ins",
	.run = run,
};
