/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Stores of the guest to trapped pages, kept with all that was found out when
 * they were emulated. A driver rings its doorbells from few places: the next
 * time, what was found is compared, and the store done. Compared is all of it:
 * this is no TLB, and no cache of code.
 */
#ifndef SLUICE_SITE_H
#define SLUICE_SITE_H

#include "../mmio_dispatch.h"
#include "insn.h"
#include "linear.h"
#include "types.h"
#include "vt.h"

struct cpu;

#define SITE_COUNT 6
#define SITE_MISSES 8		/* until one makes room */
#define SITE_WORDS (LINEAR_FETCH_SIZE / sizeof(u64))

struct site {
	u64 rip;
	struct linear_walk walk;	/* to the code; zero: no site */
	u64 words[SITE_WORDS];		/* the code */
	struct mmio_place place;
	/* Where to: only the offset in the page is of interest. */
	u64 displacement;
	u8 base, index, scale;
	u8 length;			/* of the instruction */
	u8 size, reg;
	u16 last_offset;		/* of one that ends in the page */
	u64 mask, immediate;		/* what of `reg`, or instead of it */
};

struct site_list {
	u32 last;			/* that was found */
	u32 next;			/* to be replaced */
	u32 miss_count;			/* when there was no room */
	struct site sites[SITE_COUNT];
};

/* Does the store that has exited, if it is known. False: nothing was done. */
bool site_execute(struct cpu *cpu, const struct vt_exit *exit);

/*
 * Keeps a store: insn_is_store(), of `bytes` at the guest's rip, that reaches
 * exit->slat.address. Those in 64-bit code, without a segment's base, of a
 * whole register or a constant; others are not kept. Needs load_context().
 */
void site_keep(struct cpu *cpu, const struct vt_exit *exit,
	       const struct insn *insn, const u8 *bytes);

#endif
