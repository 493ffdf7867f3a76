/* SPDX-License-Identifier: BSD-2-Clause */
/* boot/ram.c: whatever order firmware's map comes in, the list is the same. */
#include <string.h>

#include "../../boot/ram.h"
#include "test.h"

static struct boot_info info;

static void add(u64 base, u64 size)
{
	CHECK_EQ(ram_add(&info, base, size), 0);
}

static void check_ranges(const struct ram_range *expected, u32 count)
{
	CHECK_EQ(info.ram_count, count);
	for (u32 i = 0; i < count; i++) {
		CHECK_EQ(info.ram[i].base, expected[i].base);
		CHECK_EQ(info.ram[i].size, expected[i].size);
	}
}

TEST(ranges_are_sorted_and_neighbours_merged)
{
	static const struct ram_range expected[] = {
		{ 0, 0xa0000 }, { 0x100000, 0x300000 }, { 1ull << 32, 0x1000 },
	};

	info.ram_count = 0;
	add(1ull << 32, 0x1000);
	add(0x200000, 0x100000);
	add(0, 0xa0000);
	add(0x100000, 0x100000);
	add(0x300000, 0x100000);
	add(0x500000, 0);
	check_ranges(expected, 3);
}

TEST(a_range_over_several_swallows_them)
{
	static const struct ram_range expected[] = {
		{ 0x1000, 0x1000 }, { 0x3000, 0x9000 }, { 0x20000, 0x1000 },
	};

	info.ram_count = 0;
	add(0x1000, 0x1000);
	add(0x4000, 0x1000);
	add(0x6000, 0x1000);
	add(0xa000, 0x2000);
	add(0x20000, 0x1000);
	add(0x3000, 0x8000);
	check_ranges(expected, 3);
}

TEST(a_full_list_says_so_but_still_merges)
{
	info.ram_count = 0;
	for (u64 i = 0; i < BOOT_RAM_RANGE_MAX; i++)
		add(i * 0x2000, 0x1000);
	CHECK_EQ(ram_add(&info, 1ull << 40, 0x1000), -28);
	CHECK_EQ(info.ram_count, BOOT_RAM_RANGE_MAX);
	add(0x1000, 0x1000);
	CHECK_EQ(info.ram_count, BOOT_RAM_RANGE_MAX - 1);
}
