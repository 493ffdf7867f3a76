/* SPDX-License-Identifier: BSD-2-Clause */
/* Finds the functions our drivers want, and stands before their config. */
#ifndef SLUICE_PCI_BUS_H
#define SLUICE_PCI_BUS_H

#include "types.h"

/*
 * At BOOT_ATTACH, after pci_config_init(): offers every function to the
 * drivers of its class; what a driver takes is watched from then on. Returns
 * how many were taken.
 */
size_t pci_bus_attach(void);

#endif
