/* SPDX-License-Identifier: BSD-2-Clause */
/* See fake_pci.h. */
#include <string.h>

#include "../../core/acpi.h"
#include "../../core/iommu/iommu.h"
#include "../../core/ioport.h"
#include "../../core/pci_bus.h"
#include "../../core/pci_config.h"
#include "../../core/pci_trap.h"
#include "../../core/x86/io.h"
#include "bits.h"
#include "fake_pci.h"
#include "setting.h"
#include "spec/pci.h"
#include "test.h"

struct fake_pci fake_pci;

static struct fake_function machine[16];
static unsigned machine_count;

/* ---- The machine ----------------------------------------------------------- */

u32 fake_get(const struct fake_function *function, u16 offset, unsigned size)
{
	u32 value = 0;

	memcpy(&value, function->config + offset, size);
	return value;
}

static u8 bus_of(const struct fake_function *function)
{
	return function->parent ? function->parent->config[0x19] : 0;
}

/* A bridge's power state is at 44h. */
static bool forwards(const struct fake_function *bridge, u8 bus)
{
	return !bridge || (bus >= bridge->config[0x19] &&
			   bus <= bridge->config[0x1a] &&
			   !(bridge->config[0x44] & 3) &&
			   forwards(bridge->parent, bus));
}

static struct fake_function *find_function(u32 address)
{
	for (unsigned i = 0; i < machine_count; i++) {
		struct fake_function *f = &machine[i];
		u8 bus = bus_of(f);

		if (f->device == (address >> 15 & 31) &&
		    f->function == (address >> 12 & 7) &&
		    bus == address >> 20 && fake_get(f, 0, 2) &&
		    forwards(f->parent, bus))
			return f;
	}
	return NULL;
}

static bool decodes(const struct fake_function *function)
{
	return fake_get(function, PCI_CLASS_REVISION, 4) >> 8 == NVME &&
		fake_get(function, PCI_COMMAND, 2) & PCI_COMMAND_MEMORY;
}

/* Another CPU may come at any moment: a controller decodes with a trap. */
static void check_mapped(void)
{
	unsigned count = 0;

	for (unsigned i = 0; i < machine_count; i++)
		count += decodes(&machine[i]);
	CHECK(count <= fake_pci.mapped_count || !fake_pci.is_running ||
	      fake_pci.is_bare);
}

static u64 cycle(u32 address, unsigned size, bool is_write, u64 value)
{
	struct fake_function *function = find_function(address);
	u64 result = 0;

	CHECK(size <= 4 && is_aligned(address, size));
	if (!function)
		return BITS(8 * size - 1, 0);
	for (unsigned i = 0; i < size; i++) {
		u8 *byte = &function->config[(address & 0xfff) + i];
		u8 mask = function->writable[(address & 0xfff) + i];

		if (is_write)
			*byte = (*byte & ~mask) | (value >> 8 * i & mask);
		result |= (u64)*byte << 8 * i;
	}
	check_mapped();
	return result;
}

u64 mmio_read(hpa_t address, unsigned size)
{
	CHECK(fake_pci.has_ecam);
	return cycle(address.v - ECAM, size, false, 0);
}

void mmio_write(hpa_t address, unsigned size, u64 value)
{
	CHECK(fake_pci.has_ecam);
	cycle(address.v - ECAM, size, true, value);
}

/* Another CPU writes it right behind. */
static u32 read_latch(void)
{
	u32 latch = fake_pci.latch;

	if (fake_pci.next_latch)
		fake_pci.latch = fake_pci.next_latch;
	return latch;
}

static u32 port_address(u16 port)
{
	fake_pci.port_cycles++;
	CHECK(port >= 0xcfc && port <= 0xcff);
	return (fake_pci.latch & 0xffff00) << 4 | (fake_pci.latch & 0xfc) |
		(port & 3);
}

u32 io_read(u16 port, unsigned size)
{
	if (port == 0xcf8)
		return read_latch();
	if (!(fake_pci.latch & 1u << 31))
		return 0xffffffff;
	return cycle(port_address(port), size, false, 0);
}

void io_write(u16 port, unsigned size, u32 value)
{
	if (port == 0xcf8)
		fake_pci.latch = value;
	else if (fake_pci.latch & 1u << 31)
		cycle(port_address(port), size, true, value);
}

size_t acpi_read_ecams(struct acpi_ecam *out, size_t max)
{
	CHECK(max >= 1);
	*out = (struct acpi_ecam){
		ECAM, 0, 0, fake_pci.last_bus ? fake_pci.last_bus : 7,
	};
	return fake_pci.has_ecam;
}

int mmio_register(struct mmio_region *region)
{
	if (fake_pci.register_error)
		return fake_pci.register_error;
	CHECK(fake_pci.region_count < ARRAY_COUNT(fake_pci.regions));
	fake_pci.regions[fake_pci.region_count++] = region;
	return 0;
}

bool config_fail_closed(void)
{
	return fake_pci.fail_closed;
}

/* ---- The IOMMU ------------------------------------------------------------- */

static u16 id_of(const struct pci_device *at)
{
	return at->bus << 8 | at->device << 3 | at->function;
}

static u16 *trusted(u16 id)
{
	for (size_t i = 0; i < ARRAY_COUNT(fake_pci.trusted); i++)
		if (fake_pci.trusted[i] == id)
			return &fake_pci.trusted[i];
	return NULL;
}

bool fake_is_trusted(u16 id)
{
	return trusted(id);
}

int iommu_trust(const struct pci_device *at, bool is_trusted)
{
	u16 *place = trusted(is_trusted ? 0 : id_of(at));

	if (is_trusted && fake_pci.trust_error)
		return fake_pci.trust_error;
	CHECK(place || fake_pci.trust_error);
	if (place)
		*place = is_trusted ? id_of(at) : 0;
	return 0;
}

bool iommu_is_unit(const struct pci_device *at)
{
	return fake_pci.iommu_device && !at->bus &&
		at->device == fake_pci.iommu_device;
}

/* ---- The driver ------------------------------------------------------------ */

static int attach(struct pci_device *device)
{
	CHECK(fake_is_trusted(id_of(device)));
	CHECK(fake_pci.attached_count < ARRAY_COUNT(fake_pci.attached));
	if (!fake_pci.attach_error)
		fake_pci.attached[fake_pci.attached_count++] = device;
	return fake_pci.attach_error;
}

static void detach(struct pci_device *device)
{
	CHECK(fake_is_trusted(id_of(device)));
	fake_pci.detached_count++;
}

static bool is_on(struct pci_device *device)
{
	return pci_config_read(device, PCI_COMMAND, 2) & PCI_COMMAND_MEMORY;
}

static int map(struct pci_device *device)
{
	CHECK(!is_on(device));
	fake_pci.map_count++;
	fake_pci.mapped_count += !fake_pci.map_error;
	return fake_pci.map_error;
}

static void unmap(struct pci_device *device)
{
	CHECK(!is_on(device) || pci_config_read(device, 0, 4) == ~0u);
	fake_pci.mapped_count--;
}

/* Byte 50h reads as 5Ah to the guest; writes to 60h are dropped. */
static void config_read(struct pci_device *device, u16 offset, unsigned size,
			u32 *value)
{
	if (offset <= 0x50 && offset + size > 0x50)
		*value = FIELD_SET(0xffull << 8 * (0x50 - offset), *value,
				   0x5a);
}

static bool config_write(struct pci_device *device, u16 offset, unsigned size,
			 u32 value)
{
	u32 i = fake_pci.write_count++ % ARRAY_COUNT(fake_pci.writes);

	fake_pci.writes[i].offset = offset;
	fake_pci.writes[i].size = size;
	fake_pci.writes[i].value = value;
	return offset != 0x60;
}

static void config_written(struct pci_device *device, u16 offset,
			   unsigned size)
{
	fake_pci.written_count++;
}

static const struct pci_driver driver = {
	.name = "test", .class_code = NVME, .attach = attach,
	.detach = detach, .map = map, .unmap = unmap,
	.config_read = config_read, .config_write = config_write,
	.config_written = config_written,
};
PCI_DRIVER(driver);

/* ---- Set-up ----------------------------------------------------------------- */

void fake_put(struct fake_function *function, u16 offset, u64 value,
	      unsigned size)
{
	memcpy(function->config + offset, &value, size);
}

static void make_writable(struct fake_function *function, u16 offset, u64 mask,
			  unsigned size)
{
	memcpy(function->writable + offset, &mask, size);
}

static struct fake_function *add(struct fake_function *parent, u8 device,
				 u8 number, u32 class_code)
{
	struct fake_function *function = &machine[machine_count++];

	*function = (struct fake_function){ parent, device, number, { 0 },
					    { 0 } };
	fake_put(function, PCI_VENDOR_ID, 0x00101b36, 4);
	fake_put(function, PCI_CLASS_REVISION, class_code << 8 | 2, 4);
	fake_put(function, PCI_COMMAND, 0x0406, 2);
	make_writable(function, PCI_COMMAND, 0x0547, 2);
	return function;
}

static struct fake_function *add_bridge(struct fake_function *parent,
					u8 device, u32 numbers)
{
	struct fake_function *bridge = add(parent, device, 0, 0x060400);

	fake_put(bridge, PCI_HEADER_TYPE, 1, 1);
	fake_put(bridge, PCI_BUS_NUMBERS, numbers, 4);
	make_writable(bridge, PCI_BUS_NUMBERS, 0xffffffff, 4);
	fake_put(bridge, PCI_STATUS, 0x10, 2);
	fake_put(bridge, PCI_CAPABILITY_POINTER, 0x40, 1);
	fake_put(bridge, 0x40, PCI_CAPABILITY_POWER, 1);
	make_writable(bridge, 0x44, 3, 1);
	return bridge;
}

/* BAR 0: 64 bits, 16 KiB; 2: I/O; 3: 32 bits, 4 KiB; 5: 64 bits: nonsense. */
static void add_bars(struct fake_function *function)
{
	fake_put(function, PCI_BAR(0), 0xe080000004, 8);
	make_writable(function, PCI_BAR(0), ~0x3fffull, 8);
	fake_put(function, PCI_BAR(2), 0xc001, 4);
	make_writable(function, PCI_BAR(2), 0xffe0, 4);
	fake_put(function, PCI_BAR(3), 0xfebf1000, 4);
	make_writable(function, PCI_BAR(3), 0xfffff000, 4);
	fake_put(function, PCI_BAR(5), 0xfebf0004, 4);
}

/*
 * 02:03 has functions 0, 1 (the disk) and 5; 00:1f.1 hides behind a
 * single-function device; 04:00.0 can be put in.
 */
size_t fake_pci_boot(bool has_ecam)
{
	size_t count;

	fake_pci.has_ecam = has_ecam;
	fake_pci.host_bridge = add(NULL, 0, 0, 0x060000);
	fake_pci.port = add_bridge(NULL, 1, 0x020200);
	fake_pci.slot_port = add_bridge(NULL, 2, 0x040400);
	fake_put(add(fake_pci.port, 3, 0, 0x030000), PCI_HEADER_TYPE, 0x80, 1);
	fake_pci.disk = add(fake_pci.port, 3, 1, NVME);
	add(fake_pci.port, 3, 5, 0x020000);
	add(NULL, 0x1f, 0, 0x060100);
	fake_put(add(NULL, 0x1f, 1, NVME), PCI_COMMAND, 0, 2);
	fake_pci.slot = &machine[machine_count++];
	add_bars(fake_pci.disk);
	make_writable(fake_pci.disk, 0x50, ~0ull, 8);
	make_writable(fake_pci.disk, 0x60, ~0ull, 4);
	make_writable(fake_pci.disk, 0xff8, ~0ull, 8);
	fake_pci.latch = 0x80001234;
	pci_config_init();
	CHECK_EQ(pci_trap_init(), 0);
	count = pci_bus_attach();
	fake_pci.is_running = true;
	return count;
}

void fake_put_in(u32 class_code)
{
	machine_count--;
	add(fake_pci.slot_port, 0, 0, class_code);
	add_bars(fake_pci.slot);
	fake_put(fake_pci.slot, PCI_COMMAND, 0, 2);
}

void fake_pull_out(struct fake_function *function)
{
	memset(function->config, 0, sizeof(function->config));
}

u64 fake_ecam(u64 offset, unsigned size, bool is_write, u64 value)
{
	struct mmio_access access = { offset, size, is_write, value };

	fake_pci.regions[0]->access(fake_pci.regions[0], &access);
	return access.value;
}

u64 fake_page(u64 offset, unsigned size, bool is_write, u64 value)
{
	return fake_ecam(DISK_PAGE + offset, size, is_write, value);
}

u32 fake_port(u32 address, u16 port, unsigned size, bool is_write, u32 value)
{
	ioport_access(0xcf8, 4, true, &address);
	ioport_access(port, size, is_write, &value);
	CHECK_EQ(fake_pci.latch, address);
	return value;
}
