/* SPDX-License-Identifier: BSD-2-Clause */
/* The parts of sluicectl trace: records, from the ring or from a file. */
#ifndef SLUICECTL_TRACE_H
#define SLUICECTL_TRACE_H

#include <stdio.h>

#include "sluicectl.h"
#include "trace_record.h"

/* In memory, by the time they came; none is TRACE_LOST. */
struct trace {
	struct trace_record *records;
	size_t count;
	u64 lost;		/* before, or in between */
};

/* ---- trace_source.c -------------------------------------------------- */

/* Each record of the ring from `*cursor` on, and a TRACE_LOST where some are
 * missing. */
enum result trace_read_ring(u64 *cursor,
			    void (*take)(const struct trace_record *record,
					 void *arg), void *arg);
/* All there is in the file or, when NULL, in the ring. */
enum result trace_load(const char *path, struct trace *trace);
enum result trace_save(const char *path);

/* ---- trace_summary.c, trace_export.c --------------------------------- */

enum result trace_summary(const struct trace *trace);
/* "fio", "blkparse" or "csv", to stdout. */
enum result trace_export(const struct trace *trace, const char *format);

static inline bool trace_has_latency(const struct trace_record *record)
{
	return record->latency_us != TRACE_NO_LATENCY;
}

static inline u64 trace_bytes(const struct trace_record *record)
{
	return record->lba_shift ? (u64)record->blocks << record->lba_shift :
		0;
}

/* "read", "write", "flush", "discard", "admin", "other". */
const char *trace_kind(const struct trace_record *record);

#endif
