/* SPDX-License-Identifier: BSD-2-Clause */
/* A small NVMe driver, as the guest that drivers/nvme stands before. */
#ifndef FAKE_GUEST_H
#define FAKE_GUEST_H

#include "spec/nvme.h"
#include "types.h"

struct guest_cq {
	u16 id;
	u32 size, head;
	bool phase;
	volatile struct nvme_cqe *entries;
};

struct guest_sq {
	u16 id;
	u32 size, tail, head;	/* head: as the last completion said */
	u16 next_cid;
	struct guest_cq *cq;
	struct nvme_sqe *entries;
};

struct guest {
	struct guest_cq admin_cq;
	struct guest_sq admin;
	u32 page_size;
	u32 patience;		/* polls before it gives up */
};
extern struct guest guest;

/* Machine, controller, attach. */
void guest_boot(void);
u32 guest_read32(u32 offset);
void guest_write32(u32 offset, u32 value);
u32 guest_doorbell_stride(void);

/* CC as given, EN added. True: RDY within a few thousand polls. */
void guest_begin_enable(u32 cc);
bool guest_enable(u32 cc);
bool guest_wait_ready(bool is_ready);
void guest_set_admin(u32 sq_size, u32 cq_size);
bool guest_disable(void);
/* Boot and enable, 4 KiB pages. */
void guest_start(void);

/* Statuses of the create commands; 0: done. */
u16 guest_create_cq(struct guest_cq *cq, u16 id, u32 size, bool interrupts);
u16 guest_create_sq(struct guest_sq *sq, u16 id, u32 size,
		    struct guest_cq *cq);
u16 guest_delete(u8 opcode, u16 id);

/* Into the ring; the doorbell is rung apart. Returns the cid. */
u16 guest_put(struct guest_sq *sq, struct nvme_sqe *sqe);
void guest_ring(const struct guest_sq *sq);
bool guest_poll(struct guest_cq *cq, struct nvme_cqe *cqe);
/* The doorbell, too. */
void guest_consumed(const struct guest_cq *cq);
/* With interrupts coming in; false: it was not patient enough. */
bool guest_wait(struct guest_cq *cq, struct nvme_cqe *cqe);
void guest_idle(u32 ticks);
/* Put, ring, wait, consume. */
u16 guest_run(struct guest_sq *sq, struct nvme_sqe *sqe, u32 *result);
u16 guest_admin(u8 opcode, u32 nsid, u32 cdw10, u32 cdw11, void *data);

/* A plug-in's list (control.h), in `page` until its next use; and an order to
 * it, by way of `page`. */
const char *guest_list(u32 target, void *page);
u16 guest_order(u32 target, const char *text, void *page);

/* PRPs for a buffer of guest RAM, list pages as needed. */
void guest_set_prps(struct nvme_sqe *sqe, void *data, u64 size);
struct nvme_sqe guest_rw(u8 opcode, u64 lba, u32 n_lbas, void *data);

#endif
