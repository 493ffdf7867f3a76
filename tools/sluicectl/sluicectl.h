/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * sluicectl: what its parts share. A command makes a json_t of what it has to
 * say, and output.c prints that as JSON or as tables.
 */
#ifndef SLUICECTL_H
#define SLUICECTL_H

#include <jansson.h>

#include "control.h"

/* What sluicectl exits with; sluicectl.8 lists them. */
enum result {
	RESULT_GOOD,
	RESULT_USAGE,		/* the command line is wrong */
	RESULT_ABSENT,		/* Sluice is not there */
	RESULT_REFUSED,		/* it is, and has said no */
	RESULT_FAILED,		/* the system has: no permission, no memory */
};

struct command {
	const char *name, *usage, *what;
	/* argv[0] is the first word after the command's name. */
	enum result (*run)(int argc, char **argv);
	/* NULL: always. Otherwise it may do without. */
	bool (*needs_sluice)(int argc, char **argv);
};

extern const struct command version_command, status_command, list_command,
	stats_command, log_command, panic_log_command, trace_command;

/* ---- main.c ---------------------------------------------------------- */

extern const char *const program;
/* "sluicectl: " and the line, to stderr. Returns `result`. */
enum result fail(enum result result, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
enum result wrong_usage(const struct command *command);
/* Memory that is there, or the program ends. */
void *must(void *memory);

/* ---- channel.c ------------------------------------------------------- */

/* `device` or, when NULL, the first that Sluice stands before. */
enum result channel_open(const char *device);
const struct control_identity *channel_identity(void);

/*
 * One question. The items, zero-terminated, live until the next one; `answer`
 * may be NULL.
 */
enum result channel_ask(u32 target, u32 verb, u64 cursor,
			struct control_answer *answer, const void **items);
/* Questions until there are no more items. */
enum result channel_ask_all(u32 target, u32 verb,
			    void (*take)(const void *items, u32 size,
					 void *arg), void *arg);
/* RESULT_REFUSED has been said, with the reason. */
enum result channel_order(u32 target, const char *text);
/* 0: no such plug-in is at work here. */
enum result channel_look_for(const char *plugin, u32 *target);
/* The same; RESULT_REFUSED has been said. */
enum result channel_find(const char *plugin, u32 *target);

/* ---- output.c -------------------------------------------------------- */

extern bool output_is_json;
/* Steals the reference. An object is printed as lines, its arrays and arrays
 * of objects as tables. */
enum result output(json_t *value);
/* Lines of KEY=VALUE words as objects; numbers become numbers. */
void output_add_lines(json_t *array, const char *text);

/* ---- plugin.c -------------------------------------------------------- */

/* Adds the items of its list to an array. */
enum result plugin_list(u32 target, json_t *array);
/* "list", or an order to the plug-in, of whatever name. */
enum result plugin_run(const char *name, int argc, char **argv);

#endif
