/* SPDX-License-Identifier: BSD-2-Clause */
/* See pci_route.h. */
#include "pci_route.h"
#include "bits.h"
#include "iommu/iommu.h"
#include "log.h"
#include "pci_config.h"
#include "spec/pci.h"

/* ---- Bridges ---------------------------------------------------------------- */

static u16 vendor_of(struct pci_device *device)
{
	return pci_config_read(device, PCI_VENDOR_ID, 2);
}

static bool is_bridge(struct pci_device *device)
{
	return vendor_of(device) != PCI_VENDOR_NONE &&
		pci_config_read(device, PCI_HEADER_TYPE, 1) &
		PCI_HEADER_LAYOUT;
}

static u32 numbers_of(struct pci_device *bridge)
{
	return pci_config_read(bridge, PCI_BUS_NUMBERS, 4);
}

static u8 secondary(u32 numbers)
{
	return FIELD_GET(PCI_BUS_SECONDARY, numbers);
}

/* Cycles to `last` pass the bridge, those to `first` are the bus behind. */
static bool leads(u32 numbers, u8 first, u8 last)
{
	return secondary(numbers) == first &&
		FIELD_GET(PCI_BUS_SUBORDINATE, numbers) >= last;
}

static bool covers(u32 numbers, u8 bus)
{
	return secondary(numbers) <= bus &&
		FIELD_GET(PCI_BUS_SUBORDINATE, numbers) >= bus;
}

/* In D3hot it answers for itself, and nobody behind it does. */
static bool is_awake(struct pci_device *bridge)
{
	u16 power = pci_find_capability(bridge, PCI_CAPABILITY_POWER);

	return !power || !(pci_config_read(bridge, power + PCI_POWER_CONTROL,
					   2) & PCI_POWER_STATE);
}

/* ---- Paths ------------------------------------------------------------------- */

/* `at` goes on from the function it is at; false behind the last of a bus. */
static bool next_function(struct pci_device *at)
{
	u8 header = pci_config_read(at, PCI_HEADER_TYPE, 1);

	if (at->function ||
	    (header != 0xff && header & PCI_HEADER_MULTIFUNCTION))
		at->function = (at->function + 1) % PCI_FUNCTION_MAX;
	if (!at->function)
		at->device++;
	return at->device < PCI_DEVICE_MAX;
}

static bool find_on_bus(struct pci_device *at, u8 bus)
{
	do {
		if (is_bridge(at) && secondary(numbers_of(at)) == bus)
			return true;
	} while (next_function(at));
	return false;
}

/* A bridge's own bus has a lower number than the one behind it. */
static bool find_parent(struct pci_device *at, u8 bus)
{
	for (unsigned above = 0; above < bus; above++) {
		at->bus = above;
		at->device = at->function = 0;
		if (find_on_bus(at, bus))
			return true;
	}
	return false;
}

void pci_route_find(const struct pci_device *device, struct pci_path *path)
{
	struct pci_device at = { .segment = device->segment };
	u8 bus = device->bus;

	path->count = 0;
	while (path->count < PCI_PATH_MAX && find_parent(&at, bus)) {
		path->bridges[path->count].bus = bus = at.bus;
		path->bridges[path->count].device = at.device;
		path->bridges[path->count++].function = at.function;
	}
}

static struct pci_device bridge_of(const struct pci_function *function,
				   unsigned level)
{
	return (struct pci_device){
		.segment = function->device.segment,
		.bus = function->path.bridges[level].bus,
		.device = function->path.bridges[level].device,
		.function = function->path.bridges[level].function,
	};
}

/* The bus right behind the bridge. */
static u8 bus_below(const struct pci_function *function, unsigned level)
{
	return level ? function->path.bridges[level - 1].bus :
		function->device.bus;
}

bool pci_route_is_open(const struct pci_function *function)
{
	for (unsigned i = 0; i < function->path.count; i++) {
		struct pci_device bridge = bridge_of(function, i);

		if (!is_bridge(&bridge) || !is_awake(&bridge) ||
		    !leads(numbers_of(&bridge), bus_below(function, i),
			   function->device.bus))
			return false;
	}
	return function->path.count;
}

/* ---- Bus numbers ---------------------------------------------------------------- */

static bool is_same_place(const struct pci_device *a,
			  const struct pci_device *b)
{
	return a->segment == b->segment && a->bus == b->bus &&
		a->device == b->device && a->function == b->function;
}

/* False: the bridge is not above the function. */
static bool find_level(const struct pci_function *function,
		       const struct pci_device *bridge, unsigned *level)
{
	for (*level = 0; *level < function->path.count; ++*level) {
		struct pci_device above = bridge_of(function, *level);

		if (is_same_place(&above, bridge))
			return true;
	}
	return false;
}

static struct pci_device place_on(const struct pci_function *function, u8 bus)
{
	struct pci_device place = function->device;

	place.bus = bus;
	return place;
}

static bool is_vacant(const struct pci_function *function, u8 bus)
{
	struct pci_device place = place_on(function, bus);

	return bus && vendor_of(&place) == PCI_VENDOR_NONE;
}

/*
 * A bridge that leads to it goes on doing so, by another number if need be;
 * no other bridge begins to. One that should and does not was reset, and with
 * it all that is behind.
 */
static bool may_change(const struct pci_function *function,
		       const struct pci_device *bridge, u32 now, u32 next)
{
	u8 bus = function->device.bus, moved = secondary(next);
	unsigned level;

	if (function->claim != PCI_TAKEN ||
	    function->device.segment != bridge->segment)
		return true;
	if (!find_level(function, bridge, &level))
		return covers(now, bus) || !covers(next, bus);
	return !leads(now, bus_below(function, level), bus) ||
		leads(next, bus_below(function, level), bus) ||
		(!level && leads(next, moved, moved) &&
		 is_vacant(function, moved));
}

static bool may_all_change(const struct pci_device *bridge, u32 now, u32 next)
{
	struct list *node;

	list_for_each(node, &pci_functions)
		if (!may_change(pci_function_of(node), bridge, now, next))
			return false;
	return true;
}

enum sight { UNMOVED, MOVED, LOST };

/* After the write. What cannot be looked at is taken to be where it was. */
static enum sight see(const struct pci_function *function,
		      struct pci_device *bridge, u32 next)
{
	struct pci_device place = place_on(function, secondary(next));
	unsigned level;

	if (function->claim != PCI_TAKEN ||
	    !find_level(function, bridge, &level) ||
	    bus_below(function, level) == place.bus ||
	    !leads(next, place.bus, place.bus) || !is_awake(bridge))
		return UNMOVED;
	return !level && vendor_of(&place) == place.vendor_id &&
		pci_config_read(&place, PCI_DEVICE_ID, 2) == place.device_id ?
		MOVED : LOST;
}

static bool has_lost_any(struct pci_device *bridge, u32 next)
{
	struct list *node;

	list_for_each(node, &pci_functions)
		if (see(pci_function_of(node), bridge, next) == LOST)
			return true;
	return false;
}

static void move(struct pci_function *function, u8 bus)
{
	struct pci_device before = function->device;

	function->device.bus = bus;
	pci_function_rename(function);
	if (iommu_trust(&function->device, true))
		log_error("pci: %s: cut off from memory",
			  function->device.name);
	iommu_trust(&before, false);
}

static void follow(struct pci_function *function, struct pci_device *bridge,
		   u32 next)
{
	switch (see(function, bridge, next)) {
	case MOVED:
		log_info("pci: %s: its bus is %02x now", function->device.name,
			 secondary(next));
		move(function, secondary(next));
		break;
	case LOST:
		pci_function_drop(function);
		break;
	case UNMOVED:
		break;
	}
}

static void follow_all(struct pci_device *bridge, u32 next)
{
	struct list *node, *after;

	list_for_each_safe(node, after, &pci_functions)
		follow(pci_function_of(node), bridge, next);
}

static void refuse(const struct pci_access *access)
{
	log_limited(LOG_WARN, "pci: %02x:%02x.%x: numbers %#x at %02x would "
		    "hide a controller: dropped", access->at.bus,
		    access->at.device, access->at.function, access->value,
		    access->offset);
}

/* Does it lead to anything of ours before the write? */
static bool is_in_use(const struct pci_device *bridge, u32 now)
{
	struct list *node;
	unsigned level;

	list_for_each(node, &pci_functions) {
		struct pci_function *function = pci_function_of(node);

		if (function->claim == PCI_TAKEN &&
		    find_level(function, bridge, &level) &&
		    leads(now, bus_below(function, level),
			  function->device.bus))
			return true;
	}
	return false;
}

static void write_numbers(const struct pci_access *access,
			  struct pci_device *bridge)
{
	u32 now = numbers_of(bridge);
	u32 next = pci_access_merge(access, now);

	if (!may_all_change(bridge, now, next)) {
		refuse(access);
		return;
	}
	pci_config_write(bridge, PCI_BUS_NUMBERS, 4, next);
	if (is_in_use(bridge, now) && has_lost_any(bridge, next)) {
		pci_config_write(bridge, PCI_BUS_NUMBERS, 4, now);
		refuse(access);
		return;
	}
	follow_all(bridge, next);
}

/* ---- The place of ECAM -------------------------------------------------------------- */

static bool is_ecam(u64 base)
{
	const struct acpi_ecam *ecam;

	for (size_t i = 0; (ecam = pci_config_ecam(i)); i++)
		if (ecam->base == base)
			return true;
	return false;
}

static bool is_ecam_base(const struct pci_access *access)
{
	struct pci_device bridge = access->at;
	u64 base;

	if (!ranges_overlap(access->offset, access->size, PCI_INTEL_PCIEXBAR,
			    8) ||
	    bridge.segment || bridge.bus || bridge.device || bridge.function ||
	    vendor_of(&bridge) != PCI_VENDOR_INTEL)
		return false;
	base = pci_config_read(&bridge, PCI_INTEL_PCIEXBAR, 4) |
		(u64)pci_config_read(&bridge, PCI_INTEL_PCIEXBAR + 4, 4) << 32;
	return is_ecam(base & PCI_INTEL_PCIEXBAR_BASE);
}

bool pci_route_write(const struct pci_access *access)
{
	struct pci_device at = access->at;

	if (is_ecam_base(access)) {
		log_limited(LOG_WARN, "pci: config space cannot be moved");
		return true;
	}
	if (align_down(access->offset, 4) != PCI_BUS_NUMBERS || !is_bridge(&at))
		return false;
	write_numbers(access, &at);
	return true;
}
