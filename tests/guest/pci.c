/* SPDX-License-Identifier: BSD-2-Clause */
/* Config space of the test devices, by the two ports every machine has. */
#include "../device/device.h"
#include "payload.h"
#include "spec/pci.h"

static void select(unsigned function, u16 offset)
{
	u32 address = PCI_ADDRESS_ENABLE |
		FIELD_PREP(PCI_ADDRESS_DEVICE, DEVICE_NUMBER) |
		FIELD_PREP(PCI_ADDRESS_FUNCTION, function) |
		(offset & PCI_ADDRESS_REGISTER);

	__asm__ volatile("outl %0, %1" ::"a"(address),
			 "Nd"((u16)PCI_PORT_ADDRESS));
}

u32 pci_read(unsigned function, u16 offset, unsigned size)
{
	u16 port = PCI_PORT_DATA + (offset & 3);
	u32 value;

	select(function, offset);
	if (size == 4)
		__asm__ volatile("inl %1, %0" : "=a"(value) : "Nd"(port));
	else
		__asm__ volatile("xor %%eax, %%eax; inw %1, %w0"
				 : "=a"(value) : "Nd"(port));
	return value;
}

void pci_write(unsigned function, u16 offset, unsigned size, u32 value)
{
	u16 port = PCI_PORT_DATA + (offset & 3);

	select(function, offset);
	if (size == 4)
		__asm__ volatile("outl %0, %1" ::"a"(value), "Nd"(port));
	else
		__asm__ volatile("outw %w0, %1" ::"a"(value), "Nd"(port));
}
