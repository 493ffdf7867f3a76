/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Config space of the two functions, beside that of the machine: link-time
 * substitution of pci_config_read() and pci_config_write().
 */
#include <string.h>

#include "config.h"
#include "spec/nvme.h"
#include "spec/pci.h"
#include "spec/x86.h"

#define MSI_CONTROL (DEVICE_MSI + 2)	/* PCI 3.0, 6.8.1 */
#define MSI_ADDRESS (DEVICE_MSI + 4)
#define MSI_DATA (DEVICE_MSI + 8)
#define MSI_SIZE 10
#define MSI_ENABLE BIT(0)
#define MSI_ADDRESS_DESTINATION BITS(19, 12)
#define MSI_ADDRESS_LOGICAL BIT(2)
#define MSI_DATA_VECTOR BITS(7, 0)

static u8 spaces[DEVICE_FUNCTIONS][PCI_CONFIG_SIZE];

static const struct {
	u16 id;
	u32 class_code, base, size;
} functions[DEVICE_FUNCTIONS] = {
	[DEVICE_NVME] = { 0x10, NVME_CLASS_CODE, DEVICE_NVME_BASE,
			  DEVICE_NVME_SIZE },
	[DEVICE_REGION] = { DEVICE_REGION_ID, DEVICE_REGION_CLASS,
			    DEVICE_REGION_BASE, DEVICE_REGION_SIZE },
};

static u32 get(unsigned function, u16 offset, unsigned size)
{
	u32 value = 0;

	memcpy(&value, &spaces[function][offset], size);
	return value;
}

static void put(unsigned function, u16 offset, unsigned size, u32 value)
{
	memcpy(&spaces[function][offset], &value, size);
}

static void power_on(unsigned function)
{
	put(function, PCI_VENDOR_ID, 2, DEVICE_VENDOR);
	put(function, PCI_DEVICE_ID, 2, functions[function].id);
	put(function, PCI_COMMAND, 2,
	    PCI_COMMAND_MEMORY | PCI_COMMAND_BUS_MASTER);
	put(function, PCI_STATUS, 2, PCI_STATUS_CAPABILITIES);
	put(function, PCI_CLASS_REVISION, 4,
	    functions[function].class_code << 8);
	put(function, PCI_HEADER_TYPE, 1, PCI_HEADER_MULTIFUNCTION);
	put(function, PCI_BAR(0), 4, functions[function].base);
	put(function, PCI_CAPABILITY_POINTER, 1, DEVICE_MSI);
	put(function, DEVICE_MSI, 1, PCI_CAPABILITY_MSI);
}

static bool is_ours(const struct pci_device *device)
{
	if (!spaces[0][PCI_VENDOR_ID])
		for (unsigned i = 0; i < DEVICE_FUNCTIONS; i++)
			power_on(i);
	return !device->segment && !device->bus &&
	       device->device == DEVICE_NUMBER &&
	       device->function < DEVICE_FUNCTIONS;
}

u32 pci_config_read(struct pci_device *device, u16 offset, unsigned size)
{
	if (!is_ours(device))
		return machine_pci_config_read(device, offset, size);
	if (!range_inside(offset, size, PCI_CONFIG_SIZE))
		return BITS(8 * size - 1, 0);
	return get(device->function, offset, size);
}

/* COMMAND, the BAR but for its size, the message; the rest is read-only. */
void pci_config_write(struct pci_device *device, u16 offset, unsigned size,
		      u32 value)
{
	unsigned function = device->function;

	if (!is_ours(device))
		machine_pci_config_write(device, offset, size, value);
	else if (offset == PCI_COMMAND)
		put(function, offset, 2, value & 0x407);
	else if (offset == PCI_BAR(0) && size == 4)
		put(function, offset, 4,
		    align_down(value, functions[function].size));
	else if (range_inside(offset - MSI_CONTROL, size,
			      MSI_SIZE - (MSI_CONTROL - DEVICE_MSI)))
		put(function, offset, size, value);
}

u64 config_bar(unsigned function)
{
	return get(function, PCI_COMMAND, 2) & PCI_COMMAND_MEMORY ?
		get(function, PCI_BAR(0), 4) : 0;
}

static u32 apic_read(u32 offset)
{
	return machine_mmio_read32(hpa(APIC_DEFAULT_BASE + offset));
}

static void apic_write(u32 offset, u32 value)
{
	machine_mmio_write32(hpa(APIC_DEFAULT_BASE + offset), value);
}

/*
 * A device would write the message. From a CPU the same interrupt is a
 * command to its APIC, and the guest may be between the halves of its own.
 */
void config_send_message(unsigned function)
{
	u32 address = get(function, MSI_ADDRESS, 4);
	u32 destination = FIELD_GET(MSI_ADDRESS_DESTINATION, address);
	u32 vector = get(function, MSI_DATA, 2) & MSI_DATA_VECTOR;
	u32 command = vector | ICR_ASSERT |
		      (address & MSI_ADDRESS_LOGICAL ? ICR_LOGICAL : 0);
	u32 high = apic_read(APIC_ICR_HIGH);

	if (!(get(function, MSI_CONTROL, 2) & MSI_ENABLE))
		return;
	apic_write(APIC_ICR_HIGH, FIELD_PREP(APIC_ID_FIELD, destination));
	apic_write(APIC_ICR_LOW, command);
	apic_write(APIC_ICR_HIGH, high);
}
