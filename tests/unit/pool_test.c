/* SPDX-License-Identifier: BSD-2-Clause */
/* Pools on the real page allocator. */
#include <errno.h>
#include <string.h>

#include "bits.h"
#include "fake_panic.h"
#include "memory.h"
#include "page.h"
#include "pool.h"

static u8 arena[32 * PAGE_SIZE] __attribute__((aligned(4096)));
static struct pool pool;

static void start(size_t object_size, size_t count)
{
	CHECK_EQ(page_init((u64)arena, sizeof(arena)), 0);
	CHECK_EQ(pool_init(&pool, object_size, count), 0);
}

static const struct { size_t size, count, alignment, pages; } shapes[] = {
	{ 1, 256, 16, 1 },
	{ 24, 100, 16, 1 },
	{ 200, 20, 16, 2 },
	{ PAGE_SIZE, 5, PAGE_SIZE, 5 },
	{ PAGE_SIZE + 8, 3, 16, 4 },
};

/* Each object is filled to its last byte; a shared one would show. */
static void fill_and_check(size_t size, size_t count, size_t alignment)
{
	u8 *objects[256];

	for (size_t i = 0; i < count; i++) {
		objects[i] = pool_get(&pool);
		CHECK(objects[i] && is_aligned((u64)objects[i], alignment));
		memset(objects[i], i, size);
	}
	CHECK(!pool_get(&pool));
	for (size_t i = 0; i < count; i++) {
		CHECK_EQ(objects[i][0], (u8)i);
		CHECK_EQ(objects[i][size - 1], (u8)i);
		pool_put(&pool, objects[i]);
	}
}

TEST(every_object_is_its_own_memory_and_comes_back)
{
	for (size_t i = 0; i < ARRAY_COUNT(shapes); i++) {
		size_t before;

		start(shapes[i].size, shapes[i].count);
		before = page_free_count();
		CHECK_EQ(pool.page_count, shapes[i].pages);
		fill_and_check(shapes[i].size, shapes[i].count,
			       shapes[i].alignment);
		fill_and_check(shapes[i].size, shapes[i].count,
			       shapes[i].alignment);
		pool_fini(&pool);
		CHECK_EQ(page_free_count(), before + shapes[i].pages);
	}
}

TEST(a_pool_that_does_not_fit_is_refused_and_takes_nothing)
{
	size_t before;

	start(16, 1);
	before = page_free_count();
	CHECK_EQ(pool_init(&pool, PAGE_SIZE, before + 1), (u64)-ENOMEM);
	CHECK_EQ(page_free_count(), before);
}

static void put_one_too_many(void)
{
	u8 foreign[64];

	pool_put(&pool, foreign);
}

static void fini_while_one_is_out(void)
{
	pool_get(&pool);
	pool_fini(&pool);
}

TEST(an_object_that_was_not_taken_or_is_not_back_is_our_mistake)
{
	start(64, 4);
	CHECK_PANICS(put_one_too_many);
	CHECK_PANICS(fini_while_one_is_out);
}
