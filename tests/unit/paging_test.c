/* SPDX-License-Identifier: BSD-2-Clause */
/* The host's control registers, and in what order they change. */
#include <string.h>

#include "../../core/x86/cpu.h"
#include "../../core/x86/mtrr.h"
#include "../../core/x86/paging.h"
#include "bits.h"
#include "memory.h"
#include "page.h"
#include "spec/x86.h"
#include "test.h"

#define FIRMWARE_TABLE 0x1000
#define GUARDS (CR4_SMEP | CR4_SMAP | CR4_PGE | CR4_PSE)

/* Our text: one page of it. */
static u8 text[PAGE_SIZE] __attribute__((aligned(4096), used));
__asm__(".globl image_start, text_end\n"
	".set image_start, text\n"
	".set text_end, text + 4096");
static u8 arena[64 * PAGE_SIZE] __attribute__((aligned(4096)));
static u64 cr0, cr3, cr4, efer;
static u32 leaf_1_edx, leaf_7_ebx, leaf_max;

u64 rdmsr(u32 index)
{
	CHECK_EQ(index, MSR_EFER);
	return efer;
}

void wrmsr(u32 index, u64 value)
{
	CHECK_EQ(index, MSR_EFER);
	efer = value;
}

void cpuid(u32 leaf, u32 subleaf, u32 regs[4])
{
	CHECK(leaf <= leaf_max);
	memset(regs, 0, 4 * sizeof(*regs));
	regs[CPUID_EAX] = leaf ? 0 : leaf_max;
	regs[CPUID_EBX] = leaf == 7 ? leaf_7_ebx : 0;
	regs[CPUID_EDX] = leaf == 1 ? leaf_1_edx : 0;
}

u64 read_cr4(void)
{
	return cr4;
}

/* What is global or the user's in the firmware's tables is so no longer when
 * the bits come on that tell it apart. */
void write_cr4(u64 value)
{
	if (value & GUARDS) {
		CHECK(cr3 != FIRMWARE_TABLE);
		CHECK(!(cr4 & CR4_PGE));
	}
	cr4 = value;
}

void write_cr3(u64 value)
{
	CHECK(!(cr4 & GUARDS));
	CHECK(efer & EFER_NXE);
	cr3 = value;
}

void write_cr0(u64 value)
{
	cr0 = value;
}

u64 cpu_physical_limit(void)
{
	return 1ull << 32;
}

bool cpu_has_1g_pages(void)
{
	return true;
}

bool mtrr_changes_within(u64 base, u64 size)
{
	return false;
}

static void start(u64 firmware_cr4, u32 edx, u32 ebx)
{
	static struct boot_info info;

	CHECK_EQ(page_init((u64)arena, sizeof(arena)), 0);
	CHECK_EQ(paging_init(&info), 0);
	cr3 = FIRMWARE_TABLE;
	cr4 = firmware_cr4;
	leaf_1_edx = edx;
	leaf_7_ebx = ebx;
	leaf_max = 7;
}

TEST(the_host_guards_itself_with_what_the_processor_has)
{
	start(CR4_PAE | CR4_PGE | CR4_MCE | CR4_CET,
	      CPUID_1_EDX_PSE | CPUID_1_EDX_PGE,
	      CPUID_7_EBX_SMEP | CPUID_7_EBX_SMAP);
	paging_load();
	CHECK_EQ(cr4, CR4_PAE | CR4_OSFXSR | CR4_MCE | GUARDS);
	CHECK(cr0 & CR0_WP);
}

TEST(a_bit_that_the_processor_lacks_stays_off)
{
	start(CR4_PAE | CR4_SMAP, CPUID_1_EDX_PGE, CPUID_7_EBX_SMEP);
	paging_load();
	CHECK_EQ(cr4, CR4_PAE | CR4_OSFXSR | CR4_PGE | CR4_SMEP);
	start(CR4_PAE | CR4_VMXE, CPUID_1_EDX_PSE, ~0u);
	leaf_max = 6;
	paging_load();
	CHECK_EQ(cr4, CR4_PAE | CR4_OSFXSR | CR4_VMXE | CR4_PSE);
}
