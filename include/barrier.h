/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Memory shared with hardware, the guest or another CPU. x86-64 keeps loads
 * in order with loads and stores with stores for write-back memory (AMD APM
 * vol. 2, 7.2), so read and write barriers only bind the compiler; a store
 * followed by a load needs barrier_full(). Each use names the two accesses
 * it orders.
 */
#ifndef SLUICE_BARRIER_H
#define SLUICE_BARRIER_H

#define READ_ONCE(x) __atomic_load_n(&(x), __ATOMIC_RELAXED)
#define WRITE_ONCE(x, value) __atomic_store_n(&(x), value, __ATOMIC_RELAXED)

/* Of what makes other memory valid: read before all that is read after it,
 * written after all that was written before it. */
#define READ_FIRST(x) __atomic_load_n(&(x), __ATOMIC_ACQUIRE)
#define WRITE_LAST(x, value) __atomic_store_n(&(x), value, __ATOMIC_RELEASE)

#define barrier_compiler() __asm__ volatile("" ::: "memory")
#define barrier_read() barrier_compiler()
#define barrier_write() barrier_compiler()
#define barrier_full() __atomic_thread_fence(__ATOMIC_SEQ_CST)

/* In every loop that waits for someone else's store. */
#define cpu_relax() __asm__ volatile("pause" ::: "memory")

#endif
