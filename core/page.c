/* SPDX-License-Identifier: BSD-2-Clause */
/* Pages of the reserved memory: one bit a page, first fit. */
#include <errno.h>
#include <string.h>

#include "barrier.h"
#include "bits.h"
#include "lock.h"
#include "log.h"
#include "memory.h"
#include "page.h"

static struct lock lock;
static u8 *used;		/* one bit a page */
static u64 first;		/* address of page 0 */
static size_t page_count;
static size_t free_count;
static size_t search_start;	/* no free page below */

static bool is_used(size_t page)
{
	return used[page / 8] & 1u << page % 8;
}

static void set_used(size_t page, size_t count, bool on)
{
	for (size_t i = page; i < page + count; i++) {
		ASSERT(is_used(i) != on);
		used[i / 8] ^= 1u << i % 8;
	}
	WRITE_ONCE(free_count,
		   on ? free_count - count : free_count + count);
}

int page_init(u64 base, u64 size)
{
	size_t map_pages;

	page_count = size / PAGE_SIZE;
	map_pages = align_up(page_count / 8 + 1, PAGE_SIZE) / PAGE_SIZE;
	if (page_count <= map_pages)
		return -ENOMEM;
	used = (u8 *)base;
	memset(used, 0, map_pages * PAGE_SIZE);
	first = base;
	free_count = page_count;
	set_used(0, map_pages, true);
	search_start = map_pages;
	return 0;
}

/* Length of the free run at `page`, as far as `wanted`. */
static size_t run_length(size_t page, size_t wanted)
{
	size_t length = 0;

	while (length < wanted && page + length < page_count &&
	       !is_used(page + length))
		length++;
	return length;
}

static size_t find_run(size_t wanted)
{
	size_t page = search_start, length;

	while (page < page_count && is_used(page))
		page++;
	search_start = page;
	for (; page + wanted <= page_count; page += length + 1) {
		length = run_length(page, wanted);
		if (length == wanted)
			return page;
	}
	return page_count;
}

void *page_alloc(size_t count)
{
	void *memory = NULL;
	size_t page;

	lock_acquire(&lock);
	page = count ? find_run(count) : page_count;
	if (page < page_count) {
		set_used(page, count, true);
		memory = (void *)(first + page * PAGE_SIZE);
	}
	lock_release(&lock);
	if (memory)
		memset(memory, 0, count * PAGE_SIZE);
	return memory;
}

void page_free(void *pages, size_t count)
{
	size_t page = ((u64)pages - first) / PAGE_SIZE;

	if (!pages || !count)
		return;
	lock_acquire(&lock);
	ASSERT(is_aligned((u64)pages, PAGE_SIZE) &&
	       range_inside(page, count, page_count));
	set_used(page, count, false);
	search_start = MIN(search_start, page);
	lock_release(&lock);
}

hpa_t page_hpa(const void *memory)
{
	return hpa((u64)memory);	/* the host maps one to one */
}

void *page_pointer(hpa_t address)
{
	return (void *)address.v;
}

size_t page_free_count(void)
{
	return READ_ONCE(free_count);
}
