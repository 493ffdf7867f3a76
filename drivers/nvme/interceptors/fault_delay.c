/* SPDX-License-Identifier: BSD-2-Clause */
/* Delayed commands: each call looks for all that are due. */
#include "fault.h"

static void wake(struct nvme_host *host, void *arg);

/* When too many calls wait already, one of ours is among them. */
static void wake_at(struct fault *fault, u64 due_us, u64 now_us)
{
	if (fault->wake_us && fault->wake_us <= due_us)
		return;
	if (nvme_io_call_after(fault->host, due_us > now_us ?
			       due_us - now_us : 0, wake, fault))
		fault->wake_us = due_us;
}

static void wake(struct nvme_host *host, void *arg)
{
	struct fault *fault = arg;
	u64 now_us = nvme_io_now_us(), next_us = 0;

	for (u32 i = 0; i < HELD_MAX; i++) {
		struct fault_held *held = &fault->held[i];

		if (held->state != HELD_DELAYED)
			continue;
		if (held->due_us <= now_us)
			fault_go_on(fault, held);
		else if (!next_us || held->due_us < next_us)
			next_us = held->due_us;
	}
	fault->wake_us = 0;
	if (next_us)
		wake_at(fault, next_us, now_us);
}

void fault_delay_begin(struct fault *fault, struct fault_held *held)
{
	held->state = HELD_DELAYED;
	wake_at(fault, held->due_us, nvme_io_now_us());
}
