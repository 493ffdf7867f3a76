/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * nvme_io.h, the parts about requests, host requests and what there is to
 * know. Called from hooks, with a hub's lock held: leaf locks only.
 */
#include <stdarg.h>
#include <stdio.h>

#include "clock.h"
#include "gmem.h"
#include "nvme.h"
#include "page.h"
#include "setting.h"

#define LINE_MAX 200

/* ---- Guest requests ------------------------------------------------------------ */

void nvme_io_pause_guest_request(struct nvme_request *req)
{
	req->is_paused = true;
}

void nvme_io_resume_guest_request(struct nvme_host *host,
				  struct nvme_request *req, u8 trigger_submit)
{
	(void)host;
	/* With or without: it goes to the device in this very exit. */
	(void)trigger_submit;
	run_release(req);
}

void nvme_io_retry_guest_request(struct nvme_host *host,
				 struct nvme_request *req)
{
	(void)host;
	req->is_retried = true;
	run_release(req);
}

void nvme_io_finish_guest_request(struct nvme_host *host,
				  struct nvme_request *req, u16 status)
{
	(void)host;
	nvme_io_set_status(req, status, 0);
	req->is_finished = true;
	run_release(req);
}

void nvme_io_set_status(struct nvme_request *req, u16 status, u32 result)
{
	req->completion.status = status;
	req->completion.result = result;
}

void nvme_io_change_g_req_to_flush(struct nvme_request *req)
{
	req->is_flush = !req->cmd.admin;
}

const struct nvme_io_command *nvme_io_req_command(struct nvme_request *req)
{
	return &req->cmd;
}

static u32 place_of(const struct nvme_host *host,
		    const struct nvme_io_interceptor *interceptor)
{
	for (u32 i = 0; i < host->chain_count; i++)
		if (host->chain[i].interceptor == interceptor)
			return i;
	panic("%s: interceptor %s is not installed", host->name,
	      interceptor->name ? interceptor->name : "?");
}

u64 *nvme_io_req_private(struct nvme_request *req,
			 const struct nvme_io_interceptor *interceptor)
{
	u32 place = place_of(req->sq->hub->host, interceptor);

	if (!(req->has_private & 1u << place))
		req->private[place] = 0;
	req->has_private |= 1u << place;
	return &req->private[place];
}

/* Adjacent in memory from `offset` on? */
static bool is_contiguous(const struct dptr *data, u64 offset, u64 size)
{
	size_t piece;
	u64 first = dptr_locate(data, offset, size, &piece);

	for (u64 at = piece; at < size; at += piece)
		if (dptr_locate(data, offset + at, size - at, &piece) !=
		    first + at)
			return false;
	return true;
}

u8 *nvme_io_req_buf(struct nvme_host *host, struct nvme_request *req,
		    u64 lba_offset)
{
	const struct dptr *data = &req->data;
	u64 size, offset;
	size_t piece;

	(void)host;
	if (!data->size || lba_offset >= req->cmd.n_lbas)
		return NULL;
	size = data->size / req->cmd.n_lbas;
	offset = lba_offset * size;
	if (data->bounce)
		return (offset & PAGE_MASK) + size > PAGE_SIZE ? NULL :
			bounce_at(data, offset);
	if (!is_contiguous(data, offset, size))
		return NULL;
	return gmem_map(gpa(dptr_locate(data, offset, size, &piece)), size);
}

int nvme_io_req_read(struct nvme_request *req, u64 offset, void *to,
		     size_t size)
{
	return dptr_read(req, offset, to, size) ? -1 : 0;
}

int nvme_io_req_write(struct nvme_request *req, u64 offset, const void *from,
		      size_t size)
{
	return dptr_write(req, offset, from, size) ? -1 : 0;
}

/* ---- Host requests ---------------------------------------------------------------- */

struct nvme_io_descriptor *
nvme_io_init_descriptor(struct nvme_host *host, u32 nsid, u16 queue_id,
			u64 lba_start, u16 n_lbas)
{
	struct nvme_io_descriptor *desc = pool_get(&host->descriptors);

	(void)queue_id;
	if (!desc)
		return NULL;
	*desc = (struct nvme_io_descriptor){
		.host = host, .n_lbas = n_lbas,
		.sqe = { .nsid = nsid, .cdw10 = (u32)lba_start,
			 .cdw11 = lba_start >> 32,
			 .cdw12 = (u16)(n_lbas - 1) },
	};
	return desc;
}

void nvme_io_set_sender(struct nvme_io_descriptor *desc,
			const struct nvme_io_interceptor *sender)
{
	desc->first_entry = place_of(desc->host, sender) + 1;
}

/* Metadata of nothing but protection information the device itself makes and
 * checks (PRACT); other metadata host requests have no buffer for. */
static u64 transfer_size(struct nvme_host *host,
			 struct nvme_io_descriptor *desc)
{
	struct nvme_namespace ns;

	if (ns_find(host, desc->sqe.nsid, &ns) ||
	    (ns.public.metadata_size && !ns.has_pi_only))
		return 0;
	if (ns.has_pi_only)
		desc->sqe.cdw12 |= NVME_RW_PRACT;
	return (u64)desc->n_lbas * ns.public.lba_size;
}

u8 nvme_io_set_phys_buffers(struct nvme_host *host,
			    struct nvme_io_descriptor *desc,
			    phys_t *pagebuf_arr, phys_t pagebuf_arr_phys,
			    u64 n_pages_accessed, u64 first_page_offset)
{
	u64 size = transfer_size(host, desc);
	u64 pages = (first_page_offset + size + PAGE_MASK) >> PAGE_SHIFT;
	u64 array_offset = pagebuf_arr_phys & PAGE_MASK;

	if (!size || size > host->transfer_max || pages > n_pages_accessed ||
	    first_page_offset >= PAGE_SIZE || first_page_offset & 3 ||
	    pagebuf_arr_phys & 7 ||
	    !range_inside(array_offset, pages * sizeof(phys_t), PAGE_SIZE))
		return 0;
	desc->buffers = pagebuf_arr;
	desc->buffer_offset = first_page_offset;
	desc->size = size;
	desc->sqe.prp1 = pagebuf_arr[0] + first_page_offset;
	desc->sqe.prp2 = pages == 1 ? 0 : pages == 2 ? pagebuf_arr[1] :
		pagebuf_arr_phys + sizeof(phys_t);
	return 1;
}

static u8 submit(struct nvme_io_descriptor *desc,
		 enum nvme_io_operation operation)
{
	static const u8 opcodes[] = {
		[NVME_IO_READ] = NVME_CMD_READ,
		[NVME_IO_WRITE] = NVME_CMD_WRITE,
		[NVME_IO_FLUSH] = NVME_CMD_FLUSH,
	};

	desc->sqe.opcode = opcodes[operation];
	if (operation == NVME_IO_FLUSH)
		desc->sqe = (struct nvme_sqe){ .opcode = NVME_CMD_FLUSH,
					       .nsid = desc->sqe.nsid };
	else if (!desc->buffers)
		goto refuse;
	if (!run_submit(desc, false))
		return 1;
refuse:
	pool_put(&desc->host->descriptors, desc);
	return 0;
}

u8 nvme_io_submit(struct nvme_host *host, struct nvme_io_descriptor *desc,
		  enum nvme_io_operation operation,
		  void (*done)(struct nvme_host *host, u16 status, void *arg),
		  void *arg)
{
	(void)host;
	desc->done = done;
	desc->arg1 = arg;
	return submit(desc, operation);
}

static u8 submit_classic(struct nvme_io_descriptor *desc,
			 enum nvme_io_operation operation,
			 void (*callback)(struct nvme_host *host, void *arg1,
					  void *arg2, void *arg3),
			 void *args[3])
{
	desc->classic = callback;
	desc->arg1 = args[0];
	desc->arg2 = args[1];
	desc->arg3 = args[2];
	return submit(desc, operation);
}

#define CLASSIC(name, operation)                                             \
	u8 name(struct nvme_host *host, struct nvme_io_descriptor *desc,     \
		void (*callback)(struct nvme_host *host, void *arg1,         \
				 void *arg2, void *arg3),                    \
		void *arg1, void *arg2, void *arg3)                          \
	{                                                                    \
		(void)host;                                                  \
		return submit_classic(desc, operation, callback,             \
				      (void *[]){ arg1, arg2, arg3 });       \
	}

CLASSIC(nvme_io_read_request, NVME_IO_READ)
CLASSIC(nvme_io_write_request, NVME_IO_WRITE)
CLASSIC(nvme_io_flush_request, NVME_IO_FLUSH)

void *nvme_io_alloc_pages(struct nvme_host *host, size_t n_pages, phys_t *phys)
{
	void *pages = page_alloc(n_pages);

	(void)host;
	if (pages && phys)
		*phys = page_hpa(pages).v;
	return pages;
}

/* ---- Facts --------------------------------------------------------------------------- */

const char *nvme_io_host_name(struct nvme_host *host)
{
	return host->name;
}

const char *nvme_io_serial(struct nvme_host *host)
{
	return host->serial_number;
}

u64 nvme_io_transfer_max(struct nvme_host *host)
{
	return host->transfer_max;
}

u32 nvme_io_namespace_count(struct nvme_host *host)
{
	return ns_count(host);
}

int nvme_io_namespace_get(struct nvme_host *host, u32 index,
			  struct nvme_io_namespace *out)
{
	struct nvme_namespace ns;

	if (ns_at(host, index, &ns))
		return -1;
	*out = ns.public;
	return 0;
}

int nvme_io_namespace_find(struct nvme_host *host, u32 nsid,
			   struct nvme_io_namespace *out)
{
	struct nvme_namespace ns;

	if (ns_find(host, nsid, &ns))
		return -1;
	*out = ns.public;
	return 0;
}

size_t nvme_io_take_secret(u32 line, void *to, size_t size_max)
{
	return config_take_secret(line, to, size_max);
}

u64 nvme_io_now_us(void)
{
	return clock_now_us();
}

/* ---- Log ------------------------------------------------------------------------------- */

static void log_text(struct nvme_host *host, enum nvme_io_log_level level,
		     const char *format, va_list args)
{
	static const enum log_level levels[] = {
		[NVME_IO_LOG_ERROR] = LOG_ERROR, [NVME_IO_LOG_WARN] = LOG_WARN,
		[NVME_IO_LOG_INFO] = LOG_INFO, [NVME_IO_LOG_DEBUG] = LOG_DEBUG,
	};
	char line[LINE_MAX];

	vsnprintf(line, sizeof(line), format, args);
	log_line(levels[level], "%s%s%s", host ? host->name : "",
		 host ? ": " : "", line);
}

void nvme_io_log(struct nvme_host *host, enum nvme_io_log_level level,
		 const char *format, ...)
{
	va_list args;

	va_start(args, format);
	log_text(host, level, format, args);
	va_end(args);
}

void nvme_io_log_limited(struct nvme_host *host, enum nvme_io_log_level level,
			 const char *format, ...)
{
	static struct log_limit no_host;
	va_list args;

	if (!log_allowed(host ? &host->log_limit : &no_host))
		return;
	va_start(args, format);
	log_text(host, level, format, args);
	va_end(args);
}

void nvme_io_ask_again(struct nvme_host *host)
{
	ns_forget(host);
}
