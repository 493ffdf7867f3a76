/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What is to be done later. Sluice has no timer interrupt, they are all the
 * guest's: timers that are due are found at exits. Intel's processors can
 * exit when the first is due. Elsewhere, while one is pending, interrupts
 * exit and a CPU that halts waits in the host, so that an idle machine is on
 * time to some microseconds; a busy one is at its next exit.
 */
#ifndef SLUICE_TIMER_H
#define SLUICE_TIMER_H

#include "list.h"
#include "types.h"

/* The owner's; it must live on while it is set. */
struct timer {
	struct list node;
	u64 deadline_us;	/* as clock_now_us() */
	bool is_set;
	/* Called once, on any CPU, with no lock held; may set it again. */
	void (*fire)(struct timer *timer);
};

/* Any lock may be held. One that is set already gets the new deadline. */
void timer_set(struct timer *timer, u64 deadline_us);

/* Is any set? */
bool timer_is_pending(void);

/* When the first one is due; ~0 when none is set. */
u64 timer_next_us(void);

/* Calls those that are due. No lock held. */
void timer_run(void);

#endif
