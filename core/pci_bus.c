/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The scan at attach time, and afterwards the trap: the guest's accesses to
 * the config space of our functions, taken apart into aligned pieces and
 * shown to the driver.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "pci_bus.h"
#include "bits.h"
#include "ioport.h"
#include "log.h"
#include "mmio.h"
#include "pci_config.h"
#include "spec/pci.h"

struct function {
	struct pci_device device;
	struct mmio_region page;	/* its part of ECAM; base 0: none */
};

extern const struct pci_driver *const __start_pci_drivers[];
extern const struct pci_driver *const __stop_pci_drivers[];

static struct list functions = LIST_INIT(functions);
static size_t function_count;

/* ---- The trap ------------------------------------------------------------ */

static u32 trapped_read(struct pci_device *device, u16 offset, unsigned size)
{
	u32 value = pci_config_read(device, offset, size);

	if (device->driver->config_read)
		device->driver->config_read(device, offset, size, &value);
	return value;
}

static void trapped_write(struct pci_device *device, u16 offset, unsigned size,
			  u32 value)
{
	const struct pci_driver *driver = device->driver;

	if (driver->config_write &&
	    !driver->config_write(device, offset, size, value))
		return;
	pci_config_write(device, offset, size, value);
	if (driver->config_written)
		driver->config_written(device, offset, size);
}

/* Bytes beyond the page are not this function's: dropped, and read as zero. */
static void access_page(struct mmio_region *region, struct mmio_access *access)
{
	struct function *function = container_of(region, struct function, page);
	unsigned size = MIN(access->size, region->size - access->offset);
	u64 all = 0;

	for (unsigned done = 0, piece; done < size; done += piece) {
		u16 offset = access->offset + done;
		u64 mask, part = access->value >> 8 * done;

		piece = aligned_piece(offset, size - done);
		mask = BITS(8 * piece - 1, 0);
		part &= mask;
		if (access->is_write)
			trapped_write(&function->device, offset, piece, part);
		else
			part = trapped_read(&function->device, offset, piece);
		all |= (part & mask) << 8 * done;
	}
	if (!access->is_write)
		access->value = all;
}

static bool is_addressed(const struct pci_device *device, u32 latch)
{
	return latch & PCI_ADDRESS_ENABLE && device->segment == 0 &&
	       device->bus == FIELD_GET(PCI_ADDRESS_BUS, latch) &&
	       device->device == FIELD_GET(PCI_ADDRESS_DEVICE, latch) &&
	       device->function == FIELD_GET(PCI_ADDRESS_FUNCTION, latch);
}

static struct pci_device *find_addressed(u32 latch)
{
	struct list *node;

	list_for_each(node, &functions) {
		struct pci_device *device =
			container_of(node, struct pci_device, node);

		if (is_addressed(device, latch))
			return device;
	}
	return NULL;
}

/*
 * Bits 27-24 of the address, which some processors of AMD can be told to
 * take as register bits 11-8, are ignored: nothing gets past us by them.
 */
static void access_port(u16 port, unsigned size, bool is_write, u32 *value)
{
	u32 latch = pci_config_latch();
	struct pci_device *device = find_addressed(latch);
	u16 offset = (latch & PCI_ADDRESS_REGISTER) + (port & 3);

	if (!device)
		pci_config_port(port, size, is_write, value);
	else if (is_write)
		trapped_write(device, offset, size, *value);
	else
		*value = trapped_read(device, offset, size);
}

static struct ioport_range data_ports = {
	.first = PCI_PORT_DATA,
	.last = PCI_PORT_DATA_LAST,
	.access = access_port,
};

/* ---- The scan ------------------------------------------------------------ */

static int watch(struct function *function)
{
	u64 page = pci_config_page(&function->device);

	function->page = (struct mmio_region){
		.name = function->device.name,
		.base = gpa(page),
		.size = PCI_EXTENDED_CONFIG_SIZE,
		.access = access_page,
	};
	list_add_tail(&functions, &function->device.node);
	return page ? mmio_register(&function->page) : 0;
}

static void unwatch(struct function *function)
{
	list_remove(&function->device.node);
	if (function->page.base.v)
		mmio_unregister(&function->page);
}

static const struct pci_driver *find_driver(u32 class_code)
{
	const struct pci_driver *const *driver = __start_pci_drivers;

	for (; driver < __stop_pci_drivers; driver++)
		if ((*driver)->class_code == class_code)
			return *driver;
	return NULL;
}

static void identify(struct pci_device *device)
{
	snprintf(device->name, sizeof(device->name), "%04x:%02x:%02x.%x",
		 device->segment, device->bus, device->device,
		 device->function);
	device->vendor_id = pci_config_read(device, PCI_VENDOR_ID, 2);
	device->device_id = pci_config_read(device, PCI_DEVICE_ID, 2);
	device->class_code = FIELD_GET(PCI_CLASS,
		pci_config_read(device, PCI_CLASS_REVISION, 4));
}

/* Watched first: what a driver has taken is never without its trap. */
static int take(struct function *function)
{
	int error = watch(function);

	if (error) {
		list_remove(&function->device.node);
		return error;
	}
	error = function->device.driver->attach(&function->device);
	if (error)
		unwatch(function);
	return error;
}

static void attach(const struct pci_device *found,
		   const struct pci_driver *driver)
{
	struct function *function = calloc(1, sizeof(*function));
	int error = -ENOMEM;

	if (function) {
		function->device = *found;
		function->device.driver = driver;
		error = take(function);
	}
	if (!error) {
		function_count++;
		return;
	}
	log_warn("pci: %s: left alone by %s: %d", found->name, driver->name,
		 error);
	free(function);
}

/* False: nobody answers at this address. */
static bool offer(u16 segment, u8 bus, u8 device, u8 function)
{
	struct pci_device found = { .segment = segment, .bus = bus,
				    .device = device, .function = function };
	const struct pci_driver *driver;

	if (pci_config_read(&found, PCI_VENDOR_ID, 2) == PCI_VENDOR_NONE)
		return false;
	identify(&found);
	driver = find_driver(found.class_code);
	if (driver)
		attach(&found, driver);
	return true;
}

static bool is_multifunction(u16 segment, u8 bus, u8 device)
{
	struct pci_device first = { .segment = segment, .bus = bus,
				    .device = device };

	return pci_config_read(&first, PCI_HEADER_TYPE, 1) &
	       PCI_HEADER_MULTIFUNCTION;
}

static void scan_device(u16 segment, u8 bus, u8 device)
{
	if (!offer(segment, bus, device, 0) ||
	    !is_multifunction(segment, bus, device))
		return;
	for (u8 function = 1; function < PCI_FUNCTION_MAX; function++)
		offer(segment, bus, device, function);
}

static void scan_segment(u16 segment, u8 first_bus, u8 last_bus)
{
	for (unsigned bus = first_bus; bus <= last_bus; bus++)
		for (u8 device = 0; device < PCI_DEVICE_MAX; device++)
			scan_device(segment, bus, device);
}

size_t pci_bus_attach(void)
{
	pci_config_for_each_segment(scan_segment);
	if (function_count)
		ioport_register(&data_ports);
	return function_count;
}
