/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Fixed-size objects for the I/O path, all allocated when the pool is made.
 * An empty pool means "later", never failure: the caller waits for a put.
 */
#ifndef SLUICE_POOL_H
#define SLUICE_POOL_H

#include "lock.h"
#include "types.h"

struct pool {
	struct lock lock;
	void *free;		/* singly linked through the objects */
	size_t free_count;
	size_t count;
	size_t object_size;
	void *memory;
	size_t page_count;
};

/* Objects of PAGE_SIZE are page-aligned. -ENOMEM. */
int pool_init(struct pool *pool, size_t object_size, size_t count);
void pool_fini(struct pool *pool);

/* Not zeroed. NULL when empty. Any CPU. */
void *pool_get(struct pool *pool);
void pool_put(struct pool *pool, void *object);

#endif
