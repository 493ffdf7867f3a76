/* SPDX-License-Identifier: BSD-2-Clause */
/* Regions that are trapped, and whose an access is. */
#include <errno.h>

#include "../../core/mmio_dispatch.h"
#include "../../core/x86/cpu.h"
#include "../../core/x86/slat.h"
#include "../../core/x86/smp.h"
#include "fake_panic.h"
#include "log.h"
#include "test.h"

#define LIMIT (1ull << 40)
#define REGIONS 2048

/* ---- What mmio.c stands on ------------------------------------------------ */

static struct { u64 base, size; enum slat_access access; } last_access;
static u32 flush_count, later_count;
static int slat_error;

int slat_set_access(gpa_t base, u64 size, enum slat_access access)
{
	last_access.base = base.v;
	last_access.size = size;
	last_access.access = access;
	return slat_error;
}

void smp_flush_all(void)
{
	flush_count++;
}

void smp_flush_later(void)
{
	later_count++;
}

u64 cpu_physical_limit(void)
{
	return LIMIT;
}

void log_line(enum log_level level, const char *format, ...)
{
}

/* ---- A machine with regions ------------------------------------------------ */

static struct mmio_region regions[REGIONS + 1];
static struct mmio_region *asked;	/* the last whose handler ran */
static u64 asked_offset;

static void handle(struct mmio_region *region, struct mmio_access *access)
{
	asked = region;
	asked_offset = access->offset;
	access->value = 0x5a;
}

static int trap(u32 i, u64 base, u64 size)
{
	regions[i] = (struct mmio_region){
		.name = "test", .base = gpa(base), .size = size,
		.access = handle,
	};
	return mmio_register(&regions[i]);
}

/* Whose is it? NULL: nobody's. */
static struct mmio_region *access_at(u64 address, bool is_write)
{
	struct mmio_access access = { .size = 4, .is_write = is_write };

	asked = NULL;
	CHECK_EQ(mmio_dispatch(gpa(address), &access), asked != NULL);
	CHECK_EQ(access.value, asked ? 0x5a : 0);
	return asked;
}

static void check_owner(u64 address, struct mmio_region *owner)
{
	CHECK(access_at(address, false) == owner);
	if (owner)
		CHECK_EQ(asked_offset, address - owner->base.v);
}

/* Both ends of a region and what is next to them. */
static void check_region(struct mmio_region *region)
{
	check_owner(region->base.v, region);
	check_owner(region->base.v + region->size - 1, region);
	check_owner(region->base.v - 1, NULL);
	check_owner(region->base.v + region->size, NULL);
}

/* ---- Registering ----------------------------------------------------------- */

TEST(an_access_goes_to_the_region_it_falls_into)
{
	/* Neither from below nor from above. */
	CHECK_EQ(trap(0, 0xfee00000, PAGE_SIZE), 0);
	CHECK_EQ(trap(1, 0xe000000000, 2 * PAGE_SIZE), 0);
	CHECK_EQ(trap(2, 0xb0000000, 1 << 28), 0);
	CHECK_EQ(trap(3, 0xfee02000, PAGE_SIZE), 0);
	for (u32 i = 0; i < 4; i++)
		check_region(&regions[i]);
	check_owner(0, NULL);
	check_owner(LIMIT, NULL);
	check_owner(~0ull, NULL);
}

TEST(regions_side_by_side_are_two)
{
	CHECK_EQ(trap(0, 0x3000, PAGE_SIZE), 0);
	CHECK_EQ(trap(1, 0x2000, PAGE_SIZE), 0);
	CHECK_EQ(trap(2, 0x4000, PAGE_SIZE), 0);
	for (u32 i = 0; i < 3; i++)
		check_owner(regions[i].base.v + 0xfff, &regions[i]);
}

TEST(a_region_that_shares_a_page_with_another_is_refused)
{
	static const struct { u64 base, pages; } others[] = {
		{ 0x10000, 4 }, { 0xf000, 2 }, { 0x13000, 2 }, { 0x11000, 1 },
		{ 0, 64 },
	};

	CHECK_EQ(trap(0, 0x10000, 4 * PAGE_SIZE), 0);
	for (size_t i = 0; i < ARRAY_COUNT(others); i++)
		CHECK_EQ(trap(1, others[i].base, others[i].pages * PAGE_SIZE),
			 (u64)-EEXIST);
	check_region(&regions[0]);
}

TEST(a_region_that_is_no_range_of_pages_is_refused)
{
	CHECK_EQ(trap(0, 0x1000, 0), (u64)-EINVAL);
	CHECK_EQ(trap(0, 0x1800, PAGE_SIZE), (u64)-EINVAL);
	CHECK_EQ(trap(0, 0x1000, 0x800), (u64)-EINVAL);
	CHECK_EQ(trap(0, LIMIT - PAGE_SIZE, 2 * PAGE_SIZE), (u64)-EINVAL);
	CHECK_EQ(trap(0, -PAGE_SIZE, PAGE_SIZE), (u64)-EINVAL);
	CHECK_EQ(trap(0, LIMIT - PAGE_SIZE, PAGE_SIZE), 0);
	check_owner(LIMIT - 1, &regions[0]);
}

TEST(a_region_that_cannot_be_trapped_is_not_there)
{
	slat_error = -ENOMEM;
	CHECK_EQ(trap(0, 0x1000, PAGE_SIZE), (u64)-ENOMEM);
	check_owner(0x1000, NULL);
	slat_error = 0;
	CHECK_EQ(trap(0, 0x1000, PAGE_SIZE), 0);
	check_owner(0x1000, &regions[0]);
}

static void trap_unregistered(void)
{
	regions[1] = regions[0];
	mmio_unregister(&regions[1]);
}

TEST(what_is_unregistered_is_nobodys)
{
	for (u32 i = 0; i < 5; i++)
		CHECK_EQ(trap(i, 0x10000 * (i + 1), PAGE_SIZE), 0);
	mmio_unregister(&regions[2]);
	mmio_unregister(&regions[4]);
	mmio_unregister(&regions[0]);
	CHECK_EQ(last_access.base, 0x10000);
	CHECK_EQ(last_access.access, SLAT_ALL);
	for (u32 i = 0; i < 5; i++)
		check_owner(0x10000 * (i + 1), i & 1 ? &regions[i] : NULL);
	CHECK_EQ(trap(0, 0x20000 - PAGE_SIZE, PAGE_SIZE), 0);
	check_owner(0x1f000, &regions[0]);
	CHECK_PANICS(trap_unregistered);
}

TEST(one_region_too_many_is_refused_and_the_others_stay)
{
	/* As far apart as together, from both ends to the middle. */
	for (u32 i = 0; i < REGIONS; i++) {
		u64 place = i & 1 ? i : 2 * REGIONS - i;

		CHECK_EQ(trap(i, 2 * PAGE_SIZE * (place + 1), PAGE_SIZE), 0);
	}
	CHECK_EQ(trap(REGIONS, 0, PAGE_SIZE), (u64)-ENOSPC);
	for (u32 i = 0; i < REGIONS; i++)
		check_region(&regions[i]);
	for (u32 i = 0; i < REGIONS; i++)
		mmio_unregister(&regions[i]);
	check_owner(2 * PAGE_SIZE, NULL);
	CHECK_EQ(trap(0, 0, PAGE_SIZE), 0);
}

/* ---- What is trapped ------------------------------------------------------- */

static const struct {
	enum mmio_traps traps;
	enum slat_access access;
	bool read, write;
} kinds[] = {
	{ MMIO_TRAPS_ALL, SLAT_NONE, true, true },
	{ MMIO_TRAPS_WRITES, SLAT_READ, false, true },
	{ MMIO_TRAPS_NOTHING, SLAT_ALL, false, false },
};

TEST(only_the_accesses_that_are_trapped_come)
{
	CHECK_EQ(trap(0, 0x1000, PAGE_SIZE), 0);
	for (size_t i = 0; i < ARRAY_COUNT(kinds); i++) {
		mmio_set_traps(&regions[0], kinds[i].traps);
		CHECK_EQ(last_access.access, kinds[i].access);
		CHECK_EQ(access_at(0x1000, false) != NULL, kinds[i].read);
		CHECK_EQ(access_at(0x1000, true) != NULL, kinds[i].write);
	}
}

TEST(who_traps_more_waits_for_all_cpus_and_who_traps_less_for_none)
{
	CHECK_EQ(trap(0, 0x1000, PAGE_SIZE), 0);
	CHECK_EQ(flush_count, 1);
	mmio_set_traps(&regions[0], MMIO_TRAPS_NOTHING);
	CHECK_EQ(flush_count, 1);
	CHECK_EQ(later_count, 1);
	mmio_set_traps(&regions[0], MMIO_TRAPS_WRITES);
	CHECK_EQ(flush_count, 2);
	mmio_unregister(&regions[0]);
	CHECK_EQ(flush_count, 3);
}
