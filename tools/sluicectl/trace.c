/* SPDX-License-Identifier: BSD-2-Clause */
/* sluicectl trace: what becomes of the records of the plug-in trace. */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "trace.h"

#define PAUSE_NS 200000000	/* there is nothing that tells of a record */

static void print_record(const struct trace_record *record, void *unused)
{
	(void)unused;
	if (record->flags & TRACE_LOST) {
		printf("%llu lost\n", (unsigned long long)record->lba);
		return;
	}
	printf("%11.6f q%u cid %u %s %02x n%u", record->time_us / 1e6,
	       record->queue, record->cid, trace_kind(record), record->opcode,
	       record->nsid);
	if (record->blocks)
		printf(" lba %llu+%u", (unsigned long long)record->lba,
		       record->blocks);
	if (record->status != TRACE_NO_STATUS)
		printf(" -> %04x", record->status);
	if (trace_has_latency(record))
		printf(" %uus", record->latency_us);
	putchar('\n');
}

static enum result follow(void)
{
	enum result result = RESULT_GOOD;
	u64 cursor = 0;

	while (!result) {
		result = trace_read_ring(&cursor, print_record, NULL);
		if (fflush(stdout))
			return RESULT_FAILED;
		nanosleep(&(struct timespec){ .tv_nsec = PAUSE_NS }, NULL);
	}
	return result;
}

static enum result load_and(const char *path, const char *format)
{
	struct trace trace;
	enum result result = trace_load(path, &trace);

	if (!result)
		result = format ? trace_export(&trace, format) :
			trace_summary(&trace);
	free(trace.records);
	return result;
}

static enum result run(int argc, char **argv)
{
	const char *verb = argc ? argv[0] : "list";

	if (!strcmp(verb, "save") && argc == 2)
		return trace_save(argv[1]);
	if (!strcmp(verb, "follow") && argc == 1)
		return follow();
	if (!strcmp(verb, "summary") && argc <= 2)
		return load_and(argc == 2 ? argv[1] : NULL, NULL);
	if (!strcmp(verb, "export") && (argc == 2 || argc == 3))
		return load_and(argc == 3 ? argv[2] : NULL, argv[1]);
	if (!strcmp(verb, "save") || !strcmp(verb, "follow") ||
	    !strcmp(verb, "summary") || !strcmp(verb, "export"))
		return wrong_usage(&trace_command);
	return plugin_run("trace", argc, argv);
}

/* What has been saved can be looked at anywhere. */
static bool needs_sluice(int argc, char **argv)
{
	return !(argc == 2 && !strcmp(argv[0], "summary")) &&
		!(argc == 3 && !strcmp(argv[0], "export"));
}

const struct command trace_command = {
	.name = "trace", .usage = "list|start|stop|save FILE|follow|"
		"summary [FILE]|export FORMAT [FILE]",
	.what = "commands that were traced", .run = run,
	.needs_sluice = needs_sluice,
};
