/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The PCI code on a make-believe machine of a few functions, reached by ECAM
 * or by ports: scan, BARs, capabilities, and what the guest sees of them.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "../../core/acpi.h"
#include "../../core/ioport.h"
#include "../../core/pci_bus.h"
#include "../../core/pci_config.h"
#include "../../core/x86/io.h"
#include "bits.h"
#include "log.h"
#include "mmio.h"
#include "pci.h"
#include "spec/pci.h"
#include "test.h"

#define ECAM 0xe0000000ull
#define NVME 0x010802
#define DISK_PAGE (ECAM + (2 << 20 | 3 << 15 | 1 << 12))	/* 02:03.1 */
#define DISK_LATCH 0x80021900

struct fake_function {
	u8 bus, device, function;
	u8 config[4096];
	u8 writable[4096];		/* a mask for each byte */
};

static struct fake_function machine[8];
static unsigned machine_count;
static struct fake_function *disk;
static u32 latch;
static bool has_ecam;
static int register_error, attach_error;
static struct mmio_region *regions[4];
static unsigned region_count;

/* ---- The machine ----------------------------------------------------------- */

static struct fake_function *find_function(u32 address)
{
	for (unsigned i = 0; i < machine_count; i++)
		if ((u32)(machine[i].bus << 20 | machine[i].device << 15 |
			  machine[i].function << 12) == (address & ~0xfffu))
			return &machine[i];
	return NULL;
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
	return result;
}

u64 mmio_read(hpa_t address, unsigned size)
{
	CHECK(has_ecam);
	return cycle(address.v - ECAM, size, false, 0);
}

void mmio_write(hpa_t address, unsigned size, u64 value)
{
	CHECK(has_ecam);
	cycle(address.v - ECAM, size, true, value);
}

static u32 port_address(u16 port)
{
	CHECK(port >= 0xcfc && port <= 0xcff);
	return (latch & 0xffff00) << 4 | (latch & 0xfc) | (port & 3);
}

u32 io_read(u16 port, unsigned size)
{
	if (port == 0xcf8)
		return latch;
	if (!(latch & 1u << 31))
		return 0xffffffff;
	return cycle(port_address(port), size, false, 0);
}

void io_write(u16 port, unsigned size, u32 value)
{
	if (port == 0xcf8)
		latch = value;
	else if (latch & 1u << 31)
		cycle(port_address(port), size, true, value);
}

size_t acpi_read_ecams(struct acpi_ecam *out, size_t max)
{
	CHECK(max >= 1);
	*out = (struct acpi_ecam){ ECAM, 0, 0, 7 };
	return has_ecam;
}

int mmio_register(struct mmio_region *region)
{
	if (register_error)
		return register_error;
	CHECK(region_count < ARRAY_COUNT(regions));
	regions[region_count++] = region;
	return 0;
}

void mmio_unregister(struct mmio_region *region)
{
	CHECK(region_count && regions[region_count - 1] == region);
	region_count--;
}

void log_line(enum log_level level, const char *format, ...)
{
}

/* ---- The driver ------------------------------------------------------------ */

static struct pci_device *attached[4];
static unsigned attached_count;
static struct {
	u16 offset;
	unsigned size;
	u32 value;
} writes[8];
static unsigned write_count, written_count;

static int attach(struct pci_device *device)
{
	if (!attach_error)
		attached[attached_count++] = device;
	return attach_error;
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
	CHECK(write_count < ARRAY_COUNT(writes));
	writes[write_count].offset = offset;
	writes[write_count].size = size;
	writes[write_count++].value = value;
	return offset != 0x60;
}

static void config_written(struct pci_device *device, u16 offset,
			   unsigned size)
{
	written_count++;
}

static const struct pci_driver driver = {
	.name = "test", .class_code = NVME, .attach = attach,
	.config_read = config_read, .config_write = config_write,
	.config_written = config_written,
};
PCI_DRIVER(driver);

/* ---- Set-up ----------------------------------------------------------------- */

static void put(struct fake_function *function, u16 offset, u64 value,
		unsigned size)
{
	memcpy(function->config + offset, &value, size);
}

static void make_writable(struct fake_function *function, u16 offset, u64 mask,
			  unsigned size)
{
	memcpy(function->writable + offset, &mask, size);
}

static struct fake_function *add(u8 bus, u8 device, u8 number, u32 class_code)
{
	struct fake_function *function = &machine[machine_count++];

	*function = (struct fake_function){ bus, device, number, { 0 }, { 0 } };
	put(function, PCI_VENDOR_ID, 0x00101b36, 4);
	put(function, PCI_CLASS_REVISION, class_code << 8 | 2, 4);
	put(function, PCI_COMMAND, 0x0406, 2);
	make_writable(function, PCI_COMMAND, 0x0547, 2);
	return function;
}

/* BAR 0: 64 bits, 16 KiB; 2: I/O; 3: 32 bits, 4 KiB; 5: 64 bits: nonsense. */
static void add_bars(struct fake_function *function)
{
	put(function, PCI_BAR(0), 0xe080000004, 8);
	make_writable(function, PCI_BAR(0), ~0x3fffull, 8);
	put(function, PCI_BAR(2), 0xc001, 4);
	make_writable(function, PCI_BAR(2), 0xffe0, 4);
	put(function, PCI_BAR(3), 0xfebf1000, 4);
	make_writable(function, PCI_BAR(3), 0xfffff000, 4);
	put(function, PCI_BAR(5), 0xfebf0004, 4);
}

/* 02:03 has functions 0, 1 (the disk) and 5; 00:1f.1 hides behind a
 * single-function device. */
static size_t boot(bool with_ecam)
{
	has_ecam = with_ecam;
	add(0, 0, 0, 0x060000);
	put(add(2, 3, 0, 0x060400), PCI_HEADER_TYPE, 0x81, 1);
	disk = add(2, 3, 1, NVME);
	add(2, 3, 5, 0x020000);
	add(0, 0x1f, 0, 0x060100);
	add(0, 0x1f, 1, NVME);
	add_bars(disk);
	make_writable(disk, 0x50, ~0ull, 8);
	make_writable(disk, 0x60, ~0ull, 4);
	make_writable(disk, 0xff8, ~0ull, 8);
	latch = 0x80001234;
	pci_config_init();
	return pci_bus_attach();
}

static u64 guest_page(u64 offset, unsigned size, bool is_write, u64 value)
{
	struct mmio_access access = { offset, size, is_write, value };

	regions[0]->access(regions[0], &access);
	return access.value;
}

static u32 guest_port(u32 address, u16 port, unsigned size, bool is_write,
		      u32 value)
{
	latch = address;
	ioport_access(port, size, is_write, &value);
	CHECK_EQ(latch, address);
	return value;
}

/* ---- Tests ------------------------------------------------------------------ */

TEST(functions_of_a_driver_class_are_attached)
{
	CHECK_EQ(boot(true), 1);
	CHECK_EQ(attached_count, 1);
	CHECK_STR(attached[0]->name, "0000:02:03.1");
	CHECK_EQ(attached[0]->vendor_id, 0x1b36);
	CHECK_EQ(attached[0]->device_id, 0x0010);
	CHECK_EQ(attached[0]->class_code, NVME);
	CHECK_EQ(region_count, 1);
	CHECK_EQ(regions[0]->base.v, DISK_PAGE);
	CHECK_EQ(regions[0]->size, 4096);
	CHECK_EQ(latch, 0x80001234);
}

TEST(without_ecam_the_ports_do_and_the_latch_is_kept)
{
	CHECK_EQ(boot(false), 1);
	CHECK_STR(attached[0]->name, "0000:02:03.1");
	CHECK_EQ(region_count, 0);
	CHECK_EQ(latch, 0x80001234);
	CHECK_EQ(pci_config_read(attached[0], 0x100, 4), 0xffffffff);
	pci_config_write(attached[0], 0x150, 4, 1);
	CHECK_EQ(disk->config[0x50], 0);
}

TEST(a_function_that_its_driver_refuses_stays_the_guests)
{
	attach_error = -ENODEV;
	CHECK_EQ(boot(true), 0);
	CHECK_EQ(region_count, 0);
}

TEST(a_function_that_cannot_be_watched_is_not_attached)
{
	register_error = -EEXIST;
	CHECK_EQ(boot(true), 0);
	CHECK_EQ(attached_count, 0);
}

TEST(bars_are_sized_and_left_as_they_were)
{
	u8 before[4096];

	boot(true);
	memcpy(before, disk->config, sizeof(before));
	CHECK_EQ(pci_bar_size(attached[0], 0), 0x4000);
	CHECK_EQ(pci_bar_size(attached[0], 2), 0);
	CHECK_EQ(pci_bar_size(attached[0], 3), 0x1000);
	CHECK_EQ(pci_bar_size(attached[0], 4), 0);
	CHECK_EQ(pci_bar_size(attached[0], 5), 0);
	CHECK_EQ(pci_bar_size(attached[0], 6), 0);
	CHECK(!memcmp(before, disk->config, sizeof(before)));
}

TEST(a_bar_that_does_not_decode_has_no_base)
{
	boot(true);
	CHECK_EQ(pci_bar_base(attached[0], 0).v, 0xe080000000);
	CHECK_EQ(pci_bar_base(attached[0], 2).v, 0);
	CHECK_EQ(pci_bar_base(attached[0], 3).v, 0xfebf1000);
	CHECK_EQ(pci_bar_base(attached[0], 4).v, 0);
	CHECK_EQ(pci_bar_base(attached[0], 5).v, 0);
	put(disk, PCI_COMMAND, 0x0404, 2);
	CHECK_EQ(pci_bar_base(attached[0], 0).v, 0);
}

TEST(a_bar_being_sized_has_no_base)
{
	boot(true);
	pci_bar_size(attached[0], 0);
	pci_bar_size(attached[0], 3);
	guest_page(PCI_BAR(3), 4, true, 0xffffffff);
	CHECK_EQ(pci_bar_base(attached[0], 3).v, 0);
	guest_page(PCI_BAR(0) + 4, 4, true, 0xffffffff);
	CHECK_EQ(pci_bar_base(attached[0], 0).v, 0);
	guest_page(PCI_BAR(0) + 4, 4, true, 0);
	guest_page(PCI_BAR(0), 4, true, 0xffffffff);
	CHECK_EQ(pci_bar_base(attached[0], 0).v, 0);
	guest_page(PCI_BAR(0), 4, true, 0xfe000000);
	CHECK_EQ(pci_bar_base(attached[0], 0).v, 0xfe000000);
}

static void put_capability(u16 offset, u8 id, u8 next)
{
	put(disk, offset, id | next << 8, 2);
}

TEST(capabilities_are_found)
{
	boot(true);
	put_capability(0x40, PCI_CAPABILITY_MSIX, 0x81);
	put_capability(0x80, PCI_CAPABILITY_EXPRESS, 0);
	put(disk, PCI_CAPABILITY_POINTER, 0x40, 1);
	CHECK_EQ(pci_find_capability(attached[0], PCI_CAPABILITY_MSIX), 0);
	put(disk, PCI_STATUS, 0x10, 2);
	CHECK_EQ(pci_find_capability(attached[0], PCI_CAPABILITY_MSIX), 0x40);
	CHECK_EQ(pci_find_capability(attached[0], PCI_CAPABILITY_EXPRESS),
		 0x80);
	CHECK_EQ(pci_find_capability(attached[0], PCI_CAPABILITY_MSI), 0);
	CHECK_EQ(pci_find_extended_capability(attached[0], 3), 0);
	put(disk, 0x100, 0x14810001, 4);
	put(disk, 0x148, 0x00010003, 4);
	CHECK_EQ(pci_find_extended_capability(attached[0], 1), 0x100);
	CHECK_EQ(pci_find_extended_capability(attached[0], 3), 0x148);
	CHECK_EQ(pci_find_extended_capability(attached[0], 4), 0);
}

TEST(a_circle_of_capabilities_ends)
{
	boot(true);
	put(disk, PCI_STATUS, 0x10, 2);
	put(disk, PCI_CAPABILITY_POINTER, 0x40, 1);
	put_capability(0x40, 9, 0x44);
	put_capability(0x44, 9, 0x40);
	CHECK_EQ(pci_find_capability(attached[0], PCI_CAPABILITY_MSI), 0);
	put_capability(0x44, 9, 0x10);
	CHECK_EQ(pci_find_capability(attached[0], 0x36), 0);
	put(disk, 0x100, 0x10010001, 4);
	CHECK_EQ(pci_find_extended_capability(attached[0], 3), 0);
	put(disk, 0x100, 0x01010001, 4);
	CHECK_EQ(pci_find_extended_capability(attached[0], 3), 0);
}

TEST(the_driver_alters_what_the_guest_reads)
{
	boot(true);
	put(disk, 0x50, 0x8877665544332211, 8);
	CHECK_EQ(guest_page(0x50, 8, false, 0), 0x887766554433225a);
	CHECK_EQ(guest_page(0x50, 1, false, 0), 0x5a);
	CHECK_EQ(guest_page(0x4e, 4, false, 0), 0x225a0000);
	CHECK_EQ(guest_page(0x51, 4, false, 0), 0x55443322);
	CHECK_EQ(guest_page(0x51, 2, false, 0), 0x3322);
	CHECK_EQ(guest_port(DISK_LATCH | 0x50, 0xcfc, 4, false, 0),
		 0x4433225a);
	CHECK_EQ(guest_port(DISK_LATCH | 0x50, 0xcfe, 2, false, 0), 0x4433);
	CHECK_EQ(guest_port(DISK_LATCH | 0x50, 0xcfc, 1, false, 0), 0x5a);
}

static const struct {
	u64 offset;
	unsigned size;
	unsigned piece_count;
	struct { u16 offset; unsigned size; u32 value; } pieces[4];
} split_cases[] = {
	{ 0x50, 8, 2, { { 0x50, 4, 0x44332211 }, { 0x54, 4, 0x88776655 } } },
	{ 0x51, 4, 3, { { 0x51, 1, 0x11 }, { 0x52, 2, 0x3322 },
			{ 0x54, 1, 0x44 } } },
	{ 0x53, 2, 2, { { 0x53, 1, 0x11 }, { 0x54, 1, 0x22 } } },
	{ 0xffc, 8, 1, { { 0xffc, 4, 0x44332211 } } },
	{ 0xfff, 4, 1, { { 0xfff, 1, 0x11 } } },
};

TEST(the_driver_sees_writes_in_aligned_pieces_of_its_own_page)
{
	boot(true);
	for (size_t i = 0; i < ARRAY_COUNT(split_cases); i++) {
		write_count = written_count = 0;
		guest_page(split_cases[i].offset, split_cases[i].size, true,
			   0x8877665544332211);
		CHECK_EQ(write_count, split_cases[i].piece_count);
		CHECK_EQ(written_count, write_count);
		for (unsigned j = 0; j < write_count; j++) {
			CHECK_EQ(writes[j].offset,
				 split_cases[i].pieces[j].offset);
			CHECK_EQ(writes[j].size, split_cases[i].pieces[j].size);
			CHECK_EQ(writes[j].value,
				 split_cases[i].pieces[j].value);
		}
	}
	CHECK_EQ(disk->config[0xffc], 0x11);
}

TEST(a_write_that_the_driver_takes_does_not_reach_the_device)
{
	boot(true);
	guest_page(0x60, 4, true, 0x12345678);
	guest_port(DISK_LATCH | 0x60, 0xcfc, 4, true, 0x12345678);
	CHECK_EQ(write_count, 2);
	CHECK_EQ(written_count, 0);
	CHECK_EQ(disk->config[0x60], 0);
}

TEST(ports_lead_to_the_driver_only_for_its_function)
{
	boot(true);
	CHECK_EQ(guest_port(DISK_LATCH ^ 0x100, 0xcfc, 4, false, 0),
		 0x00101b36);
	guest_port(DISK_LATCH ^ 0x100, 0xcfc, 4, true, 0);
	CHECK_EQ(guest_port(DISK_LATCH & ~(1u << 31), 0xcfc, 4, false, 0),
		 0xffffffff);
	CHECK_EQ(write_count, 0);
	guest_port(DISK_LATCH | 0x54, 0xcfd, 1, true, 0x77);
	CHECK_EQ(write_count, 1);
	CHECK_EQ(writes[0].offset, 0x55);
	CHECK_EQ(disk->config[0x55], 0x77);
	CHECK_EQ(written_count, 1);
}

TEST(reserved_bits_of_the_address_are_no_way_round_the_driver)
{
	boot(true);
	guest_port(DISK_LATCH | 0x0f000000 | 0x60, 0xcfc, 4, true, 0x12345678);
	CHECK_EQ(write_count, 1);
	CHECK_EQ(writes[0].offset, 0x60);
	CHECK_EQ(disk->config[0x60], 0);
}
