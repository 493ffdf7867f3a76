/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A guest's disk with an overlay before it, and a model of what the guest has
 * to see: the partition "data" is under the overlay, another may be its store.
 */
#ifndef FAKE_OVERLAID_H
#define FAKE_OVERLAID_H

#include "fake_gpt.h"
#include "fake_guest.h"

#define LBAS 16384
#define FIRST 4099		/* of "data": not where a chunk begins */
#define COUNT 4093

#define CAPACITY_EXCEEDED 0x4081
#define WRITE_PROTECTED 0x4020
#define INVALID_OPCODE 0x4001
#define OUT_OF_RANGE 0x4080
#define ACCESS_DENIED 0x4286

#define OVERLAY 1		/* target of orders */

struct overlaid {
	struct guest_cq cq;
	struct guest_sq sq;
	u8 *image;		/* what the drive has */
	u8 *buffer;		/* of every command: 1 MiB */
	u8 base[LBAS * 512];	/* what the drive had at first */
	u8 model[LBAS * 512];
};
extern struct overlaid overlaid;

/* A machine whose drive has bit buckets, and which takes orders. */
void overlaid_boot(void);
void overlaid_line(const char *key, const char *value);
/* store: NULL, or another partition. */
void overlaid_make_disk(const struct fake_gpt_partition *store);
/* Up to where the guest has its queues; and again after a reset. */
void overlaid_attach(void);
void overlaid_reset(void);

/* Commands of the guest, and their status. The model is changed before. */
u16 overlaid_run(u8 opcode, u64 lba, u32 n_lbas);
u16 overlaid_write(u64 lba, u32 n_lbas, u8 content);
u16 overlaid_zero(u64 lba, u32 n_lbas);
u16 overlaid_discard(const struct nvme_dsm_range *ranges, u32 count);

/* 64 blocks at a time until there is no room: returns where that was. */
u32 overlaid_fill(void);

/* One that is taken. */
void overlaid_order(const char *text);

/* The guest reads what the model has; so all of the partition. */
void overlaid_check(u64 lba, u32 n_lbas);
void overlaid_check_all(void);
void overlaid_check_bit_bucket(void);

/* The same ones in every run. */
u32 overlaid_random(u64 *state, u32 limit);

#endif
