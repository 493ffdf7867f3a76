/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Every access of the guest to config space, by memory or by ports, taken
 * apart into aligned pieces for pci_bus.c: one at a time, from all CPUs.
 */
#include <errno.h>
#include <stdlib.h>

#include "pci_trap.h"
#include "bits.h"
#include "ioport.h"
#include "lock.h"
#include "log.h"
#include "mmio.h"
#include "pci_bus.h"
#include "pci_config.h"
#include "spec/pci.h"

struct window {
	struct mmio_region region;
	u16 segment;
	u8 first_bus;
};

/*
 * Held throughout an access: what was found about a function, and where
 * ports are needed the address in CF8h, are true until the cycle is done. Taking a function waits
 * for other CPUs to leave the guest; they do not wait for this lock in it.
 */
static struct lock lock;

/* ---- By memory ------------------------------------------------------------ */

static void set_address(struct pci_access *access, const struct window *window,
			u64 offset)
{
	access->at.segment = window->segment;
	access->at.bus = window->first_bus + (offset >> PCI_ECAM_BUS_SHIFT);
	access->at.device = offset >> PCI_ECAM_DEVICE_SHIFT &
		(PCI_DEVICE_MAX - 1);
	access->at.function = offset >> PCI_ECAM_FUNCTION_SHIFT &
		(PCI_FUNCTION_MAX - 1);
	access->offset = offset % PCI_EXTENDED_CONFIG_SIZE;
}

static u32 access_piece(struct pci_access *access, bool is_write)
{
	if (!is_write)
		return pci_bus_read(access);
	pci_bus_write(access);
	return 0;
}

static void access_window(struct mmio_region *region,
			  struct mmio_access *access)
{
	struct window *window = container_of(region, struct window, region);
	struct pci_access piece = { 0 };
	u64 all = 0;

	lock_acquire(&lock);
	for (unsigned done = 0; done < access->size; done += piece.size) {
		set_address(&piece, window, access->offset + done);
		piece.size = aligned_piece(piece.offset, access->size - done);
		piece.value = access->value >> 8 * done &
			BITS(8 * piece.size - 1, 0);
		all |= (u64)access_piece(&piece, access->is_write) << 8 * done;
	}
	lock_release(&lock);
	if (!access->is_write)
		access->value = all;
}

static int trap_window(const struct acpi_ecam *ecam)
{
	struct window *window = calloc(1, sizeof(*window));
	u64 bus_count = ecam->last_bus - ecam->first_bus + 1;
	int error;

	if (!window)
		return -ENOMEM;
	window->segment = ecam->segment;
	window->first_bus = ecam->first_bus;
	window->region = (struct mmio_region){
		.name = "pci",
		.base = gpa(ecam->base +
			    ((u64)ecam->first_bus << PCI_ECAM_BUS_SHIFT)),
		.size = bus_count << PCI_ECAM_BUS_SHIFT,
		.access = access_window,
	};
	error = mmio_register(&window->region);
	if (error)
		free(window);
	return error;
}

/* ---- By ports -------------------------------------------------------------- */

/*
 * The address is read once. Where memory reaches everything, another CPU may
 * write it anew at any time: the cycle that was looked at is made by memory.
 *
 * Bits 27-24, which some processors of AMD can be told to take as register
 * bits 11-8, are ignored: nothing gets past us by them.
 */
static void access_data(u16 port, unsigned size, bool is_write, u32 *value)
{
	u32 latch = pci_config_latch();
	struct pci_access access = {
		.at = { .bus = FIELD_GET(PCI_ADDRESS_BUS, latch),
			.device = FIELD_GET(PCI_ADDRESS_DEVICE, latch),
			.function = FIELD_GET(PCI_ADDRESS_FUNCTION, latch) },
		.offset = (latch & PCI_ADDRESS_REGISTER) + (port & 3),
		.size = size, .value = *value,
		.port = pci_config_needs_ports() ? port : 0,
	};

	/* Without it the cycle is one of I/O, and nobody's. */
	if (!(latch & PCI_ADDRESS_ENABLE))
		*value = BITS(8 * size - 1, 0);
	else if (is_write)
		pci_bus_write(&access);
	else
		*value = pci_bus_read(&access);
}

static void access_port(u16 port, unsigned size, bool is_write, u32 *value)
{
	lock_acquire(&lock);
	if (port < PCI_PORT_DATA)
		pci_config_port(port, size, is_write, value);
	else
		access_data(port, size, is_write, value);
	lock_release(&lock);
}

static struct ioport_range ports = {
	.last = PCI_PORT_DATA_LAST,
	.access = access_port,
};

int pci_trap_init(void)
{
	const struct acpi_ecam *ecam;
	int error = 0;

	ports.first = pci_config_needs_ports() ? PCI_PORT_ADDRESS
					       : PCI_PORT_DATA;
	ioport_register(&ports);
	for (size_t i = 0; !error && (ecam = pci_config_ecam(i)); i++) {
		error = trap_window(ecam);
		if (error)
			log_error("pci: config space at %#llx cannot be "
				  "trapped: %d", (unsigned long long)ecam->base,
				  error);
	}
	return error;
}
