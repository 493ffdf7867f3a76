/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * How config cycles find a function: the bridges above it. The guest may
 * renumber buses, but not so that a function of ours is lost or confused with
 * another; and where ECAM is stays as it is.
 */
#ifndef SLUICE_PCI_ROUTE_H
#define SLUICE_PCI_ROUTE_H

#include "pci_function.h"

void pci_route_find(const struct pci_device *device, struct pci_path *path);

/* Every bridge above it is awake and leads to it: when nobody answers there,
 * nobody is there. */
bool pci_route_is_open(const struct pci_function *function);

/* A write that concerns routes is done, or dropped: true. */
bool pci_route_write(const struct pci_access *access);

#endif
