/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Linear addresses of the guest: its page tables walked in software, for the
 * instruction behind an exit and its operands (APM vol. 2, chapter 5).
 */
#ifndef SLUICE_LINEAR_H
#define SLUICE_LINEAR_H

#include "cpu.h"

struct linear_fault {
	u64 address;
	u32 error;	/* as the #PF pushes it */
};

/*
 * Where `linear` is now, for a read or write by the guest's code. 0, or
 * -EFAULT with `fault` filled in. Does not set accessed and dirty bits.
 */
int linear_translate(struct cpu *cpu, u64 linear, bool is_write, gpa_t *out,
		     struct linear_fault *fault);

/* Code bytes at the guest's rip; needs load_context(). Returns how many
 * could be read. */
size_t linear_fetch(struct cpu *cpu, u8 *bytes, size_t count);

#endif
