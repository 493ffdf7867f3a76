/* SPDX-License-Identifier: BSD-2-Clause */
/* Timers: a list, looked through when the first may be due. */
#include "barrier.h"
#include "bits.h"
#include "clock.h"
#include "lock.h"
#include "timer.h"

#define NEVER (~0ull)

static struct lock lock;
static struct list timers = LIST_INIT(timers);
static HOT_DATA u64 next_us = NEVER;	/* the first deadline; read without the lock */

static void find_next(void)
{
	struct list *node;
	u64 first = NEVER;

	list_for_each(node, &timers)
		first = MIN(first, container_of(node, struct timer,
						node)->deadline_us);
	WRITE_ONCE(next_us, first);
}

void timer_set(struct timer *timer, u64 deadline_us)
{
	lock_acquire(&lock);
	if (!timer->is_set)
		list_add_tail(&timers, &timer->node);
	timer->is_set = true;
	timer->deadline_us = MIN(deadline_us, NEVER - 1);
	find_next();
	lock_release(&lock);
}

bool timer_is_pending(void)
{
	return READ_ONCE(next_us) != NEVER;
}

u64 timer_next_us(void)
{
	return READ_ONCE(next_us);
}

static struct timer *take_due(u64 now_us)
{
	struct timer *due = NULL;
	struct list *node;

	lock_acquire(&lock);
	list_for_each(node, &timers) {
		struct timer *timer = container_of(node, struct timer, node);

		if (timer->deadline_us <= now_us &&
		    (!due || timer->deadline_us < due->deadline_us))
			due = timer;
	}
	if (due) {
		list_remove(&due->node);
		due->is_set = false;
		find_next();
	}
	lock_release(&lock);
	return due;
}

void timer_run(void)
{
	struct timer *due;
	u64 now_us;

	if (!timer_is_pending())
		return;
	now_us = clock_now_us();
	if (now_us < READ_ONCE(next_us))
		return;
	/* Those that are set again meanwhile have their turn later. */
	while ((due = take_due(now_us)))
		due->fire(due);
}
