/* SPDX-License-Identifier: BSD-2-Clause */
/* A step of what own.c does, for those who have some: own_identify.c and
 * own_pair.c. All with host->lock held. */
#ifndef SLUICE_NVME_OWN_STEP_H
#define SLUICE_NVME_OWN_STEP_H

#include "nvme.h"

enum own_next {
	OWN_SENT,	/* a command is on its way */
	OWN_NEXT,	/* nothing (more) to send: the next step */
	OWN_WAIT,	/* look again at the next exit */
};

struct own_step {
	enum own_next (*send)(struct nvme_host *host);
	/* The command's answer. False: the preparation has failed. */
	bool (*done)(struct nvme_host *host, u16 status, u32 result);
};

/* What send() ends with. Data is in host->own.page. */
enum own_next own_send(struct nvme_host *host, const struct nvme_sqe *sqe);
enum own_next own_identify(struct nvme_host *host, u8 cns, u32 nsid);

/* own_identify.c */
extern const struct own_step own_controller, own_list, own_namespace,
	own_guards, own_descriptors, own_use_namespaces;
/* own_pair.c */
extern const struct own_step own_queue_count, own_create_cq, own_create_sq,
	own_delete_sq, own_delete_cq;

#endif
