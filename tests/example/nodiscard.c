/* SPDX-License-Identifier: BSD-2-Clause */
/* nodiscard: what the guest deallocates stays where it is. */
#include <stdlib.h>

#include "nvme_io.h"

/* How many of the ranges to go on with. */
static u32 on_data_management(void *interceptor, struct nvme_request *req,
			      u32 nsid, struct nvme_io_range *ranges,
			      u32 buf_len, u32 n_ranges)
{
	nvme_io_log_limited(interceptor, NVME_IO_LOG_INFO,
			    "nodiscard: %u ranges of n%u kept", n_ranges,
			    nsid);
	return 0;
}

/* The guest has enabled the controller. Nothing to prepare: go on. */
static u8 on_init(void *interceptor)
{
	nvme_io_start_fetching_g_reqs(interceptor);
	return 1;
}

/* Called for each controller, before the guest uses it. */
static int attach(struct nvme_host *host)
{
	struct nvme_io_interceptor *mine = calloc(1, sizeof(*mine));

	if (!mine)
		return -1;
	mine->interceptor = host;
	mine->on_init = on_init;
	mine->on_data_management = on_data_management;
	nvme_io_install_interceptor(host, mine);
	return 0;
}

static const struct nvme_io_plugin plugin = {
	.name = "nodiscard",
	.attach = attach,
};
NVME_IO_PLUGIN(plugin);
