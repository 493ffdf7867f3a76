/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Config cycles, one at a time (pci.h). Where ports are needed, the guest's
 * address in CF8h is put back after each cycle of ours; the guest cannot
 * write it meanwhile.
 */
#include "pci_config.h"
#include "acpi.h"
#include "bits.h"
#include "log.h"
#include "mmio.h"
#include "spec/pci.h"
#include "x86/io.h"

#define ECAM_MAX 64

static struct acpi_ecam ecams[ECAM_MAX];
static size_t ecam_count;

void pci_config_init(void)
{
	ecam_count = acpi_read_ecams(ecams, ECAM_MAX);
	if (!ecam_count)
		log_info("pci: no MCFG, config space through ports");
}

u64 pci_config_page(const struct pci_device *device)
{
	for (size_t i = 0; i < ecam_count; i++)
		if (ecams[i].segment == device->segment &&
		    device->bus >= ecams[i].first_bus &&
		    device->bus <= ecams[i].last_bus)
			return ecams[i].base +
			       ((u64)device->bus << PCI_ECAM_BUS_SHIFT |
				(u64)device->device << PCI_ECAM_DEVICE_SHIFT |
				(u64)device->function
					<< PCI_ECAM_FUNCTION_SHIFT);
	return 0;
}

void pci_config_for_each_segment(void (*visit)(u16 segment, u8 first_bus,
					       u8 last_bus))
{
	for (size_t i = 0; i < ecam_count; i++)
		visit(ecams[i].segment, ecams[i].first_bus, ecams[i].last_bus);
	if (!ecam_count)
		visit(0, 0, 0xff);
}

const struct acpi_ecam *pci_config_ecam(size_t index)
{
	return index < ecam_count ? &ecams[index] : NULL;
}

/* Ports reach segment 0 alone. */
bool pci_config_needs_ports(void)
{
	for (size_t i = 0; i < ecam_count; i++)
		if (!ecams[i].segment && !ecams[i].first_bus &&
		    ecams[i].last_bus == 0xff)
			return false;
	return true;
}

u32 pci_config_latch(void)
{
	return io_read(PCI_PORT_ADDRESS, 4);
}

void pci_config_port(u16 port, unsigned size, bool is_write, u32 *value)
{
	if (is_write)
		io_write(port, size, *value);
	else
		*value = io_read(port, size);
}

static bool is_in_port_space(const struct pci_device *device, u16 offset)
{
	return device->segment == 0 && offset < PCI_CONFIG_SIZE;
}

static void port_cycle(const struct pci_device *device, u16 offset,
		       unsigned size, bool is_write, u32 *value)
{
	u32 address = PCI_ADDRESS_ENABLE |
		      FIELD_PREP(PCI_ADDRESS_BUS, device->bus) |
		      FIELD_PREP(PCI_ADDRESS_DEVICE, device->device) |
		      FIELD_PREP(PCI_ADDRESS_FUNCTION, device->function) |
		      (offset & PCI_ADDRESS_REGISTER);
	u32 latch;

	latch = pci_config_latch();
	io_write(PCI_PORT_ADDRESS, 4, address);
	pci_config_port(PCI_PORT_DATA + (offset & 3), size, is_write, value);
	io_write(PCI_PORT_ADDRESS, 4, latch);
}

u32 pci_config_read(struct pci_device *device, u16 offset, unsigned size)
{
	u64 page = pci_config_page(device);
	u32 value = BITS(8 * size - 1, 0);

	if (page)
		value = mmio_read(hpa(page + offset), size);
	else if (is_in_port_space(device, offset))
		port_cycle(device, offset, size, false, &value);
	return value;
}

void pci_config_write(struct pci_device *device, u16 offset, unsigned size,
		      u32 value)
{
	u64 page = pci_config_page(device);

	if (page)
		mmio_write(hpa(page + offset), size, value);
	else if (is_in_port_space(device, offset))
		port_cycle(device, offset, size, true, &value);
}
