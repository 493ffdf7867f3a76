/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Linear addresses of the guest: its page tables walked in software, for the
 * instruction behind an exit and its operands (APM vol. 2, chapter 5).
 */
#ifndef SLUICE_LINEAR_H
#define SLUICE_LINEAR_H

#include "barrier.h"
#include "types.h"
#include "vt.h"

struct cpu;

struct linear_fault {
	u64 address;
	u32 error;	/* as the #PF pushes it */
};

#define LINEAR_LEVELS 5

/* A walk and all that it has read: as long as that is the same, it is true. */
struct linear_walk {
	bool is_kept;
	u64 page;		/* linear */
	struct vt_paging paging;
	u32 count;		/* of entries; the others are their values */
	const u64 *entries[LINEAR_LEVELS];
	u64 values[LINEAR_LEVELS];
	u64 permissions;	/* AND of the entries */
	u64 base;		/* guest-physical, of the page */
	const u8 *memory;	/* the page; NULL: not RAM */
};

/* Are the entries what they were? All are looked at in one go: there is mostly
 * no difference that could end it early. */
static inline bool linear_is_same(const struct linear_walk *walk)
{
	u64 differences = 0;

#pragma GCC unroll 5
	for (u32 i = 0; i < LINEAR_LEVELS; i++)
		differences |= READ_ONCE(*walk->entries[i]) ^ walk->values[i];
	return !differences;
}

#define LINEAR_WALKS 4		/* kept; a power of two */

/*
 * Both need load_context(). Where `linear` is now, for a read or write by the guest's code. 0, or
 * -EFAULT with `fault` filled in. Does not set accessed and dirty bits.
 */
int linear_translate(struct cpu *cpu, u64 linear, bool is_write, gpa_t *out,
		     struct linear_fault *fault);

#define LINEAR_FETCH_SIZE 16	/* the longest instruction and a byte */

/* Code bytes at the guest's rip. Returns how many could be read. */
size_t linear_fetch(struct cpu *cpu, u8 bytes[LINEAR_FETCH_SIZE]);

/*
 * The walk to the page of that code, for later: it stays true as long as
 * page, paging and all entries are the same, and is for a reader then. Needs
 * load_context(). False: the code is not in one page of RAM, or cannot be
 * kept.
 */
bool linear_walk_code(const struct cpu *cpu, struct linear_walk *out);

#endif
