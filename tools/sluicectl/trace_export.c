/* SPDX-License-Identifier: BSD-2-Clause */
/* A trace as other tools read it: fio's iolog, blkparse's text, CSV. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "trace.h"

#define WAIT_US_MIN 100		/* fio does not wait for less */
#define SECTOR_SHIFT 9

/* ---- fio: "Trace file format v2" of its manual ----------------------- */

static const char *fio_action(const struct trace_record *record)
{
	const char *kind = trace_kind(record);

	if (!strcmp(kind, "flush"))
		return "sync";
	return (!strcmp(kind, "read") || !strcmp(kind, "write")) &&
		record->lba_shift ? kind : NULL;
}

/* Each namespace by the name that Linux would give it on one controller. */
static void for_each_nsid(const struct trace *trace, const char *action)
{
	for (size_t i = 0; i < trace->count; i++) {
		size_t before = 0;

		if (!fio_action(&trace->records[i]))
			continue;
		while (before < i && (!fio_action(&trace->records[before]) ||
				      trace->records[before].nsid !=
				      trace->records[i].nsid))
			before++;
		if (before == i)
			printf("/dev/nvme0n%u %s\n", trace->records[i].nsid,
			       action);
	}
}

static void print_fio(const struct trace *trace)
{
	u64 now = trace->count ? trace->records[0].time_us : 0;

	printf("fio version 2 iolog\n");
	for_each_nsid(trace, "add");
	for_each_nsid(trace, "open");
	for (size_t i = 0; i < trace->count; i++) {
		const struct trace_record *it = &trace->records[i];

		if (!fio_action(it))
			continue;
		if (it->time_us - now >= WAIT_US_MIN) {
			printf("/dev/nvme0n%u wait %" PRIu64 " 0\n", it->nsid,
			       it->time_us - now);
			now = it->time_us;
		}
		printf("/dev/nvme0n%u %s %" PRIu64 " %" PRIu64 "\n", it->nsid,
		       fio_action(it), it->lba << it->lba_shift,
		       trace_bytes(it));
	}
	for_each_nsid(trace, "close");
}

/* ---- blkparse: its default output, D and C events -------------------- */

struct event {
	const struct trace_record *record;
	u64 time_us;
	bool is_end;
};

static int compare(const void *a, const void *b)
{
	const struct event *one = a, *other = b;

	return (one->time_us > other->time_us) -
		(one->time_us < other->time_us);
}

static const char *blkparse_action(const struct trace_record *record)
{
	switch (trace_kind(record)[0]) {
	case 'r':
		return "R";
	case 'w':
		return "W";
	case 'f':
		return "FN";
	case 'd':
		return "D";
	default:
		return "N";
	}
}

static void print_event(const struct event *event, size_t number, u64 start)
{
	const struct trace_record *it = event->record;
	u32 shift = it->lba_shift > SECTOR_SHIFT ?
		it->lba_shift - SECTOR_SHIFT : 0;
	u64 time = event->time_us - start;

	printf("259,%-3u %3u %8zu %5" PRIu64 ".%06" PRIu64 "000 %5u  %c %3s ",
	       it->nsid, it->queue, number, time / 1000000, time % 1000000,
	       it->cid, event->is_end ? 'C' : 'D', blkparse_action(it));
	if (it->blocks)
		printf("%" PRIu64 " + %" PRIu64 " ", it->lba << shift,
		       (u64)it->blocks << shift);
	if (event->is_end)
		printf("[%u]\n", it->status);
	else
		printf("[sluice]\n");
}

static void print_blkparse(const struct trace *trace)
{
	struct event *events = must(calloc(2 * trace->count + 1,
					   sizeof(*events)));
	size_t count = 0;

	for (size_t i = 0; i < trace->count; i++) {
		const struct trace_record *it = &trace->records[i];

		if (it->flags & TRACE_ADMIN)
			continue;
		events[count++] = (struct event){ it, it->time_us, false };
		if (trace_has_latency(it))
			events[count++] = (struct event){
				it, it->time_us + it->latency_us, true };
	}
	qsort(events, count, sizeof(*events), compare);
	for (size_t i = 0; i < count; i++)
		print_event(&events[i], i + 1, events[0].time_us);
	free(events);
}

/* ---- CSV ------------------------------------------------------------- */

static void print_csv(const struct trace *trace)
{
	printf("time_us,latency_us,kind,opcode,queue,cid,nsid,lba,blocks,"
	       "bytes,status\n");
	for (size_t i = 0; i < trace->count; i++) {
		const struct trace_record *it = &trace->records[i];

		printf("%" PRIu64 ",", it->time_us);
		if (trace_has_latency(it))
			printf("%u", it->latency_us);
		printf(",%s,%u,%u,%u,%u,%" PRIu64 ",%u,%" PRIu64 ",",
		       trace_kind(it), it->opcode, it->queue, it->cid,
		       it->nsid, it->lba, it->blocks, trace_bytes(it));
		if (it->status != TRACE_NO_STATUS)
			printf("%u", it->status);
		putchar('\n');
	}
}

enum result trace_export(const struct trace *trace, const char *format)
{
	if (!strcmp(format, "fio"))
		print_fio(trace);
	else if (!strcmp(format, "blkparse"))
		print_blkparse(trace);
	else if (!strcmp(format, "csv"))
		print_csv(trace);
	else
		return fail(RESULT_USAGE, "%s: expected fio, blkparse or csv",
			    format);
	return fflush(stdout) ? RESULT_FAILED : RESULT_GOOD;
}
