/* SPDX-License-Identifier: BSD-2-Clause */
/* Microseconds from the TSC, whose rate the loader has measured. */
#include "bits.h"
#include "clock.h"
#include "clock_init.h"
#include "x86/cpu.h"

static u64 start;
static u64 us_per_tick_32;	/* fraction of 2^32 */
static u64 ticks_per_s;

void clock_init(u64 tsc_hz)
{
	start = rdtsc();
	ticks_per_s = tsc_hz;
	us_per_tick_32 = (1000000ull << 32) / MAX(tsc_hz, 1000000ull);
}

u64 clock_now_us(void)
{
	return (unsigned __int128)(rdtsc() - start) * us_per_tick_32 >> 32;
}

u64 clock_ticks(u64 us)
{
	return us * ticks_per_s / 1000000 + 1;
}
