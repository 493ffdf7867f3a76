/* SPDX-License-Identifier: BSD-2-Clause */
/* A function that is not like all others: pci_bus.c and pci_route.c. */
#ifndef SLUICE_PCI_FUNCTION_H
#define SLUICE_PCI_FUNCTION_H

#include "pci_bus.h"

#define PCI_PATH_MAX 8

/* The bridges above a function, the nearest first. None on a root bus. */
struct pci_path {
	unsigned count;
	struct {
		u8 bus, device, function;
	} bridges[PCI_PATH_MAX];
};

enum pci_claim {
	PCI_TAKEN,		/* its driver stands before it */
	PCI_HIDDEN,		/* could not be taken: nobody's */
	PCI_ALONE,		/* could not be taken: the guest's */
};

struct pci_function {
	struct pci_device device;
	struct pci_path path;
	enum pci_claim claim;
	bool is_mapped;		/* PCI_TAKEN: its driver knows where */
};

/* All of them, by device.node. */
extern struct list pci_functions;

#define pci_function_of(list_node) \
	container_of(list_node, struct pci_function, device.node)

/* From here on its place is like any other. Also while it is mapped. */
void pci_function_drop(struct pci_function *function);
/* Its address has changed. */
void pci_function_rename(struct pci_function *function);
/* The aligned dword that the write is to, as it will be. */
u32 pci_access_merge(const struct pci_access *access, u32 before);

#endif
