/* SPDX-License-Identifier: BSD-2-Clause */
/* What amdvi.c and vtd.c tell iommu.c, and what they share. */
#ifndef SLUICE_IOMMU_UNIT_H
#define SLUICE_IOMMU_UNIT_H

#include "spec/acpi.h"
#include "types.h"
#include "x86/pagetable.h"

#define IOMMU_UNIT_MAX 64
#define IOMMU_DEADLINE_US 1000000

/* By the table IVRS or DMAR, or NULL. */
void amdvi_init(const struct acpi_header *ivrs);
bool amdvi_is_unit(u16 segment, u16 id);
/* id: bus, device and function of a source of DMA. */
int amdvi_trust(u16 segment, u16 id, bool is_trusted);

void vtd_init(const struct acpi_header *dmar);
int vtd_trust(u16 segment, u16 id, bool is_trusted);

/*
 * Visits each block behind the first `start` bytes: in both tables its size
 * is in bytes 2 and 3. False, and none is visited, when they do not fill it.
 */
bool iommu_for_each_block(const struct acpi_header *table, size_t start,
			  void (*visit)(const void *block, size_t size));

/* A unit's registers: the guest has them no more, devices will not. */
int iommu_hide_registers(u64 base, u64 size);

/* Every address that anything of this machine needs to be mapped. */
u64 iommu_ram_end(void);

/*
 * One to one below `reach`, all of it or without what is Sluice's. When all
 * registers are hidden. -ENOMEM; then pages of it are lost.
 */
int iommu_build(struct pagetable *table, u64 leaf, u64 reach, bool is_whole);

#endif
