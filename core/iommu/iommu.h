/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Devices are kept out of Sluice's memory, where the machine has an IOMMU:
 * for them an address means what it always did, and Sluice's mean nothing.
 * Only functions that a driver of ours stands before reach all of memory.
 * The guest keeps no way to the units.
 */
#ifndef SLUICE_IOMMU_H
#define SLUICE_IOMMU_H

#include "boot_info.h"
#include "pci.h"

/* At BOOT_ATTACH, after acpi_init() and before the tables are hidden.
 * What cannot be used is logged, and left as it was. */
void iommu_init(const struct boot_info *info);

/* Is a unit's own PCI function at this address? Nobody writes to it. */
bool iommu_is_unit(const struct pci_device *at);

/*
 * May the function at this address reach all of memory? From the return on
 * it may, or may not any more. -ENOMEM, -EIO; nothing to do is no error.
 */
int iommu_trust(const struct pci_device *at, bool is_trusted);

#endif
