/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Ticket spin locks. The hypervisor takes no interrupts, so a lock is never
 * needed twice on one CPU; taking it twice is a bug that lock_assert_held()
 * and the ticket count make visible. No lock is held while the guest runs.
 */
#ifndef SLUICE_LOCK_H
#define SLUICE_LOCK_H

#include "barrier.h"
#include "types.h"

struct lock {
	u32 next;	/* ticket the next taker draws */
	u32 serving;	/* ticket that holds the lock */
};

static inline void lock_acquire(struct lock *lock)
{
	u32 ticket = __atomic_fetch_add(&lock->next, 1, __ATOMIC_RELAXED);

	while (__atomic_load_n(&lock->serving, __ATOMIC_ACQUIRE) != ticket)
		cpu_relax();
}

static inline bool lock_try(struct lock *lock)
{
	u32 serving = __atomic_load_n(&lock->serving, __ATOMIC_ACQUIRE);

	return __atomic_compare_exchange_n(&lock->next, &serving, serving + 1,
					   false, __ATOMIC_ACQUIRE,
					   __ATOMIC_RELAXED);
}

static inline void lock_release(struct lock *lock)
{
	__atomic_store_n(&lock->serving, lock->serving + 1, __ATOMIC_RELEASE);
}

/* True when somebody holds it: enough for an assertion, not for a decision. */
static inline bool lock_is_held(const struct lock *lock)
{
	return __atomic_load_n(&lock->serving, __ATOMIC_RELAXED) !=
	       __atomic_load_n(&lock->next, __ATOMIC_RELAXED);
}

#define lock_assert_held(lock) ASSERT(lock_is_held(lock))

#endif
