/* SPDX-License-Identifier: BSD-2-Clause */
/* See window.h. */
#include <string.h>

#include "spec/pci.h"
#include "spec/x86.h"
#include "window.h"

#define ENTRIES 512
#define LARGE_SIZE 0x200000ull
#define TABLE (PTE_PRESENT | PTE_WRITE)

static u64 tables[7][ENTRIES] __attribute__((aligned(4096)));
enum { PML4, PDPT, PD, PT = PD + 4 };	/* indices of tables */

static u8 backing[REGION_MEMORY_SIZE] __attribute__((aligned(4096)));
static u64 firmware_cr3;

static u64 read_cr3(void)
{
	u64 value;

	__asm__ volatile("mov %%cr3, %0" : "=r"(value));
	return value;
}

static void write_cr3(u64 value)
{
	__asm__ volatile("mov %0, %%cr3" ::"r"(value) : "memory");
}

static volatile u64 *region_register(u32 offset)
{
	return (volatile u64 *)(u64)(DEVICE_REGION_BASE + offset);
}

static void fill_tables(void)
{
	u64 window = (u64)WINDOW / LARGE_SIZE;

	memset(tables, 0, sizeof(tables));
	tables[PML4][0] = (u64)tables[PDPT] | TABLE;
	for (unsigned i = 0; i < 4; i++)
		tables[PDPT][i] = (u64)tables[PD + i] | TABLE;
	for (u64 i = 0; i < 4 * ENTRIES; i++)
		tables[PD + i / ENTRIES][i % ENTRIES] =
			i * LARGE_SIZE | TABLE | PTE_LARGE;
	tables[PD + window / ENTRIES][window % ENTRIES] =
		(u64)tables[PT] | TABLE;
}

bool window_open(void)
{
	if (pci_read(DEVICE_REGION, PCI_DEVICE_ID, 2) != DEVICE_REGION_ID) {
		payload_skip("no test device");
		return false;
	}
	CHECK(!(read_cr4() & CR4_LA57));
	memset(backing, 0, sizeof(backing));
	*region_register(REGION_BACKING) = (u64)backing;
	fill_tables();
	firmware_cr3 = read_cr3();
	write_cr3((u64)tables[PML4]);
	window_count();
	return true;
}

void window_close(void)
{
	write_cr3(firmware_cr3);
}

void window_map(unsigned page, u64 physical, u64 flags)
{
	tables[PT][page] = flags ? physical | flags : 0;
	__asm__ volatile("invlpg (%0)" ::"r"(WINDOW + page * PAGE_SIZE)
			 : "memory");
}

u8 *window_backing(void)
{
	return backing;
}

u64 window_region(unsigned page)
{
	return DEVICE_REGION_BASE + page * PAGE_SIZE;
}

u64 window_count(void)
{
	u64 count = *region_register(REGION_COUNT);

	*region_register(REGION_COUNT) = 0;
	return count;
}

u64 window_kind(void)
{
	return *region_register(REGION_KIND);
}

u64 window_offset(void)
{
	return *region_register(REGION_OFFSET);
}
