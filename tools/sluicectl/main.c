/* SPDX-License-Identifier: BSD-2-Clause */
/* sluicectl: the command line. What it talks to is include/control.h. */
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sluicectl.h"

const char *const program = "sluicectl";

static const struct command *const commands[] = {
	&version_command, &status_command, &list_command, &stats_command,
	&log_command, &panic_log_command, &trace_command,
};

enum result fail(enum result result, const char *format, ...)
{
	va_list arguments;

	fprintf(stderr, "%s: ", program);
	va_start(arguments, format);
	vfprintf(stderr, format, arguments);
	va_end(arguments);
	fputc('\n', stderr);
	return result;
}

void *must(void *memory)
{
	if (!memory)
		exit(fail(RESULT_FAILED, "no memory"));
	return memory;
}

enum result wrong_usage(const struct command *command)
{
	return fail(RESULT_USAGE, "usage: %s %s %s", program, command->name,
		    command->usage);
}

static void print_help(void)
{
	printf("Usage: %s [-d DEVICE] [--json] COMMAND\n\n", program);
	for (u32 i = 0; i < ARRAY_COUNT(commands); i++)
		printf("  %-8s %s\n  %-8s   %s\n", commands[i]->name,
		       commands[i]->usage, "", commands[i]->what);
	printf("  %-8s %s\n  %-8s   %s\n\n", "PLUG-IN", "list|ORDER", "",
	       "gate, overlay, fault and others: see the manual");
	printf("  -d, --device DEVICE  the controller: /dev/nvme0\n"
	       "  -j, --json           for programs\n"
	       "  -h, --help           this\n");
}

static const struct command *find(const char *name)
{
	for (u32 i = 0; i < ARRAY_COUNT(commands); i++)
		if (!strcmp(name, commands[i]->name))
			return commands[i];
	return NULL;
}

static enum result run(const char *device, int argc, char **argv)
{
	const struct command *command = find(argv[0]);
	enum result result = RESULT_GOOD;

	if (!command || !command->needs_sluice ||
	    command->needs_sluice(argc - 1, argv + 1))
		result = channel_open(device);
	if (result)
		return result;
	return command ? command->run(argc - 1, argv + 1) :
		plugin_run(argv[0], argc - 1, argv + 1);
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "device", required_argument, NULL, 'd' },
		{ "json", no_argument, NULL, 'j' },
		{ "help", no_argument, NULL, 'h' },
		{ 0 },
	};
	const char *device = NULL;
	int option;

	while ((option = getopt_long(argc, argv, "+d:jh", options,
				     NULL)) != -1) {
		if (option == 'h') {
			print_help();
			return RESULT_GOOD;
		}
		if (option == '?')
			return RESULT_USAGE;
		if (option == 'd')
			device = optarg;
		output_is_json |= option == 'j';
	}
	if (optind == argc)
		return fail(RESULT_USAGE, "a command is missing: %s --help",
			    program);
	return run(device, argc - optind, argv + optind);
}
