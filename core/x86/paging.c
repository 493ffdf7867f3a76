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

/*
 * CR4 loses what the guest's kernel or firmware had switched on for itself:
 * SMAP, PCID, CET and the rest are the guest's, and kept for it elsewhere. It
 * gains SSE instructions, for plug-ins that keep the guest's registers
 * themselves.
 */
void paging_load(void)
{
	u64 cr4 = read_cr4();

	wrmsr(MSR_EFER, rdmsr(MSR_EFER) | EFER_NXE);
	write_cr4(CR4_PAE | CR4_OSFXSR |
		  (cr4 & (CR4_MCE | CR4_LA57 | CR4_VMXE)));
	write_cr3(page_hpa(table.root).v);
	write_cr0(CR0_PG | CR0_PE | CR0_WP | CR0_NE | CR0_ET);
}
