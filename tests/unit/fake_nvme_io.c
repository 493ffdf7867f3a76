/* SPDX-License-Identifier: BSD-2-Clause */
/* The functions of nvme_io.h that plug-ins and partition.c call. */
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "fake_nvme_io.h"
#include "test.h"

#define PENDING_MAX 32
#define LINE_SIZE 512
#define LINE_COUNT 256

struct nvme_io_descriptor {
	struct nvme_host *host;
	struct fake_namespace *ns;
	u64 lba, n_lbas, n_pages;
	phys_t *pages;
	void (*done)(struct nvme_host *host, u16 status, void *arg);
	void *arg;
};

static struct nvme_io_descriptor *pending[PENDING_MAX];
static u32 pending_count;
static struct nvme_request *retried[PENDING_MAX];
static u32 retried_count;
static char lines[LINE_COUNT][LINE_SIZE];
static u32 line_count;

u64 fake_now_us = 1;

/* ---- Controllers ----------------------------------------------------- */

u8 *fake_add_namespace(struct nvme_host *host, u32 nsid, u64 n_lbas,
		       u32 lba_size)
{
	struct fake_namespace *ns = &host->namespaces[host->namespace_count++];

	CHECK(host->namespace_count <= FAKE_NAMESPACE_MAX);
	ns->info = (struct nvme_io_namespace){
		.nsid = nsid, .n_lbas = n_lbas, .lba_size = lba_size,
	};
	ns->disk = calloc(n_lbas, lba_size);
	return ns->disk;
}

const char *nvme_io_serial(struct nvme_host *host)
{
	return host->serial;
}

int nvme_io_namespace_get(struct nvme_host *host, u32 index,
			  struct nvme_io_namespace *out)
{
	if (index >= host->namespace_count)
		return -1;
	*out = host->namespaces[index].info;
	return 0;
}

static struct fake_namespace *find(struct nvme_host *host, u32 nsid)
{
	for (u32 i = 0; i < host->namespace_count; i++)
		if (host->namespaces[i].info.nsid == nsid)
			return &host->namespaces[i];
	return NULL;
}

int nvme_io_namespace_find(struct nvme_host *host, u32 nsid,
			   struct nvme_io_namespace *out)
{
	struct fake_namespace *ns = find(host, nsid);

	if (!ns)
		return -1;
	*out = ns->info;
	return 0;
}

void nvme_io_install_interceptor(struct nvme_host *host,
				 struct nvme_io_interceptor *interceptor)
{
	CHECK(!host->interceptor);
	host->interceptor = interceptor;
}

void nvme_io_start_fetching_g_reqs(struct nvme_host *host)
{
	host->start_count++;
}

/* Weak: a program may have no plug-in. */
extern const struct nvme_io_plugin *const
	__start_nvme_io_plugins[] __attribute__((weak));
extern const struct nvme_io_plugin *const
	__stop_nvme_io_plugins[] __attribute__((weak));

const struct nvme_io_plugin *fake_plugin(void)
{
	CHECK_EQ(__stop_nvme_io_plugins - __start_nvme_io_plugins, 1);
	return __start_nvme_io_plugins[0];
}

/* ---- Host requests --------------------------------------------------- */

void *nvme_io_alloc_pages(struct nvme_host *host, size_t n_pages, phys_t *phys)
{
	void *pages = aligned_alloc(PAGE_SIZE, n_pages * PAGE_SIZE);

	(void)host;
	memset(pages, 0, n_pages * PAGE_SIZE);
	*phys = (phys_t)pages;
	return pages;
}

struct nvme_io_descriptor *
nvme_io_init_descriptor(struct nvme_host *host, u32 nsid, u16 queue_id,
			u64 lba_start, u16 n_lbas)
{
	struct nvme_io_descriptor *desc;

	CHECK_EQ(queue_id, 0);
	CHECK(n_lbas);
	if (host->refuses_requests)
		return NULL;
	desc = calloc(1, sizeof(*desc));
	desc->host = host;
	desc->ns = find(host, nsid);
	desc->lba = lba_start;
	desc->n_lbas = n_lbas;
	CHECK(desc->ns);
	return desc;
}

u8 nvme_io_set_phys_buffers(struct nvme_host *host,
			    struct nvme_io_descriptor *desc,
			    phys_t *pagebuf_arr, phys_t pagebuf_arr_phys,
			    u64 n_pages_accessed, u64 first_page_offset)
{
	u64 size = desc->n_lbas * desc->ns->info.lba_size;

	CHECK(host == desc->host);
	CHECK_EQ(pagebuf_arr_phys, (phys_t)pagebuf_arr);
	CHECK_EQ(first_page_offset, 0);
	CHECK_EQ(n_pages_accessed, (size + PAGE_SIZE - 1) / PAGE_SIZE);
	CHECK((pagebuf_arr_phys & PAGE_MASK) +
	      n_pages_accessed * sizeof(phys_t) <= PAGE_SIZE);
	if (desc->ns->info.metadata_size)
		return 0;
	desc->pages = pagebuf_arr;
	desc->n_pages = n_pages_accessed;
	return 1;
}

u8 nvme_io_submit(struct nvme_host *host, struct nvme_io_descriptor *desc,
		  enum nvme_io_operation operation,
		  void (*done)(struct nvme_host *host, u16 status, void *arg),
		  void *arg)
{
	CHECK(host == desc->host);
	CHECK_EQ(operation, NVME_IO_READ);
	if (!desc->pages) {
		free(desc);
		return 0;
	}
	CHECK(pending_count < PENDING_MAX);
	desc->done = done;
	desc->arg = arg;
	pending[pending_count++] = desc;
	return 1;
}

static u16 fault_of(const struct nvme_io_descriptor *desc)
{
	for (size_t i = 0; i < ARRAY_COUNT(desc->host->faults); i++) {
		const struct fake_fault *fault = &desc->host->faults[i];

		if (fault->status && fault->lba - desc->lba < desc->n_lbas)
			return fault->status;
	}
	if (desc->lba + desc->n_lbas > desc->ns->info.n_lbas)
		return NVME_IO_LBA_OUT_OF_RANGE;
	return NVME_IO_SUCCESS;
}

static void move_data(const struct nvme_io_descriptor *desc)
{
	u64 lba_size = desc->ns->info.lba_size;
	const u8 *from = desc->ns->disk + desc->lba * lba_size;
	u64 left = desc->n_lbas * lba_size;

	for (u64 i = 0; i < desc->n_pages; i++) {
		u64 size = left < PAGE_SIZE ? left : PAGE_SIZE;

		memcpy((void *)desc->pages[i], from, size);
		from += size;
		left -= size;
	}
}

static void complete(struct nvme_io_descriptor *desc)
{
	u16 status = fault_of(desc);

	if (status == NVME_IO_SUCCESS)
		move_data(desc);
	desc->host->read_count++;
	desc->done(desc->host, status, desc->arg);
	free(desc);
}

void fake_complete_one(void)
{
	struct nvme_io_descriptor *desc = pending[0];

	CHECK(pending_count);
	memmove(pending, pending + 1, --pending_count * sizeof(pending[0]));
	complete(desc);
}

static void retry_first(void)
{
	struct nvme_request *req = retried[0];

	memmove(retried, retried + 1, --retried_count * sizeof(retried[0]));
	req->is_held = req->is_retried = false;
	fake_send(req->host, req);
}

static void retry_all(void)
{
	while (retried_count)
		retry_first();
}

void fake_complete_all(void)
{
	for (retry_all(); pending_count; retry_all())
		fake_complete_one();
}

u32 fake_pending_count(void)
{
	return pending_count;
}

/* ---- The guest's commands -------------------------------------------- */

void nvme_io_set_status(struct nvme_request *req, u16 status, u32 result)
{
	req->completion.status = status;
	req->completion.result = result;
}

void nvme_io_finish_guest_request(struct nvme_host *host,
				  struct nvme_request *req, u16 status)
{
	(void)host;
	CHECK(!req->was_finished);
	req->was_finished = true;
	req->completion.status = status;
}

void nvme_io_pause_guest_request(struct nvme_request *req)
{
	req->is_held = true;
}

/* Not from within the hook: as the driver does, when that has returned. */
void nvme_io_retry_guest_request(struct nvme_host *host,
				 struct nvme_request *req)
{
	(void)host;
	CHECK(req->is_held);
	CHECK(!req->is_retried);
	req->is_retried = true;
	retried[retried_count++] = req;
}

u32 fake_asked_again;
void (*fake_asking_again)(void);

void nvme_io_ask_again(struct nvme_host *host)
{
	(void)host;
	fake_asked_again++;
	if (fake_asking_again)
		fake_asking_again();
}

const struct nvme_io_command *nvme_io_req_command(struct nvme_request *req)
{
	return &req->command;
}

u64 *nvme_io_req_private(struct nvme_request *req,
			 const struct nvme_io_interceptor *interceptor)
{
	(void)interceptor;
	return &req->private;
}

/* A verdict and a status that belong together. */
static u16 answer(enum nvme_io_verdict verdict, struct nvme_request *req)
{
	u16 status = req->completion.status;

	CHECK(verdict != NVME_IO_HOLD);
	CHECK_EQ(verdict == NVME_IO_DONE, status != NVME_IO_SUCCESS);
	return status;
}

u16 fake_command(struct nvme_host *host, const struct nvme_io_command *cmd)
{
	struct nvme_io_interceptor *plugin = host->interceptor;
	struct nvme_request req = { .command = *cmd };

	return answer(plugin->on_command(plugin->interceptor, &req,
					 &req.command), &req);
}

void fake_send(struct nvme_host *host, struct nvme_request *req)
{
	struct nvme_io_interceptor *plugin = host->interceptor;

	req->host = host;
	req->completion.status = NVME_IO_SUCCESS;
	if (plugin->on_command(plugin->interceptor, req, &req->command) ==
	    NVME_IO_HOLD)
		req->is_held = true;
}

void fake_complete_command(struct nvme_host *host, struct nvme_request *req,
			   u16 status)
{
	struct nvme_io_interceptor *plugin = host->interceptor;

	CHECK(plugin->needs & NVME_IO_NEEDS_COMPLETIONS);
	req->completion.status = status;
	plugin->on_complete(plugin->interceptor, req, &req->command,
			    &req->completion);
	CHECK_EQ(req->completion.status, status);
}

u16 fake_copy(struct nvme_host *host, const struct nvme_io_command *cmd,
	      const struct nvme_io_copy_source *sources, u32 n_sources)
{
	struct nvme_io_interceptor *plugin = host->interceptor;
	struct nvme_request req = { .command = *cmd };
	u16 status = answer(plugin->on_copy(plugin->interceptor, &req,
					    &req.command, sources, n_sources),
			    &req);

	return status ? status : fake_command(host, cmd);
}

u16 fake_discard(struct nvme_host *host, const struct nvme_io_command *cmd,
		 struct nvme_io_range *ranges, u32 n_ranges)
{
	struct nvme_io_interceptor *plugin = host->interceptor;
	struct nvme_request req = { .command = *cmd };
	u32 left = plugin->on_data_management(plugin->interceptor, &req,
					      cmd->nsid, ranges,
					      n_ranges * sizeof(*ranges),
					      n_ranges);

	CHECK_EQ(left, req.was_finished ? 0 : n_ranges);
	return req.completion.status;
}

/* ---- Log and clock --------------------------------------------------- */

static void take_line(struct nvme_host *host, const char *format, va_list args)
{
	char *line = lines[line_count];
	int size;

	CHECK(line_count < LINE_COUNT);
	size = snprintf(line, LINE_SIZE, "%s: ", host->name);
	vsnprintf(line + size, LINE_SIZE - (size_t)size, format, args);
	fprintf(stderr, "%s\n", line);
	line_count++;
}

void nvme_io_log(struct nvme_host *host, enum nvme_io_log_level level,
		 const char *format, ...)
{
	va_list args;

	(void)level;
	va_start(args, format);
	take_line(host, format, args);
	va_end(args);
}

/* Without the limit, so that a table of a thousand refusals fits: the last
 * line is written over. */
void nvme_io_log_limited(struct nvme_host *host, enum nvme_io_log_level level,
			 const char *format, ...)
{
	va_list args;

	(void)level;
	if (line_count == LINE_COUNT)
		line_count--;
	va_start(args, format);
	take_line(host, format, args);
	va_end(args);
}

u32 fake_log_count(const char *text)
{
	u32 count = 0;

	for (u32 i = 0; i < line_count; i++)
		count += strstr(lines[i], text) != NULL;
	return count;
}

void fake_log_clear(void)
{
	line_count = 0;
}

u64 nvme_io_now_us(void)
{
	return fake_now_us;
}
