/* SPDX-License-Identifier: BSD-2-Clause */
/* sluicectl panic-log: the last words of the Sluice before this one. */
#include "sluicectl.h"

static void print(const void *items, u32 size, void *file)
{
	fwrite(items, 1, size, file);
}

static enum result run(int argc, char **argv)
{
	(void)argv;
	if (argc)
		return wrong_usage(&panic_log_command);
	return channel_ask_all(0, CONTROL_PANIC_LOG, print, stdout);
}

const struct command panic_log_command = {
	.name = "panic-log", .usage = "",
	.what = "what Sluice said last before it was reset, if it had panicked",
	.run = run,
};
