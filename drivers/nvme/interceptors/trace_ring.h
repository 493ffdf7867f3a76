/* SPDX-License-Identifier: BSD-2-Clause */
/* The records of one controller: the last so many, and what root may ask. */
#ifndef TRACE_RING_H
#define TRACE_RING_H

#include "nvme_io.h"
#include "trace_record.h"

struct trace_ring {
	struct trace_record *records;	/* NULL: none are kept */
	u32 size;
	u64 next;		/* the number of the next one */
	bool is_stopped;	/* atomic */
	bool is_locked;		/* atomic; for a copy's time */
};

/* "trace.ring" and "trace.latency". 0, or -1: neither, or a bad value. */
int trace_ring_configure(const char *key, const char *value, char *why,
			 size_t why_size);
bool trace_ring_wants_latency(void);

/* 0, or -1: no memory. */
int trace_ring_init(struct trace_ring *ring, struct nvme_host *host);
/* started: 0 when trace has not seen it come; completion: NULL when it has
 * just come. */
void trace_ring_add(struct trace_ring *ring, struct nvme_host *host,
		    const struct nvme_io_command *cmd, u64 started,
		    const struct nvme_io_completion *completion);
/* Answers TRACE_VERB_RECORDS. */
void trace_ring_read(struct trace_ring *ring, struct nvme_io_answer *answer);
/* "start" or "stop". False: neither, or there is no ring. */
bool trace_ring_order(struct trace_ring *ring, const char *text);

#endif
