/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A machine for core/iommu: memory for tables, registers of units that the
 * test brings, IVRS or DMAR, and Sluice between 768 MiB and 784.
 */
#ifndef FAKE_IOMMU_H
#define FAKE_IOMMU_H

#include "boot_info.h"
#include "mmio.h"
#include "pci.h"
#include "spec/acpi.h"

#define SLUICE_BASE (768ull << 20)
#define SLUICE_SIZE (16ull << 20)
#define RAM_SIZE (1ull << 30)
#define MAP_END (1ull << 40)
#define NOWHERE (~0ull)

struct fake_iommu {
	struct boot_info info;
	u64 physical_limit;
	size_t page_limit;
	int register_error;
	struct mmio_region *regions[8];
	unsigned region_count;
	unsigned write_back_count;
	/* The units' registers. */
	u64 (*read)(u64 address);
	void (*write)(u64 address, u64 value);
};
extern struct fake_iommu fake_iommu;

void fake_iommu_init(void);

/* Blocks behind the header of the one table there is. */
void fake_table(const char *signature);
void fake_block(const void *block, size_t size);
struct acpi_header *fake_table_header(void);

/* iommu_init() with them. */
void fake_iommu_start(void);
int fake_trust(u16 segment, u16 id, bool is_trusted);
bool fake_is_unit(u16 segment, u16 id);

/*
 * translate() of the unit under test says where an address leads to, or
 * NOWHERE: it has to be itself but in what is Sluice's.
 */
void check_reaches_all_but_sluice(u64 (*translate)(u16 id, u64 address),
				  u16 id, u64 end, u64 registers);
void check_reaches_all(u64 (*translate)(u16 id, u64 address), u16 id,
		       u64 end);

#endif
