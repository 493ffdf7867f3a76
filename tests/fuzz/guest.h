/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The guest that an input drives: a controller with the plug-in "double"
 * before it, RAM to point at, pages of Sluice's that nobody may point at,
 * and an account of what Sluice has taken and must give back.
 */
#ifndef SLUICE_FUZZ_GUEST_H
#define SLUICE_FUZZ_GUEST_H

#include "fuzz.h"
#include "spec/nvme.h"

#define FUZZ_RAM_PAGES 16

extern u8 *fuzz_ram;

/* True the first time. */
bool fuzz_boot(void);
/* The controller is disabled, and all that an input may have changed is as
 * at first. */
void fuzz_begin(void);
/* Sluice's memory that commands may point to, all but its lists and copies:
 * a plug-in's buffers. */
void *fuzz_buffers(size_t page_count, u64 *address);
/* Disables it and audits. What the plug-in holds was let go before. */
void fuzz_end(void);

/* Does the device post into the guest's own queue, and nobody else? */
bool fuzz_is_watched(u16 cq_id);

/* What a guest may write where an address is expected. */
u64 fuzz_address(struct input *in);
/* Fills a page of fuzz_ram with addresses, as a PRP list, or with
 * descriptors, as segments of an SGL. */
void fuzz_fill_list(struct input *in);
/* A command: mostly opcodes and fields that mean something. */
void fuzz_fill_sqe(struct input *in, struct nvme_sqe *sqe, bool is_admin);

#endif
