/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A plug-in named "double" that does as the test says: fake_double.answer is
 * asked for every command, and what was seen is kept.
 */
#ifndef FAKE_DOUBLE_H
#define FAKE_DOUBLE_H

#include "nvme_io.h"

struct fake_double {
	/* Knobs. on_init() starts fetching unless is_slow. */
	bool is_slow, fails_init, fails_attach, holds_stop;
	u32 needs;
	enum nvme_io_verdict (*answer)(struct nvme_request *req,
				       const struct nvme_io_command *cmd);
	void (*completing)(void);	/* in on_complete() */
	u32 item_count;			/* of its list */
	u32 ranges_kept;		/* of a Dataset Management command */

	/* What happened. */
	struct nvme_host *host;
	u32 init_count, stop_count, read_count, write_count;
	u32 complete_count, identify_count;
	struct nvme_request *held;
	struct nvme_io_command last;
	struct nvme_io_completion last_completion;
	struct nvme_io_range first_range;
	struct nvme_io_copy_source first_source;
	u32 source_count;
	char configured[64], ordered[64];
};
extern struct fake_double fake_double;
extern struct nvme_io_interceptor fake_interceptor;

#endif
