/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Controllers that are pulled out, put in, exchanged and put to sleep while
 * the guest runs: core/pci_bus.c and the driver together.
 */
#include <string.h>

#include "fake_guest.h"
#include "fake_log.h"
#include "fake_machine.h"
#include "fake_nvme.h"
#include "spec/pci.h"
#include "test.h"

#define COMMAND (PCI_COMMAND_MEMORY | PCI_COMMAND_BUS_MASTER)
#define NETWORK 0x020000

static struct guest_cq cq;
static struct guest_sq sq;

static void make_queues(void)
{
	CHECK_EQ(guest_create_cq(&cq, 1, 16, true), 0);
	CHECK_EQ(guest_create_sq(&sq, 1, 16, &cq), 0);
}

static void check_works(void)
{
	struct nvme_sqe sqe = guest_rw(NVME_CMD_FLUSH, 0, 1, NULL);

	make_queues();
	CHECK_EQ(guest_run(&sq, &sqe, NULL), 0);
}

/* Commands that never get an answer. */
static void load(void)
{
	struct nvme_sqe sqe = guest_rw(NVME_CMD_READ, 0, 64,
				       fake_ram(32768, 4096));

	make_queues();
	fake_nvme.is_stalled = true;
	for (int i = 0; i < 10; i++)
		guest_put(&sq, &sqe);
	guest_ring(&sq);
}

static void pull_out(void)
{
	fake_nvme_reset();
	fake_nvme.is_gone = fake_machine.is_empty = true;
	fake_nvme.is_stalled = false;
}

static void put_in(u16 device_id, u32 class_code)
{
	fake_nvme.is_gone = false;
	fake_plug(device_id, class_code);
	fake_machine.is_bare = class_code != FAKE_NVME;
}

/* As an operating system does: look, place, switch on. */
static void set_up(u64 base)
{
	fake_config_read(PCI_VENDOR_ID, 4);
	fake_config_write(PCI_BAR(0), 4, base | 4);
	fake_config_write(PCI_BAR(0) + 4, 4, base >> 32);
	fake_config_write(PCI_COMMAND, 2, COMMAND);
}

static bool is_trapped(void)
{
	fake_guest_write(fake_bar() + NVME_REG_NSSR, 4, 0x4e564d65);
	return !fake_nvme.nssr;
}

static size_t start(void)
{
	guest_boot();
	CHECK_EQ(fake_machine_attach(), 0);
	return fake_machine.sluice_pages;
}

/* ---- Out and in --------------------------------------------------------------- */

TEST(a_controller_is_pulled_out_under_load_and_put_in_again)
{
	size_t pages = start();

	CHECK(guest_enable(0));
	load();
	pull_out();
	CHECK_EQ(guest_read32(NVME_REG_CSTS), ~0u);
	guest_ring(&sq);
	guest_idle(100);
	put_in(0x10, FAKE_NVME);
	set_up(FAKE_BAR);
	CHECK_EQ(fake_machine.sluice_pages, pages);
	CHECK_EQ(fake_machine.watch_count, 0);
	CHECK_EQ(guest_read32(NVME_REG_CC), 0);
	CHECK_EQ(guest_read32(NVME_REG_AQA), 0);
	CHECK(guest_enable(0));
	check_works();
}

/*
 * Its driver tells nobody, and the memory of its queues becomes something
 * else; rings of ours stay until it is known to have stopped.
 */
TEST(a_guest_gets_back_its_queues_from_a_device_that_is_gone)
{
	size_t pages = start(), with_queues;
	u64 value;

	CHECK(guest_enable(0));
	load();
	with_queues = fake_machine.sluice_pages;
	fake_nvme.is_gone = true;
	for (u64 at = 0; at < 16 * 16; at += 8)
		fake_guest_write((u64)cq.entries + at, 8, ~at);
	for (u64 at = 0; at < 16 * 16; at += 8) {
		memcpy(&value, (u8 *)cq.entries + at, 8);
		CHECK_EQ(value, ~at);
	}
	CHECK(fake_machine.sluice_pages > pages);
	CHECK(fake_machine.sluice_pages <= with_queues);
	fake_nvme.is_gone = false;
	CHECK(guest_wait_ready(false));
	CHECK_EQ(fake_machine.sluice_pages, pages);
	CHECK(!(fake_nvme.cc & NVME_CC_EN));
	fake_nvme.is_stalled = false;
	CHECK(guest_enable(0));
	check_works();
}

TEST(a_hundred_controllers_in_turn_need_the_memory_of_one)
{
	size_t pages = start();

	for (u16 i = 0; i < 100; i++) {
		CHECK(guest_enable(0));
		load();
		pull_out();
		fake_config_read(PCI_VENDOR_ID, 4);
		put_in(i & 2 ? 0x10 : 0x1000 + i, FAKE_NVME);
		set_up(i % 3 ? FAKE_BAR : 0x20000000);
		CHECK(is_trapped());
		CHECK_EQ(fake_machine.sluice_pages, pages);
		CHECK_EQ(fake_machine.trust_count, 1);
	}
	CHECK(guest_enable(0));
	check_works();
}

TEST(a_controller_may_come_into_a_place_that_was_empty)
{
	guest_boot();
	fake_machine.is_empty = true;
	CHECK(fake_machine_attach());
	put_in(0x10, FAKE_NVME);
	set_up(FAKE_BAR);
	CHECK(is_trapped());
	CHECK(guest_enable(0));
	check_works();
}

TEST(what_is_known_of_a_controller_is_read_anew)
{
	start();
	CHECK(guest_enable(0));
	pull_out();
	fake_nvme.cap |= FIELD_PREP(NVME_CAP_DSTRD, 3);
	fake_nvme_add(2, 12, 64);
	put_in(0x10, FAKE_NVME);
	set_up(FAKE_BAR);
	CHECK_EQ(FIELD_GET(NVME_CAP_DSTRD, (u64)guest_read32(4) << 32), 3);
	CHECK(guest_enable(0));
	CHECK(fake_log_has("2 namespaces"));
	check_works();
}

/* ---- Something else ------------------------------------------------------------- */

TEST(another_kind_of_device_in_its_place_is_the_guest_s)
{
	size_t pages = start();

	CHECK(guest_enable(0));
	load();
	pull_out();
	put_in(0x100e, NETWORK);
	CHECK_EQ(fake_config_read(PCI_DEVICE_ID, 2), 0x100e);
	CHECK_EQ(fake_machine.sluice_pages, pages);
	CHECK_EQ(fake_machine.trust_count, 0);
	set_up(FAKE_BAR);
	guest_write32(NVME_REG_AQA, 0x12345);
	CHECK_EQ(fake_nvme.aqa, 0x12345);
	pull_out();
	put_in(0x10, FAKE_NVME);
	set_up(FAKE_BAR);
	CHECK(is_trapped());
	CHECK_EQ(fake_machine.sluice_pages, pages);
}

/* A device that says so of itself and goes on decoding is still watched. */
TEST(a_controller_that_says_it_is_something_else_is_not_let_go)
{
	u8 *class_code = fake_machine.config + PCI_CLASS_REVISION;

	start();
	class_code[2] = 0x04;
	fake_config_read(PCI_VENDOR_ID, 4);
	CHECK(is_trapped());
	fake_config_write(PCI_COMMAND, 2, COMMAND);
	CHECK(is_trapped());
}

TEST(a_device_that_becomes_a_controller_is_taken_when_switched_on)
{
	guest_boot();
	put_in(0x10, 0x010400);
	fake_set_bar(FAKE_BAR);
	CHECK(fake_machine_attach());
	set_up(FAKE_BAR);
	CHECK(!is_trapped());
	fake_nvme.nssr = 0;
	fake_machine.is_bare = false;
	fake_machine.config[PCI_CLASS_REVISION + 1] = 2;
	fake_machine.config[PCI_CLASS_REVISION + 2] = 8;
	fake_config_write(PCI_COMMAND, 2, COMMAND);
	CHECK(is_trapped());
}

/* ---- Without memory ---------------------------------------------------------------- */

TEST(a_controller_there_is_no_memory_for_is_the_guest_s_alone)
{
	guest_boot();
	fake_machine.is_empty = true;
	CHECK(fake_machine_attach());
	fake_machine.sluice_page_limit = fake_machine.sluice_pages + 100;
	put_in(0x10, FAKE_NVME);
	fake_machine.is_bare = true;
	set_up(FAKE_BAR);
	CHECK(!is_trapped());
	CHECK(fake_log_has("stays the guest's alone"));
	CHECK_EQ(fake_machine.config[PCI_COMMAND], COMMAND);
}

TEST(without_memory_it_is_hidden_until_it_is_another_when_fail_is_closed)
{
	guest_boot();
	fake_machine.is_empty = fake_machine.fail_closed = true;
	CHECK(fake_machine_attach());
	fake_machine.sluice_page_limit = fake_machine.sluice_pages + 100;
	put_in(0x10, FAKE_NVME);
	set_up(FAKE_BAR);
	CHECK_EQ(fake_machine.config[PCI_COMMAND], 0);
	CHECK_EQ(fake_config_read(PCI_VENDOR_ID, 4), ~0u);
	CHECK(fake_log_has("is hidden"));
	fake_machine.sluice_page_limit = 1 << 20;
	pull_out();
	CHECK_EQ(fake_config_read(PCI_VENDOR_ID, 4), ~0u);
	put_in(0x10, FAKE_NVME);
	set_up(FAKE_BAR);
	CHECK(guest_enable(0));
}

/* ---- Sleep ------------------------------------------------------------------------------ */

TEST(a_controller_that_slept_and_kept_its_state_goes_on)
{
	struct nvme_sqe sqe = guest_rw(NVME_CMD_FLUSH, 0, 1, NULL);

	start();
	CHECK(guest_enable(0));
	make_queues();
	fake_nvme.is_gone = true;		/* D3hot */
	fake_config_write(0x44, 2, 3);
	CHECK_EQ(guest_read32(NVME_REG_CSTS), ~0u);
	fake_nvme.is_gone = false;
	fake_config_write(0x44, 2, 0);
	CHECK_EQ(guest_run(&sq, &sqe, NULL), 0);
}

TEST(a_controller_that_slept_and_lost_its_state_is_found_reset)
{
	size_t pages = start();

	CHECK(guest_enable(0));
	load();
	fake_nvme.is_gone = true;
	fake_config_write(0x44, 2, 3);
	pull_out();
	put_in(0x10, FAKE_NVME);
	fake_config_write(0x44, 2, 0);
	set_up(FAKE_BAR);
	CHECK_EQ(fake_machine.sluice_pages, pages);
	CHECK_EQ(guest_read32(NVME_REG_CC), 0);
	CHECK(guest_enable(0));
	check_works();
}

/* ---- Moving --------------------------------------------------------------------------------- */

TEST(a_bar_written_in_pieces_while_it_decodes_is_trapped_at_each)
{
	start();
	fake_config_write(PCI_BAR(0) + 3, 1, 0x30);
	CHECK_EQ(fake_bar(), 0x30000000);
	CHECK(is_trapped());
	fake_config_write(PCI_BAR(0) + 4, 2, 0xe0);
	CHECK_EQ(fake_bar(), 0xe030000000);
	CHECK(is_trapped());
	fake_config_write(PCI_BAR(0) + 4, 4, 0xffffffff);
	fake_config_write(PCI_BAR(0) + 4, 4, 0);
	CHECK(is_trapped());
	CHECK(guest_enable(0));
	check_works();
}

TEST(a_bar_that_cannot_be_trapped_does_not_decode)
{
	start();
	fake_machine.untrappable = 0x40000000;
	fake_config_write(PCI_BAR(0), 4, 0x40000004);
	CHECK_EQ(fake_machine.config[PCI_COMMAND], 0);
	fake_config_write(PCI_COMMAND, 2, COMMAND);
	CHECK_EQ(fake_machine.config[PCI_COMMAND], 0);
	fake_config_write(PCI_BAR(0), 4, 0x50000004);
	fake_config_write(PCI_COMMAND, 2, COMMAND);
	CHECK(is_trapped());
}
