/* SPDX-License-Identifier: BSD-2-Clause */
/* See trace_ring.h. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "trace_ring.h"

#define RECORDS_MAX 1048576ul
#define PAGE 4096ul

static u32 size_wanted;
static bool wants_latency;

/* ---- sluice.conf ---------------------------------------------------- */

static bool configure_size(const char *value)
{
	char *end;
	unsigned long size = strtoul(value, &end, 10);

	if (end == value || *end || size > RECORDS_MAX)
		return false;
	size_wanted = size;
	return true;
}

static bool configure_latency(const char *value)
{
	wants_latency = !strcmp(value, "on");
	return wants_latency || !strcmp(value, "off");
}

int trace_ring_configure(const char *key, const char *value, char *why,
			 size_t why_size)
{
	const char *fault = NULL;

	if (!strcmp(key, "trace.ring") && !configure_size(value))
		fault = "expected a number of records up to 1048576";
	else if (!strcmp(key, "trace.latency") && !configure_latency(value))
		fault = "expected on or off";
	else if (strcmp(key, "trace.ring") && strcmp(key, "trace.latency"))
		fault = "expected trace, trace.ring or trace.latency";
	if (fault)
		snprintf(why, why_size, "%s", fault);
	return fault ? -1 : 0;
}

bool trace_ring_wants_latency(void)
{
	return wants_latency && size_wanted;
}

/* ---- Records -------------------------------------------------------- */

int trace_ring_init(struct trace_ring *ring, struct nvme_host *host)
{
	size_t bytes = (size_t)size_wanted * sizeof(struct trace_record);
	phys_t phys;

	if (!size_wanted)
		return 0;
	ring->records = nvme_io_alloc_pages(host, (bytes + PAGE - 1) / PAGE,
					    &phys);
	if (!ring->records) {
		nvme_io_log(host, NVME_IO_LOG_ERROR,
			    "trace: no memory for %u records: raise memory=",
			    size_wanted);
		return -1;
	}
	ring->size = size_wanted;
	return 0;
}

static void lock(struct trace_ring *ring)
{
	while (__atomic_exchange_n(&ring->is_locked, true, __ATOMIC_ACQUIRE))
		__builtin_ia32_pause();
}

static void unlock(struct trace_ring *ring)
{
	__atomic_store_n(&ring->is_locked, false, __ATOMIC_RELEASE);
}

static u8 flags_of(const struct nvme_io_command *cmd)
{
	return (cmd->admin ? TRACE_ADMIN : 0) |
	       (cmd->effects & NVME_IO_READS ? TRACE_READS : 0) |
	       (cmd->effects & NVME_IO_WRITES ? TRACE_WRITES : 0);
}

static u8 shift_of(struct nvme_host *host, const struct nvme_io_command *cmd)
{
	struct nvme_io_namespace ns;

	if (!cmd->n_lbas || nvme_io_namespace_find(host, cmd->nsid, &ns) ||
	    !ns.lba_size)
		return 0;
	return __builtin_ctz(ns.lba_size);
}

static u32 latency_of(u64 started, u64 now)
{
	u64 taken = now - started;

	return taken < TRACE_NO_LATENCY ? taken : TRACE_NO_LATENCY - 1;
}

static void add(struct trace_ring *ring, const struct trace_record *record)
{
	lock(ring);
	ring->records[ring->next++ % ring->size] = *record;
	unlock(ring);
}

void trace_ring_add(struct trace_ring *ring, struct nvme_host *host,
		    const struct nvme_io_command *cmd, u64 started,
		    const struct nvme_io_completion *completion)
{
	u64 now;

	if (!ring->size ||
	    __atomic_load_n(&ring->is_stopped, __ATOMIC_RELAXED))
		return;
	now = nvme_io_now_us();
	add(ring, &(struct trace_record){
		.time_us = started ? started : now, .lba = cmd->lba,
		.blocks = cmd->n_lbas, .nsid = cmd->nsid,
		.latency_us = completion && started ?
			      latency_of(started, now) : TRACE_NO_LATENCY,
		.queue = cmd->queue_id, .cid = cmd->cid,
		.status = completion ? completion->status : TRACE_NO_STATUS,
		.opcode = cmd->opcode, .flags = flags_of(cmd),
		.lba_shift = shift_of(host, cmd),
	});
}

/* ---- Control -------------------------------------------------------- */

/* Those that are lost are before `first`. */
void trace_ring_read(struct trace_ring *ring, struct nvme_io_answer *answer)
{
	u64 oldest;

	lock(ring);
	oldest = ring->next > ring->size ? ring->next - ring->size : 0;
	if (answer->first < oldest)
		answer->first = oldest;
	answer->next = answer->first;
	while (answer->next < ring->next &&
	       answer->size_max - answer->size >=
	       sizeof(struct trace_record)) {
		memcpy(answer->data + answer->size,
		       &ring->records[answer->next++ % ring->size],
		       sizeof(struct trace_record));
		answer->size += sizeof(struct trace_record);
	}
	unlock(ring);
}

bool trace_ring_order(struct trace_ring *ring, const char *text)
{
	bool is_stop = !strcmp(text, "stop");

	if (!ring->size || (!is_stop && strcmp(text, "start")))
		return false;
	__atomic_store_n(&ring->is_stopped, is_stop, __ATOMIC_RELAXED);
	return true;
}
