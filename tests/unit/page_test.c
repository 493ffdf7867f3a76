/* SPDX-License-Identifier: BSD-2-Clause */
/* The page allocator in an arena of 64 pages: one of them is its map. */
#include <errno.h>
#include <string.h>

#include "bits.h"
#include "fake_panic.h"
#include "memory.h"
#include "page.h"

#define PAGE_COUNT 64
#define USABLE (PAGE_COUNT - 1)

static u8 arena[PAGE_COUNT * PAGE_SIZE] __attribute__((aligned(4096)));

static void start(void)
{
	memset(arena, 0xa5, sizeof(arena));
	CHECK_EQ(page_init((u64)arena, sizeof(arena)), 0);
	CHECK_EQ(page_free_count(), USABLE);
}

static bool is_zero(const u8 *memory, size_t size)
{
	for (size_t i = 0; i < size; i++)
		if (memory[i])
			return false;
	return true;
}

TEST(pages_are_aligned_zeroed_and_inside_the_arena)
{
	u8 *pages;

	start();
	pages = page_alloc(3);
	CHECK(pages && is_aligned((u64)pages, PAGE_SIZE));
	CHECK(range_inside(pages - arena, 3 * PAGE_SIZE, sizeof(arena)));
	CHECK(is_zero(pages, 3 * PAGE_SIZE));
	CHECK_EQ(page_hpa(pages).v, (u64)pages);
	CHECK_EQ(page_free_count(), USABLE - 3);
}

TEST(a_page_that_was_used_is_zeroed_again)
{
	u8 *page;

	start();
	page = page_alloc(1);
	memset(page, 0x77, PAGE_SIZE);
	page_free(page, 1);
	CHECK(page_alloc(1) == page);
	CHECK(is_zero(page, PAGE_SIZE));
}

TEST(the_last_page_is_given_and_then_none)
{
	start();
	for (size_t i = 0; i < USABLE; i++)
		CHECK(page_alloc(1));
	CHECK(!page_alloc(1));
	CHECK_EQ(page_free_count(), 0);
}

TEST(all_pages_can_be_one_run)
{
	u8 *all;

	start();
	CHECK(!page_alloc(USABLE + 1));
	all = page_alloc(USABLE);
	CHECK(all);
	page_free(all, USABLE);
	CHECK_EQ(page_free_count(), USABLE);
}

TEST(nothing_is_given_for_no_pages_or_for_absurdly_many)
{
	start();
	CHECK(!page_alloc(0));
	CHECK(!page_alloc(SIZE_MAX));
	CHECK(!page_alloc(SIZE_MAX - PAGE_COUNT / 2));
	CHECK_EQ(page_free_count(), USABLE);
}

TEST(a_run_is_found_only_where_it_is_contiguous)
{
	u8 *pages[USABLE];

	start();
	for (size_t i = 0; i < USABLE; i++)
		pages[i] = page_alloc(1);
	for (size_t i = 0; i < USABLE; i += 2)
		page_free(pages[i], 1);
	CHECK_EQ(page_free_count(), USABLE / 2 + 1);
	CHECK(!page_alloc(2));
	page_free(pages[31], 1);
	CHECK(page_alloc(3) == pages[30]);
	CHECK(page_alloc(1) == pages[0]);
}

static void check_filled(const u8 *memory, size_t count, u8 value)
{
	for (size_t i = 0; i < count * PAGE_SIZE; i += 512)
		CHECK_EQ(memory[i], value);
}

/* Sixteen owners, each of whom fills its pages with its own number. */
TEST(no_page_is_given_twice_and_none_is_lost)
{
	struct { u8 *memory; size_t count; } held[16] = { 0 };
	size_t held_pages = 0;

	start();
	srand(1);
	for (unsigned step = 0; step < 20000; step++) {
		unsigned i = rand() % ARRAY_COUNT(held);

		if (held[i].memory) {
			check_filled(held[i].memory, held[i].count, i + 1);
			page_free(held[i].memory, held[i].count);
			held_pages -= held[i].count;
			held[i].memory = NULL;
			continue;
		}
		held[i].count = 1 + rand() % 8;
		held[i].memory = page_alloc(held[i].count);
		if (held[i].memory) {
			held_pages += held[i].count;
			memset(held[i].memory, i + 1,
			       held[i].count * PAGE_SIZE);
		}
		CHECK_EQ(page_free_count(), USABLE - held_pages);
	}
}

TEST(too_little_memory_is_refused)
{
	CHECK_EQ(page_init((u64)arena, 0), (u64)-ENOMEM);
	CHECK_EQ(page_init((u64)arena, PAGE_SIZE), (u64)-ENOMEM);
	CHECK_EQ(page_init((u64)arena, 2 * PAGE_SIZE), 0);
	CHECK(page_alloc(1) && !page_alloc(1));
}

static void free_twice(void)
{
	void *page = page_alloc(1);

	page_free(page, 1);
	page_free(page, 1);
}

static void free_too_many(void)
{
	page_free(page_alloc(2), 3);
}

static void free_unaligned(void)
{
	page_free((u8 *)page_alloc(1) + 8, 1);
}

static void free_below(void)
{
	page_free(arena - PAGE_SIZE, 1);
}

static void free_past_the_end(void)
{
	page_free(arena + sizeof(arena), 1);
}

TEST(freeing_what_was_not_given_is_our_mistake)
{
	start();
	CHECK_PANICS(free_twice);
	CHECK_PANICS(free_too_many);
	CHECK_PANICS(free_unaligned);
	CHECK_PANICS(free_below);
	CHECK_PANICS(free_past_the_end);
	page_free(NULL, 1);
	CHECK_EQ(page_free_count(), USABLE);
}
