/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A command as the plug-in trace records it and sluicectl saves it; all
 * numbers are little-endian.
 */
#ifndef TRACE_RECORD_H
#define TRACE_RECORD_H

#include <stdint.h>

#define TRACE_VERB_RECORDS 1	/* of control.h: items are records */

#define TRACE_NO_LATENCY 0xffffffffu
#define TRACE_NO_STATUS 0xffffu

enum trace_flags {
	TRACE_ADMIN = 1,
	TRACE_READS = 2,	/* content of its blocks */
	TRACE_WRITES = 4,	/* changes them */
	TRACE_LOST = 128,	/* in a file: lba says how many are missing */
};

struct trace_record {
	uint64_t time_us;	/* when it came, since launch */
	uint64_t lba;		/* with blocks */
	uint32_t blocks;
	uint32_t nsid;
	uint32_t latency_us;	/* to its answer, or TRACE_NO_LATENCY */
	uint16_t queue, cid;
	uint16_t status;	/* without the phase, or TRACE_NO_STATUS */
	uint8_t opcode;
	uint8_t flags;
	uint8_t lba_shift;	/* log2 of a block's bytes; 0: not known */
	uint8_t reserved[3];
};

_Static_assert(sizeof(struct trace_record) == 40, "trace_record");

/* What a saved file begins with. */
#define TRACE_FILE_MAGIC "SLUICETR"
#define TRACE_FILE_VERSION 1

struct trace_file {
	char magic[8];
	uint32_t version;
	uint32_t record_size;
};

#endif
