/* SPDX-License-Identifier: BSD-2-Clause */
/* The guest's ways to config space, all of which come to us. */
#ifndef SLUICE_PCI_TRAP_H
#define SLUICE_PCI_TRAP_H

/* At BOOT_ATTACH, after pci_config_init(). -Exxx: it cannot be trapped. */
int pci_trap_init(void);

#endif
