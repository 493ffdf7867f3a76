/* SPDX-License-Identifier: BSD-2-Clause */
/* sluicectl PLUG-IN: its list, or an order of words to it. */
#include <string.h>

#include "sluicectl.h"

static void add_lines(const void *items, u32 size, void *array)
{
	if (size)
		output_add_lines(array, items);
}

enum result plugin_list(u32 target, json_t *array)
{
	return channel_ask_all(target, CONTROL_LIST, add_lines, array);
}

static enum result list(u32 target)
{
	json_t *lines = must(json_array());
	enum result result = plugin_list(target, lines);

	return result ? result : output(lines);
}

/* A word with a space in it was quoted, and is again. */
static bool add_word(char *text, size_t size, const char *word)
{
	const char *quote = strpbrk(word, " \t") ? "\"" : "";
	size_t used = strlen(text);

	return (size_t)snprintf(text + used, size - used, "%s%s%s%s",
				used ? " " : "", quote, word, quote) <
		size - used;
}

enum result plugin_run(const char *name, int argc, char **argv)
{
	char text[CONTROL_TEXT_MAX + 1] = "";
	enum result result;
	u32 target;

	result = channel_find(name, &target);
	if (result)
		return result;
	if (!argc || (argc == 1 && !strcmp(argv[0], "list")))
		return list(target);
	for (int i = 0; i < argc; i++)
		if (!add_word(text, sizeof(text), argv[i]))
			return fail(RESULT_USAGE, "an order has at most %u "
				    "bytes", CONTROL_TEXT_MAX);
	return channel_order(target, text);
}
