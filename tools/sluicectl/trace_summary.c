/* SPDX-License-Identifier: BSD-2-Clause */
/* What a trace comes to: kinds, latencies, where on the disk, the slowest. */
#include <stdlib.h>
#include <string.h>

#include "trace.h"

#define BUCKETS 32		/* of latency: 2^n us */
#define PLACES 32		/* of a namespace */
#define SLOWEST 10
#define BAR 40

static const char *const kinds[] = { "read", "write", "flush", "discard",
				     "other", "admin" };

/* ---- Latency --------------------------------------------------------- */

static int compare_u32(const void *a, const void *b)
{
	u32 one = *(const u32 *)a, other = *(const u32 *)b;

	return (one > other) - (one < other);
}

/* Sorted. `kind` NULL: of all but admin. */
static u32 *latencies(const struct trace *trace, const char *kind,
		      size_t *count)
{
	u32 *found = must(calloc(trace->count + 1, sizeof(*found)));

	*count = 0;
	for (size_t i = 0; i < trace->count; i++) {
		const struct trace_record *record = &trace->records[i];
		const char *its = trace_kind(record);

		if (trace_has_latency(record) &&
		    (kind ? !strcmp(its, kind) : strcmp(its, "admin")))
			found[(*count)++] = record->latency_us;
	}
	qsort(found, *count, sizeof(*found), compare_u32);
	return found;
}

/* The least that so many thousandths of them do not exceed. */
static json_t *percentile(const u32 *sorted, size_t count, u32 thousandths)
{
	size_t rank = (count * thousandths + 999) / 1000;

	return json_integer(sorted[rank ? rank - 1 : 0]);
}

static void add_latency(json_t *row, const struct trace *trace,
			const char *kind)
{
	size_t count;
	u32 *sorted = latencies(trace, kind, &count);

	if (count) {
		json_object_set_new(row, "p50_us",
				    percentile(sorted, count, 500));
		json_object_set_new(row, "p90_us",
				    percentile(sorted, count, 900));
		json_object_set_new(row, "p99_us",
				    percentile(sorted, count, 990));
		json_object_set_new(row, "p99.9_us",
				    percentile(sorted, count, 999));
		json_object_set_new(row, "max_us",
				    json_integer(sorted[count - 1]));
	}
	free(sorted);
}

/* ---- Kinds ----------------------------------------------------------- */

static bool is_error(const struct trace_record *record)
{
	return record->status && record->status != TRACE_NO_STATUS;
}

static json_t *make_kind(const struct trace *trace, const char *kind)
{
	json_int_t count = 0, bytes = 0, errors = 0;
	json_t *row;

	for (size_t i = 0; i < trace->count; i++) {
		const struct trace_record *record = &trace->records[i];

		if (strcmp(trace_kind(record), kind))
			continue;
		count++;
		bytes += trace_bytes(record);
		errors += is_error(record);
	}
	row = must(json_pack("{s:s, s:I, s:I, s:I}", "kind", kind, "commands",
			     count, "kib", bytes >> 10, "errors", errors));
	add_latency(row, trace, kind);
	return row;
}

static json_t *make_kinds(const struct trace *trace)
{
	json_t *rows = must(json_array());

	for (size_t i = 0; i < ARRAY_COUNT(kinds); i++)
		json_array_append_new(rows, make_kind(trace, kinds[i]));
	return rows;
}

/* ---- Histogram and heat map ------------------------------------------ */

static json_t *make_bar(u64 count, u64 most)
{
	char bar[BAR + 1] = "";

	if (most)
		memset(bar, '#', (count * BAR + most - 1) / most);
	return json_string(bar);
}

static json_t *make_histogram(const struct trace *trace)
{
	u64 counts[BUCKETS] = { 0 }, most = 0;
	json_t *rows = must(json_array());
	size_t count;
	u32 *sorted = latencies(trace, NULL, &count);

	for (size_t i = 0; i < count; i++) {
		u64 *bucket = &counts[sorted[i] ?
				      31 - __builtin_clz(sorted[i]) : 0];

		if (++*bucket > most)
			most = *bucket;
	}
	free(sorted);
	for (u32 i = 0; i < BUCKETS; i++)
		if (counts[i])
			json_array_append_new(rows, json_pack(
				"{s:I, s:I, s:o}",
				"from_us", (json_int_t)(i ? 1ll << i : 0),
				"commands", (json_int_t)counts[i],
				"", make_bar(counts[i], most)));
	return rows;
}

struct place {
	u64 reads, writes;
};

static u64 last_lba(const struct trace *trace, u32 nsid)
{
	u64 last = 0;

	for (size_t i = 0; i < trace->count; i++) {
		const struct trace_record *record = &trace->records[i];

		if (record->nsid == nsid && record->blocks &&
		    record->lba + record->blocks - 1 > last)
			last = record->lba + record->blocks - 1;
	}
	return last;
}

static void count_places(const struct trace *trace, u32 nsid, u64 step,
			 struct place places[PLACES])
{
	for (size_t i = 0; i < trace->count; i++) {
		const struct trace_record *record = &trace->records[i];
		u64 place = record->lba / step;

		if (record->nsid != nsid || !record->blocks ||
		    place >= PLACES)
			continue;
		places[place].reads += !!(record->flags & TRACE_READS);
		places[place].writes += !!(record->flags & TRACE_WRITES);
	}
}

static void add_heat(json_t *rows, const struct trace *trace, u32 nsid)
{
	u64 step = last_lba(trace, nsid) / PLACES + 1, most = 0;
	struct place places[PLACES] = { 0 };

	count_places(trace, nsid, step, places);
	for (u32 i = 0; i < PLACES; i++)
		if (places[i].reads + places[i].writes > most)
			most = places[i].reads + places[i].writes;
	for (u32 i = 0; i < PLACES; i++)
		if (places[i].reads + places[i].writes)
			json_array_append_new(rows, json_pack(
				"{s:I, s:I, s:I, s:I, s:o}",
				"nsid", (json_int_t)nsid,
				"lba", (json_int_t)(i * step),
				"reads", (json_int_t)places[i].reads,
				"writes", (json_int_t)places[i].writes, "",
				make_bar(places[i].reads + places[i].writes,
					 most)));
}

/* Namespaces are few: each is found where its first command is. */
static json_t *make_heat(const struct trace *trace)
{
	json_t *rows = must(json_array());

	for (size_t i = 0; i < trace->count; i++) {
		u32 nsid = trace->records[i].nsid;
		size_t before = 0;

		if (!trace->records[i].blocks)
			continue;
		while (before < i && (!trace->records[before].blocks ||
				      trace->records[before].nsid != nsid))
			before++;
		if (before == i)
			add_heat(rows, trace, nsid);
	}
	return rows;
}

/* ---- The slowest ----------------------------------------------------- */

static int compare_slowness(const void *a, const void *b)
{
	const struct trace_record *one = a, *other = b;

	return (one->latency_us < other->latency_us) -
		(one->latency_us > other->latency_us);
}

static json_t *make_row(const struct trace_record *record)
{
	return must(json_pack("{s:f, s:I, s:s, s:i, s:I, s:I, s:I, s:i}",
		"time_s", record->time_us / 1e6,
		"latency_us", (json_int_t)record->latency_us,
		"kind", trace_kind(record), "queue", record->queue,
		"nsid", (json_int_t)record->nsid,
		"lba", (json_int_t)record->lba,
		"blocks", (json_int_t)record->blocks,
		"status", record->status));
}

/* An event request may wait for ever: admin commands are not looked at. */
static json_t *make_slowest(const struct trace *trace)
{
	struct trace_record *sorted = must(calloc(trace->count + 1,
						  sizeof(*sorted)));
	json_t *rows = must(json_array());
	size_t count = 0;

	for (size_t i = 0; i < trace->count; i++)
		if (trace_has_latency(&trace->records[i]) &&
		    !(trace->records[i].flags & TRACE_ADMIN))
			sorted[count++] = trace->records[i];
	qsort(sorted, count, sizeof(*sorted), compare_slowness);
	for (size_t i = 0; i < count && i < SLOWEST; i++)
		json_array_append_new(rows, make_row(&sorted[i]));
	free(sorted);
	return rows;
}

enum result trace_summary(const struct trace *trace)
{
	u64 first = trace->count ? trace->records[0].time_us : 0;
	u64 last = trace->count ? trace->records[trace->count - 1].time_us : 0;

	return output(json_pack("{s:I, s:I, s:f, s:o, s:o, s:o, s:o}",
		"records", (json_int_t)trace->count,
		"lost", (json_int_t)trace->lost,
		"seconds", (last - first) / 1e6,
		"kinds", make_kinds(trace), "latency", make_histogram(trace),
		"heat", make_heat(trace), "slowest", make_slowest(trace)));
}
