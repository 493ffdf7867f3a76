/* SPDX-License-Identifier: BSD-2-Clause */
/* nvme_io_call_after(). */
#include "bits.h"
#include "clock.h"
#include "nvme.h"

static void fire(struct timer *timer)
{
	struct nvme_later later =
		*container_of(timer, struct nvme_later, timer);
	struct nvme_host *host = later.host;

	pool_put(&host->laters, container_of(timer, struct nvme_later, timer));
	chain_lock(host);
	later.call(host, later.arg);
	chain_unlock(host);
	run_all(host);
}

u8 nvme_io_call_after(struct nvme_host *host, u64 us,
		      void (*call)(struct nvme_host *host, void *arg),
		      void *arg)
{
	struct nvme_later *later = pool_get(&host->laters);

	if (!later)
		return 0;
	*later = (struct nvme_later){
		.timer.fire = fire, .host = host, .call = call, .arg = arg,
	};
	timer_set(&later->timer, clock_deadline_us(us));
	return 1;
}
