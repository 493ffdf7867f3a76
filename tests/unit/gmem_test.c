/* SPDX-License-Identifier: BSD-2-Clause */
/* What is guest RAM: pages of ours as it, one of them Sluice's. */
#include <errno.h>
#include <string.h>

#include "../../core/x86/gmem_init.h"
#include "gmem.h"
#include "test.h"

#define PAGES 8
#define PAGE(n) ((u64)memory + (n) * PAGE_SIZE)

static u8 memory[PAGES * PAGE_SIZE] __attribute__((aligned(4096)));
static struct boot_info info;

/* Pages [first, last) are RAM. */
static void add_ram(u32 first, u32 last)
{
	info.ram[info.ram_count++] = (struct ram_range){
		PAGE(first), PAGE(last) - PAGE(first),
	};
}

static void start(u32 own_first, u32 own_last)
{
	info.memory_base = PAGE(own_first);
	info.memory_size = PAGE(own_last) - PAGE(own_first);
	gmem_init(&info);
}

/* One character a page: '#' is the guest's RAM. */
static void check_map(const char *map)
{
	for (u32 i = 0; i < PAGES; i++) {
		void *expected = map[i] == '#' ? (void *)PAGE(i) : NULL;

		CHECK(gmem_map(gpa(PAGE(i)), PAGE_SIZE) == expected);
		CHECK_EQ(gmem_map(gpa(PAGE(i + 1) - 1), 1) != NULL,
			 map[i] == '#');
	}
}

TEST(ram_is_the_guests_but_for_sluices_in_the_middle_of_it)
{
	add_ram(0, 8);
	start(3, 5);
	check_map("###..###");
}

TEST(sluice_at_either_end_of_a_range_leaves_the_rest)
{
	add_ram(1, 4);
	add_ram(5, 8);
	start(1, 2);
	check_map("..##.###");
	start(3, 4);
	check_map(".##..###");
	start(5, 8);
	check_map(".###....");
}

TEST(a_range_that_is_all_sluices_is_none_of_the_guests)
{
	add_ram(0, 1);
	add_ram(2, 4);
	add_ram(6, 8);
	start(2, 4);
	check_map("#.....##");
	start(1, 7);
	check_map("#......#");
}

TEST(what_the_firmware_has_not_listed_is_not_ram)
{
	add_ram(2, 3);
	start(6, 7);
	check_map("..#.....");
	CHECK(!gmem_map(gpa(0), 1));
	CHECK(!gmem_map(gpa(~0ull), 1));
	CHECK(!gmem_map(gpa(PAGE(2)), ~0ull));
	CHECK(!gmem_map(gpa(PAGE(2) + 8), -8ull));
}

TEST(an_access_with_one_byte_outside_does_nothing)
{
	u64 word = 0x5a5a5a5a5a5a5a5a, same = word;

	add_ram(0, 4);
	start(2, 3);
	memset(memory, 0x11, sizeof(memory));
	CHECK_EQ(gmem_write(gpa(PAGE(2) - 7), &word, 8), (u64)-EFAULT);
	CHECK_EQ(gmem_write(gpa(PAGE(3) - 1), &word, 8), (u64)-EFAULT);
	for (size_t i = 0; i < sizeof(memory); i++)
		CHECK_EQ(memory[i], 0x11);
	CHECK_EQ(gmem_read(&word, gpa(PAGE(2) - 7), 8), (u64)-EFAULT);
	CHECK_EQ(gmem_read64(&word, gpa(PAGE(2))), (u64)-EFAULT);
	CHECK_EQ(word, same);
	CHECK_EQ(gmem_read64(&word, gpa(PAGE(2) - 8)), 0);
	CHECK_EQ(word, 0x1111111111111111);
	CHECK_EQ(gmem_write(gpa(PAGE(3)), &same, 8), 0);
	CHECK(!memcmp(memory + 3 * PAGE_SIZE, &same, 8));
}

TEST(a_device_is_never_handed_a_byte_of_sluices_or_an_interrupt)
{
	add_ram(0, 8);
	start(3, 5);
	CHECK(gmem_is_dma_safe(gpa(PAGE(0)), 3 * PAGE_SIZE));
	CHECK(!gmem_is_dma_safe(gpa(PAGE(0)), 3 * PAGE_SIZE + 1));
	CHECK(!gmem_is_dma_safe(gpa(PAGE(5) - 1), 1));
	CHECK(gmem_is_dma_safe(gpa(PAGE(5)), PAGE_SIZE));
	CHECK(gmem_is_dma_safe(gpa(0xfed00000), 0x100000));
	CHECK(!gmem_is_dma_safe(gpa(0xfed00000), 0x100001));
	CHECK(!gmem_is_dma_safe(gpa(0xfeefffff), 1));
	CHECK(!gmem_is_dma_safe(gpa(~0ull), 2));
}

TEST(around_an_address_is_what_a_device_may_be_handed_with_it)
{
	struct span low, high, far;

	add_ram(0, 8);
	start(3, 5);
	low = gmem_dma_span(gpa(PAGE(1) + 5));
	high = gmem_dma_span(gpa(PAGE(5)));
	far = gmem_dma_span(gpa(~0ull));
	CHECK(span_has(&low, PAGE(0), 3 * PAGE_SIZE));
	CHECK(!span_has(&low, PAGE(0), 3 * PAGE_SIZE + 1));
	CHECK(!span_has(&low, PAGE(5), 1));
	CHECK(span_has(&high, PAGE(5), 1));
	CHECK(!span_has(&high, PAGE(5) - 1, 2));
	CHECK(span_has(&far, -PAGE_SIZE, PAGE_SIZE));
	CHECK(!span_has(&far, -PAGE_SIZE, PAGE_SIZE + 1));
	for (u64 at = PAGE(3); at < PAGE(5); at += PAGE_SIZE - 1)
		CHECK(gmem_dma_span(gpa(at)).first >
		      gmem_dma_span(gpa(at)).last);
}

TEST(no_address_is_between_one_below_the_interrupt_window_and_one_above)
{
	struct span below, above;

	start(3, 5);
	below = gmem_dma_span(gpa(0xfed00000));
	above = gmem_dma_span(gpa(0xfef00000));
	CHECK_EQ(below.first, 0);
	CHECK_EQ(below.last, 0xfedfffff);
	CHECK_EQ(above.first, 0xfef00000);
	CHECK_EQ(above.last, PAGE(3) - 1);
	CHECK(!span_has(&SPAN_EMPTY, 0, 1));
	CHECK(!span_has(&SPAN_EMPTY, 1, 1));
}
