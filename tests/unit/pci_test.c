/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The PCI code as the guest and a driver see it, by ECAM or by ports: scan,
 * BARs, capabilities, accesses. How functions come, move and change is in
 * pci_move_test.c.
 */
#include <errno.h>
#include <string.h>

#include "../../core/ioport.h"
#include "../../core/pci_config.h"
#include "../../core/pci_trap.h"
#include "bits.h"
#include "fake_pci.h"
#include "spec/pci.h"
#include "test.h"

TEST(functions_of_a_driver_class_are_attached)
{
	CHECK_EQ(fake_pci_boot(true), 1);
	CHECK_EQ(fake_pci.attached_count, 1);
	CHECK_STR(fake_pci.attached[0]->name, "0000:02:03.1");
	CHECK_EQ(fake_pci.attached[0]->vendor_id, 0x1b36);
	CHECK_EQ(fake_pci.attached[0]->device_id, 0x0010);
	CHECK_EQ(fake_pci.attached[0]->class_code, NVME);
	CHECK_EQ(fake_pci.mapped_count, 1);
	CHECK_EQ(fake_pci.region_count, 1);
	CHECK_EQ(fake_pci.regions[0]->base.v, ECAM);
	CHECK_EQ(fake_pci.regions[0]->size, 8 << 20);
	CHECK_EQ(fake_pci.latch, 0x80001234);
}

TEST(without_ecam_the_ports_do_and_the_latch_is_kept)
{
	CHECK_EQ(fake_pci_boot(false), 1);
	CHECK_STR(fake_pci.attached[0]->name, "0000:02:03.1");
	CHECK_EQ(fake_pci.region_count, 0);
	CHECK_EQ(fake_pci.latch, 0x80001234);
	CHECK_EQ(pci_config_read(fake_pci.attached[0], 0x100, 4), 0xffffffff);
	pci_config_write(fake_pci.attached[0], 0x150, 4, 1);
	CHECK_EQ(fake_pci.disk->config[0x50], 0);
}

static void find_first(u16 first, u16 last, void *arg)
{
	CHECK_EQ(last, 0xcff);
	*(u16 *)arg = first;
}

TEST(the_address_of_the_ports_is_trapped_where_ports_are_needed)
{
	u16 first;

	fake_pci.last_bus = 0xfe;
	fake_pci_boot(true);
	ioport_for_each(find_first, &first);
	CHECK_EQ(first, 0xcf8);
}

TEST(where_memory_reaches_everything_the_address_of_the_ports_is_not)
{
	u16 first;

	fake_pci.last_bus = 0xff;
	fake_pci_boot(true);
	ioport_for_each(find_first, &first);
	CHECK_EQ(first, 0xcfc);
}

TEST(config_space_that_cannot_be_trapped_is_an_error)
{
	fake_pci.register_error = -EEXIST;
	fake_pci.has_ecam = true;
	pci_config_init();
	CHECK_EQ(pci_trap_init(), -EEXIST);
}

TEST(bars_are_sized_and_left_as_they_were)
{
	u8 before[4096];

	fake_pci_boot(true);
	memcpy(before, fake_pci.disk->config, sizeof(before));
	CHECK_EQ(pci_bar_size(fake_pci.attached[0], 0), 0x4000);
	CHECK_EQ(pci_bar_size(fake_pci.attached[0], 2), 0);
	CHECK_EQ(pci_bar_size(fake_pci.attached[0], 3), 0x1000);
	CHECK_EQ(pci_bar_size(fake_pci.attached[0], 4), 0);
	CHECK_EQ(pci_bar_size(fake_pci.attached[0], 5), 0);
	CHECK_EQ(pci_bar_size(fake_pci.attached[0], 6), 0);
	CHECK(!memcmp(before, fake_pci.disk->config, sizeof(before)));
}

TEST(a_bar_that_is_none_has_no_base)
{
	fake_pci_boot(true);
	CHECK_EQ(pci_bar_base(fake_pci.attached[0], 0).v, 0xe080000000);
	CHECK_EQ(pci_bar_base(fake_pci.attached[0], 2).v, 0);
	CHECK_EQ(pci_bar_base(fake_pci.attached[0], 3).v, 0xfebf1000);
	CHECK_EQ(pci_bar_base(fake_pci.attached[0], 4).v, 0);
	CHECK_EQ(pci_bar_base(fake_pci.attached[0], 5).v, 0);
}

TEST(a_bar_being_sized_has_no_base)
{
	fake_pci_boot(true);
	pci_bar_size(fake_pci.attached[0], 0);
	pci_bar_size(fake_pci.attached[0], 3);
	fake_page(PCI_BAR(3), 4, true, 0xffffffff);
	CHECK_EQ(pci_bar_base(fake_pci.attached[0], 3).v, 0);
	fake_page(PCI_BAR(0) + 4, 4, true, 0xffffffff);
	CHECK_EQ(pci_bar_base(fake_pci.attached[0], 0).v, 0);
	fake_page(PCI_BAR(0) + 4, 4, true, 0);
	fake_page(PCI_BAR(0), 4, true, 0xffffffff);
	CHECK_EQ(pci_bar_base(fake_pci.attached[0], 0).v, 0);
	fake_page(PCI_BAR(0), 4, true, 0xfe000000);
	CHECK_EQ(pci_bar_base(fake_pci.attached[0], 0).v, 0xfe000000);
}

static void put_capability(u16 offset, u8 id, u8 next)
{
	fake_put(fake_pci.disk, offset, id | next << 8, 2);
}

TEST(capabilities_are_found)
{
	fake_pci_boot(true);
	put_capability(0x40, PCI_CAPABILITY_MSIX, 0x81);
	put_capability(0x80, PCI_CAPABILITY_EXPRESS, 0);
	fake_put(fake_pci.disk, PCI_CAPABILITY_POINTER, 0x40, 1);
	CHECK_EQ(pci_find_capability(fake_pci.attached[0], PCI_CAPABILITY_MSIX), 0);
	fake_put(fake_pci.disk, PCI_STATUS, 0x10, 2);
	CHECK_EQ(pci_find_capability(fake_pci.attached[0], PCI_CAPABILITY_MSIX), 0x40);
	CHECK_EQ(pci_find_capability(fake_pci.attached[0], PCI_CAPABILITY_EXPRESS),
		 0x80);
	CHECK_EQ(pci_find_capability(fake_pci.attached[0], PCI_CAPABILITY_MSI), 0);
	CHECK_EQ(pci_find_extended_capability(fake_pci.attached[0], 3), 0);
	fake_put(fake_pci.disk, 0x100, 0x14810001, 4);
	fake_put(fake_pci.disk, 0x148, 0x00010003, 4);
	CHECK_EQ(pci_find_extended_capability(fake_pci.attached[0], 1), 0x100);
	CHECK_EQ(pci_find_extended_capability(fake_pci.attached[0], 3), 0x148);
	CHECK_EQ(pci_find_extended_capability(fake_pci.attached[0], 4), 0);
}

TEST(a_circle_of_capabilities_ends)
{
	fake_pci_boot(true);
	fake_put(fake_pci.disk, PCI_STATUS, 0x10, 2);
	fake_put(fake_pci.disk, PCI_CAPABILITY_POINTER, 0x40, 1);
	put_capability(0x40, 9, 0x44);
	put_capability(0x44, 9, 0x40);
	CHECK_EQ(pci_find_capability(fake_pci.attached[0], PCI_CAPABILITY_MSI), 0);
	put_capability(0x44, 9, 0x10);
	CHECK_EQ(pci_find_capability(fake_pci.attached[0], 0x36), 0);
	fake_put(fake_pci.disk, 0x100, 0x10010001, 4);
	CHECK_EQ(pci_find_extended_capability(fake_pci.attached[0], 3), 0);
	fake_put(fake_pci.disk, 0x100, 0x01010001, 4);
	CHECK_EQ(pci_find_extended_capability(fake_pci.attached[0], 3), 0);
}

TEST(the_driver_alters_what_the_guest_reads)
{
	fake_pci_boot(true);
	fake_put(fake_pci.disk, 0x50, 0x8877665544332211, 8);
	CHECK_EQ(fake_page(0x50, 8, false, 0), 0x887766554433225a);
	CHECK_EQ(fake_page(0x50, 1, false, 0), 0x5a);
	CHECK_EQ(fake_page(0x4e, 4, false, 0), 0x225a0000);
	CHECK_EQ(fake_page(0x51, 4, false, 0), 0x55443322);
	CHECK_EQ(fake_page(0x51, 2, false, 0), 0x3322);
	CHECK_EQ(fake_port(DISK_LATCH | 0x50, 0xcfc, 4, false, 0),
		 0x4433225a);
	CHECK_EQ(fake_port(DISK_LATCH | 0x50, 0xcfe, 2, false, 0), 0x4433);
	CHECK_EQ(fake_port(DISK_LATCH | 0x50, 0xcfc, 1, false, 0), 0x5a);
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
	{ 0xffc, 4, 1, { { 0xffc, 4, 0x44332211 } } },
};

TEST(the_driver_sees_writes_in_aligned_pieces)
{
	fake_pci_boot(true);
	for (size_t i = 0; i < ARRAY_COUNT(split_cases); i++) {
		fake_pci.write_count = fake_pci.written_count = 0;
		fake_page(split_cases[i].offset, split_cases[i].size, true,
			   0x8877665544332211);
		CHECK_EQ(fake_pci.write_count, split_cases[i].piece_count);
		CHECK_EQ(fake_pci.written_count, fake_pci.write_count);
		for (unsigned j = 0; j < fake_pci.write_count; j++) {
			CHECK_EQ(fake_pci.writes[j].offset,
				 split_cases[i].pieces[j].offset);
			CHECK_EQ(fake_pci.writes[j].size, split_cases[i].pieces[j].size);
			CHECK_EQ(fake_pci.writes[j].value,
				 split_cases[i].pieces[j].value);
		}
	}
	CHECK_EQ(fake_pci.disk->config[0xffc], 0x11);
}

TEST(a_write_that_the_driver_takes_does_not_reach_the_device)
{
	fake_pci_boot(true);
	fake_page(0x60, 4, true, 0x12345678);
	fake_port(DISK_LATCH | 0x60, 0xcfc, 4, true, 0x12345678);
	CHECK_EQ(fake_pci.write_count, 2);
	CHECK_EQ(fake_pci.written_count, 0);
	CHECK_EQ(fake_pci.disk->config[0x60], 0);
}

TEST(nobody_writes_to_the_iommu_s_function)
{
	fake_pci_boot(true);
	fake_pci.iommu_device = 0x1f;
	fake_ecam(0x1f << 15 | PCI_COMMAND, 2, true, 0);
	fake_port(0x8000f800 | PCI_COMMAND, 0xcfc, 2, true, 0);
	CHECK_EQ(fake_ecam(0x1f << 15 | PCI_COMMAND, 2, false, 0), 0x406);
}

TEST(ports_lead_to_the_driver_only_for_its_function)
{
	fake_pci_boot(true);
	CHECK_EQ(fake_port(DISK_LATCH ^ 0x100, 0xcfc, 4, false, 0),
		 0x00101b36);
	fake_port(DISK_LATCH ^ 0x100, 0xcfc, 4, true, 0);
	CHECK_EQ(fake_port(DISK_LATCH & ~(1u << 31), 0xcfc, 4, false, 0),
		 0xffffffff);
	CHECK_EQ(fake_pci.write_count, 0);
	fake_port(DISK_LATCH | 0x54, 0xcfd, 1, true, 0x77);
	CHECK_EQ(fake_pci.write_count, 1);
	CHECK_EQ(fake_pci.writes[0].offset, 0x55);
	CHECK_EQ(fake_pci.disk->config[0x55], 0x77);
	CHECK_EQ(fake_pci.written_count, 1);
}

TEST(where_memory_reaches_everything_no_cycle_is_made_by_ports)
{
	fake_pci.last_bus = 0xff;
	fake_pci_boot(true);
	CHECK_EQ(fake_port(DISK_LATCH ^ 0x100, 0xcfc, 4, false, 0),
		 0x00101b36);
	CHECK_EQ(fake_port(DISK_LATCH & ~(1u << 31), 0xcfc, 4, false, 0),
		 0xffffffff);
	fake_port(DISK_LATCH | 0x60, 0xcfc, 4, true, 0x12345678);
	CHECK_EQ(fake_pci.write_count, 1);
	CHECK_EQ(fake_pci.port_cycles, 0);
}

TEST(an_address_that_changes_after_the_look_leads_nowhere_else)
{
	u32 value = 0x12345678;

	fake_pci.last_bus = 0xff;
	fake_pci_boot(true);
	fake_pci.latch = DISK_LATCH & ~(1u << 31);
	fake_pci.next_latch = DISK_LATCH | 0x60;
	ioport_access(0xcfc, 4, true, &value);
	fake_pci.latch = 0x80000060;	/* of the host bridge */
	ioport_access(0xcfc, 4, true, &value);
	CHECK_EQ(fake_pci.write_count, 0);
	CHECK_EQ(fake_get(fake_pci.disk, 0x60, 4), 0);
}

TEST(reserved_bits_of_the_address_are_no_way_round_the_driver)
{
	fake_pci_boot(true);
	fake_port(DISK_LATCH | 0x0f000000 | 0x60, 0xcfc, 4, true, 0x12345678);
	CHECK_EQ(fake_pci.write_count, 1);
	CHECK_EQ(fake_pci.writes[0].offset, 0x60);
	CHECK_EQ(fake_pci.disk->config[0x60], 0);
}
