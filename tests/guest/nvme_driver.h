/* SPDX-License-Identifier: BSD-2-Clause */
/* A small NVMe driver for the controller that the test build brings along. */
#ifndef SLUICE_NVME_DRIVER_H
#define SLUICE_NVME_DRIVER_H

#include "payload.h"
#include "spec/nvme.h"

/* A submission queue and the completion queue that is its own. */
struct queue_pair {
	u16 id;
	u32 size, tail, head;
	u16 next_cid;
	bool phase;
	struct nvme_sqe *sqes;
	volatile struct nvme_cqe *cqes;
};

/* Pages of ordinary memory, for queues and data. */
enum driver_page {
	PAGE_ADMIN_SQ, PAGE_ADMIN_CQ, PAGE_SQ, PAGE_CQ, PAGE_LIST,
	PAGE_LIST_2, PAGE_SQ_2, PAGE_CQ_2, PAGE_DATA_2,
	PAGE_DATA = PAGE_DATA_2 + 2,
};
u8 *driver_page(unsigned index);

/* False, and the payload is skipped: this build has no such controller. */
bool driver_is_there(void);

/* Where BAR 0 says the registers are; again after a change of it. */
void driver_look(void);
volatile u8 *nvme_bar(u32 offset);
u32 nvme_read(u32 offset);
void nvme_write(u32 offset, u32 value);
void nvme_ring(u16 id, bool is_cq, u32 value);
bool nvme_wait_csts(u32 mask, u32 wanted);

/* Memory decode on, reset, queues of 16, enabled; then I/O pair 1 or 2. */
bool driver_start(struct queue_pair *admin);
bool driver_disable(void);
u16 driver_create(struct queue_pair *admin, struct queue_pair *io, u16 id,
		  bool has_interrupt);

/* Completions come by the vector, or not any more. */
void driver_set_message(u8 vector);
void driver_stop_messages(void);

/* Into the ring; cid. Then the doorbell for all of them. */
u16 driver_put(struct queue_pair *pair, struct nvme_sqe *sqe);
void driver_ring(const struct queue_pair *pair);
/* False: none is there. */
bool driver_poll(struct queue_pair *pair, struct nvme_cqe *cqe);
/* Put, ring, wait; checks cid and ids, returns the status without DNR. */
u16 driver_run(struct queue_pair *pair, struct nvme_sqe *sqe);
u16 driver_rw(struct queue_pair *io, u8 opcode, u64 lba, u8 *data, u32 size);

/* PRPs; the list page's last entry leads on when `list` is near its end. */
void driver_set_prps(struct nvme_sqe *sqe, u8 *data, u32 size, u64 *list);

#endif
