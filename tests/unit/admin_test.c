/* SPDX-License-Identifier: BSD-2-Clause */
/* Admin commands: what a controller refuses, what Sluice alters. */
#include <stdlib.h>
#include <string.h>

#include "fake_guest.h"
#include "fake_log.h"
#include "fake_machine.h"
#include "fake_nvme.h"
#include "page.h"
#include "test.h"

#define DNR 0x4000

static struct guest_cq cq;
static struct guest_sq sq;

static u16 admin(u8 opcode, u32 cdw10, u32 cdw11, u64 prp1)
{
	return guest_admin(opcode, 0, cdw10, cdw11, (void *)prp1);
}

struct queue_case {
	const char *what;
	u32 cdw10, cdw11;
	u64 prp1_offset;
	u16 status;
};

static void check_cases(u8 opcode, const struct queue_case *cases, u32 count)
{
	u64 base = (u64)fake_ram(1 << 20, 65536);

	for (u32 i = 0; i < count; i++) {
		u16 status = admin(opcode, cases[i].cdw10, cases[i].cdw11,
				   base + cases[i].prp1_offset);

		if (status != cases[i].status)
			FAIL("%s: %#x, expected %#x", cases[i].what, status,
			     cases[i].status);
	}
}

TEST(create_cq_is_refused_field_by_field)
{
	static const struct queue_case cases[] = {
		{ "id 0", 0xf0000, 1, 0, DNR | 0x101 },
		{ "id past the last", 0xf0011, 1, 0, DNR | 0x101 },
		{ "id FFFFh", 0xfffff, 1, 0, DNR | 0x101 },
		{ "id in use", 0xf0001, 1, 0, DNR | 0x101 },
		{ "size 1", 2, 1, 0, DNR | 0x102 },
		{ "size above MQES", 2048u << 16 | 2, 1, 0, DNR | 0x102 },
		{ "size 65536", 0xffff0002, 1, 0, DNR | 0x102 },
		{ "not contiguous", 0xf0002, 0, 0, DNR | 0x002 },
		{ "not a page", 0xf0002, 1, 512, DNR | 0x013 },
		{ "not memory", 0xf0002, 1, 1ull << 60, DNR | 0x002 },
		{ "good", 0xf0002, 1, 0, 0 },
	};

	guest_start();
	CHECK_EQ(guest_create_cq(&cq, 1, 16, true), 0);
	check_cases(NVME_ADMIN_CREATE_CQ, cases, ARRAY_COUNT(cases));
	CHECK_EQ(fake_nvme_seen(true, NVME_ADMIN_CREATE_CQ), 2);
}

TEST(create_sq_is_refused_field_by_field)
{
	static const struct queue_case cases[] = {
		{ "no CQ 0", 0xf0001, 1, 0, DNR | 0x100 },
		{ "no CQ 2", 0xf0001, 0x20001, 0, DNR | 0x100 },
		{ "CQ FFFFh", 0xf0001, 0xffff0001, 0, DNR | 0x100 },
		{ "id 0", 0xf0000, 0x10001, 0, DNR | 0x101 },
		{ "id past the last", 0xf0011, 0x10001, 0, DNR | 0x101 },
		{ "size 1", 1, 0x10001, 0, DNR | 0x102 },
		{ "size 65536", 0xffff0001, 0x10001, 0, DNR | 0x102 },
		{ "not contiguous", 0xf0001, 0x10000, 0, DNR | 0x002 },
		{ "not a page", 0xf0001, 0x10001, 8, DNR | 0x013 },
		{ "good", 0xf0001, 0x10001, 0, 0 },
		{ "id in use", 0xf0001, 0x10001, 0, DNR | 0x101 },
	};

	guest_start();
	CHECK_EQ(guest_create_cq(&cq, 1, 16, true), 0);
	check_cases(NVME_ADMIN_CREATE_SQ, cases, ARRAY_COUNT(cases));
	CHECK_EQ(fake_nvme_seen(true, NVME_ADMIN_CREATE_SQ), 1);
}

TEST(a_queue_in_sluice_s_memory_is_refused)
{
	void *secret;

	guest_start();
	secret = page_alloc(1);
	CHECK_EQ(admin(NVME_ADMIN_CREATE_CQ, 0xf0001, 1, (u64)secret),
		 DNR | 0x002);
	CHECK(fake_log_has("refused DMA"));
	page_free(secret, 1);
}

TEST(deleting_is_refused_as_a_controller_does)
{
	guest_start();
	CHECK_EQ(guest_create_cq(&cq, 1, 16, true), 0);
	CHECK_EQ(guest_create_sq(&sq, 3, 16, &cq), 0);
	CHECK_EQ(guest_delete(NVME_ADMIN_DELETE_CQ, 1), DNR | 0x10c);
	CHECK_EQ(guest_delete(NVME_ADMIN_DELETE_CQ, 0), DNR | 0x101);
	CHECK_EQ(guest_delete(NVME_ADMIN_DELETE_CQ, 2), DNR | 0x101);
	CHECK_EQ(guest_delete(NVME_ADMIN_DELETE_SQ, 0), DNR | 0x101);
	CHECK_EQ(guest_delete(NVME_ADMIN_DELETE_SQ, 1), DNR | 0x101);
	CHECK_EQ(guest_delete(NVME_ADMIN_DELETE_SQ, 0xffff), DNR | 0x101);
	CHECK_EQ(guest_delete(NVME_ADMIN_DELETE_SQ, 3), 0);
	CHECK_EQ(guest_delete(NVME_ADMIN_DELETE_CQ, 1), 0);
	CHECK_EQ(guest_delete(NVME_ADMIN_DELETE_CQ, 1), DNR | 0x101);
}

TEST(a_refusal_by_the_device_changes_nothing)
{
	struct nvme_sqe sqe = guest_rw(NVME_CMD_FLUSH, 0, 1, NULL);
	size_t pages;

	guest_start();
	pages = fake_machine.sluice_pages;
	fake_nvme.refuse_status = 0x108;
	fake_nvme.refuse_opcode = NVME_ADMIN_CREATE_CQ;
	CHECK_EQ(guest_create_cq(&cq, 1, 16, true), 0x108);
	fake_nvme.refuse_opcode = NVME_ADMIN_CREATE_SQ;
	CHECK_EQ(guest_create_cq(&cq, 1, 16, true), 0);
	CHECK_EQ(guest_create_sq(&sq, 1, 16, &cq), 0x108);
	fake_nvme.refuse_opcode = NVME_ADMIN_DELETE_CQ;
	CHECK_EQ(guest_delete(NVME_ADMIN_DELETE_CQ, 1), 0x108);
	fake_nvme.refuse_opcode = NVME_ADMIN_DELETE_SQ;
	CHECK_EQ(guest_create_sq(&sq, 1, 16, &cq), 0);
	CHECK_EQ(guest_delete(NVME_ADMIN_DELETE_SQ, 1), 0x108);
	CHECK_EQ(guest_run(&sq, &sqe, NULL), 0);
	fake_nvme.refuse_opcode = -1;
	CHECK_EQ(guest_delete(NVME_ADMIN_DELETE_SQ, 1), 0);
	CHECK_EQ(guest_delete(NVME_ADMIN_DELETE_CQ, 1), 0);
	CHECK_EQ(fake_machine.sluice_pages, pages);
}

TEST(a_queue_sluice_has_no_memory_for_is_refused_and_nothing_leaks)
{
	size_t pages;

	guest_start();
	CHECK_EQ(guest_create_cq(&cq, 1, 16, true), 0);
	pages = fake_machine.sluice_pages;
	for (size_t extra = 0; extra < 3; extra++) {
		fake_machine.sluice_page_limit = pages + extra;
		CHECK_EQ(guest_create_sq(&sq, 1, 2048, &cq), DNR | 0x006);
		CHECK_EQ(fake_machine.sluice_pages, pages);
	}
}

/* ---- Features ------------------------------------------------------------------ */

static u32 features(u8 opcode, u32 cdw10, u32 cdw11, u16 expected)
{
	struct nvme_sqe sqe = { .opcode = opcode, .cdw10 = cdw10,
				.cdw11 = cdw11 };
	u32 result;

	CHECK_EQ(guest_run(&guest.admin, &sqe, &result), expected);
	return result;
}

TEST(the_number_of_queues_is_sluice_s_answer)
{
	guest_start();
	CHECK_EQ(features(NVME_ADMIN_GET_FEATURES, 7, 0, 0), 0xf000f);
	CHECK_EQ(features(NVME_ADMIN_SET_FEATURES, 7, 0x3f003f, 0), 0xf000f);
	CHECK_EQ(features(NVME_ADMIN_SET_FEATURES, 7, 0x30003, 0), 0x30003);
	CHECK_EQ(features(NVME_ADMIN_GET_FEATURES, 7, 0, 0), 0x30003);
	CHECK_EQ(features(NVME_ADMIN_GET_FEATURES, 0x307, 0, 0), 4);
	features(NVME_ADMIN_SET_FEATURES, 7, 0xffff0003, DNR | 2);
	features(NVME_ADMIN_SET_FEATURES, 7, 0x0003ffff, DNR | 2);
	CHECK_EQ(guest_create_cq(&cq, 5, 16, true), DNR | 0x101);
	CHECK_EQ(guest_create_cq(&cq, 4, 16, true), 0);
	features(NVME_ADMIN_SET_FEATURES, 7, 0x30003, DNR | 0x00c);
	CHECK_EQ(fake_nvme_seen(true, NVME_ADMIN_SET_FEATURES), 1);
}

TEST(features_with_data_carry_it)
{
	char stamp[8] = { 0 };
	struct nvme_sqe sqe = { .opcode = NVME_ADMIN_GET_FEATURES,
				.cdw10 = NVME_FEATURE_TIMESTAMP };
	u8 *data;

	guest_start();
	data = fake_ram(4096, 4096);
	sqe.prp1 = (u64)data + 4092;
	sqe.prp2 = (u64)fake_ram(4096, 4096);
	CHECK_EQ(guest_run(&guest.admin, &sqe, NULL), 0);
	memcpy(stamp, data + 4092, 4);
	memcpy(stamp + 4, (void *)sqe.prp2, 4);
	CHECK_STR(stamp, "stamp");
}

TEST(what_moves_data_unseen_never_reaches_the_device)
{
	guest_start();
	CHECK_EQ(admin(NVME_ADMIN_VIRTUALIZATION, 0, 0, 0), DNR | 1);
	CHECK_EQ(admin(NVME_ADMIN_MI_SEND, 0, 0, 0), DNR | 1);
	CHECK_EQ(fake_nvme_seen(true, NVME_ADMIN_VIRTUALIZATION), 0);
}

TEST(unknown_commands_with_data_are_refused_and_others_pass)
{
	u64 data;

	guest_start();
	data = (u64)fake_ram(4096, 4096);
	CHECK_EQ(admin(0xc1, 0, 0, data), DNR | 1);
	CHECK_EQ(admin(0xc2, 0, 0, data), DNR | 1);
	CHECK_EQ(admin(0xc3, 0, 0, data), DNR | 1);
	CHECK_EQ(fake_nvme_seen(true, 0xc1), 0);
	CHECK_EQ(admin(0xc0, 0, 0, data), 1);
	CHECK_EQ(fake_nvme_last(true, 0xc0)->prp1, 0);
}

TEST(sgls_and_fused_commands_are_refused)
{
	struct nvme_sqe sqe = { .opcode = NVME_ADMIN_KEEP_ALIVE };

	guest_start();
	for (int flag = 0; flag < 8; flag++) {
		sqe.flags = 1 << flag;
		CHECK_EQ(guest_run(&guest.admin, &sqe, NULL),
			 flag < 2 || flag > 5 ? DNR | 2 : 0);
	}
}

TEST(a_log_page_is_as_long_as_numd_says)
{
	u8 *data;

	guest_start();
	data = fake_ram(1 << 20, 4096);
	CHECK_EQ(admin(NVME_ADMIN_GET_LOG_PAGE, 127u << 16 | 2, 0, (u64)data),
		 0);
	CHECK_EQ(data[511], 2);
	CHECK_EQ(data[512], 0);
	CHECK_EQ(admin(NVME_ADMIN_GET_LOG_PAGE, 0xffff0002, 0xffff, (u64)data),
		 DNR | 2);
}

/* ---- Identify -------------------------------------------------------------------- */

TEST(identify_controller_hides_what_sluice_cannot_stand_behind)
{
	struct nvme_id_ctrl *id;

	guest_start();
	id = fake_ram(4096, 4096);
	CHECK_EQ(admin(NVME_ADMIN_IDENTIFY, NVME_CNS_CONTROLLER, 0, (u64)id),
		 0);
	/* Doorbell buffers are Sluice's own. */
	CHECK_EQ(id->oacs, 0x13f);
	CHECK_EQ(id->sgls, 0x70001);
	CHECK_EQ(id->fuses, 0);
	CHECK_EQ(id->mdts, 11);
	CHECK_EQ(id->aerl, 15);
	CHECK_EQ(id->ocfs, 3);
	CHECK(!memcmp(id->serial, "FAKE1     ", 10));
}

TEST(identify_data_may_lie_across_two_pages)
{
	struct nvme_sqe sqe = { .opcode = NVME_ADMIN_IDENTIFY,
				.cdw10 = NVME_CNS_CONTROLLER };
	u8 *data;

	guest_start();
	data = fake_ram(3 * 4096, 4096);
	sqe.prp1 = (u64)data + 4096 + 4096 - 24;
	sqe.prp2 = (u64)data;
	CHECK_EQ(guest_run(&guest.admin, &sqe, NULL), 0);
	CHECK(!memcmp(data + 8192 - 20, "FAKE1     ", 10));
	CHECK(!memcmp(data, "Fake NVMe", 9));
}

TEST(mdts_kb_clamps_what_the_guest_may_transfer)
{
	struct nvme_id_ctrl *id;

	guest_boot();
	CHECK_EQ(fake_configure("mdts-kb", "64"), 0);
	CHECK_EQ(fake_machine_attach(), 0);
	CHECK(guest_enable(0));
	id = fake_ram(4096, 4096);
	CHECK_EQ(admin(NVME_ADMIN_IDENTIFY, NVME_CNS_CONTROLLER, 0, (u64)id),
		 0);
	CHECK_EQ(id->mdts, 4);
}

TEST(max_queues_clamps_what_the_guest_may_create)
{
	guest_boot();
	CHECK_EQ(fake_configure("max-queues", "2"), 0);
	CHECK_EQ(fake_machine_attach(), 0);
	CHECK(guest_enable(0));
	CHECK_EQ(features(NVME_ADMIN_SET_FEATURES, 7, 0x3f003f, 0), 0x10001);
	CHECK_EQ(guest_create_cq(&cq, 3, 16, true), DNR | 0x101);
	CHECK_EQ(guest_create_cq(&cq, 2, 16, true), 0);
}

TEST(limits_that_are_no_numbers_are_reported)
{
	static const char *const bad[][2] = {
		{ "max-queues", "0" }, { "max-queues", "257" },
		{ "max-queues", "4x" }, { "max-queues", "" },
		{ "mdts-kb", "3" }, { "mdts-kb", "48" },
		{ "mdts-kb", "16384" }, { "mdts-kb", "-4" },
	};

	guest_boot();
	for (u32 i = 0; i < ARRAY_COUNT(bad); i++)
		CHECK(fake_configure(bad[i][0], bad[i][1]));
}

/* ---- Abort and events --------------------------------------------------------------- */

TEST(abort_hits_the_command_that_the_guest_means)
{
	struct nvme_sqe sqe = guest_rw(NVME_CMD_FLUSH, 0, 1, NULL);
	struct nvme_sqe abort_sqe = { .opcode = NVME_ADMIN_ABORT };
	struct nvme_cqe cqe;
	u32 result;
	u16 cid;

	guest_start();
	CHECK_EQ(guest_create_cq(&cq, 1, 16, true), 0);
	CHECK_EQ(guest_create_sq(&sq, 1, 16, &cq), 0);
	sq.next_cid = 40000;
	fake_nvme.is_stalled = true;
	guest_put(&sq, &sqe);
	cid = guest_put(&sq, &sqe);
	guest_put(&sq, &sqe);
	guest_ring(&sq);
	abort_sqe.cdw10 = (u32)cid << 16 | 1;
	CHECK_EQ(guest_run(&guest.admin, &abort_sqe, &result), 0);
	CHECK_EQ(result, 0);
	CHECK_EQ(fake_nvme.abort_count, 1);
	CHECK(guest_wait(&cq, &cqe));
	CHECK_EQ(cqe.cid, cid);
	CHECK_EQ(cqe.status, NVME_SC_ABORTED);
}

TEST(abort_of_what_is_not_there_succeeds_with_bit_0)
{
	static const u32 targets[] = { 0x00050001, 0x00050009, 0xffffffff, 0 };
	struct nvme_sqe sqe = { .opcode = NVME_ADMIN_ABORT };
	u32 result;

	guest_start();
	CHECK_EQ(guest_create_cq(&cq, 1, 16, true), 0);
	CHECK_EQ(guest_create_sq(&sq, 1, 16, &cq), 0);
	for (u32 i = 0; i < ARRAY_COUNT(targets); i++) {
		sqe.cdw10 = targets[i];
		CHECK_EQ(guest_run(&guest.admin, &sqe, &result), 0);
		CHECK_EQ(result, 1);
	}
	CHECK_EQ(fake_nvme_seen(true, NVME_ADMIN_ABORT), 0);
}

TEST(event_requests_wait_without_being_in_anybody_s_way)
{
	struct nvme_sqe sqe = { .opcode = NVME_ADMIN_ASYNC_EVENT };
	struct nvme_cqe cqe;
	u16 cid;

	guest_boot();
	guest_set_admin(32, 2);
	CHECK_EQ(fake_machine_attach(), 0);
	CHECK(guest_enable(0));
	cid = guest_put(&guest.admin, &sqe);
	for (int i = 0; i < 3; i++)
		guest_put(&guest.admin, &sqe);
	guest_ring(&guest.admin);
	CHECK_EQ(fake_machine.watch_count, 0);
	for (int i = 0; i < 100; i++)
		CHECK_EQ(admin(NVME_ADMIN_KEEP_ALIVE, 0, 0, 0), 0);
	CHECK(fake_nvme_event(0x00020001));
	/* Seen at the latest with the next access. */
	guest_read32(NVME_REG_CSTS);
	CHECK(guest_wait(&guest.admin_cq, &cqe));
	CHECK_EQ(cqe.cid, cid);
	CHECK_EQ(cqe.result, 0x00020001);
}

TEST(an_event_request_too_many_is_refused)
{
	struct nvme_sqe sqe = { .opcode = NVME_ADMIN_ASYNC_EVENT };
	struct nvme_cqe cqe;
	u16 cid = 0;

	guest_start();
	for (int i = 0; i < 17; i++)
		cid = guest_put(&guest.admin, &sqe);
	guest_ring(&guest.admin);
	CHECK(guest_wait(&guest.admin_cq, &cqe));
	CHECK_EQ(cqe.cid, cid);
	CHECK_EQ(cqe.status, DNR | 0x105);
}

/* ---- Namespaces --------------------------------------------------------------------- */

/* A page of data would be taken for a list of pages, were the blocks larger
 * when the device comes to a command. */
TEST(no_command_is_under_way_while_blocks_change_their_size)
{
	struct nvme_sqe format = { .opcode = NVME_ADMIN_FORMAT, .nsid = 1 };
	struct nvme_sqe read;
	struct nvme_cqe cqe;

	guest_start();
	CHECK_EQ(guest_create_cq(&cq, 1, 16, true), 0);
	CHECK_EQ(guest_create_sq(&sq, 1, 16, &cq), 0);
	read = guest_rw(NVME_CMD_READ, 0, 2, NULL);
	guest_set_prps(&read, fake_ram(8192, 4096), 8192);
	fake_nvme.is_stalled = true;
	guest_put(&sq, &read);
	guest_ring(&sq);
	CHECK_EQ(guest_run(&guest.admin, &format, NULL),
		 NVME_SC_SEQUENCE_ERROR);
	fake_nvme.is_stalled = false;
	CHECK(guest_wait(&cq, &cqe));
	CHECK_EQ(cqe.status, 0);
	fake_nvme.stalls_admin = true;
	guest_put(&guest.admin, &format);
	guest_ring(&guest.admin);
	fake_nvme_forget();
	guest_put(&sq, &read);
	guest_ring(&sq);
	guest_idle(50);
	CHECK_EQ(fake_nvme_seen(false, NVME_CMD_READ), 0);
	fake_nvme.stalls_admin = false;
	CHECK(guest_wait(&guest.admin_cq, &cqe));
	CHECK_EQ(cqe.status, 0);
	CHECK(guest_wait(&cq, &cqe));
	CHECK_EQ(fake_nvme_seen(false, NVME_CMD_READ), 1);
}

TEST(after_a_format_blocks_have_their_new_size)
{
	struct nvme_sqe sqe = { .opcode = NVME_ADMIN_FORMAT, .nsid = 1 };
	u8 *data;

	guest_start();
	CHECK_EQ(guest_create_cq(&cq, 1, 16, true), 0);
	CHECK_EQ(guest_create_sq(&sq, 1, 16, &cq), 0);
	CHECK_EQ(guest_run(&guest.admin, &sqe, NULL), 0);
	data = fake_ram(8192, 4096);
	memset(fake_nvme.namespaces[0].data, 0x77, 8192);
	sqe = guest_rw(NVME_CMD_READ, 0, 2, NULL);
	guest_set_prps(&sqe, data, 8192);
	CHECK_EQ(guest_run(&sq, &sqe, NULL), 0);
	CHECK_EQ(data[8191], 0x77);
}

TEST(a_changed_namespace_is_read_again_before_the_guest_hears_of_it)
{
	struct nvme_sqe sqe = { .opcode = NVME_ADMIN_ASYNC_EVENT };
	struct nvme_cqe cqe;

	guest_start();
	CHECK_EQ(guest_create_cq(&cq, 1, 16, true), 0);
	CHECK_EQ(guest_create_sq(&sq, 1, 16, &cq), 0);
	guest_put(&guest.admin, &sqe);
	guest_ring(&guest.admin);
	fake_nvme_tick();
	fake_nvme_add(7, 9, 100);
	CHECK(fake_nvme_event(0x00040002));
	guest_read32(NVME_REG_CSTS);
	CHECK(guest_wait(&guest.admin_cq, &cqe));
	guest_consumed(&guest.admin_cq);
	sqe = guest_rw(NVME_CMD_READ, 99, 1, fake_ram(512, 512));
	sqe.nsid = 7;
	CHECK_EQ(guest_run(&sq, &sqe, NULL), 0);
}

TEST(commands_to_namespaces_that_are_not_there_are_refused)
{
	static const u32 nsids[] = { 0, 2, 0x80000000, NVME_NSID_ALL };
	struct nvme_sqe sqe;

	guest_start();
	CHECK_EQ(guest_create_cq(&cq, 1, 16, true), 0);
	CHECK_EQ(guest_create_sq(&sq, 1, 16, &cq), 0);
	for (u32 i = 0; i < ARRAY_COUNT(nsids); i++) {
		sqe = guest_rw(NVME_CMD_READ, 0, 1, fake_ram(512, 512));
		sqe.nsid = nsids[i];
		CHECK_EQ(guest_run(&sq, &sqe, NULL), DNR | 0x00b);
	}
	CHECK_EQ(fake_nvme_seen(false, NVME_CMD_READ), 0);
}
