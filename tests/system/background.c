/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A plug-in for the tests, from outside the driver's folder: as long as the
 * guest uses the first controller it reads the same block again and again by
 * host requests and says how often it was right.
 */
#include <string.h>

#include "nvme_io.h"

#define BLOCK 1			/* the header of the partition table */
#define REPORT_EVERY 64

static struct background {
	struct nvme_io_interceptor interceptor;
	struct nvme_host *host;
	phys_t *pages, pages_phys;
	const u8 *data;
	u32 reads, bad;
	bool is_stopping, is_reading;
} state;

static void read_again(void);

static void have_read(struct nvme_host *host, u16 status, void *arg)
{
	state.is_reading = false;
	/* By a reset: on_init() comes again. */
	if (status == NVME_IO_ABORTED)
		return;
	state.reads++;
	if (status || memcmp(state.data, "EFI PART", 8))
		state.bad++;
	if (state.reads % REPORT_EVERY == 0)
		nvme_io_log(host, NVME_IO_LOG_INFO,
			    "background: %u reads, %u bad", state.reads,
			    state.bad);
	(void)arg;
	read_again();
}

static void read_again(void)
{
	struct nvme_io_descriptor *desc;

	if (state.is_stopping)
		return;
	desc = nvme_io_init_descriptor(state.host, 1, 0, BLOCK, 1);
	if (!desc)
		return;
	state.is_reading =
		nvme_io_set_phys_buffers(state.host, desc, state.pages,
					 state.pages_phys, 1, 0) &&
		nvme_io_submit(state.host, desc, NVME_IO_READ, have_read, NULL);
}

static u8 on_init(void *interceptor)
{
	(void)interceptor;
	state.is_stopping = false;
	nvme_io_start_fetching_g_reqs(state.host);
	read_again();
	return 1;
}

static u8 can_stop(void *interceptor)
{
	(void)interceptor;
	state.is_stopping = true;
	return !state.is_reading;
}

static int attach(struct nvme_host *host)
{
	phys_t data_phys;

	if (state.host)
		return 0;
	state.host = host;
	state.pages = nvme_io_alloc_pages(host, 1, &state.pages_phys);
	state.data = nvme_io_alloc_pages(host, 1, &data_phys);
	if (!state.pages || !state.data)
		return -1;
	state.pages[0] = data_phys;
	state.interceptor.needs = NVME_IO_NEEDS_HOST_REQUESTS;
	state.interceptor.on_init = on_init;
	state.interceptor.can_stop = can_stop;
	nvme_io_install_interceptor(host, &state.interceptor);
	return 0;
}

static const struct nvme_io_plugin plugin = {
	.name = "background",
	.attach = attach,
};
NVME_IO_PLUGIN(plugin);
