/* SPDX-License-Identifier: BSD-2-Clause */
/* Records of the plug-in trace: from its ring, to a file, from a file. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "trace.h"

const char *trace_kind(const struct trace_record *record)
{
	if (record->flags & TRACE_ADMIN)
		return "admin";
	switch (record->opcode) {
	case 0x00:
		return "flush";
	case 0x01:
		return "write";
	case 0x02:
		return "read";
	case 0x09:
		return "discard";
	default:
		return "other";
	}
}

/* ---- The ring -------------------------------------------------------- */

enum result trace_read_ring(u64 *cursor,
			    void (*take)(const struct trace_record *record,
					 void *arg), void *arg)
{
	struct trace_record lost = { .flags = TRACE_LOST };
	struct control_answer answer = { .size = 1 };
	const void *items;
	enum result result;
	u32 target;

	result = channel_find("trace", &target);
	while (!result && answer.size) {
		const struct trace_record *record;

		result = channel_ask(target, TRACE_VERB_RECORDS, *cursor,
				     &answer, &items);
		if (result)
			break;
		lost.lba = answer.first - *cursor;
		if (lost.lba)
			take(&lost, arg);
		record = items;
		for (u64 at = answer.first; at < answer.next; at++)
			take(record++, arg);
		*cursor = answer.next;
	}
	return result;
}

/* ---- Memory ---------------------------------------------------------- */

static void append(const struct trace_record *record, void *arg)
{
	struct trace *trace = arg;

	if (record->flags & TRACE_LOST) {
		trace->lost += record->lba;
		return;
	}
	if (!(trace->count & (trace->count - 1)))
		trace->records = must(realloc(trace->records,
			(trace->count ? 2 * trace->count : 1) *
			sizeof(*record)));
	trace->records[trace->count++] = *record;
}

static int compare(const void *a, const void *b)
{
	const struct trace_record *one = a, *other = b;

	return (one->time_us > other->time_us) -
		(one->time_us < other->time_us);
}

static enum result read_file(FILE *file, const char *path,
			     struct trace *trace)
{
	struct trace_file head;
	struct trace_record record;

	if (fread(&head, sizeof(head), 1, file) != 1 ||
	    memcmp(head.magic, TRACE_FILE_MAGIC, sizeof(head.magic)) ||
	    head.version != TRACE_FILE_VERSION ||
	    head.record_size != sizeof(record))
		return fail(RESULT_FAILED, "%s: not a saved trace of this "
			    "version", path);
	while (fread(&record, sizeof(record), 1, file) == 1)
		append(&record, trace);
	return RESULT_GOOD;
}

static enum result load_file(const char *path, struct trace *trace)
{
	FILE *file = fopen(path, "rb");
	enum result result;

	if (!file)
		return fail(RESULT_FAILED, "%s: %s", path, strerror(errno));
	result = read_file(file, path, trace);
	fclose(file);
	return result;
}

enum result trace_load(const char *path, struct trace *trace)
{
	u64 cursor = 0;
	enum result result;

	*trace = (struct trace){ 0 };
	result = path ? load_file(path, trace) :
		trace_read_ring(&cursor, append, trace);
	if (!result && trace->count)
		qsort(trace->records, trace->count, sizeof(*trace->records),
		      compare);
	return result;
}

/* ---- A file ---------------------------------------------------------- */

static void write_record(const struct trace_record *record, void *arg)
{
	fwrite(record, sizeof(*record), 1, arg);
}

enum result trace_save(const char *path)
{
	const struct trace_file head = {
		.magic = TRACE_FILE_MAGIC, .version = TRACE_FILE_VERSION,
		.record_size = sizeof(struct trace_record),
	};
	enum result result;
	u64 cursor = 0;
	FILE *file = fopen(path, "wb");

	if (!file)
		return fail(RESULT_FAILED, "%s: %s", path, strerror(errno));
	fwrite(&head, sizeof(head), 1, file);
	result = trace_read_ring(&cursor, write_record, file);
	if ((ferror(file) | fclose(file)) && !result)
		result = fail(RESULT_FAILED, "%s: %s", path, strerror(errno));
	return result;
}
