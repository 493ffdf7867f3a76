/* SPDX-License-Identifier: BSD-2-Clause */
/* A plug-in with a mistake in it, which any order brings out. */
#include <stdlib.h>

#include "nvme_io.h"

static int order(void *interceptor, const char *text, char *why,
		 size_t why_size)
{
	nvme_io_log(interceptor, NVME_IO_LOG_WARN, "crash: %s", text);
	__builtin_trap();
}

static const struct nvme_io_control control = { .order = order };

static int attach(struct nvme_host *host)
{
	struct nvme_io_interceptor *mine = calloc(1, sizeof(*mine));

	if (!mine)
		return -1;
	mine->interceptor = host;
	mine->control = &control;
	nvme_io_install_interceptor(host, mine);
	return 0;
}

static const struct nvme_io_plugin plugin = {
	.name = "crash",
	.attach = attach,
};
NVME_IO_PLUGIN(plugin);
