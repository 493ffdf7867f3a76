/* SPDX-License-Identifier: BSD-2-Clause */
/* How much of everything there is. */
#ifndef SLUICE_NVME_LIMITS_H
#define SLUICE_NVME_LIMITS_H

#define NVME_QUEUE_MAX 256	/* I/O pairs of the guest: ids from 1 */
#define NVME_QUEUE_IDS (NVME_QUEUE_MAX + 2)	/* and 0, and Sluice's own */
#define NVME_QUEUE_WORDS ((NVME_QUEUE_IDS + 63) / 64)	/* a bit for each */
#define NVME_SLOT_MAX 256	/* commands under way in one I/O queue */
#define NVME_ADMIN_SLOTS 64
#define NVME_CID_BUCKETS 256	/* a power of two */
#define NVME_REAP_BATCH 32	/* completions of a direct queue left unread */
#define NVME_EVENT_MAX 16	/* outstanding asynchronous event requests */
#define NVME_CHAIN_MAX 8
#define NVME_LIST_MAX 9		/* pages of PRPs or SGL of a request: 8 MiB,
				 * by SGL in blocks of 4 KiB at least */
#define NVME_TRANSFER_MAX (8ull << 20)
#define NVME_NAMESPACE_MAX 1024
#define NVME_HOST_REQUEST_MAX 64
#define NVME_LATER_MAX 32	/* calls of nvme_io_call_after() */
#define NVME_HOST_SLOTS 4	/* of a guest's queue, kept for Sluice */
#define NVME_POOL_PAGES 512	/* PRP lists and copies of a controller */
#define NVME_OWN_PAGES 258	/* copies for two host requests */
#define NVME_BOUNCE_MAX (512u << 10)	/* bytes of one copy */
#define NVME_WINDOW_WORDS 64	/* a power of two */
#define NVME_POLL_US 1000	/* while host requests are under way */
#define NVME_SPIN_US 2000	/* for a guest that polls */
#define NVME_HOST_DEADLINE_US 5000000

#endif
