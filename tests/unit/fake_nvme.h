/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A controller: registers, admin commands, queues, namespaces in memory. It
 * works when the clock is read, believes what it is told, and fails the test
 * when it is told something a controller must not be told.
 */
#ifndef FAKE_NVME_H
#define FAKE_NVME_H

#include "spec/nvme.h"
#include "types.h"

#define FAKE_QUEUES 1024
#define FAKE_NAMESPACES 1100
#define FAKE_PENDING 8192
#define FAKE_RECORDS 65536

struct fake_queue {
	u64 base;		/* 0: not created */
	u32 size, head, tail;
	u16 cq_id;		/* of an SQ */
	bool phase, has_interrupt;
};

struct fake_namespace {
	u32 nsid;
	u8 lba_shift;
	u16 metadata_size;
	bool is_inline;
	u8 pi_type;		/* with its metadata: none but PI */
	u8 guard;		/* NVME_ELBAF_GUARD */
	u8 command_set;
	u64 n_lbas;
	u8 *data;		/* NULL: reads as zeroes */
};

struct fake_record {
	u16 sq_id;
	struct nvme_sqe sqe;
};

struct fake_nvme {
	/* Knobs, to be set before or at any time. */
	u64 cap;
	u32 ready_reads;	/* of CSTS until RDY is what EN is */
	u16 queue_limit;	/* I/O pairs it grants */
	u8 mdts;
	u32 nn;			/* of Identify; 0: as many as there are */
	u32 sgls;		/* of Identify */
	bool wants_no_memory;	/* of the host */
	bool has_guards, refuses_guards;	/* PI of two lengths */
	bool out_of_order;	/* complete any of those pending */
	bool is_stalled;	/* complete nothing more */
	bool is_gone;		/* pulled out: reads as ones, */
	bool reads_as_zero;	/* or, in some machines, as zeros */
	bool stalls_admin;
	bool is_ruthless;	/* what it does not know destroys all blocks */
	bool allows_nowhere;	/* data outside of all memory is dropped */
	/* May a command point there? NULL: anywhere. */
	bool (*may_reach)(u64 address, u64 size);
	u32 fail_countdown;	/* the n-th I/O command from now fails, */
	u16 fail_status;	/* with this; 0: no more */
	int refuse_opcode;	/* an admin opcode, or -1 */
	u16 refuse_status;

	/* What happened. */
	struct fake_record records[FAKE_RECORDS];
	u32 record_count;
	u32 doorbell_count;
	u32 interrupt_count;	/* of CQs with IEN */
	u32 abort_count;	/* that hit a pending command */
	struct nvme_host_memory_attributes host_memory;	/* count 0: none */
	u64 nssr, intms;
	bool interrupt_is_pending;

	/* Its state. */
	u32 cc, csts, aqa;
	u64 asq, acq;
	struct fake_queue sqs[FAKE_QUEUES], cqs[FAKE_QUEUES];
	struct fake_namespace namespaces[FAKE_NAMESPACES];
	u32 namespace_count;
	struct fake_record pending[FAKE_PENDING];
	u32 pending_count;
	u8 other[1 << 20];	/* the rest of the BAR */
};
extern struct fake_nvme fake_nvme;

/* Behind fake_machine, with one namespace: nsid 1, 512-byte blocks, 8 MiB. */
void fake_nvme_init(void);
struct fake_namespace *fake_nvme_add(u32 nsid, u8 lba_shift, u64 n_lbas);
/* As a function level reset does. */
void fake_nvme_reset(void);
/* One unit of work. */
void fake_nvme_tick(void);
/* Completes one pending event request. False: there is none. */
bool fake_nvme_event(u32 result);
/* Posts what no command asked for. */
void fake_nvme_post(u16 sq_id, u16 cid, u16 status, u32 result);
/* Commands seen with this opcode on I/O (or admin) queues. */
u32 fake_nvme_seen(bool is_admin, u8 opcode);
const struct nvme_sqe *fake_nvme_last(bool is_admin, u8 opcode);
void fake_nvme_forget(void);

#endif
