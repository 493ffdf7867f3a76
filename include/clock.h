/* SPDX-License-Identifier: BSD-2-Clause */
/* Time since launch, from the TSC. Every wait in Sluice has a deadline. */
#ifndef SLUICE_CLOCK_H
#define SLUICE_CLOCK_H

#include "types.h"

u64 clock_now_us(void);

/* The TSC's ticks in that time, up to minutes, or one more. */
u64 clock_ticks(u64 us);

static inline u64 clock_deadline_us(u64 from_now_us)
{
	return clock_now_us() + from_now_us;
}

static inline bool clock_is_past(u64 deadline_us)
{
	return clock_now_us() >= deadline_us;
}

#endif
