/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Which functions are whose: finds those that our drivers want, at the start
 * and whenever the guest switches one on, and stands before their config.
 */
#ifndef SLUICE_PCI_BUS_H
#define SLUICE_PCI_BUS_H

#include "pci.h"

/* One access of the guest. */
struct pci_access {
	struct pci_device at;	/* its address, nothing else */
	u16 offset;
	unsigned size;		/* 1, 2 or 4, naturally aligned */
	u32 value;		/* that is written */
	u16 port;		/* the data port to use; 0: by memory */
};

/*
 * At BOOT_ATTACH, with config space trapped: offers every function to the
 * driver of its class. Returns how many are not the guest's alone.
 */
size_t pci_bus_attach(void);

/* The config space lock is held from here on; see pci.h. */
u32 pci_bus_read(const struct pci_access *access);
void pci_bus_write(const struct pci_access *access);

#endif
