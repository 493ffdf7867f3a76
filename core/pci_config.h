/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * How config space is reached: memory-mapped where MCFG says so, else the
 * two ports. pci_config_read() and pci_config_write() are in pci.h; they
 * look at a device's segment, bus, device and function only.
 */
#ifndef SLUICE_PCI_CONFIG_H
#define SLUICE_PCI_CONFIG_H

#include "acpi.h"
#include "pci.h"

/* Copies MCFG: after acpi_init(), before launch. */
void pci_config_init(void);

/* Where the function's 4 KiB are in memory; 0: ports only. */
u64 pci_config_page(const struct pci_device *device);

/* Walks every bus number there can be: first_bus..last_bus of a segment. */
void pci_config_for_each_segment(void (*visit)(u16 segment, u8 first_bus,
					       u8 last_bus));

/* NULL behind the last one. */
const struct acpi_ecam *pci_config_ecam(size_t index);

/*
 * Are there functions that only ports reach? If not, Sluice makes no cycle
 * by ports, and the address in CF8h is nobody's but the guest's.
 */
bool pci_config_needs_ports(void);

/* What the guest last wrote to port CF8h. */
u32 pci_config_latch(void);

/* The guest's own access to CF8h-CFFh, as the machine does it. */
void pci_config_port(u16 port, unsigned size, bool is_write, u32 *value);

#endif
