/* SPDX-License-Identifier: BSD-2-Clause */
/* sluicectl trace: records of the plug-in trace. */
#include "sluicectl.h"

static enum result run(int argc, char **argv)
{
	return plugin_run("trace", argc, argv);
}

const struct command trace_command = {
	.name = "trace", .usage = "[list]", .what = "commands that were traced", .run = run,
};
