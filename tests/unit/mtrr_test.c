/* SPDX-License-Identifier: BSD-2-Clause */
/* Memory types against the rules of APM vol. 2, 7.7 and SDM vol. 3, 12.11. */
#include <string.h>

#include "../../core/x86/cpu.h"
#include "../../core/x86/mtrr.h"
#include "spec/x86.h"
#include "test.h"

#define MIB(n) ((u64)(n) << 20)
#define GIB(n) ((u64)(n) << 30)
#define WRITE_COMBINING 1
#define ENABLED (MTRR_DEFAULT_ENABLE | MTRR_DEFAULT_FIXED)

static u64 msrs[0x300];
static u64 top_memory2;

u64 rdmsr(u32 index)
{
	if (index == MSR_TOP_MEM2)
		return top_memory2;
	return index < 0x300 ? msrs[index] : 0;
}

void cpuid(u32 leaf, u32 subleaf, u32 regs[4])
{
	memset(regs, 0, 4 * sizeof(*regs));
	regs[CPUID_EBX] = 0x68747541;
}

static void start(u64 default_type)
{
	memset(msrs, 0, sizeof(msrs));
	top_memory2 = 0;
	msrs[MSR_MTRR_CAP] = MTRR_CAP_FIXED | 8;
	msrs[MSR_MTRR_DEFAULT] = default_type;
}

static void set_range(unsigned index, u64 base, u64 size, u8 type)
{
	msrs[MSR_MTRR_BASE(index)] = base | type;
	msrs[MSR_MTRR_MASK(index)] =
		(BITS(39, 12) & ~(size - 1)) | MTRR_MASK_VALID;
}

TEST(without_mtrrs_all_is_uncached)
{
	start(MTRR_WRITE_BACK);
	set_range(0, 0, GIB(1), MTRR_WRITE_BACK);
	mtrr_init();
	CHECK_EQ(mtrr_type(MIB(1)), MTRR_UNCACHED);
}

TEST(what_no_range_covers_has_the_default_type)
{
	start(ENABLED | MTRR_WRITE_BACK);
	set_range(0, GIB(2), GIB(1), MTRR_UNCACHED);
	mtrr_init();
	CHECK_EQ(mtrr_type(GIB(2) - 1), MTRR_WRITE_BACK);
	CHECK_EQ(mtrr_type(GIB(2)), MTRR_UNCACHED);
	CHECK_EQ(mtrr_type(GIB(3) - 1), MTRR_UNCACHED);
	CHECK_EQ(mtrr_type(GIB(3)), MTRR_WRITE_BACK);
}

TEST(ranges_that_are_not_valid_do_not_count)
{
	start(ENABLED | MTRR_WRITE_BACK);
	set_range(3, GIB(2), GIB(1), MTRR_UNCACHED);
	msrs[MSR_MTRR_MASK(3)] &= ~MTRR_MASK_VALID;
	mtrr_init();
	CHECK_EQ(mtrr_type(GIB(2)), MTRR_WRITE_BACK);
	CHECK(!mtrr_changes_within(GIB(1), GIB(3)));
}

TEST(where_ranges_overlap_the_stronger_type_holds)
{
	static const struct {
		u8 a, b, result;
	} rows[] = {
		{ MTRR_WRITE_BACK, MTRR_WRITE_BACK, MTRR_WRITE_BACK },
		{ MTRR_WRITE_BACK, MTRR_UNCACHED, MTRR_UNCACHED },
		{ MTRR_WRITE_BACK, MTRR_WRITE_THROUGH, MTRR_WRITE_THROUGH },
		{ MTRR_WRITE_THROUGH, MTRR_WRITE_BACK, MTRR_WRITE_THROUGH },
		{ MTRR_UNCACHED, MTRR_WRITE_THROUGH, MTRR_UNCACHED },
		{ WRITE_COMBINING, MTRR_WRITE_BACK, MTRR_UNCACHED },
	};

	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		start(ENABLED | MTRR_UNCACHED);
		set_range(0, 0, GIB(4), rows[i].a);
		set_range(1, GIB(1), GIB(1), rows[i].b);
		mtrr_init();
		CHECK_EQ(mtrr_type(GIB(1)), rows[i].result);
		CHECK_EQ(mtrr_type(GIB(2)), rows[i].a);
	}
}

TEST(the_first_mebibyte_has_its_own_registers)
{
	start(ENABLED | MTRR_WRITE_BACK);
	msrs[MSR_MTRR_FIXED_64K] = 0x0606060606060606;
	msrs[MSR_MTRR_FIXED_16K] = 0x0606060606060606;
	msrs[MSR_MTRR_FIXED_16K + 1] = 0x0101010101010101;
	msrs[MSR_MTRR_FIXED_4K + 7] = 0x0400000000000000;
	mtrr_init();
	CHECK_EQ(mtrr_type(0), MTRR_WRITE_BACK);
	CHECK_EQ(mtrr_type(0x9f000), MTRR_WRITE_BACK);
	CHECK_EQ(mtrr_type(0xa0000), WRITE_COMBINING);
	CHECK_EQ(mtrr_type(0xc0000), MTRR_UNCACHED);
	CHECK_EQ(mtrr_type(0xfe000), MTRR_UNCACHED);
	CHECK_EQ(mtrr_type(0xff000), MTRR_WRITE_THROUGH);
	CHECK_EQ(mtrr_type(0x100000), MTRR_WRITE_BACK);
	msrs[MSR_MTRR_DEFAULT] &= ~MTRR_DEFAULT_FIXED;
	mtrr_init();
	CHECK_EQ(mtrr_type(0xc0000), MTRR_WRITE_BACK);
}

TEST(types_change_at_both_ends_of_a_range_and_at_the_top_of_memory)
{
	start(ENABLED | MTRR_WRITE_BACK);
	set_range(0, GIB(2), GIB(1), MTRR_UNCACHED);
	top_memory2 = GIB(6);
	mtrr_init();
	CHECK(!mtrr_changes_within(GIB(1), GIB(1)));
	CHECK(mtrr_changes_within(GIB(1), GIB(1) + 1));
	CHECK(!mtrr_changes_within(GIB(2), GIB(1)));
	CHECK(mtrr_changes_within(GIB(2), GIB(2)));
	CHECK(mtrr_changes_within(GIB(5), GIB(2)));
	CHECK(mtrr_changes_within(0, 4096));
}

TEST(registers_of_memory_types_are_known)
{
	CHECK(mtrr_is_msr(0x200) && mtrr_is_msr(0x20f));
	CHECK(mtrr_is_msr(0x250) && mtrr_is_msr(0x259));
	CHECK(mtrr_is_msr(0x26f) && mtrr_is_msr(0x2ff));
	CHECK(!mtrr_is_msr(MSR_PAT) && !mtrr_is_msr(0xfe));
	CHECK(!mtrr_is_msr(0x251) && !mtrr_is_msr(0x270));
}
