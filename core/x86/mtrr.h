/* SPDX-License-Identifier: BSD-2-Clause */
/* Where memory types may change, as the firmware has set them up. */
#ifndef SLUICE_MTRR_H
#define SLUICE_MTRR_H

#include "types.h"

/* Reads this CPU's MTRRs; firmware keeps all CPUs' the same. */
void mtrr_init(void);

/* Is there a boundary strictly inside [base, base + size)? */
bool mtrr_changes_within(u64 base, u64 size);

#endif
