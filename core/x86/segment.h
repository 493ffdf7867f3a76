/* SPDX-License-Identifier: BSD-2-Clause */
/* The segment registers of the running CPU, at launch. */
#ifndef SLUICE_SEGMENT_H
#define SLUICE_SEGMENT_H

#include "spec/x86.h"
#include "types.h"

/* As the descriptor table has it; all zero for a null selector. */
struct segment segment_of(u16 selector);
/* In long mode: a TSS or an LDT. */
struct segment segment_of_system(u16 selector);

/* Base and limit. */
struct segment segment_gdtr(void);
struct segment segment_idtr(void);

/* By name: cs, ss, ds, es, fs, gs. */
#define SEGMENT_SELECTOR(name)                                    \
	({                                                        \
		u16 selector_;                                    \
		__asm__("mov %%" #name ", %0" : "=r"(selector_)); \
		selector_;                                        \
	})

#endif
