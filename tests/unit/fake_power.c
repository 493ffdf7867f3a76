/* SPDX-License-Identifier: BSD-2-Clause */
/* The functions of nvme_io.h for a machine whose power fails. */
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fake_power.h"
#include "test.h"

#define PAGE 4096u
#define QUEUE_MAX 64

struct nvme_io_descriptor {
	u64 lba, count, offset;
	phys_t *pages;
	enum nvme_io_operation operation;
	void (*done)(struct nvme_host *host, u16 status, void *arg);
	void (*call)(struct nvme_host *host, void *arg);
	void *arg;
};

struct nvme_host power_host;

static struct nvme_io_descriptor *queue[QUEUE_MAX];
static struct nvme_request *retried[QUEUE_MAX];
static u32 queue_count, retried_count;

u32 power_random(struct power_drive *drive, u32 limit)
{
	drive->random = drive->random * 6364136223846793005ull +
			1442695040888963407ull;
	return (u32)(drive->random >> 33) % limit;
}

/* ---- The drive ---------------------------------------------------------------- */

static void settle(struct power_drive *drive, const struct power_cached *from,
		   u32 bytes)
{
	memcpy(drive->disk + from->lba * POWER_BLOCK, from->bytes, bytes);
}

static u32 bytes_kept(struct power_drive *drive)
{
	if (drive->fate != FATE_CHANCE)
		return drive->fate == FATE_ALL ? POWER_BLOCK : 0;
	switch (power_random(drive, 5)) {
	case 0 ... 1:
		return POWER_BLOCK;
	case 2:
		return power_random(drive, POWER_BLOCK);
	default:
		return 0;
	}
}

static void fail_power(struct power_drive *drive)
{
	for (u32 i = 0; i < drive->cached; i++)
		settle(drive, &drive->cache[i], bytes_kept(drive));
	drive->cached = 0;
	_exit(0);
}

static void count_step(struct power_drive *drive)
{
	drive->step_count++;
	if (drive->steps_left && !--drive->steps_left)
		fail_power(drive);
}

static void flush(struct power_drive *drive)
{
	for (u32 i = 0; i < drive->cached; i++)
		settle(drive, &drive->cache[i], POWER_BLOCK);
	drive->cached = 0;
}

static void put(struct power_drive *drive, u32 lba, const u8 *bytes)
{
	struct power_cached *cached = &drive->cache[drive->cached];

	CHECK(lba < POWER_LBAS);
	/* A cache that is full writes some of it, as any may at any time. */
	if (drive->cached == POWER_CACHE) {
		flush(drive);
		cached = drive->cache;
	}
	cached->lba = lba;
	memcpy(cached->bytes, bytes, POWER_BLOCK);
	drive->cached++;
}

void power_read(u32 lba, u8 *bytes, bool with_cache)
{
	const struct power_drive *drive = power_host.drive;

	CHECK(lba < POWER_LBAS);
	memcpy(bytes, drive->disk + lba * POWER_BLOCK, POWER_BLOCK);
	for (u32 i = 0; with_cache && i < drive->cached; i++)
		if (drive->cache[i].lba == lba)
			memcpy(bytes, drive->cache[i].bytes, POWER_BLOCK);
}

/* ---- Host requests ------------------------------------------------------------- */

static u8 *byte_of(const struct nvme_io_descriptor *desc, u64 block)
{
	u64 at = desc->offset + block * POWER_BLOCK;

	return (u8 *)desc->pages[at / PAGE] + at % PAGE;
}

struct nvme_io_descriptor *
nvme_io_init_descriptor(struct nvme_host *host, u32 nsid, u16 queue_id,
			u64 lba_start, u16 n_lbas)
{
	struct nvme_io_descriptor *desc = calloc(1, sizeof(*desc));

	CHECK(host == &power_host && nsid == 1 && !queue_id && n_lbas);
	desc->lba = lba_start;
	desc->count = n_lbas;
	return desc;
}

void nvme_io_set_sender(struct nvme_io_descriptor *desc,
			const struct nvme_io_interceptor *sender)
{
	CHECK(desc && sender == power_host.interceptor);
}

u8 nvme_io_set_phys_buffers(struct nvme_host *host,
			    struct nvme_io_descriptor *desc,
			    phys_t *pagebuf_arr, phys_t pagebuf_arr_phys,
			    u64 n_pages_accessed, u64 first_page_offset)
{
	CHECK(host == &power_host);
	CHECK_EQ(pagebuf_arr_phys, (phys_t)pagebuf_arr);
	CHECK_EQ((first_page_offset + desc->count * POWER_BLOCK + PAGE - 1) /
		 PAGE, n_pages_accessed);
	CHECK(desc->count * POWER_BLOCK <= nvme_io_transfer_max(host));
	desc->pages = pagebuf_arr;
	desc->offset = first_page_offset;
	return 1;
}

static u8 submit(struct nvme_io_descriptor *desc)
{
	CHECK(queue_count < QUEUE_MAX);
	queue[queue_count++] = desc;
	return 1;
}

u8 nvme_io_submit(struct nvme_host *host, struct nvme_io_descriptor *desc,
		  enum nvme_io_operation operation,
		  void (*done)(struct nvme_host *host, u16 status, void *arg),
		  void *arg)
{
	desc->operation = operation;
	desc->done = done;
	desc->arg = arg;
	/* On its way: it may reach the disk, and need not. */
	for (u64 i = 0; operation == NVME_IO_WRITE && i < desc->count; i++)
		put(host->drive, (u32)(desc->lba + i), byte_of(desc, i));
	count_step(host->drive);
	return submit(desc);
}

u8 nvme_io_call_after(struct nvme_host *host, u64 us,
		      void (*call)(struct nvme_host *host, void *arg),
		      void *arg)
{
	struct nvme_io_descriptor *desc = calloc(1, sizeof(*desc));

	CHECK(host == &power_host && us);
	desc->call = call;
	desc->arg = arg;
	return submit(desc);
}

static void answer(struct nvme_io_descriptor *desc)
{
	struct power_drive *drive = power_host.drive;

	if (desc->operation == NVME_IO_FLUSH)
		flush(drive);
	for (u64 i = 0; desc->operation == NVME_IO_READ && i < desc->count;
	     i++)
		power_read((u32)(desc->lba + i), byte_of(desc, i), true);
	count_step(drive);
	desc->done(&power_host, NVME_IO_SUCCESS, desc->arg);
}

static bool retry_one(void)
{
	struct nvme_request *req = retried[0];

	if (!retried_count)
		return false;
	memmove(retried, retried + 1, --retried_count * sizeof(retried[0]));
	power_send(req);
	return true;
}

bool power_step(void)
{
	struct nvme_io_descriptor *desc = queue[0];

	if (retry_one())
		return true;
	if (!queue_count)
		return false;
	memmove(queue, queue + 1, --queue_count * sizeof(queue[0]));
	if (desc->call)
		desc->call(&power_host, desc->arg);
	else
		answer(desc);
	free(desc);
	return true;
}

/* ---- The guest's commands ------------------------------------------------------ */

static void over(struct nvme_request *req, u16 status)
{
	req->is_held = false;
	req->is_over = true;
	req->status = status;
}

/* What is not the plug-in's, by the drive. */
static void pass(struct nvme_request *req)
{
	const struct nvme_io_command *cmd = &req->command;

	CHECK(!(cmd->effects & NVME_IO_WRITES));
	if (cmd->effects & NVME_IO_READS)
		for (u32 i = 0; i < cmd->n_lbas; i++)
			power_read((u32)cmd->lba + i,
				   req->bytes + i * POWER_BLOCK, true);
	else if (!cmd->opcode)
		flush(power_host.drive);
	count_step(power_host.drive);
	over(req, NVME_IO_SUCCESS);
}

static void discard(struct nvme_request *req)
{
	struct nvme_io_interceptor *it = power_host.interceptor;
	u32 left = it->on_data_management(
		it->interceptor, req, 1, req->ranges, sizeof(*req->ranges), 1);

	if (!req->is_held && !req->is_over) {
		CHECK(!left);
		over(req, NVME_IO_SUCCESS);
	}
}

void power_send(struct nvme_request *req)
{
	struct nvme_io_interceptor *it = power_host.interceptor;

	req->host = &power_host;
	req->is_held = false;
	if (req->ranges) {
		discard(req);
		return;
	}
	switch (it->on_command(it->interceptor, req, &req->command)) {
	case NVME_IO_PASS:
		pass(req);
		break;
	case NVME_IO_DONE:
		over(req, req->status);
		break;
	default:
		req->is_held = !req->is_over;
	}
}

void nvme_io_pause_guest_request(struct nvme_request *req)
{
	req->is_held = true;
}

void nvme_io_retry_guest_request(struct nvme_host *host,
				 struct nvme_request *req)
{
	CHECK(host == &power_host && req->is_held);
	CHECK(retried_count < QUEUE_MAX);
	retried[retried_count++] = req;
}

void nvme_io_resume_guest_request(struct nvme_host *host,
				  struct nvme_request *req, u8 trigger_submit)
{
	CHECK(host == &power_host && trigger_submit);
	pass(req);
}

void nvme_io_finish_guest_request(struct nvme_host *host,
				  struct nvme_request *req, u16 status)
{
	CHECK(host == &power_host && !req->is_over);
	over(req, status);
}

void nvme_io_set_status(struct nvme_request *req, u16 status, u32 result)
{
	(void)result;
	req->status = status;
}

const struct nvme_io_command *nvme_io_req_command(struct nvme_request *req)
{
	return &req->command;
}

u64 *nvme_io_req_private(struct nvme_request *req,
			 const struct nvme_io_interceptor *interceptor)
{
	CHECK(interceptor == power_host.interceptor);
	return &req->private;
}

int nvme_io_req_read(struct nvme_request *req, u64 offset, void *to,
		     size_t size)
{
	memcpy(to, req->bytes + offset, size);
	return 0;
}

int nvme_io_req_write(struct nvme_request *req, u64 offset, const void *from,
		      size_t size)
{
	memcpy(req->bytes + offset, from, size);
	return 0;
}

/* ---- What there is -------------------------------------------------------------- */

u64 nvme_io_transfer_max(struct nvme_host *host)
{
	CHECK(host == &power_host);
	return 3 * PAGE;
}

const char *nvme_io_serial(struct nvme_host *host)
{
	CHECK(host == &power_host);
	return "POWER";
}

int nvme_io_namespace_find(struct nvme_host *host, u32 nsid,
			   struct nvme_io_namespace *out)
{
	CHECK(host == &power_host && nsid == 1);
	*out = (struct nvme_io_namespace){
		.nsid = 1, .n_lbas = POWER_LBAS, .lba_size = POWER_BLOCK,
	};
	return 0;
}

void nvme_io_find(struct nvme_host *host, struct nvme_io_search *search)
{
	for (u32 i = 0; i < search->n_selectors; i++)
		search->found(search->arg, i,
			      strcmp(search->selectors[i]->label, "store") ?
			      &host->data : &host->store);
	search->done(search->arg, true);
}

void *nvme_io_alloc_pages(struct nvme_host *host, size_t n_pages, phys_t *phys)
{
	void *pages = aligned_alloc(PAGE, n_pages * PAGE);

	CHECK(host == &power_host);
	memset(pages, 0, n_pages * PAGE);
	if (phys)
		*phys = (phys_t)pages;
	return pages;
}

void nvme_io_install_interceptor(struct nvme_host *host,
				 struct nvme_io_interceptor *interceptor)
{
	host->interceptor = interceptor;
}

void nvme_io_start_fetching_g_reqs(struct nvme_host *host)
{
	host->has_started = true;
}

void nvme_io_log(struct nvme_host *host, enum nvme_io_log_level level,
		 const char *format, ...)
{
	char line[256];
	va_list args;

	va_start(args, format);
	vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	fprintf(stderr, "%s\n", line);
	power_host.said(line);
}

void nvme_io_log_limited(struct nvme_host *host, enum nvme_io_log_level level,
			 const char *format, ...)
	__attribute__((alias("nvme_io_log")));

extern const struct nvme_io_plugin *const __start_nvme_io_plugins[];

void power_start(void)
{
	struct nvme_io_interceptor *it;

	CHECK_EQ(__start_nvme_io_plugins[0]->attach(&power_host), 0);
	it = power_host.interceptor;
	CHECK(it->on_init(it->interceptor));
	while (!power_host.has_started)
		CHECK(power_step());
}
