/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * PCI functions that a driver of ours has taken: their config space is
 * watched through ECAM (only their own 4 KiB page) and CF8h/CFCh. All other
 * functions are the guest's alone.
 */
#ifndef SLUICE_PCI_H
#define SLUICE_PCI_H

#include "list.h"
#include "types.h"

struct pci_driver;

struct pci_device {
	struct list node;
	u16 segment;
	u8 bus, device, function;
	char name[16];			/* "0000:00:03.0" */
	u16 vendor_id, device_id;
	u32 class_code;			/* class << 16 | subclass << 8 | prog-if */
	const struct pci_driver *driver;
	void *driver_data;
	u64 bar_size[6];		/* what pci_bar_size() has found */
};

struct pci_driver {
	const char *name;
	u32 class_code;
	/* Before the guest runs. 0, or -Exxx: the function stays the guest's. */
	int (*attach)(struct pci_device *device);
	/*
	 * The guest reads config space: `*value` is what the device has and
	 * may be altered. size 1, 2 or 4, naturally aligned. NULL: as it is.
	 */
	void (*config_read)(struct pci_device *device, u16 offset,
			    unsigned size, u32 *value);
	/*
	 * The guest writes. Return false when handled or dropped; true lets
	 * it reach the device, after which config_written is called.
	 */
	bool (*config_write)(struct pci_device *device, u16 offset,
			     unsigned size, u32 value);
	void (*config_written)(struct pci_device *device, u16 offset,
			       unsigned size);
};

/* Drivers appear through a linker section; core never names one. */
#define PCI_DRIVER(symbol)                                              \
	static const struct pci_driver *const symbol##_entry            \
		__attribute__((used, section("pci_drivers"))) = &symbol

/* The device's own config space. size 1, 2 or 4, naturally aligned. */
u32 pci_config_read(struct pci_device *device, u16 offset, unsigned size);
void pci_config_write(struct pci_device *device, u16 offset, unsigned size,
		      u32 value);

/*
 * Where memory BAR `index` (0-5) decodes now: reads the device. A base of 0
 * when it does not (decode off, unassigned, all-ones of a sizing in
 * progress, I/O BAR). 64-bit BARs are read as one.
 */
gpa_t pci_bar_base(struct pci_device *device, unsigned index);

/* Size of a memory BAR, found by sizing it: attach time only, decode is
 * off for the moment. 0 when not implemented. */
u64 pci_bar_size(struct pci_device *device, unsigned index);

/* Offset of a capability (standard or, above 100h, extended); 0: none. */
u16 pci_find_capability(struct pci_device *device, u8 id);
u16 pci_find_extended_capability(struct pci_device *device, u16 id);

#endif
