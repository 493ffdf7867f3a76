/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Functions that come, go, change, move and are renumbered while the guest
 * runs: none decodes memory before its driver knows (fake_pci.c checks it at
 * every cycle), and none is let go that may still decode.
 */
#include <errno.h>
#include <string.h>

#include "bits.h"
#include "fake_log.h"
#include "fake_pci.h"
#include "spec/pci.h"
#include "test.h"

#define PORT_PAGE (1 << 15)				/* 00:01.0 */
#define SLOT_PORT_PAGE (2 << 15)			/* 00:02.0 */
#define MOVED_PAGE (6 << 20 | 3 << 15 | 1 << 12)	/* 06:03.1 */

static void write_command(u32 page, u32 value)
{
	fake_ecam(page + PCI_COMMAND, 2, true, value);
}

static void set_numbers(u32 page, u32 numbers)
{
	fake_ecam(page + PCI_BUS_NUMBERS, 4, true, numbers);
}

static u32 numbers_of(const struct fake_function *bridge)
{
	return fake_get(bridge, PCI_BUS_NUMBERS, 4);
}

static u32 command_of(const struct fake_function *function)
{
	return fake_get(function, PCI_COMMAND, 2);
}

/* ---- Put in --------------------------------------------------------------------- */

static const struct {
	u16 offset;		/* from COMMAND */
	unsigned size;
	u32 value;
	bool switches_on;
} writes[] = {
	{ 0, 1, ON, true },
	{ 0, 2, ON, true },
	{ 0, 4, ON, true },
	{ 0, 2, PCI_COMMAND_MEMORY, true },
	{ 0, 1, PCI_COMMAND_BUS_MASTER, false },
	{ 1, 1, ON, false },
	{ 2, 2, ON, false },
};

static void check_taken(bool is_taken)
{
	CHECK_EQ(fake_pci.attached_count, 1 + is_taken);
	CHECK_EQ(fake_pci.mapped_count, 1 + is_taken);
	CHECK_EQ(!!(command_of(fake_pci.slot) & PCI_COMMAND_MEMORY), is_taken);
	fake_pull_out(fake_pci.slot);
	fake_ecam(SLOT_PAGE, 4, false, 0);
	fake_put_in(0x020000);
	fake_ecam(SLOT_PAGE, 4, false, 0);
	CHECK(!fake_is_trusted(SLOT_ID));
	CHECK_EQ(fake_pci.mapped_count, 1);
	fake_pci.attached_count = 1;
}

TEST(a_controller_is_taken_by_whatever_write_switches_it_on)
{
	fake_pci_boot(true);
	for (size_t i = 0; i < ARRAY_COUNT(writes); i++) {
		fake_put_in(NVME);
		fake_ecam(SLOT_PAGE + PCI_COMMAND + writes[i].offset,
			  writes[i].size, true, writes[i].value);
		check_taken(writes[i].switches_on);
		fake_put_in(NVME);
		fake_port(SLOT_LATCH | PCI_COMMAND, 0xcfc + writes[i].offset,
			  writes[i].size, true, writes[i].value);
		check_taken(writes[i].switches_on);
	}
	fake_put_in(NVME);
	fake_ecam(SLOT_PAGE, 8, true, (u64)ON << 32);
	check_taken(true);
	fake_put_in(NVME);
	fake_ecam(SLOT_PAGE + 1, 4, true, ON << 24);
	check_taken(true);
}

TEST(without_ecam_a_controller_is_taken_through_the_ports)
{
	fake_pci_boot(false);
	fake_put_in(NVME);
	fake_port(SLOT_LATCH | 0x0f000000 | PCI_COMMAND, 0xcfc, 1, true, ON);
	CHECK_EQ(fake_pci.mapped_count, 2);
	CHECK(command_of(fake_pci.slot) & PCI_COMMAND_MEMORY);
}

TEST(a_driver_knows_the_name_and_the_identity_of_what_came)
{
	fake_pci_boot(true);
	fake_put_in(NVME);
	write_command(SLOT_PAGE, ON);
	CHECK_STR(fake_pci.attached[1]->name, "0000:04:00.0");
	CHECK_EQ(fake_pci.attached[1]->class_code, NVME);
	fake_ecam(SLOT_PAGE + 0x50, 1, false, 0);
	CHECK_EQ(fake_ecam(SLOT_PAGE + 0x50, 1, false, 0), 0x5a);
}

TEST(a_hundred_controllers_in_turn_are_let_go_again)
{
	fake_pci_boot(true);
	for (unsigned i = 0; i < 100; i++) {
		fake_put_in(NVME);
		fake_put(fake_pci.slot, PCI_DEVICE_ID, i, 2);
		fake_ecam(SLOT_PAGE, 4, false, 0);
		write_command(SLOT_PAGE, ON);
		CHECK_EQ(fake_pci.mapped_count, 2);
		CHECK_EQ(fake_pci.detached_count, i);
		CHECK(fake_is_trusted(SLOT_ID));
		fake_pull_out(fake_pci.slot);
		fake_ecam(SLOT_PAGE, 4, false, 0);
	}
}

/* ---- Refused ---------------------------------------------------------------------- */

TEST(a_function_that_its_driver_refuses_stays_the_guests)
{
	fake_pci.attach_error = -ENODEV;
	fake_pci.is_bare = true;
	CHECK_EQ(fake_pci_boot(true), 0);
	CHECK_EQ(fake_pci.mapped_count, 0);
	CHECK_EQ(command_of(fake_pci.disk), 0x406);
	CHECK(!fake_is_trusted(DISK_ID));
	CHECK(fake_page(0x50, 1, false, 0) != 0x5a);
	write_command(DISK_PAGE, 0);
	write_command(DISK_PAGE, ON);
	CHECK_EQ(command_of(fake_pci.disk), ON);
	CHECK_EQ(fake_pci.write_count, 0);
}

TEST(a_function_that_cannot_be_let_into_memory_stays_the_guests)
{
	fake_pci.trust_error = -ENOMEM;
	fake_pci.is_bare = true;
	CHECK_EQ(fake_pci_boot(true), 0);
	CHECK_EQ(fake_pci.attached_count, 0);
	CHECK_EQ(command_of(fake_pci.disk), 0x406);
}

TEST(a_function_that_cannot_be_mapped_stays_the_guests)
{
	fake_pci.map_error = -ENODEV;
	fake_pci.is_bare = true;
	CHECK_EQ(fake_pci_boot(true), 0);
	CHECK_EQ(fake_pci.detached_count, 1);
	CHECK(!fake_is_trusted(DISK_ID));
	CHECK_EQ(command_of(fake_pci.disk), 0x406);
}

TEST(a_function_that_is_refused_is_hidden_when_fail_is_closed)
{
	fake_pci.map_error = -ENODEV;
	fake_pci.fail_closed = true;
	CHECK_EQ(fake_pci_boot(true), 1);
	CHECK_EQ(command_of(fake_pci.disk), 0x400);
	CHECK_EQ(fake_page(0, 4, false, 0), 0xffffffff);
	CHECK_EQ(fake_page(0x51, 1, false, 0), 0xff);
	fake_pci.map_error = 0;
	write_command(DISK_PAGE, ON);
	fake_port(DISK_LATCH | PCI_COMMAND, 0xcfc, 1, true, ON);
	CHECK_EQ(command_of(fake_pci.disk), 0x400);
}

TEST(what_is_hidden_is_so_for_as_long_as_it_is_there)
{
	fake_pci.fail_closed = true;
	fake_pci_boot(true);
	fake_pci.attach_error = -ENOMEM;
	fake_put_in(NVME);
	write_command(SLOT_PAGE, ON);
	fake_pci.attach_error = 0;
	CHECK_EQ(fake_ecam(SLOT_PAGE, 4, false, 0), 0xffffffff);
	fake_put_in(0x020000);
	CHECK_EQ(fake_ecam(SLOT_PAGE, 4, false, 0), 0x00101b36);
	write_command(SLOT_PAGE, ON);
	CHECK_EQ(command_of(fake_pci.slot), ON);
}

TEST(what_cannot_be_mapped_at_run_time_stays_off)
{
	fake_pci_boot(true);
	fake_pci.map_error = -EPERM;
	write_command(DISK_PAGE, PCI_COMMAND_BUS_MASTER);
	write_command(DISK_PAGE, ON);
	CHECK_EQ(command_of(fake_pci.disk) & ON, PCI_COMMAND_BUS_MASTER);
	fake_pci.map_error = 0;
	write_command(DISK_PAGE, ON);
	CHECK_EQ(command_of(fake_pci.disk) & ON, ON);
	fake_pci.map_error = -EPERM;
	fake_page(PCI_BAR(0), 4, true, 0x12340000);
	CHECK_EQ(command_of(fake_pci.disk) & ON, PCI_COMMAND_BUS_MASTER);
}

/* ---- Mapped and not ------------------------------------------------------------------ */

TEST(what_does_not_decode_is_not_mapped)
{
	fake_pci_boot(true);
	write_command(DISK_PAGE, 0);
	CHECK_EQ(fake_pci.mapped_count, 0);
	fake_page(PCI_BAR(0), 4, true, 0x12340000);
	CHECK_EQ(fake_pci.mapped_count, 0);
	write_command(DISK_PAGE, ON);
	CHECK_EQ(fake_pci.mapped_count, 1);
	/* Other bits change nothing. */
	fake_pci.map_count = 0;
	write_command(DISK_PAGE, ON | PCI_COMMAND_INTX_DISABLE);
	fake_page(PCI_COMMAND + 1, 1, true, 0);
	CHECK_EQ(fake_pci.map_count, 0);
}

TEST(a_bar_that_is_written_is_mapped_anew)
{
	fake_pci_boot(true);
	fake_pci.map_count = 0;
	fake_page(PCI_BAR(0) + 2, 2, true, 0x1234);
	CHECK_EQ(fake_pci.map_count, 1);
	fake_page(PCI_BAR(0), 8, true, 0xe012340000);
	CHECK_EQ(fake_pci.map_count, 3);
	CHECK_EQ(fake_pci.mapped_count, 1);
	CHECK_EQ(command_of(fake_pci.disk), 0x406);
}

TEST(a_reset_that_switches_decode_off_is_seen)
{
	fake_pci_boot(true);
	fake_put(fake_pci.disk, PCI_COMMAND, 0, 2);
	fake_page(0, 4, false, 0);
	CHECK_EQ(fake_pci.mapped_count, 0);
	CHECK_EQ(fake_pci.detached_count, 0);
	write_command(DISK_PAGE, ON);
	CHECK_EQ(fake_pci.mapped_count, 1);
}

/* ---- Changed ------------------------------------------------------------------------------ */

TEST(what_decodes_is_not_let_go_whatever_it_says_it_is)
{
	fake_pci_boot(true);
	fake_put(fake_pci.disk, PCI_CLASS_REVISION, 0x02000002, 4);
	write_command(DISK_PAGE, ON);
	CHECK_EQ(fake_page(0x50, 1, false, 0), 0x5a);
	CHECK_EQ(fake_pci.detached_count, 0);
	write_command(DISK_PAGE, 0);
	CHECK_EQ(fake_pci.detached_count, 1);
	CHECK_EQ(fake_pci.mapped_count, 0);
	write_command(DISK_PAGE, ON);
	CHECK_EQ(fake_pci.attached_count, 1);
}

TEST(what_becomes_a_controller_while_it_decodes_is_taken_at_the_next_write)
{
	fake_pci_boot(true);
	fake_put_in(0x010400);
	write_command(SLOT_PAGE, ON);
	CHECK_EQ(fake_pci.attached_count, 1);
	fake_pci.is_running = false;
	fake_put(fake_pci.slot, PCI_CLASS_REVISION, NVME << 8, 4);
	write_command(SLOT_PAGE, ON);
	fake_pci.is_running = true;
	CHECK_EQ(fake_pci.mapped_count, 2);
	CHECK_EQ(command_of(fake_pci.slot), ON);
}

TEST(what_does_not_answer_is_kept)
{
	fake_pci_boot(true);
	fake_pull_out(fake_pci.disk);
	CHECK_EQ(fake_page(0, 4, false, 0), 0xffffffff);
	CHECK_EQ(fake_pci.mapped_count, 1);
	CHECK_EQ(fake_pci.detached_count, 0);
}

TEST(what_is_gone_makes_room_for_what_comes)
{
	fake_pci_boot(true);
	fake_pull_out(fake_pci.disk);
	fake_put_in(NVME);
	write_command(SLOT_PAGE, ON);
	CHECK_EQ(fake_pci.detached_count, 1);
	CHECK_EQ(fake_pci.mapped_count, 1);
}

TEST(what_is_behind_a_sleeping_bridge_is_not_gone)
{
	fake_pci_boot(true);
	fake_ecam(PORT_PAGE + 0x44, 1, true, 3);
	CHECK_EQ(fake_page(0, 4, false, 0), 0xffffffff);
	fake_put_in(NVME);
	write_command(SLOT_PAGE, ON);
	CHECK_EQ(fake_pci.detached_count, 0);
	CHECK_EQ(fake_pci.mapped_count, 2);
}

/* ---- Renumbered ------------------------------------------------------------------------------ */

static void check_moved(void)
{
	CHECK_STR(fake_pci.attached[0]->name, "0000:06:03.1");
	CHECK(fake_is_trusted(0x0619) && !fake_is_trusted(DISK_ID));
	CHECK_EQ(fake_ecam(MOVED_PAGE + 0x50, 1, false, 0), 0x5a);
	write_command(MOVED_PAGE, 0);
	CHECK_EQ(fake_pci.mapped_count, 0);
	write_command(MOVED_PAGE, ON);
	CHECK_EQ(fake_pci.mapped_count, 1);
	CHECK_EQ(fake_pci.attached_count, 1);
	CHECK_EQ(fake_pci.detached_count, 0);
	CHECK(fake_log_has("0000:02:03.1: its bus is 06 now"));
}

TEST(a_controller_moves_with_its_bus)
{
	fake_pci_boot(true);
	set_numbers(PORT_PAGE, 0x060600);
	check_moved();
}

TEST(a_controller_moves_with_its_bus_by_bytes_through_the_ports)
{
	fake_pci_boot(true);
	fake_port(0x80000818, 0xcfe, 1, true, 6);
	fake_port(0x80000818, 0xcfd, 1, true, 6);
	CHECK_EQ(numbers_of(fake_pci.port), 0x060600);
	check_moved();
}

TEST(numbers_that_hide_a_controller_are_not_taken)
{
	static const u32 numbers[] = {
		0,		/* nowhere */
		0x000200,	/* ends before it begins */
		0x050600,
		0x040400,	/* where another one answers */
		0x000000ff,
	};

	fake_pci_boot(true);
	fake_put_in(0x020000);
	fake_put(fake_pci.slot, PCI_COMMAND, 0, 2);
	/* A bridge's child at the very place of the disk. */
	fake_pci.slot->device = 3;
	fake_pci.slot->function = 1;
	for (size_t i = 0; i < ARRAY_COUNT(numbers); i++) {
		set_numbers(PORT_PAGE, numbers[i]);
		CHECK_EQ(numbers_of(fake_pci.port), 0x020200);
		CHECK_EQ(fake_page(0x50, 1, false, 0), 0x5a);
	}
	CHECK_EQ(fake_pci.detached_count, 0);
}

TEST(another_bridge_does_not_get_the_bus_of_a_controller)
{
	fake_pci_boot(true);
	set_numbers(SLOT_PORT_PAGE, 0x020200);
	CHECK_EQ(numbers_of(fake_pci.slot_port), 0x040400);
	set_numbers(SLOT_PORT_PAGE, 0x040100);
	CHECK_EQ(numbers_of(fake_pci.slot_port), 0x040400);
	set_numbers(SLOT_PORT_PAGE, 0x070300);
	CHECK_EQ(numbers_of(fake_pci.slot_port), 0x070300);
	set_numbers(SLOT_PORT_PAGE, 0);
	CHECK_EQ(numbers_of(fake_pci.slot_port), 0);
}

static void reset_port(void)
{
	fake_put(fake_pci.port, PCI_BUS_NUMBERS, 0, 4);
	fake_put(fake_pci.disk, PCI_COMMAND, 0, 2);
}

TEST(a_bridge_that_was_reset_is_numbered_as_before)
{
	fake_pci_boot(true);
	reset_port();
	fake_ecam(PORT_PAGE + PCI_BUS_NUMBERS + 1, 1, true, 2);
	fake_ecam(PORT_PAGE + PCI_BUS_NUMBERS + 2, 1, true, 2);
	CHECK_EQ(numbers_of(fake_pci.port), 0x020200);
	write_command(DISK_PAGE, ON);
	CHECK_EQ(fake_pci.mapped_count, 1);
	CHECK_EQ(fake_pci.detached_count, 0);
}

TEST(a_bridge_that_was_reset_may_be_numbered_otherwise)
{
	fake_pci_boot(true);
	reset_port();
	set_numbers(PORT_PAGE, 0x060600);
	CHECK_EQ(numbers_of(fake_pci.port), 0x060600);
	write_command(MOVED_PAGE, ON);
	check_moved();
}

TEST(what_was_behind_a_bridge_that_was_reset_may_be_gone)
{
	fake_pci_boot(true);
	reset_port();
	fake_pull_out(fake_pci.disk);
	set_numbers(PORT_PAGE, 0x060600);
	CHECK_EQ(numbers_of(fake_pci.port), 0x060600);
	CHECK_EQ(fake_pci.detached_count, 1);
	CHECK_EQ(fake_pci.mapped_count, 0);
}

TEST(a_sleeping_bridge_is_not_renumbered_past_us)
{
	fake_pci_boot(true);
	fake_ecam(PORT_PAGE + 0x44, 1, true, 3);
	set_numbers(PORT_PAGE, 0);
	set_numbers(SLOT_PORT_PAGE, 0x020200);
	CHECK_EQ(numbers_of(fake_pci.port), 0x020200);
	CHECK_EQ(numbers_of(fake_pci.slot_port), 0x040400);
	fake_ecam(PORT_PAGE + 0x44, 1, true, 0);
	CHECK_EQ(fake_page(0x50, 1, false, 0), 0x5a);
}

/* ---- The place of ECAM ------------------------------------------------------------------------ */

TEST(intel_s_window_of_config_space_stays_where_it_is)
{
	fake_pci_boot(true);
	fake_put(fake_pci.host_bridge, PCI_VENDOR_ID, PCI_VENDOR_INTEL, 2);
	fake_put(fake_pci.host_bridge, PCI_INTEL_PCIEXBAR, ECAM | 1, 8);
	memset(fake_pci.host_bridge->writable + 0x58, 0xff, 24);
	fake_ecam(PCI_INTEL_PCIEXBAR, 4, true, 0xd0000001);
	fake_ecam(PCI_INTEL_PCIEXBAR + 4, 4, true, 1);
	fake_ecam(PCI_INTEL_PCIEXBAR + 3, 1, true, 0xd0);
	fake_ecam(PCI_INTEL_PCIEXBAR - 2, 4, true, 0);
	fake_port(0x80000060, 0xcfc, 4, true, 0);
	CHECK_EQ(fake_get(fake_pci.host_bridge, PCI_INTEL_PCIEXBAR, 4),
		 ECAM | 1);
	CHECK_EQ(fake_get(fake_pci.host_bridge, PCI_INTEL_PCIEXBAR + 4, 4), 0);
	fake_ecam(PCI_INTEL_PCIEXBAR + 8, 4, true, 0x1234);
	CHECK_EQ(fake_get(fake_pci.host_bridge, PCI_INTEL_PCIEXBAR + 8, 4),
		 0x1234);
	/* Another register of another machine. */
	fake_put(fake_pci.host_bridge, PCI_INTEL_PCIEXBAR, 0x1234, 4);
	fake_ecam(PCI_INTEL_PCIEXBAR, 4, true, 0x5678);
	CHECK_EQ(fake_get(fake_pci.host_bridge, PCI_INTEL_PCIEXBAR, 4),
		 0x5678);
}
