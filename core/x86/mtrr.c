/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Memory types and where they change: the fixed ranges below 1 MiB, variable
 * ranges, and AMD's top-of-memory registers (APM vol. 2, 7.7, 7.9; Intel SDM
 * vol. 3, 12.11).
 */
#include <string.h>

#include "bits.h"
#include "cpu.h"
#include "mtrr.h"
#include "spec/x86.h"

#define FIXED_END 0x100000ull
#define FIXED_COUNT 11
#define VARIABLE_MAX 16
#define BOUNDARY_MAX (2 * VARIABLE_MAX + 2)

/* The registers of the fixed ranges and the size of each of their eight. */
static const struct {
	u32 msr, first, size;
} fixed_registers[] = {
	{ MSR_MTRR_FIXED_64K, 0x00000, 0x10000 },
	{ MSR_MTRR_FIXED_16K + 0, 0x80000, 0x4000 },
	{ MSR_MTRR_FIXED_16K + 1, 0xa0000, 0x4000 },
	{ MSR_MTRR_FIXED_4K + 0, 0xc0000, 0x1000 },
	{ MSR_MTRR_FIXED_4K + 1, 0xc8000, 0x1000 },
	{ MSR_MTRR_FIXED_4K + 2, 0xd0000, 0x1000 },
	{ MSR_MTRR_FIXED_4K + 3, 0xd8000, 0x1000 },
	{ MSR_MTRR_FIXED_4K + 4, 0xe0000, 0x1000 },
	{ MSR_MTRR_FIXED_4K + 5, 0xe8000, 0x1000 },
	{ MSR_MTRR_FIXED_4K + 6, 0xf0000, 0x1000 },
	{ MSR_MTRR_FIXED_4K + 7, 0xf8000, 0x1000 },
};

_Static_assert(ARRAY_COUNT(fixed_registers) == FIXED_COUNT, "12.11.2.2");

static u64 default_type;	/* the register */
static u64 fixed[FIXED_COUNT];
static struct {
	u64 base, size;
	u8 type;
} variable[VARIABLE_MAX];
static unsigned variable_count;

static u64 boundaries[BOUNDARY_MAX];
static unsigned boundary_count;

static void add(u64 address)
{
	if (address && boundary_count < BOUNDARY_MAX)
		boundaries[boundary_count++] = address;
}

static void read_variable(unsigned index)
{
	u64 base = rdmsr(MSR_MTRR_BASE(index));
	u64 mask = rdmsr(MSR_MTRR_MASK(index));

	if (!(mask & MTRR_MASK_VALID))
		return;
	variable[variable_count].type = FIELD_GET(MTRR_BASE_TYPE, base);
	variable[variable_count].base = base & PTE_ADDRESS;
	/* The lowest set bit of the mask is the size of the range. */
	variable[variable_count].size = FIELD_LSB(mask & PTE_ADDRESS);
	add(variable[variable_count].base);
	add(variable[variable_count].base + variable[variable_count].size);
	variable_count++;
}

static bool is_amd(void)
{
	u32 regs[4];

	cpuid(0, 0, regs);
	return regs[CPUID_EBX] == 0x68747541;	/* "Auth" */
}

void mtrr_init(void)
{
	u64 capability = rdmsr(MSR_MTRR_CAP);
	unsigned count = FIELD_GET(MTRR_CAP_COUNT, capability);

	boundary_count = variable_count = 0;
	default_type = rdmsr(MSR_MTRR_DEFAULT);
	for (unsigned i = 0; i < MIN(count, VARIABLE_MAX); i++)
		read_variable(i);
	if (capability & MTRR_CAP_FIXED)
		for (unsigned i = 0; i < FIXED_COUNT; i++)
			fixed[i] = rdmsr(fixed_registers[i].msr);
	else
		default_type &= ~MTRR_DEFAULT_FIXED;
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

static enum mtrr_type fixed_type(u64 address)
{
	unsigned i = FIXED_COUNT - 1;

	while (address < fixed_registers[i].first)
		i--;
	address -= fixed_registers[i].first;
	return fixed[i] >> (8 * (address / fixed_registers[i].size)) & 0xff;
}

/* Where ranges overlap, uncached beats write-through beats write-back; other
 * mixtures are undefined (SDM vol. 3, 12.11.4.1), and uncached here. */
static enum mtrr_type stronger(enum mtrr_type a, enum mtrr_type b)
{
	if (a == b)
		return a;
	if ((a == MTRR_WRITE_THROUGH && b == MTRR_WRITE_BACK) ||
	    (b == MTRR_WRITE_THROUGH && a == MTRR_WRITE_BACK))
		return MTRR_WRITE_THROUGH;
	return MTRR_UNCACHED;
}

static enum mtrr_type variable_type(u64 address)
{
	enum mtrr_type type = FIELD_GET(MTRR_DEFAULT_TYPE, default_type);
	bool is_first = true;

	for (unsigned i = 0; i < variable_count; i++) {
		if (address - variable[i].base >= variable[i].size)
			continue;
		type = is_first ? variable[i].type
				: stronger(type, variable[i].type);
		is_first = false;
	}
	return type;
}

enum mtrr_type mtrr_type(u64 address)
{
	if (!(default_type & MTRR_DEFAULT_ENABLE))
		return MTRR_UNCACHED;
	if (address < FIXED_END && (default_type & MTRR_DEFAULT_FIXED))
		return fixed_type(address);
	return variable_type(address);
}

bool mtrr_is_msr(u32 index)
{
	for (unsigned i = 0; i < FIXED_COUNT; i++)
		if (fixed_registers[i].msr == index)
			return true;
	return index == MSR_MTRR_DEFAULT ||
	       (index >= MSR_MTRR_BASE(0) &&
		index <= MSR_MTRR_MASK(VARIABLE_MAX - 1));
}
