/* SPDX-License-Identifier: BSD-2-Clause */
/* What the guest reaches: all but what is hidden and what is trapped. */
#include <errno.h>
#include <string.h>

#include "../../core/x86/cpu.h"
#include "../../core/x86/mtrr.h"
#include "../../core/x86/slat.h"
#include "bits.h"
#include "page.h"
#include "spec/x86.h"
#include "test.h"

#define ALL (PTE_PRESENT | PTE_WRITE | PTE_USER)
#define READ (PTE_PRESENT | PTE_USER)
#define HIDDEN 0x40000000ull
#define HIDDEN_SIZE 0x1000000ull
#define TIB (1ull << 40)
#define GIB (1ull << 30)

static const struct slat_format format = {
	.table = ALL, .leaf = { 0, READ, ALL }, .large = PTE_LARGE,
	.present_mask = PTE_PRESENT,
};
static unsigned levels(void)
{
	return 4;
}

static const struct vt back_end = {
	.slat = &format,
	.slat_levels = levels,
	.slat_has_1g_pages = cpu_has_1g_pages,
};
const struct vt *vt = &back_end;

static struct { u8 bytes[PAGE_SIZE]; } pages[4096]
	__attribute__((aligned(4096)));
static size_t page_used;

void *page_alloc(size_t count)
{
	CHECK_EQ(count, 1);
	CHECK(page_used < ARRAY_COUNT(pages));
	return memset(&pages[page_used++], 0, PAGE_SIZE);
}

hpa_t page_hpa(const void *memory)
{
	return hpa((u64)memory);
}

bool mtrr_changes_within(u64 base, u64 size)
{
	return false;
}

u64 cpu_physical_limit(void)
{
	return 1ull << 46;
}

bool cpu_has_1g_pages(void)
{
	return true;
}

/* As the processor walks. */
static u64 walk(u64 address)
{
	const u64 *entries = (const u64 *)slat_root().v;

	for (unsigned shift = 39;; shift -= 9) {
		u64 entry = entries[address >> shift & 511];

		if (!(entry & PTE_PRESENT))
			return 0;
		if (shift == 12 || entry & PTE_LARGE)
			return entry & ALL;
		entries = (const u64 *)(entry & PTE_ADDRESS);
	}
}

TEST(hidden_memory_can_be_made_neither_reachable_nor_a_trap)
{
	static const struct { u64 base, size; } cases[] = {
		{ HIDDEN, PAGE_SIZE },
		{ HIDDEN - PAGE_SIZE, 2 * PAGE_SIZE },
		{ HIDDEN + HIDDEN_SIZE - PAGE_SIZE, 2 * PAGE_SIZE },
		{ 0, TIB },
	};

	CHECK_EQ(slat_init(HIDDEN, HIDDEN_SIZE), 0);
	for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
		CHECK_EQ(slat_set_access(gpa(cases[i].base), cases[i].size,
					 SLAT_ALL), -EPERM);
		CHECK_EQ(slat_set_access(gpa(cases[i].base), cases[i].size,
					 SLAT_NONE), -EPERM);
	}
	CHECK_EQ(walk(HIDDEN), 0);
	CHECK_EQ(walk(HIDDEN + HIDDEN_SIZE - 1), 0);
	CHECK_EQ(walk(HIDDEN - 1), ALL);
}

TEST(what_lies_far_above_ram_is_mapped_when_touched)
{
	CHECK_EQ(slat_init(HIDDEN, HIDDEN_SIZE), 0);
	CHECK_EQ(walk(5 * TIB), 0);
	CHECK(slat_fill(gpa(5 * TIB + 123)));
	CHECK_EQ(walk(5 * TIB), ALL);
	/* Another CPU came at the same time: it only tries again. */
	CHECK(slat_fill(gpa(5 * TIB + 123)));
	CHECK(!slat_fill(gpa(HIDDEN)));
}

TEST(a_trap_far_above_ram_is_not_filled)
{
	static const u64 sizes[] = { PAGE_SIZE, 4 * PAGE_SIZE, GIB, 3 * GIB };

	CHECK_EQ(slat_init(HIDDEN, HIDDEN_SIZE), 0);
	for (size_t i = 0; i < ARRAY_COUNT(sizes); i++) {
		u64 base = (2 + i) * TIB + GIB, end = base + sizes[i];

		CHECK_EQ(slat_set_access(gpa(base), sizes[i], SLAT_NONE), 0);
		CHECK(!slat_fill(gpa(base)));
		CHECK(!slat_fill(gpa(end - 1)));
		CHECK(slat_fill(gpa(end)));
		CHECK(slat_fill(gpa(base - 1)));
		CHECK_EQ(walk(base), 0);
		CHECK_EQ(walk(end - 1), 0);
		CHECK_EQ(walk(end), ALL);
		CHECK_EQ(slat_set_access(gpa(base), sizes[i], SLAT_ALL), 0);
		CHECK_EQ(walk(base), ALL);
	}
}

TEST(a_trap_of_writes_far_above_ram_is_not_filled_either)
{
	CHECK_EQ(slat_init(HIDDEN, HIDDEN_SIZE), 0);
	CHECK_EQ(slat_set_access(gpa(TIB), PAGE_SIZE, SLAT_READ), 0);
	CHECK(!slat_fill(gpa(TIB)));
	CHECK_EQ(walk(TIB), READ);
}
