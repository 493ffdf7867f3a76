/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A command under way, the guest's or Sluice's own, and where its data is.
 * Part of the model: read nvme.h first.
 */
#ifndef SLUICE_NVME_REQUEST_H
#define SLUICE_NVME_REQUEST_H

#include "limits.h"
#include "list.h"
#include "nvme_io.h"
#include "spec/nvme.h"
#include "types.h"

struct hub;
struct page_pool;
struct sq;

/* In guest memory: only as far as gmem_map() said. */
struct guest_ring {
	void *entries;
	u32 size, head, tail;	/* size 0: no guest side */
	bool phase;
};

/* In Sluice's memory, shared with the device. */
struct shadow_ring {
	void *entries;
	u32 size, head, tail;
	bool phase;
};

/* Where a request's data is. */
struct dptr {
	u64 size;		/* bytes of the guest's buffer; 0: none */
	bool is_sgl;
	u32 list_count;
	u32 sgl_count;		/* data blocks and bit buckets */
	union {			/* checked, for the device */
		struct {
			u64 prp1, prp2;	/* in 4 KiB pages */
		};
		struct nvme_sgl sgl;
	};
	void *copy;		/* a page of Sluice's that the device is given
				 * in place of the guest's buffer */
	void *scratch;		/* a second page, for Copy's hook */
	u64 *bounce;		/* the data is Sluice's: a page with the */
	u32 bounce_count;	/* addresses of these; see bounce.c */
	struct page_pool *bounce_pool;
	void *lists[NVME_LIST_MAX];	/* of PRPs, or of SGL descriptors; last
					 * as only list_count count */
};

enum nvme_owner {
	OWNER_NONE,		/* free */
	OWNER_HUB,		/* being worked on, or on hub->waiting */
	OWNER_CHAIN,		/* held by an interceptor */
	OWNER_DEVICE,
	OWNER_LOST,		/* at the device, but nobody wants it */
};

enum nvme_stage {
	STAGE_DATA,		/* needs pages for its data */
	STAGE_CHAIN,		/* interceptors from `next_entry` on */
	STAGE_CARRY,		/* answered: needs a carrier */
	STAGE_ISSUE,		/* direct: waits for its id to be free */
};

/*
 * `sqe` and `cmd` are written as a whole before anything reads them, and
 * dptr_release() leaves `data` empty, and request_free() the pointers after it
 * NULL: what has to be cleared for each command is little, and comes next.
 */
struct nvme_request {
	struct list node;	/* hub->waiting or host->inbox */
	struct sq *sq;
	u16 slot;		/* command id on the device; direct: cid is */
	u8 owner;
	struct nvme_request *next;	/* of those that are free, or at the
					 * device with ids of one bucket */
	struct nvme_sqe sqe;	/* the guest's; what the device gets of it */
	struct nvme_io_command cmd;
	struct dptr data;

	struct hub *new_hub;	/* Create CQ on its way */
	struct sq *new_sq;	/* Create SQ on its way */
	struct nvme_io_descriptor *own;	/* not the guest's: Sluice's */

	u8 stage;		/* from here to `private` zero at first */
	u8 next_entry;		/* of the chain; those before have seen it */
	bool has_place;		/* in the guest's completion queue */
	bool is_control;	/* control.h: the device never sees it */
	bool is_plain;		/* the device gets `sqe` as it is, but for cid */
	bool is_carrier;	/* `completion` is the answer */
	bool is_flush;		/* the device gets a Flush instead */
	bool is_paused;		/* by a hook */
	bool is_special;	/* direct: its completion is not the device's
				 * alone; counted while it is there */
	bool has_debt;		/* direct: counted, too */
	bool after_refresh;	/* waits until namespaces are read again */
	bool in_inbox;		/* atomic */
	bool is_finished;	/* in the inbox to be answered */
	bool is_retried;	/* in the inbox to be asked about again */
	u8 has_private;		/* a bit each: the word below is not stale */
	struct nvme_io_completion completion;
	u64 private[NVME_CHAIN_MAX];
};

#endif
