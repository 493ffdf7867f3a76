/* SPDX-License-Identifier: BSD-2-Clause */
/* Memory types and where they may change, as the MTRRs have it. */
#ifndef SLUICE_MTRR_H
#define SLUICE_MTRR_H

#include "types.h"

/* Reads this CPU's MTRRs; firmware keeps all CPUs' the same. */
void mtrr_init(void);

/* Is there a boundary strictly inside [base, base + size)? */
bool mtrr_changes_within(u64 base, u64 size);

/* As the processor numbers them (APM vol. 2, 7.7.1). */
enum mtrr_type {
	MTRR_UNCACHED = 0,
	MTRR_WRITE_THROUGH = 4,
	MTRR_WRITE_BACK = 6,
};

/* Of the 4 KiB page at `address`; other types than these may come back. */
enum mtrr_type mtrr_type(u64 address);

/* Is this MSR one of the MTRRs? */
bool mtrr_is_msr(u32 index);

#endif
