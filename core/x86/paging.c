/* SPDX-License-Identifier: BSD-2-Clause */
/* The host's page tables and control registers. */
#include <errno.h>

#include "bits.h"
#include "cpu.h"
#include "lock.h"
#include "log.h"
#include "page.h"
#include "pagetable.h"
#include "paging.h"
#include "spec/x86.h"

extern u8 image_start[], text_end[];	/* sluice.ld */

#define LEAF (PTE_PRESENT | PTE_WRITE | PTE_ACCESSED | PTE_DIRTY)
#define LEAF_MMIO (LEAF | PTE_CACHE_DISABLE | PTE_WRITE_THROUGH | PTE_NX)
#define LEAF_RAM (LEAF | PTE_NX)
#define LEAF_TEXT (PTE_PRESENT | PTE_ACCESSED)

#define EAGER_LIMIT (1ull << 40)
#define FILL_SIZE (1ull << 30)

static const struct slat_format format = {
	.table = PTE_PRESENT | PTE_WRITE | PTE_ACCESSED,
	.large = PTE_LARGE,
	.present_mask = PTE_PRESENT,
};

static struct lock lock;
static struct pagetable table;

int paging_init(const struct boot_info *info)
{
	u64 limit = MIN(cpu_physical_limit(), EAGER_LIMIT);
	int error;

	error = pagetable_init(&table, &format,
			       (read_cr4() & CR4_LA57) ? 5 : 4, cpu_has_1g_pages());
	if (!error)
		error = pagetable_map(&table, 0, limit, LEAF_MMIO);
	for (u32 i = 0; !error && i < info->ram_count; i++)
		error = pagetable_map(&table, info->ram[i].base,
				      info->ram[i].size, LEAF_RAM);
	if (error)
		return error;
	return pagetable_map(&table, (u64)image_start,
			     align_up(text_end - image_start, PAGE_SIZE),
			     LEAF_TEXT);
}

bool paging_fill(u64 address)
{
	u64 base = align_down(address, FILL_SIZE);
	bool filled;

	if (address < EAGER_LIMIT || address >= cpu_physical_limit())
		return false;
	lock_acquire(&lock);
	filled = pagetable_lookup(&table, address) ||
		 !pagetable_map(&table, base, FILL_SIZE, LEAF_MMIO);
	lock_release(&lock);
	return filled;
}

/* Bits of CR4 that the processor has, of those that change nothing for us but
 * what a mistake of ours can do: no page here is the user's, or global. */
static u64 cr4_guards(void)
{
	u32 regs[4];
	u64 bits = 0;

	cpuid(1, 0, regs);
	if (regs[CPUID_EDX] & CPUID_1_EDX_PSE)
		bits |= CR4_PSE;
	if (regs[CPUID_EDX] & CPUID_1_EDX_PGE)
		bits |= CR4_PGE;
	cpuid(0, 0, regs);
	if (regs[CPUID_EAX] < 7)
		return bits;
	cpuid(7, 0, regs);
	if (regs[CPUID_EBX] & CPUID_7_EBX_SMEP)
		bits |= CR4_SMEP;
	if (regs[CPUID_EBX] & CPUID_7_EBX_SMAP)
		bits |= CR4_SMAP;
	return bits;
}

/*
 * CR4 loses what the guest's kernel or firmware had switched on for itself:
 * PCID, CET and the rest are the guest's, and kept for it elsewhere. It gains
 * SSE instructions, for plug-ins that keep the guest's registers themselves.
 *
 * SMEP and SMAP guard us, and come after CR3: a firmware's pages may be the
 * user's. With them, PGE and PSE the paging mode is that of most kernels, so
 * an exit is no change of it: emulators lose all translations at each.
 */
void paging_load(void)
{
	u64 cr4 = CR4_PAE | CR4_OSFXSR |
		  (read_cr4() & (CR4_MCE | CR4_LA57 | CR4_VMXE));

	wrmsr(MSR_EFER, rdmsr(MSR_EFER) | EFER_NXE);
	write_cr4(cr4);
	write_cr3(page_hpa(table.root).v);
	write_cr0(CR0_PG | CR0_PE | CR0_WP | CR0_NE | CR0_ET);
	write_cr4(cr4 | cr4_guards());
}
