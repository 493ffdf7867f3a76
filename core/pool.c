/* SPDX-License-Identifier: BSD-2-Clause */
/* Fixed-size objects on a free list. */
#include <errno.h>

#include "bits.h"
#include "log.h"
#include "page.h"
#include "pool.h"

/* A free object's first word links to the next one. */
static void push(struct pool *pool, void *object)
{
	*(void **)object = pool->free;
	pool->free = object;
	pool->free_count++;
}

int pool_init(struct pool *pool, size_t object_size, size_t count)
{
	size_t size = align_up(MAX(object_size, sizeof(void *)), 16);

	*pool = (struct pool){ .object_size = size, .count = count };
	pool->page_count = align_up(size * count, PAGE_SIZE) / PAGE_SIZE;
	pool->memory = page_alloc(pool->page_count);
	if (!pool->memory)
		return -ENOMEM;
	for (size_t i = 0; i < count; i++)
		push(pool, (u8 *)pool->memory + i * size);
	return 0;
}

void pool_fini(struct pool *pool)
{
	ASSERT(pool->free_count == pool->count);
	page_free(pool->memory, pool->page_count);
	*pool = (struct pool){ 0 };
}

void *pool_get(struct pool *pool)
{
	void *object;

	lock_acquire(&pool->lock);
	object = pool->free;
	if (object) {
		pool->free = *(void **)object;
		pool->free_count--;
	}
	lock_release(&pool->lock);
	return object;
}

void pool_put(struct pool *pool, void *object)
{
	lock_acquire(&pool->lock);
	ASSERT(pool->free_count < pool->count);
	push(pool, object);
	lock_release(&pool->lock);
}
