/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * pass: looks at every command and lets it go on. Compiled in several times,
 * as PASS_NAME, to see what a longer chain costs.
 */
#include <stdlib.h>

#include "nvme_io.h"

static void on_transfer(void *interceptor, struct nvme_request *req, u32 nsid,
			u64 lba_start, u32 n_lbas)
{
}

static enum nvme_io_verdict on_command(void *interceptor,
				       struct nvme_request *req,
				       const struct nvme_io_command *cmd)
{
	return NVME_IO_PASS;
}

static u8 on_init(void *interceptor)
{
	nvme_io_start_fetching_g_reqs(interceptor);
	return 1;
}

static int attach(struct nvme_host *host)
{
	struct nvme_io_interceptor *mine = calloc(1, sizeof(*mine));

	if (!mine)
		return -1;
	mine->interceptor = host;
	mine->needs = NVME_IO_CONCURRENT;
	mine->on_init = on_init;
	mine->on_read = on_transfer;
	mine->on_write = on_transfer;
	mine->on_command = on_command;
	nvme_io_install_interceptor(host, mine);
	return 0;
}

static const struct nvme_io_plugin plugin = {
	.name = PASS_NAME,
	.attach = attach,
};
NVME_IO_PLUGIN(plugin);
