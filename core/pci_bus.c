/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Functions are taken before they decode memory and let go when something
 * else is seen in their place that does not: nobody who decodes is ever
 * without a trap. What does not answer may be hidden or asleep, and stays.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "pci_bus.h"
#include "bits.h"
#include "iommu/iommu.h"
#include "log.h"
#include "pci_config.h"
#include "pci_function.h"
#include "pci_route.h"
#include "setting.h"
#include "spec/pci.h"

struct list pci_functions = LIST_INIT(pci_functions);

extern const struct pci_driver *const __start_pci_drivers[];
extern const struct pci_driver *const __stop_pci_drivers[];

/* ---- What is there ------------------------------------------------------- */

static const struct pci_driver *find_driver(u32 class_code)
{
	const struct pci_driver *const *driver = __start_pci_drivers;

	for (; driver < __stop_pci_drivers; driver++)
		if ((*driver)->class_code == class_code)
			return *driver;
	return NULL;
}

static struct pci_function *find(const struct pci_device *at)
{
	struct list *node;

	list_for_each(node, &pci_functions) {
		struct pci_function *function = pci_function_of(node);

		if (function->device.segment == at->segment &&
		    function->device.bus == at->bus &&
		    function->device.device == at->device &&
		    function->device.function == at->function)
			return function;
	}
	return NULL;
}

void pci_function_rename(struct pci_function *function)
{
	struct pci_device *device = &function->device;

	snprintf(device->name, sizeof(device->name), "%04x:%02x:%02x.%x",
		 device->segment, device->bus, device->device,
		 device->function);
}

static void identify(struct pci_device *device)
{
	device->vendor_id = pci_config_read(device, PCI_VENDOR_ID, 2);
	device->device_id = pci_config_read(device, PCI_DEVICE_ID, 2);
	device->class_code = FIELD_GET(PCI_CLASS,
		pci_config_read(device, PCI_CLASS_REVISION, 4));
}

static bool is_there(struct pci_device *device)
{
	return pci_config_read(device, PCI_VENDOR_ID, 2) != PCI_VENDOR_NONE;
}

static bool is_another(struct pci_function *function)
{
	struct pci_device now = function->device;

	identify(&now);
	return now.vendor_id != function->device.vendor_id ||
		now.device_id != function->device.device_id ||
		now.class_code != function->device.class_code;
}

static bool is_decoding(struct pci_device *device)
{
	return pci_config_read(device, PCI_COMMAND, 2) & PCI_COMMAND_MEMORY;
}

/* ---- Mapped or not --------------------------------------------------------- */

/* Returns what COMMAND was. */
static u32 switch_off(struct pci_device *device)
{
	u32 command = pci_config_read(device, PCI_COMMAND, 2);

	if (command & PCI_COMMAND_MEMORY)
		pci_config_write(device, PCI_COMMAND, 2,
				 command & ~(u32)PCI_COMMAND_MEMORY);
	return command;
}

static void unmap(struct pci_function *function)
{
	if (function->is_mapped)
		function->device.driver->unmap(&function->device);
	function->is_mapped = false;
}

/* Decode is off meanwhile, and stays off when the driver says no. */
static int map(struct pci_function *function)
{
	struct pci_device *device = &function->device;
	u32 command = switch_off(device);
	int error = device->driver->map(device);

	function->is_mapped = !error;
	if (!error && command & PCI_COMMAND_MEMORY)
		pci_config_write(device, PCI_COMMAND, 2, command);
	return error;
}

/* ---- Taken, hidden or left alone -------------------------------------------- */

/* With all of memory in its reach, where queues of ours are. */
static int attach(struct pci_device *device)
{
	int error = iommu_trust(device, true);

	if (!error)
		error = device->driver->attach(device);
	if (error)
		iommu_trust(device, false);
	return error;
}

static void detach(struct pci_device *device)
{
	device->driver->detach(device);
	iommu_trust(device, false);
}

void pci_function_drop(struct pci_function *function)
{
	log_info("pci: %s: let go", function->device.name);
	unmap(function);
	if (function->claim == PCI_TAKEN)
		detach(&function->device);
	list_remove(&function->device.node);
	free(function);
}

/* A device that was pulled out leaves its memory to the next one. */
static void drop_absent(void)
{
	struct list *node, *after;

	list_for_each_safe(node, after, &pci_functions) {
		struct pci_function *function = pci_function_of(node);

		if (!is_there(&function->device) &&
		    pci_route_is_open(function))
			pci_function_drop(function);
	}
}

static void hide(struct pci_function *function)
{
	struct pci_device *device = &function->device;

	function->claim = PCI_HIDDEN;
	pci_config_write(device, PCI_COMMAND, 2,
			 switch_off(device) & ~(u32)(PCI_COMMAND_MEMORY |
						     PCI_COMMAND_BUS_MASTER));
	log_error("pci: %s: is hidden: fail = closed", device->name);
}

/* `fail=` decides about what could not be taken. */
static void refuse(struct pci_function *function, int error)
{
	struct pci_device *device = &function->device;

	log_error("pci: %s: cannot be taken by %s: %d", device->name,
		  device->driver->name, error);
	if (config_fail_closed()) {
		hide(function);
		return;
	}
	function->claim = PCI_ALONE;
	log_warn("pci: %s: stays the guest's alone", device->name);
}

static struct pci_function *alloc(const struct pci_device *at)
{
	struct pci_function *function = calloc(1, sizeof(*function));

	if (!function)
		return NULL;
	function->device = *at;
	identify(&function->device);
	pci_function_rename(function);
	function->device.driver = find_driver(function->device.class_code);
	pci_route_find(at, &function->path);
	list_add_tail(&pci_functions, &function->device.node);
	return function;
}

/* NULL: no driver wants it, or (*error) it cannot even be remembered. */
static struct pci_function *take(const struct pci_device *at, int *error)
{
	struct pci_device found = *at;
	struct pci_function *function;

	*error = 0;
	identify(&found);
	if (!find_driver(found.class_code))
		return NULL;
	drop_absent();
	function = alloc(at);
	*error = -ENOMEM;
	if (!function)
		return NULL;
	*error = attach(&function->device);
	if (*error)
		refuse(function, *error);
	return function;
}

/*
 * Before each access of the guest. A function that decodes is the one that
 * was taken, whatever it says of itself.
 */
static struct pci_function *look(const struct pci_device *at)
{
	struct pci_function *function = find(at);

	if (!function)
		return NULL;
	if (!is_there(&function->device)) {
		if (function->claim != PCI_HIDDEN)
			return function;
	} else {
		if (is_decoding(&function->device))
			return function;
		unmap(function);
		if (!is_another(function))
			return function;
	}
	pci_function_drop(function);
	return NULL;
}

/* ---- The guest's accesses ----------------------------------------------------- */

static u32 read_device(const struct pci_access *access)
{
	struct pci_device at = access->at;
	u32 value;

	if (!access->port)
		return pci_config_read(&at, access->offset, access->size);
	pci_config_port(access->port, access->size, false, &value);
	return value;
}

static void write_device(const struct pci_access *access)
{
	struct pci_device at = access->at;
	u32 value = access->value;

	if (access->port)
		pci_config_port(access->port, access->size, true, &value);
	else
		pci_config_write(&at, access->offset, access->size, value);
}

u32 pci_bus_read(const struct pci_access *access)
{
	struct pci_function *function = look(&access->at);
	struct pci_device *device;
	u32 value;

	if (!function || function->claim == PCI_ALONE)
		return read_device(access);
	if (function->claim == PCI_HIDDEN)
		return BITS(8 * access->size - 1, 0);
	device = &function->device;
	value = pci_config_read(device, access->offset, access->size);
	if (device->driver->config_read)
		device->driver->config_read(device, access->offset,
					    access->size, &value);
	return value;
}

u32 pci_access_merge(const struct pci_access *access, u32 before)
{
	unsigned shift = 8 * (access->offset & 3);
	u64 mask = BITS(8 * access->size - 1, 0) << shift;

	return (before & ~mask) | ((u64)access->value << shift & mask);
}

static void pass(struct pci_function *function, const struct pci_access *access)
{
	struct pci_device *device = &function->device;
	const struct pci_driver *driver = device->driver;

	if (driver->config_write &&
	    !driver->config_write(device, access->offset, access->size,
				  access->value))
		return;
	pci_config_write(device, access->offset, access->size, access->value);
	if (driver->config_written)
		driver->config_written(device, access->offset, access->size);
}

static bool will_decode(const struct pci_access *access)
{
	struct pci_device at = access->at;

	if (align_down(access->offset, 4) != PCI_COMMAND)
		return false;
	return pci_access_merge(access, pci_config_read(&at, PCI_COMMAND, 4)) &
		PCI_COMMAND_MEMORY;
}

/* False: it cannot be trapped where it is to decode, so it does not. */
static bool prepare(struct pci_function *function)
{
	int error = function->is_mapped ? 0 : map(function);

	if (error)
		log_limited(LOG_WARN, "pci: %s: stays switched off: %d",
			    function->device.name, error);
	return !error;
}

static bool is_bar(const struct pci_access *access)
{
	return access->offset >= PCI_BAR(0) &&
		access->offset < PCI_BAR(PCI_BAR_COUNT);
}

static void move(struct pci_function *function, const struct pci_access *access)
{
	struct pci_device *device = &function->device;
	u32 command = switch_off(device);

	unmap(function);
	pass(function, access);
	if (prepare(function))
		pci_config_write(device, PCI_COMMAND, 2, command);
}

static void write_taken(struct pci_function *function,
			const struct pci_access *access)
{
	if (will_decode(access) && !prepare(function))
		return;
	if (is_bar(access) && is_decoding(&function->device))
		move(function, access);
	else
		pass(function, access);
	look(&access->at);	/* it may be off now, or reset */
}

void pci_bus_write(const struct pci_access *access)
{
	struct pci_function *function = look(&access->at);
	int error = 0;

	if (iommu_is_unit(&access->at))
		return;
	if (!function && will_decode(access))
		function = take(&access->at, &error);
	if (!function && error && config_fail_closed())
		return;
	if (function && function->claim == PCI_HIDDEN)
		return;
	if (pci_route_write(access))
		return;
	if (function && function->claim == PCI_TAKEN)
		write_taken(function, access);
	else
		write_device(access);
}

/* ---- The scan -------------------------------------------------------------------- */

/* What cannot be used is told from what can while only we are running. */
static void try(struct pci_function *function)
{
	struct pci_device *device = &function->device;
	u32 command = pci_config_read(device, PCI_COMMAND, 2);
	int error = map(function);

	if (error) {
		detach(device);
		refuse(function, error);
	}
	if (function->claim == PCI_ALONE)
		pci_config_write(device, PCI_COMMAND, 2, command);
	if (!(command & PCI_COMMAND_MEMORY))
		unmap(function);
}

/* False: nobody answers at this address. */
static bool offer(const struct pci_device *at)
{
	struct pci_device found = *at;
	struct pci_function *function;
	int error;

	if (!is_there(&found))
		return false;
	function = take(at, &error);
	if (error && !function)
		log_error("pci: no memory for another controller");
	if (function && function->claim == PCI_TAKEN)
		try(function);
	return true;
}

static void scan_device(struct pci_device at)
{
	if (!offer(&at) || !(pci_config_read(&at, PCI_HEADER_TYPE, 1) &
			     PCI_HEADER_MULTIFUNCTION))
		return;
	for (at.function = 1; at.function < PCI_FUNCTION_MAX; at.function++)
		offer(&at);
}

static void scan_segment(u16 segment, u8 first_bus, u8 last_bus)
{
	struct pci_device at = { .segment = segment };

	for (unsigned bus = first_bus; bus <= last_bus; bus++) {
		at.bus = bus;
		for (at.device = 0; at.device < PCI_DEVICE_MAX; at.device++)
			scan_device(at);
	}
}

size_t pci_bus_attach(void)
{
	struct list *node;
	size_t count = 0;

	pci_config_for_each_segment(scan_segment);
	list_for_each(node, &pci_functions)
		count += pci_function_of(node)->claim != PCI_ALONE;
	return count;
}
