/* SPDX-License-Identifier: BSD-2-Clause */
/* The functions' config space, and what else of the machine is replaced. */
#ifndef SLUICE_DEVICE_CONFIG_H
#define SLUICE_DEVICE_CONFIG_H

#include "device.h"
#include "pci.h"

/* Where BAR 0 of a function decodes; 0: it does not. */
u64 config_bar(unsigned function);

/* Sends the message that the guest has set up, if it has. */
void config_send_message(unsigned function);

/* nvme.c: what the controller does about an access, and about time passing. */
u64 device_nvme_read(u64 offset, unsigned size);
void device_nvme_write(u64 offset, unsigned size, u64 value);
void device_nvme_tick(void);
void device_nvme_stall(bool on);

/* The machine's own: these are what core/ calls by the plain names (see the
 * Makefile), and the test build puts its own functions there. */
u32 machine_pci_config_read(struct pci_device *device, u16 offset,
			    unsigned size);
void machine_pci_config_write(struct pci_device *device, u16 offset,
			      unsigned size, u32 value);
u64 machine_mmio_read(hpa_t address, unsigned size);
void machine_mmio_write(hpa_t address, unsigned size, u64 value);
u32 machine_mmio_read32(hpa_t address);
void machine_mmio_write32(hpa_t address, u32 value);
u64 machine_clock_now_us(void);

#endif
