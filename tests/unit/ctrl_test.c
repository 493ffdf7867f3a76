/* SPDX-License-Identifier: BSD-2-Clause */
/* Enable, disable, reset, registers: the controller's life. */
#include <stdlib.h>
#include <string.h>

#include "fake_guest.h"
#include "fake_log.h"
#include "fake_machine.h"
#include "fake_nvme.h"
#include "spec/pci.h"
#include "test.h"

static struct guest_cq cq;
static struct guest_sq sq;

static void make_queues(u32 size)
{
	CHECK_EQ(guest_create_cq(&cq, 1, size, true), 0);
	CHECK_EQ(guest_create_sq(&sq, 1, size, &cq), 0);
}

/* ---- Registers ---------------------------------------------------------------- */

TEST(cap_shows_what_sluice_can_stand_behind)
{
	u64 cap;

	guest_start();
	cap = fake_guest_read(FAKE_BAR, 8);
	CHECK_EQ(cap & (NVME_CAP_CMBS | NVME_CAP_PMRS | NVME_CAP_BPS |
			NVME_CAP_NSSRS), 0);
	CHECK(cap & NVME_CAP_CQR);
	CHECK_EQ(FIELD_GET(NVME_CAP_CSS, cap), 0xc1);
	CHECK_EQ(FIELD_GET(NVME_CAP_MPSMAX, cap), 4);
	CHECK_EQ(guest_read32(4), cap >> 32);
	CHECK_EQ(guest_read32(NVME_REG_VS), 0x10400);
}

TEST(concealed_registers_read_zero_and_swallow_writes)
{
	guest_start();
	memset(fake_nvme.other, 0xee, 0x1000);
	for (u32 offset = 0x38; offset < 0x68; offset += 4) {
		guest_write32(offset, 0x12345678);
		CHECK_EQ(guest_read32(offset), 0);
	}
	guest_write32(0xe04, 1);
	CHECK_EQ(guest_read32(0xe00), 0);
	CHECK_EQ(fake_nvme.other[0x50], 0xee);
	CHECK_EQ(fake_nvme.other[0xe04], 0xee);
	guest_write32(NVME_REG_NSSR, 0x4e564d65);
	CHECK_EQ(fake_nvme.nssr, 0);
	guest_write32(NVME_REG_INTMS, 3);
	CHECK_EQ(fake_nvme.intms, 3);
}

TEST(queue_registers_read_back_what_the_guest_wrote)
{
	guest_start();
	CHECK_EQ(guest_read32(NVME_REG_AQA), 0x1f001f);
	CHECK_EQ(fake_guest_read(FAKE_BAR + NVME_REG_ASQ, 8),
		 (u64)guest.admin.entries);
	CHECK_EQ(guest_read32(NVME_REG_ACQ),
		 (u32)(u64)guest.admin_cq.entries);
	CHECK(fake_nvme.asq != (u64)guest.admin.entries);
}

TEST(odd_widths_are_read_and_never_written)
{
	guest_start();
	CHECK_EQ(fake_guest_read(FAKE_BAR + NVME_REG_VS + 1, 1), 4);
	CHECK_EQ(fake_guest_read(FAKE_BAR + NVME_REG_VS + 2, 2), 1);
	fake_guest_write(FAKE_BAR + NVME_REG_CC, 1, 0);
	fake_guest_write(FAKE_BAR + NVME_REG_CC + 2, 4, 0);
	CHECK(guest_read32(NVME_REG_CC) & NVME_CC_EN);
}

TEST(what_lies_behind_the_doorbells_is_the_device_s)
{
	guest_start();
	fake_guest_write(FAKE_BAR + 0x1ff8, 4, 0x1234);
	CHECK_EQ(*(u32 *)(fake_nvme.other + 0x1ff8), 0);
	guest_write32(0x3000, 0x77);
	CHECK_EQ(*(u32 *)(fake_nvme.other + 0x3000), 0x77);
	CHECK_EQ(guest_read32(0x3000), 0x77);
}

/* ---- Enable --------------------------------------------------------------------- */

TEST(enabling_with_bad_admin_queues_is_a_fatal_status_at_once)
{
	static const struct {
		u64 asq, acq;
		u32 aqa, cc;
	} cases[] = {
		{ 0x10000, 0x20000, 0, 0 },
		{ 0x10000, 0x20000, 0x1f0000, 0 },
		{ 0x10000, 0x20000, 0x1f001f, 0 },	/* not memory */
		{ 0x10008, 0x20000, 0x1f001f, 0 },
		{ 0x10000, 0x20000, 0x1f001f, 0x780 },	/* MPS */
	};

	guest_boot();
	CHECK_EQ(fake_machine_attach(), 0);
	for (u32 i = 0; i < ARRAY_COUNT(cases); i++) {
		guest_write32(NVME_REG_AQA, cases[i].aqa);
		fake_guest_write(FAKE_BAR + NVME_REG_ASQ, 8, cases[i].asq);
		fake_guest_write(FAKE_BAR + NVME_REG_ACQ, 8, cases[i].acq);
		guest_write32(NVME_REG_CC, cases[i].cc | NVME_CC_EN);
		CHECK_EQ(guest_read32(NVME_REG_CSTS), NVME_CSTS_CFS);
		CHECK_EQ(fake_nvme.cc & NVME_CC_EN, 0);
		CHECK(guest_disable());
		CHECK_EQ(guest_read32(NVME_REG_CSTS), 0);
	}
	CHECK(guest_enable(0));
}

TEST(all_command_sets_may_be_asked_for)
{
	struct nvme_sqe sqe;

	guest_boot();
	CHECK_EQ(fake_machine_attach(), 0);
	fake_nvme_add(2, 12, 64)->command_set = NVME_CSI_ZONED;
	fake_nvme_add(3, 9, 64)->command_set = 1;
	CHECK(guest_enable(FIELD_PREP(NVME_CC_CSS, 6)));
	CHECK_EQ(FIELD_GET(NVME_CC_CSS, fake_nvme.cc), 6);
	make_queues(16);
	sqe = guest_rw(NVME_CMD_ZONE_MANAGEMENT_SEND, 0, 1, NULL);
	sqe.nsid = 2;
	CHECK_EQ(guest_run(&sq, &sqe, NULL), 1);
	CHECK_EQ(fake_nvme_seen(false, NVME_CMD_ZONE_MANAGEMENT_SEND), 1);
	/* Key-value: a Read there is something else. */
	sqe = guest_rw(NVME_CMD_READ, 0, 1, fake_ram(512, 512));
	sqe.nsid = 3;
	CHECK_EQ(guest_run(&sq, &sqe, NULL), 0x4001);
}

TEST(firmware_that_never_asks_for_queues_gets_them)
{
	struct nvme_sqe sqe = guest_rw(NVME_CMD_FLUSH, 0, 1, NULL);

	guest_boot();
	guest_set_admin(2, 2);
	CHECK_EQ(fake_machine_attach(), 0);
	CHECK(guest_enable(0));
	CHECK_EQ(guest_create_cq(&cq, 1, 2, false), 0);
	CHECK_EQ(guest_create_sq(&sq, 1, 2, &cq), 0);
	CHECK_EQ(guest_run(&sq, &sqe, NULL), 0);
}

TEST(a_thousand_namespaces_are_known_by_their_list)
{
	struct nvme_sqe sqe;

	guest_boot();
	for (u32 i = 1; i < 1000; i++)
		fake_nvme_add(i * 3, 9, i == 999 ? 1 : 0)->n_lbas = 1;
	CHECK_EQ(fake_machine_attach(), 0);
	CHECK(guest_enable(0));
	make_queues(16);
	sqe = guest_rw(NVME_CMD_READ, 0, 1, fake_ram(512, 512));
	sqe.nsid = 2997;
	CHECK_EQ(guest_run(&sq, &sqe, NULL), 0);
	CHECK(fake_log_has("1000 namespaces"));
}

TEST(rdy_waits_for_a_slow_device)
{
	guest_boot();
	fake_nvme.ready_reads = ~0u;
	CHECK_EQ(fake_machine_attach(), 0);
	CHECK(!guest_enable(0));
	fake_nvme.ready_reads = 0;
	CHECK(guest_wait_ready(true));
}

TEST(a_device_that_never_answers_is_not_waited_for_for_ever)
{
	guest_boot();
	fake_nvme.stalls_admin = true;
	CHECK_EQ(fake_machine_attach(), 0);
	CHECK(guest_enable(0));
	CHECK(fake_log_has("not prepared in time: goes on without"));
	CHECK(fake_machine.now_us >= 2000000);
}

TEST(fail_closed_keeps_an_unprepared_controller_from_the_guest)
{
	guest_boot();
	fake_machine.fail_closed = true;
	fake_nvme.stalls_admin = true;
	CHECK_EQ(fake_machine_attach(), 0);
	CHECK(!guest_enable(0));
	CHECK_EQ(guest_read32(NVME_REG_CSTS), NVME_CSTS_CFS);
	CHECK(fake_log_has("not given to the guest"));
	fake_nvme.stalls_admin = false;
	CHECK(guest_disable());
	CHECK(guest_enable(0));
}

TEST(a_reset_in_the_middle_of_preparation_starts_it_anew)
{
	size_t pages;

	guest_boot();
	CHECK_EQ(fake_machine_attach(), 0);
	pages = fake_machine.sluice_pages;
	for (u32 polls = 0; polls < 40; polls++) {
		fake_nvme.stalls_admin = polls & 1;
		guest_begin_enable(0);
		for (u32 i = 0; i < polls; i++)
			fake_guest_read(FAKE_BAR + NVME_REG_VS, 4);
		guest_read32(NVME_REG_CSTS);
		CHECK(guest_disable());
		CHECK_EQ(fake_machine.sluice_pages, pages);
	}
	fake_nvme.stalls_admin = false;
	CHECK(guest_enable(0));
	CHECK(fake_log_has("1 namespaces"));
	CHECK(!fake_log_has("refused what"));
}

/* ---- Disable and reset ------------------------------------------------------------ */

TEST(a_thousand_resets_under_load_leak_nothing)
{
	struct nvme_sqe sqe;
	size_t pages = 0;
	u8 *data;

	guest_boot();
	CHECK_EQ(fake_machine_attach(), 0);
	data = fake_ram(1 << 20, 4096);
	fake_nvme.out_of_order = true;
	for (int i = 0; i < 1000; i++) {
		CHECK(guest_enable(0));
		if (i < 10)
			make_queues(64);
		else
			CHECK_EQ(guest_create_cq(&cq, 1, 2, true), 0);
		for (int n = 0; i < 10 && n < 40; n++) {
			sqe = guest_rw(NVME_CMD_READ, 0, 100, data);
			guest_put(&sq, &sqe);
		}
		if (i < 10)
			guest_ring(&sq);
		guest_idle(rand() % 20);
		CHECK(guest_disable());
		CHECK_EQ(fake_machine.watch_count, 0);
		if (i)
			CHECK_EQ(fake_machine.sluice_pages, pages);
		pages = fake_machine.sluice_pages;
	}
}

TEST(disabling_waits_until_the_device_has_stopped)
{
	struct nvme_sqe sqe = guest_rw(NVME_CMD_FLUSH, 0, 1, NULL);
	size_t pages;

	guest_start();
	make_queues(16);
	pages = fake_machine.sluice_pages;
	fake_nvme.is_stalled = true;
	guest_put(&sq, &sqe);
	guest_ring(&sq);
	fake_nvme.ready_reads = 1000000;
	guest_write32(NVME_REG_CC, 0);
	CHECK(guest_read32(NVME_REG_CSTS) & NVME_CSTS_RDY);
	CHECK_EQ(fake_machine.sluice_pages, pages);
	fake_nvme.ready_reads = 0;
	CHECK(guest_wait_ready(false));
	CHECK(fake_machine.sluice_pages < pages);
}

TEST(enabling_again_before_the_stop_is_through_does_no_harm)
{
	struct nvme_sqe sqe = guest_rw(NVME_CMD_FLUSH, 0, 1, NULL);

	guest_start();
	make_queues(16);
	fake_nvme.ready_reads = 5000;
	guest_write32(NVME_REG_CC, 0);
	CHECK(guest_enable(0));
	guest_ring(&guest.admin);
	guest_ring(&sq);
	CHECK(guest_disable());
	CHECK(guest_enable(0));
	make_queues(16);
	CHECK_EQ(guest_run(&sq, &sqe, NULL), 0);
}

TEST(doorbells_of_a_disabled_controller_do_nothing)
{
	guest_start();
	make_queues(16);
	CHECK(guest_disable());
	fake_nvme.doorbell_count = 0;
	guest_write32(0x1000, 1);
	guest_write32(0x1008, 1);
	guest_write32(0x100c, 1);
	CHECK_EQ(fake_nvme.doorbell_count, 0);
}

TEST(shutdown_is_passed_on_and_seen)
{
	guest_start();
	guest_write32(NVME_REG_CC, guest_read32(NVME_REG_CC) |
		      FIELD_PREP(NVME_CC_SHN, 1));
	CHECK_EQ(FIELD_GET(NVME_CC_SHN, fake_nvme.cc), 1);
	CHECK_EQ(FIELD_GET(NVME_CSTS_SHST, guest_read32(NVME_REG_CSTS)), 2);
	CHECK(guest_disable());
	fake_nvme.csts = 0;
	CHECK(guest_enable(0));
}

TEST(a_reset_nobody_announced_is_noticed)
{
	size_t pages;

	guest_boot();
	CHECK_EQ(fake_machine_attach(), 0);
	pages = fake_machine.sluice_pages;
	CHECK(guest_enable(0));
	make_queues(16);
	fake_nvme.cc = fake_nvme.csts = 0;
	memset(fake_nvme.sqs, 0, sizeof(fake_nvme.sqs));
	CHECK(guest_wait_ready(false));
	CHECK_EQ(fake_machine.sluice_pages, pages);
	CHECK_EQ(guest_read32(NVME_REG_CC), 0);
	CHECK(guest_enable(0));
}

TEST(a_reset_nobody_announced_is_noticed_after_a_disable_as_well)
{
	u32 cc;

	guest_start();
	CHECK(guest_disable());
	CHECK(guest_enable(0));
	cc = guest_read32(NVME_REG_CC);
	fake_nvme_reset();
	/* Forwarded, it would enable a device that has no queues. */
	guest_write32(NVME_REG_CC, cc | FIELD_PREP(NVME_CC_SHN, 1));
	CHECK(!(fake_nvme.cc & NVME_CC_EN));
	CHECK_EQ(guest_read32(NVME_REG_CC), 0);
	CHECK(guest_enable(0));
}

TEST(a_function_level_reset_frees_everything)
{
	size_t pages;

	guest_boot();
	fake_machine.config[0x80] = PCI_CAPABILITY_EXPRESS;
	CHECK_EQ(fake_machine_attach(), 0);
	pages = fake_machine.sluice_pages;
	CHECK(guest_enable(0));
	fake_config_write(0x88, 2, 0x10);
	CHECK(fake_machine.sluice_pages > pages);
	fake_nvme.cc = fake_nvme.csts = 0;
	fake_config_write(0x88, 2, 0x8010);
	CHECK_EQ(fake_machine.sluice_pages, pages);
	CHECK_EQ(guest_read32(NVME_REG_AQA), 0);
	CHECK(guest_enable(0));
}

/* It may be behind a bridge that the guest has closed, and go on. */
TEST(what_reads_as_ones_or_zeros_keeps_its_memory)
{
	size_t pages;

	guest_start();
	make_queues(16);
	pages = fake_machine.sluice_pages;
	fake_nvme.is_gone = true;
	CHECK_EQ(guest_read32(NVME_REG_CSTS), ~0u);
	guest_write32(NVME_REG_CC, 0);
	guest_read32(NVME_REG_CSTS);
	CHECK_EQ(fake_machine.sluice_pages, pages);
	fake_nvme.reads_as_zero = true;
	guest_read32(NVME_REG_CSTS);
	CHECK_EQ(fake_machine.sluice_pages, pages);
	fake_nvme.is_gone = false;
	CHECK(guest_disable());
	CHECK(fake_machine.sluice_pages < pages);
}

TEST(a_fatal_status_of_the_device_reaches_the_guest)
{
	guest_start();
	make_queues(16);
	fake_nvme.csts |= NVME_CSTS_CFS;
	CHECK_EQ(guest_read32(NVME_REG_CSTS), NVME_CSTS_RDY | NVME_CSTS_CFS);
	fake_nvme.csts &= ~NVME_CSTS_CFS;
	CHECK(guest_disable());
	CHECK(guest_enable(0));
}

/* ---- PCI ------------------------------------------------------------------------------ */

TEST(the_bar_may_move_while_enabled)
{
	struct nvme_sqe sqe = guest_rw(NVME_CMD_FLUSH, 0, 1, NULL);

	guest_start();
	make_queues(16);
	fake_config_write(PCI_COMMAND, 2, PCI_COMMAND_BUS_MASTER);
	fake_config_write(PCI_BAR(0), 4, 0xffffffff);
	fake_config_write(PCI_BAR(0) + 4, 4, 0xffffffff);
	fake_config_write(PCI_BAR(0), 4, 0x20000004);
	fake_config_write(PCI_BAR(0) + 4, 4, 0xe0);
	fake_config_write(PCI_COMMAND, 2, PCI_COMMAND_BUS_MASTER |
			  PCI_COMMAND_MEMORY);
	CHECK_EQ(fake_guest_read(0xe020000000 + NVME_REG_ASQ, 8),
		 (u64)guest.admin.entries);
	CHECK_EQ(guest_run(&sq, &sqe, NULL), 0);
}

TEST(the_bar_may_move_while_disabled)
{
	guest_start();
	CHECK(guest_disable());
	fake_config_write(PCI_BAR(0) + 4, 4, 0xe0);
	fake_config_write(PCI_BAR(0), 4, 0x30000004);
	CHECK(guest_enable(0));
	CHECK_EQ(fake_guest_read(0xe030000000 + NVME_REG_ASQ, 8),
		 (u64)guest.admin.entries);
}

TEST(a_controller_that_is_never_enabled_is_left_alone)
{
	guest_boot();
	CHECK_EQ(fake_machine_attach(), 0);
	for (int i = 0; i < 100; i++) {
		CHECK_EQ(guest_read32(NVME_REG_CSTS), 0);
		guest_idle(100);
		fake_interrupt();
	}
	CHECK_EQ(fake_nvme.cc, 0);
	CHECK_EQ(fake_nvme.doorbell_count, 0);
	CHECK_EQ(fake_machine.watch_count, 0);
}

TEST(attach_leaves_off_what_the_firmware_has_switched_off)
{
	guest_boot();
	fake_machine.config[PCI_COMMAND] = 0;
	CHECK_EQ(fake_machine_attach(), 0);
	CHECK_EQ(fake_machine.config[PCI_COMMAND], 0);
	fake_config_write(PCI_COMMAND, 1, PCI_COMMAND_MEMORY);
	CHECK_EQ(fake_machine.config[PCI_COMMAND], PCI_COMMAND_MEMORY);
	CHECK(guest_enable(0));
}

TEST(attach_stops_a_controller_that_still_runs)
{
	guest_boot();
	fake_nvme.cc = FIELD_PREP(NVME_CC_IOSQES, 6) | NVME_CC_EN;
	fake_nvme.csts = NVME_CSTS_RDY;
	CHECK_EQ(fake_machine_attach(), 0);
	CHECK_EQ(fake_nvme.cc & NVME_CC_EN, 0);
	CHECK(guest_wait_ready(false));
	CHECK_EQ(fake_nvme.csts, 0);
	CHECK(guest_enable(0));
}

TEST(attach_does_not_wait_for_one_that_does_not_stop)
{
	guest_boot();
	fake_nvme.cc = NVME_CC_EN;
	fake_nvme.csts = NVME_CSTS_RDY;
	fake_nvme.ready_reads = ~0u;
	CHECK_EQ(fake_machine_attach(), 0);
	CHECK(fake_machine.now_us < 1000);
	CHECK_EQ(guest_read32(NVME_REG_CSTS), NVME_CSTS_RDY);
}

TEST(virtual_functions_are_hidden)
{
	guest_boot();
	fake_machine.config[0x100] = PCI_EXTENDED_SRIOV;
	fake_machine.config[0x102] = 0x01;
	fake_machine.config[0x103] = 0x15;
	fake_machine.config[0x10e] = 8;
	CHECK_EQ(fake_machine_attach(), 0);
	CHECK_EQ(fake_config_read(0x100, 4), 0x15000000);
	CHECK_EQ(fake_config_read(0x100, 2), 0);
	CHECK_EQ(fake_config_read(0x102, 2), 0x1500);
	CHECK_EQ(fake_config_read(0x10e, 2), 0);
	fake_config_write(0x108, 2, 1);
	CHECK_EQ(fake_machine.config[0x108], 0);
}

TEST(what_cannot_be_attached_stays_the_guest_s)
{
	guest_boot();
	fake_nvme.is_gone = fake_machine.is_bare = true;
	CHECK(fake_machine_attach() < 0);
	CHECK_EQ(fake_machine.config[PCI_COMMAND], PCI_COMMAND_MEMORY);
	CHECK_EQ(fake_config_read(PCI_DEVICE_ID, 2), 0x10);
	fake_nvme.is_gone = false;
	fake_config_write(PCI_COMMAND, 2, 0);
	fake_config_write(PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
	guest_write32(NVME_REG_AQA, 0x10001);
	CHECK_EQ(fake_nvme.aqa, 0x10001);
}

TEST(what_cannot_be_attached_is_hidden_when_fail_is_closed)
{
	guest_boot();
	fake_nvme.is_gone = fake_machine.fail_closed = true;
	CHECK_EQ(fake_machine_attach(), 0);
	CHECK_EQ(fake_config_read(0, 4), ~0u);
	CHECK_EQ(fake_config_read(0, 2), 0xffff);
	fake_config_write(PCI_COMMAND, 2, 7);
	CHECK_EQ(fake_machine.config[PCI_COMMAND], 0);
}

TEST(what_cannot_be_used_later_on_is_not_switched_on)
{
	guest_boot();
	CHECK_EQ(fake_machine_attach(), 0);
	fake_config_write(PCI_COMMAND, 2, 0);
	fake_nvme.cap |= FIELD_PREP(NVME_CAP_MPSMIN, 2);
	fake_config_write(PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
	CHECK_EQ(fake_machine.config[PCI_COMMAND], 0);
	fake_nvme.cap &= ~NVME_CAP_MPSMIN;
	fake_config_write(PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
	CHECK(guest_enable(0));
}
