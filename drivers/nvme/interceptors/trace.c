/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * trace: counts the guest's commands, and with "trace = on" logs each one
 * when it is answered:
 *
 *	nvme0: q1 cid 12 Read n1 lba 2048+8 -> 0000 120us
 *
 * The counts are logged when the guest disables the controller, and with
 * "trace = time" how long answers have taken. Errors are known with either;
 * otherwise completions are not looked at. What a plug-in before it in the
 * chain has refused, trace does not see.
 *
 *	trace.ring = 65536	the last commands are kept for sluicectl
 *	trace.latency = on	when they are answered, with status and time
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "nvme_io.h"
#include "trace_ring.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* A controller; the counters are atomic. */
struct trace {
	struct nvme_host *host;
	struct nvme_io_interceptor interceptor;
	u64 admin, reads, writes, others;	/* commands */
	u64 read_blocks, written_blocks;
	u64 errors;
	u64 timed, total_us, longest_us;	/* answers */
	u64 told;			/* commands when last logged */
	struct trace_ring ring;
};

struct opcode {
	u8 opcode;
	const char *name;
};

/* NVM command set 1.0, 3; zoned namespace command set 1.1, 3. */
static const struct opcode io_opcodes[] = {
	{ 0x00, "Flush" },
	{ 0x01, "Write" },
	{ 0x02, "Read" },
	{ 0x04, "Write Uncorrectable" },
	{ 0x05, "Compare" },
	{ 0x08, "Write Zeroes" },
	{ 0x09, "Dataset Management" },
	{ 0x0c, "Verify" },
	{ 0x0d, "Reservation Register" },
	{ 0x0e, "Reservation Report" },
	{ 0x11, "Reservation Acquire" },
	{ 0x15, "Reservation Release" },
	{ 0x19, "Copy" },
	{ 0x79, "Zone Management Send" },
	{ 0x7a, "Zone Management Receive" },
	{ 0x7d, "Zone Append" },
};

/* Base 2.0, 5. */
static const struct opcode admin_opcodes[] = {
	{ 0x00, "Delete SQ" },
	{ 0x01, "Create SQ" },
	{ 0x02, "Get Log Page" },
	{ 0x04, "Delete CQ" },
	{ 0x05, "Create CQ" },
	{ 0x06, "Identify" },
	{ 0x08, "Abort" },
	{ 0x09, "Set Features" },
	{ 0x0a, "Get Features" },
	{ 0x0c, "Async Event Request" },
	{ 0x0d, "Namespace Management" },
	{ 0x10, "Firmware Commit" },
	{ 0x11, "Firmware Download" },
	{ 0x14, "Device Self-test" },
	{ 0x15, "Namespace Attachment" },
	{ 0x18, "Keep Alive" },
	{ 0x19, "Directive Send" },
	{ 0x1a, "Directive Receive" },
	{ 0x7c, "Doorbell Buffer Config" },
	{ 0x80, "Format NVM" },
	{ 0x81, "Security Send" },
	{ 0x82, "Security Receive" },
	{ 0x84, "Sanitize" },
	{ 0x86, "Get LBA Status" },
};

static enum { WANTS_COUNTS, WANTS_TIMES, WANTS_LINES } wants;

static int configure(u32 line, const char *key, const char *value, char *why,
		     size_t why_size)
{
	static const char *const values[] = {
		[WANTS_COUNTS] = "off",
		[WANTS_TIMES] = "time",
		[WANTS_LINES] = "on",
	};

	(void)line;
	if (strcmp(key, "trace"))
		return trace_ring_configure(key, value, why, why_size);
	for (u32 i = 0; i < COUNT(values); i++) {
		if (strcmp(value, values[i]))
			continue;
		wants = i;
		return 0;
	}
	snprintf(why, why_size, "expected trace = on, time or off");
	return -1;
}

/* ---- Counters ------------------------------------------------------- */

static void add(u64 *counter, u64 n)
{
	__atomic_fetch_add(counter, n, __ATOMIC_RELAXED);
}

static u64 get(const u64 *counter)
{
	return __atomic_load_n(counter, __ATOMIC_RELAXED);
}

static void raise_to(u64 *longest, u64 us)
{
	u64 old = get(longest);

	while (us > old &&
	       !__atomic_compare_exchange_n(longest, &old, us, true,
					    __ATOMIC_RELAXED,
					    __ATOMIC_RELAXED))
		;
}

static void count(struct trace *trace, const struct nvme_io_command *cmd)
{
	if (cmd->admin) {
		add(&trace->admin, 1);
	} else if (cmd->effects & NVME_IO_WRITES) {
		add(&trace->writes, 1);
		add(&trace->written_blocks, cmd->n_lbas);
	} else if (cmd->effects & NVME_IO_READS) {
		add(&trace->reads, 1);
		add(&trace->read_blocks, cmd->n_lbas);
	} else {
		add(&trace->others, 1);
	}
}

static void tell_answers(struct trace *trace)
{
	u64 timed = get(&trace->timed);

	if (wants == WANTS_COUNTS)
		return;
	nvme_io_log(trace->host, NVME_IO_LOG_INFO,
		    "trace: %lu commands ended with an error",
		    get(&trace->errors));
	if (timed)
		nvme_io_log(trace->host, NVME_IO_LOG_INFO,
			    "trace: answers after %luus, at most %luus",
			    get(&trace->total_us) / timed,
			    get(&trace->longest_us));
}

static u8 can_stop(void *interceptor)
{
	struct trace *trace = interceptor;
	u64 total = get(&trace->admin) + get(&trace->reads) +
		    get(&trace->writes) + get(&trace->others);

	if (total == trace->told)
		return 1;
	trace->told = total;
	nvme_io_log(trace->host, NVME_IO_LOG_INFO,
		    "trace: %lu admin, %lu reads of %lu blocks, %lu writes of "
		    "%lu blocks, %lu other commands", get(&trace->admin),
		    get(&trace->reads), get(&trace->read_blocks),
		    get(&trace->writes), get(&trace->written_blocks),
		    get(&trace->others));
	tell_answers(trace);
	return 1;
}

/* ---- Lines ---------------------------------------------------------- */

static const char *find_name(const struct opcode *list, size_t size, u8 opcode)
{
	for (size_t i = 0; i < size; i++)
		if (list[i].opcode == opcode)
			return list[i].name;
	return NULL;
}

static const char *name_of(const struct nvme_io_command *cmd)
{
	return cmd->admin ?
	       find_name(admin_opcodes, COUNT(admin_opcodes), cmd->opcode) :
	       find_name(io_opcodes, COUNT(io_opcodes), cmd->opcode);
}

/* "Read", or "opcode 93h" for one without a name. */
static void write_name(const struct nvme_io_command *cmd, char text[32])
{
	const char *name = name_of(cmd);

	if (name)
		snprintf(text, 32, "%s", name);
	else
		snprintf(text, 32, "opcode %02xh", cmd->opcode);
}

static void log_line(struct trace *trace, const struct nvme_io_command *cmd,
		     u16 status, u64 started)
{
	char name[32], range[40] = "", taken[24] = "";

	write_name(cmd, name);
	if (cmd->n_lbas)
		snprintf(range, sizeof(range), " lba %lu+%u", cmd->lba,
			 cmd->n_lbas);
	if (started)
		snprintf(taken, sizeof(taken), " %luus",
			 nvme_io_now_us() - started);
	nvme_io_log(trace->host, NVME_IO_LOG_INFO,
		    "q%u cid %u %s n%u%s -> %04x%s", cmd->queue_id, cmd->cid,
		    name, cmd->nsid, range, status, taken);
}

/* ---- Hooks ---------------------------------------------------------- */

static u8 on_init(void *interceptor)
{
	struct trace *trace = interceptor;

	nvme_io_start_fetching_g_reqs(trace->host);
	return 1;
}

/* For its completion, or for the ring. */
static __attribute__((noinline)) void keep(struct trace *trace,
					   struct nvme_request *req,
					   const struct nvme_io_command *cmd)
{
	if (wants || trace_ring_wants_latency())
		*nvme_io_req_private(req, &trace->interceptor) =
			nvme_io_now_us();
	if (!trace_ring_wants_latency())
		trace_ring_add(&trace->ring, trace->host, cmd, 0, NULL);
}

static enum nvme_io_verdict on_command(void *interceptor,
				       struct nvme_request *req,
				       const struct nvme_io_command *cmd)
{
	struct trace *trace = interceptor;

	count(trace, cmd);
	if (wants || trace->ring.size)
		keep(trace, req, cmd);
	return NVME_IO_PASS;
}

static void time_answer(struct trace *trace, u64 started)
{
	u64 us = nvme_io_now_us() - started;

	add(&trace->timed, 1);
	add(&trace->total_us, us);
	raise_to(&trace->longest_us, us);
}

/* A command that another interceptor answered first did not start here. */
static void on_complete(void *interceptor, struct nvme_request *req,
			const struct nvme_io_command *cmd,
			struct nvme_io_completion *completion)
{
	struct trace *trace = interceptor;
	u64 started = *nvme_io_req_private(req, &trace->interceptor);

	if (completion->status != NVME_IO_SUCCESS)
		add(&trace->errors, 1);
	if (trace_ring_wants_latency())
		trace_ring_add(&trace->ring, trace->host, cmd, started,
			       completion);
	if (wants == WANTS_LINES)
		log_line(trace, cmd, completion->status, started);
	else if (wants == WANTS_TIMES && started)
		time_answer(trace, started);
}

/* ---- Control -------------------------------------------------------- */

/* What is counted, of commands and of records. */
static bool ask(void *interceptor, struct nvme_io_answer *answer)
{
	struct trace *trace = interceptor;
	u64 next = __atomic_load_n(&trace->ring.next, __ATOMIC_RELAXED);
	u32 size = trace->ring.size;

	if (answer->verb == TRACE_VERB_RECORDS) {
		trace_ring_read(&trace->ring, answer);
		return true;
	}
	if (!answer->first)
		nvme_io_answer_line(answer,
			"admin=%lu\treads=%lu\twrites=%lu\tothers=%lu\t"
			"errors=%lu\tring=%u\trecords=%lu\tlost=%lu\t"
			"latency=%s\trecording=%s", get(&trace->admin),
			get(&trace->reads), get(&trace->writes),
			get(&trace->others), get(&trace->errors), size, next,
			next > size ? next - size : 0,
			trace_ring_wants_latency() ? "on" : "off",
			size && !trace->ring.is_stopped ? "on" : "off");
	return !answer->verb;
}

static int order(void *interceptor, const char *text, char *why,
		 size_t why_size)
{
	struct trace *trace = interceptor;

	if (trace_ring_order(&trace->ring, text))
		return 0;
	snprintf(why, why_size, "%s", trace->ring.size ?
		 "expected start or stop" :
		 "there is no ring: trace.ring = RECORDS in sluice.conf");
	return -1;
}

static const struct nvme_io_control control = { .ask = ask, .order = order };

static int attach(struct nvme_host *host)
{
	struct trace *trace = calloc(1, sizeof(*trace));
	bool wants_completions = wants || trace_ring_wants_latency();

	if (!trace || trace_ring_init(&trace->ring, host))
		return -1;
	trace->host = host;
	trace->interceptor = (struct nvme_io_interceptor){
		.interceptor = trace,
		.on_init = on_init,
		.can_stop = can_stop,
		.needs = NVME_IO_CONCURRENT |
			 (wants_completions ? NVME_IO_NEEDS_COMPLETIONS : 0),
		.on_command = on_command,
		.on_complete = wants_completions ? on_complete : NULL,
		.control = &control,
	};
	nvme_io_install_interceptor(host, &trace->interceptor);
	return 0;
}

static const struct nvme_io_plugin plugin = {
	.name = "trace",
	.configure = configure,
	.attach = attach,
};
NVME_IO_PLUGIN(plugin);
