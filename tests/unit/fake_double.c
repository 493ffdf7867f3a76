/* SPDX-License-Identifier: BSD-2-Clause */
/* See fake_double.h: written against nvme_io.h alone, as plug-ins are. */
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "fake_double.h"

struct fake_double fake_double;

static struct fake_double *const me = &fake_double;
/* Over what was seen: with NVME_IO_CONCURRENT hooks run at once. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static void count(u32 *calls)
{
	__atomic_fetch_add(calls, 1, __ATOMIC_RELAXED);
}

static u8 on_init(void *interceptor)
{
	me->init_count++;
	if (!me->is_slow && !me->fails_init)
		nvme_io_start_fetching_g_reqs(me->host);
	return !me->fails_init;
}

static u8 can_stop(void *interceptor)
{
	me->stop_count++;
	return !me->holds_stop;
}

static enum nvme_io_verdict on_command(void *interceptor,
				       struct nvme_request *req,
				       const struct nvme_io_command *cmd)
{
	pthread_mutex_lock(&lock);
	me->last = *cmd;
	me->held = req;
	pthread_mutex_unlock(&lock);
	return me->answer ? me->answer(req, cmd) : NVME_IO_PASS;
}

/* The verdict, said in the classic way. */
static void say(struct nvme_request *req, enum nvme_io_verdict verdict)
{
	if (verdict == NVME_IO_HOLD)
		nvme_io_pause_guest_request(req);
}

static void on_read(void *interceptor, struct nvme_request *req, u32 nsid,
		    u64 lba_start, u32 n_lbas)
{
	count(&me->read_count);
	say(req, on_command(interceptor, req, nvme_io_req_command(req)));
}

static void on_write(void *interceptor, struct nvme_request *req, u32 nsid,
		     u64 lba_start, u32 n_lbas)
{
	count(&me->write_count);
	say(req, on_command(interceptor, req, nvme_io_req_command(req)));
}

static u32 on_data_management(void *interceptor, struct nvme_request *req,
			      u32 nsid, struct nvme_io_range *ranges,
			      u32 buf_len, u32 n_ranges)
{
	me->first_range = ranges[0];
	ranges[0].lba_start++;
	return me->ranges_kept;
}

static enum nvme_io_verdict
on_copy(void *interceptor, struct nvme_request *req,
	const struct nvme_io_command *cmd,
	const struct nvme_io_copy_source *sources, u32 n_sources)
{
	me->first_source = sources[0];
	me->source_count = n_sources;
	return NVME_IO_PASS;
}

static void on_complete(void *interceptor, struct nvme_request *req,
			const struct nvme_io_command *cmd,
			struct nvme_io_completion *completion)
{
	count(&me->complete_count);
	pthread_mutex_lock(&lock);
	me->last_completion = *completion;
	pthread_mutex_unlock(&lock);
	if (me->completing)
		me->completing();
	if (completion->status == NVME_IO_CAPACITY_EXCEEDED)
		completion->status = NVME_IO_SUCCESS;
}

static void on_identify(void *interceptor, u8 cns, u32 nsid,
			u16 controller_id, void *data)
{
	me->identify_count++;
	if (cns == 0)
		((u8 *)data)[99] |= 1;
}

/* Verb 1: a byte that says how large an answer may be. */
static bool ask(void *interceptor, struct nvme_io_answer *answer)
{
	if (answer->verb == 1) {
		memset(answer->data, 0x5a, answer->size_max);
		answer->size = answer->size_max;
		answer->next += answer->size;
		return true;
	}
	for (u64 i = answer->first; i < me->item_count; i++)
		if (!nvme_io_answer_line(answer, "item=%lu\tname=\na\x7f", i))
			break;
	return !answer->verb;
}

static int order(void *interceptor, const char *text, char *why,
		 size_t why_size)
{
	snprintf(me->ordered, sizeof(me->ordered), "%s", text);
	snprintf(why, why_size, "%s", "expected what is not refused");
	return strcmp(text, "refuse") ? 0 : -1;
}

static const struct nvme_io_control control = { .ask = ask, .order = order };

struct nvme_io_interceptor fake_interceptor = {
	.interceptor = &fake_double,
	.control = &control,
	.on_init = on_init,
	.on_read = on_read,
	.on_write = on_write,
	.on_data_management = on_data_management,
	.can_stop = can_stop,
	.on_command = on_command,
	.on_copy = on_copy,
	.on_complete = on_complete,
	.on_identify = on_identify,
};

static int configure(u32 line, const char *key, const char *value, char *why,
		     size_t why_size)
{
	if (!strcmp(value, "bad")) {
		snprintf(why, why_size, "something good");
		return -1;
	}
	snprintf(me->configured, sizeof(me->configured), "%u %s=%s", line, key,
		 value);
	return 0;
}

static int attach(struct nvme_host *host)
{
	if (me->fails_attach)
		return -1;
	me->host = host;
	fake_interceptor.needs = me->needs;
	nvme_io_install_interceptor(host, &fake_interceptor);
	return 0;
}

static const struct nvme_io_plugin plugin = {
	.name = "double", .configure = configure, .attach = attach,
};
NVME_IO_PLUGIN(plugin);
