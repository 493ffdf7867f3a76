/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Memory type boundaries: the fixed ranges below 1 MiB, both ends of every
 * variable range, and AMD's top-of-memory registers (APM vol. 2, 7.7, 7.9).
 */
#include <string.h>

#include "bits.h"
#include "cpu.h"
#include "mtrr.h"
#include "spec/x86.h"

#define FIXED_END 0x100000ull
#define BOUNDARY_MAX 40

static u64 boundaries[BOUNDARY_MAX];
static unsigned boundary_count;

static void add(u64 address)
{
	if (address && boundary_count < BOUNDARY_MAX)
		boundaries[boundary_count++] = address;
}

static void add_variable(unsigned index)
{
	u64 base = rdmsr(MSR_MTRR_BASE(index)) & PTE_ADDRESS;
	u64 mask = rdmsr(MSR_MTRR_MASK(index));

	if (!(mask & MTRR_MASK_VALID))
		return;
	/* The lowest set bit of the mask is the size of the range. */
	mask &= PTE_ADDRESS;
	add(base);
	add(base + FIELD_LSB(mask));
}

static bool is_amd(void)
{
	u32 regs[4];

	cpuid(0, 0, regs);
	return regs[CPUID_EBX] == 0x68747541;	/* "Auth" */
}

void mtrr_init(void)
{
	unsigned count = rdmsr(MSR_MTRR_CAP) & MTRR_CAP_COUNT;

	boundary_count = 0;
	for (unsigned i = 0; i < MIN(count, 16u); i++)
		add_variable(i);
	if (is_amd()) {
		add(rdmsr(MSR_TOP_MEM) & PTE_ADDRESS);
		add(rdmsr(MSR_TOP_MEM2) & PTE_ADDRESS);
	}
}

bool mtrr_changes_within(u64 base, u64 size)
{
	if (base < FIXED_END)
		return true;
	for (unsigned i = 0; i < boundary_count; i++)
		if (boundaries[i] > base && boundaries[i] - base < size)
			return true;
	return false;
}
