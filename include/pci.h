/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * PCI functions that a driver of ours stands before. Config space as a whole
 * is trapped (ECAM, and the ports to it), so that none comes, moves or changes
 * unseen; all other functions are the guest's alone.
 *
 * One access of the guest to config space is done at a time, whichever CPUs
 * they come from: everything declared here is called, and may be called,
 * under that lock only (or at the start), which is outer to all others.
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
	/*
	 * A function of the class is there, at the start or before the guest
	 * switches on its memory decode. 0, or -Exxx: `fail=` decides whether
	 * it is hidden or the guest's alone.
	 */
	int (*attach)(struct pci_device *device);
	/* It is not there any more, or something else is. Not mapped. */
	void (*detach)(struct pci_device *device);
	/*
	 * Its BARs are about to decode, at an address of the guest's choice,
	 * and do not yet. It may have been reset since, or be another device
	 * of the same make. -Exxx: they must not.
	 */
	int (*map)(struct pci_device *device);
	/* They do not decode any more. */
	void (*unmap)(struct pci_device *device);
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
 * Where memory BAR `index` (0-5) decodes when memory decode is on: reads the
 * device. A base of 0 when nowhere (unassigned, all-ones of a sizing in
 * progress, I/O BAR). 64-bit BARs are read as one.
 */
gpa_t pci_bar_base(struct pci_device *device, unsigned index);

/* Size of a memory BAR, found by sizing it: decode is off for the moment.
 * 0: there is no such one. */
u64 pci_bar_size(struct pci_device *device, unsigned index);

/* Offset of a capability (standard or, above 100h, extended); 0: none. */
u16 pci_find_capability(struct pci_device *device, u8 id);
u16 pci_find_extended_capability(struct pci_device *device, u16 id);

#endif
