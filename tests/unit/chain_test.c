/* SPDX-License-Identifier: BSD-2-Clause */
/* What an interceptor sees and what its verdicts do. */
#include <stdlib.h>
#include <string.h>

#include "fake_guest.h"
#include "fake_log.h"
#include "fake_machine.h"
#include "fake_nvme.h"
#include "fake_double.h"
#include "test.h"

static struct guest_cq cq;
static struct guest_sq sq;

static void start_with(u32 needs)
{
	guest_boot();
	fake_double.needs = needs;
	CHECK_EQ(fake_machine_attach(), 0);
	CHECK(guest_enable(0));
	CHECK_EQ(guest_create_cq(&cq, 1, 16, true), 0);
	CHECK_EQ(guest_create_sq(&sq, 1, 16, &cq), 0);
	fake_nvme_forget();
}

static u16 read_blocks(u8 *data)
{
	struct nvme_sqe sqe = guest_rw(NVME_CMD_READ, 8, 2, data);

	return guest_run(&sq, &sqe, NULL);
}

static u16 flush(u32 *result)
{
	struct nvme_sqe sqe = guest_rw(NVME_CMD_FLUSH, 0, 1, NULL);

	return guest_run(&sq, &sqe, result);
}

/* ---- Settings ------------------------------------------------------------------- */

TEST(the_chain_is_given_in_order_and_once)
{
	guest_boot();
	CHECK(fake_configure("chain", "double, missing"));
	CHECK(strstr(fake_machine.boot_info.error,
		     "no plug-in 'missing' is compiled in"));
	CHECK(fake_configure("chain", "double"));
}

TEST(a_plug_in_named_twice_is_reported)
{
	guest_boot();
	CHECK(fake_configure("chain", "double double"));
	CHECK(strstr(fake_machine.boot_info.error, "'double' once"));
}

TEST(an_empty_chain_leaves_the_plug_in_out)
{
	guest_boot();
	CHECK_EQ(fake_configure("chain", ""), 0);
	CHECK_EQ(fake_machine_attach(), 0);
	CHECK(guest_enable(0));
	CHECK_EQ(fake_double.init_count, 0);
}

TEST(keys_with_a_plug_in_s_name_are_its_own)
{
	guest_boot();
	CHECK_EQ(fake_configure("double", "x"), 0);
	CHECK_STR(fake_double.configured, "1 double=x");
	CHECK_EQ(fake_configure("double.y", "z"), 0);
	CHECK_STR(fake_double.configured, "1 double.y=z");
	CHECK(fake_configure("double", "bad"));
	CHECK(strstr(fake_machine.boot_info.error, "something good"));
	CHECK(fake_configure("doubl", "x"));
	CHECK(fake_configure("doubles", "x"));
}

/* ---- Life ------------------------------------------------------------------------- */

TEST(rdy_waits_for_every_interceptor)
{
	guest_boot();
	fake_double.is_slow = true;
	CHECK_EQ(fake_machine_attach(), 0);
	guest_begin_enable(0);
	for (int i = 0; i < 100; i++)
		CHECK(!(guest_read32(NVME_REG_CSTS) & NVME_CSTS_RDY));
	CHECK_EQ(fake_double.init_count, 1);
	nvme_io_start_fetching_g_reqs(fake_double.host);
	CHECK(guest_read32(NVME_REG_CSTS) & NVME_CSTS_RDY);
}

TEST(an_interceptor_that_fails_is_left_out)
{
	guest_boot();
	fake_double.fails_init = true;
	CHECK_EQ(fake_machine_attach(), 0);
	CHECK(guest_enable(0));
	CHECK(fake_log_has("double failed to initialise"));
	CHECK_EQ(guest_admin(NVME_ADMIN_KEEP_ALIVE, 0, 0, 0, NULL), 0);
	CHECK(!fake_double.held);
}

TEST(an_interceptor_that_fails_closes_the_controller_if_told_so)
{
	guest_boot();
	fake_double.fails_init = true;
	fake_machine.fail_closed = true;
	CHECK_EQ(fake_machine_attach(), 0);
	CHECK(!guest_enable(0));
	CHECK_EQ(guest_read32(NVME_REG_CSTS), NVME_CSTS_CFS);
	fake_double.fails_init = false;
	CHECK(guest_disable());
	CHECK(guest_enable(0));
}

TEST(a_plug_in_that_cannot_attach_hides_the_controller_if_told_so)
{
	guest_boot();
	fake_double.fails_attach = true;
	fake_machine.fail_closed = true;
	CHECK_EQ(fake_machine_attach(), 0);
	CHECK_EQ(fake_config_read(0, 4), ~0u);
	CHECK(fake_log_has("double cannot take part"));
}

TEST(a_stop_is_delayed_for_a_second_at_most)
{
	u64 start;

	start_with(0);
	fake_double.holds_stop = true;
	start = fake_machine.now_us;
	guest_write32(NVME_REG_CC, 0);
	CHECK(guest_read32(NVME_REG_CSTS) & NVME_CSTS_RDY);
	CHECK(fake_nvme.cc & NVME_CC_EN);
	CHECK(guest_wait_ready(false));
	CHECK(fake_machine.now_us - start >= 1000000);
	CHECK(fake_machine.now_us - start < 1100000);
}

/* ---- Verdicts ------------------------------------------------------------------------ */

static enum nvme_io_verdict refuse(struct nvme_request *req,
				   const struct nvme_io_command *cmd)
{
	nvme_io_set_status(req, NVME_IO_ACCESS_DENIED, 0x1234);
	return NVME_IO_DONE;
}

static enum nvme_io_verdict hold(struct nvme_request *req,
				 const struct nvme_io_command *cmd)
{
	return cmd->admin ? NVME_IO_PASS : NVME_IO_HOLD;
}

/* Twice from within the hook; then the command is held. */
static u32 retry_count;

static enum nvme_io_verdict retry(struct nvme_request *req,
				  const struct nvme_io_command *cmd)
{
	if (++retry_count < 3)
		nvme_io_retry_guest_request(fake_double.host, req);
	return hold(req, cmd);
}

static enum nvme_io_verdict finish(struct nvme_request *req,
				   const struct nvme_io_command *cmd)
{
	nvme_io_finish_guest_request(fake_double.host, req,
				     NVME_IO_WRITE_PROTECTED);
	return NVME_IO_PASS;
}

static enum nvme_io_verdict make_flush(struct nvme_request *req,
				       const struct nvme_io_command *cmd)
{
	nvme_io_change_g_req_to_flush(req);
	return NVME_IO_PASS;
}

TEST(a_refused_command_never_reaches_the_device)
{
	struct nvme_sqe sqe = guest_rw(NVME_CMD_VERIFY, 0, 1, NULL);
	u32 result;

	fake_relayed();
	start_with(0);
	fake_double.answer = refuse;
	CHECK_EQ(guest_run(&sq, &sqe, &result), NVME_IO_ACCESS_DENIED);
	CHECK_EQ(result, 0x1234);
	CHECK_EQ(fake_nvme_seen(false, NVME_CMD_VERIFY), 0);
	CHECK_EQ(fake_nvme_seen(false, NVME_CMD_FLUSH), 1);
	CHECK_EQ(fake_machine.direct_irq_count, 0);
}

TEST(a_refused_admin_command_never_reaches_the_device)
{
	start_with(0);
	fake_double.answer = refuse;
	CHECK_EQ(guest_admin(NVME_ADMIN_FORMAT, 1, 0, 0, NULL),
		 NVME_IO_ACCESS_DENIED);
	CHECK_EQ(guest_create_cq(&cq, 2, 16, true), NVME_IO_ACCESS_DENIED);
	CHECK_EQ(fake_nvme_seen(true, NVME_ADMIN_FORMAT), 0);
	CHECK_EQ(fake_nvme_seen(true, NVME_ADMIN_CREATE_CQ), 0);
	CHECK_EQ(fake_nvme_seen(true, NVME_ADMIN_GET_FEATURES), 2);
}

TEST(a_refusal_does_not_depend_on_a_healthy_carrier)
{
	struct nvme_sqe sqe = guest_rw(NVME_CMD_VERIFY, 0, 1, NULL);

	start_with(0);
	fake_double.answer = refuse;
	fake_nvme.fail_countdown = 1;
	fake_nvme.fail_status = 0x4281;
	CHECK_EQ(guest_run(&sq, &sqe, NULL), NVME_IO_ACCESS_DENIED);
}

TEST(a_hook_may_finish_what_it_is_asked_about)
{
	start_with(0);
	fake_double.answer = finish;
	CHECK_EQ(read_blocks(fake_ram(4096, 4096)), NVME_IO_WRITE_PROTECTED);
	CHECK_EQ(fake_nvme_seen(false, NVME_CMD_READ), 0);
	CHECK_EQ(flush(NULL), NVME_IO_WRITE_PROTECTED);
	CHECK_EQ(fake_double.read_count, 1);
}

TEST(a_command_changed_to_a_flush_has_the_flush_s_status)
{
	u8 *data;

	start_with(0);
	data = fake_ram(4096, 4096);
	fake_double.answer = make_flush;
	CHECK_EQ(read_blocks(data), 0);
	CHECK_EQ(fake_nvme_seen(false, NVME_CMD_READ), 0);
	CHECK_EQ(fake_nvme_seen(false, NVME_CMD_FLUSH), 1);
	fake_nvme.fail_countdown = 1;
	fake_nvme.fail_status = 0x4281;
	CHECK_EQ(read_blocks(data), 0x4281);
}

TEST(a_held_command_waits_and_others_pass_it)
{
	struct nvme_sqe sqe = guest_rw(NVME_CMD_VERIFY, 0, 1, NULL);
	struct nvme_request *held;
	struct nvme_cqe cqe;
	u16 cid;

	fake_relayed();
	start_with(0);
	fake_double.answer = hold;
	cid = guest_put(&sq, &sqe);
	guest_ring(&sq);
	held = fake_double.held;
	fake_double.answer = NULL;
	CHECK_EQ(fake_machine.watch_count, 0);
	CHECK_EQ(fake_nvme_seen(false, NVME_CMD_VERIFY), 0);
	CHECK_EQ(flush(NULL), 0);
	nvme_io_resume_guest_request(fake_double.host, held, 1);
	guest_read32(NVME_REG_VS);
	CHECK(guest_wait(&cq, &cqe));
	CHECK_EQ(cqe.cid, cid);
	CHECK_EQ(fake_nvme_seen(false, NVME_CMD_VERIFY), 1);
}

TEST(the_holder_of_a_command_may_be_asked_again)
{
	struct nvme_sqe sqe = guest_rw(NVME_CMD_VERIFY, 0, 1, NULL);
	struct nvme_cqe cqe;

	start_with(0);
	fake_double.answer = hold;
	guest_put(&sq, &sqe);
	guest_ring(&sq);
	fake_double.answer = retry;
	nvme_io_retry_guest_request(fake_double.host, fake_double.held);
	guest_read32(NVME_REG_VS);
	fake_double.answer = refuse;
	nvme_io_retry_guest_request(fake_double.host, fake_double.held);
	guest_read32(NVME_REG_VS);
	CHECK(guest_wait(&cq, &cqe));
	CHECK_EQ(cqe.status, NVME_IO_ACCESS_DENIED);
	CHECK_EQ(retry_count, 3);
	CHECK_EQ(fake_nvme_seen(false, NVME_CMD_VERIFY), 0);
}

TEST(a_held_command_may_be_finished_later)
{
	struct nvme_sqe sqe = guest_rw(NVME_CMD_WRITE, 0, 1, NULL);
	struct nvme_cqe cqe;

	start_with(0);
	guest_set_prps(&sqe, fake_ram(512, 512), 512);
	fake_double.answer = hold;
	guest_put(&sq, &sqe);
	guest_ring(&sq);
	CHECK_EQ(fake_double.write_count, 1);
	nvme_io_finish_guest_request(fake_double.host, fake_double.held,
				     NVME_IO_CAPACITY_EXCEEDED);
	guest_read32(NVME_REG_VS);
	CHECK(guest_wait(&cq, &cqe));
	CHECK_EQ(cqe.status, NVME_IO_CAPACITY_EXCEEDED);
	CHECK_EQ(fake_nvme_seen(false, NVME_CMD_WRITE), 0);
}

TEST(a_command_held_over_a_reset_is_let_go_afterwards)
{
	struct nvme_sqe sqe = guest_rw(NVME_CMD_VERIFY, 0, 1, NULL);
	size_t pages;

	guest_boot();
	CHECK_EQ(fake_machine_attach(), 0);
	pages = fake_machine.sluice_pages;
	CHECK(guest_enable(0));
	CHECK_EQ(guest_create_cq(&cq, 1, 16, true), 0);
	CHECK_EQ(guest_create_sq(&sq, 1, 16, &cq), 0);
	fake_double.answer = hold;
	guest_put(&sq, &sqe);
	guest_ring(&sq);
	fake_double.answer = NULL;
	CHECK(guest_disable());
	CHECK(fake_machine.sluice_pages > pages);
	nvme_io_resume_guest_request(fake_double.host, fake_double.held, 1);
	guest_read32(NVME_REG_VS);
	CHECK_EQ(fake_machine.sluice_pages, pages);
	CHECK_EQ(fake_nvme_seen(false, NVME_CMD_VERIFY), 0);
}

TEST(a_command_held_over_the_end_of_its_queue_is_let_go_afterwards)
{
	struct nvme_sqe sqe = guest_rw(NVME_CMD_VERIFY, 0, 1, NULL);
	struct nvme_request *held;
	size_t pages;

	guest_boot();
	CHECK_EQ(fake_machine_attach(), 0);
	CHECK(guest_enable(0));
	CHECK_EQ(guest_create_cq(&cq, 1, 16, true), 0);
	pages = fake_machine.sluice_pages;
	CHECK_EQ(guest_create_sq(&sq, 1, 16, &cq), 0);
	fake_double.answer = hold;
	guest_put(&sq, &sqe);
	guest_ring(&sq);
	held = fake_double.held;
	fake_double.answer = NULL;
	CHECK_EQ(guest_delete(NVME_ADMIN_DELETE_SQ, 1), 0);
	nvme_io_finish_guest_request(fake_double.host, held, 0);
	guest_read32(NVME_REG_VS);
	CHECK_EQ(fake_machine.sluice_pages, pages);
	CHECK_EQ(guest_delete(NVME_ADMIN_DELETE_CQ, 1), 0);
}

/* ---- What hooks see -------------------------------------------------------------------- */

TEST(completions_are_seen_and_may_be_changed_where_declared)
{
	start_with(NVME_IO_NEEDS_COMPLETIONS);
	fake_double.complete_count = 0;
	CHECK_EQ(flush(NULL), 0);
	CHECK_EQ(fake_double.complete_count, 1);
	fake_nvme.fail_countdown = 1;
	fake_nvme.fail_status = NVME_IO_CAPACITY_EXCEEDED;
	CHECK_EQ(flush(NULL), 0);
	CHECK_EQ(fake_double.last_completion.status,
		 NVME_IO_CAPACITY_EXCEEDED);
	fake_double.answer = refuse;
	CHECK_EQ(flush(NULL), NVME_IO_ACCESS_DENIED);
	CHECK_EQ(fake_double.last_completion.status, NVME_IO_ACCESS_DENIED);
}

TEST(completions_are_not_shown_where_not_declared)
{
	start_with(0);
	CHECK_EQ(flush(NULL), 0);
	CHECK_EQ(fake_double.complete_count, 0);
}

TEST(without_a_hook_for_it_a_command_passes_and_its_completion_is_seen)
{
	u8 *data;

	fake_interceptor.on_command = NULL;
	start_with(NVME_IO_NEEDS_COMPLETIONS);
	data = fake_ram(4096, 4096);
	fake_double.complete_count = 0;
	CHECK_EQ(flush(NULL), 0);
	CHECK_EQ(fake_double.complete_count, 1);
	CHECK_EQ(read_blocks(data), 0);
	CHECK_EQ(fake_double.read_count, 1);
	CHECK_EQ(fake_double.complete_count, 2);
}

TEST(commands_are_decoded_before_they_are_shown)
{
	const struct nvme_io_command *cmd = &fake_double.last;
	u8 *data;

	start_with(0);
	data = fake_ram(4096, 4096);
	CHECK_EQ(read_blocks(data), 0);
	CHECK(!cmd->admin && cmd->opcode == NVME_CMD_READ && cmd->nsid == 1);
	CHECK_EQ(cmd->queue_id, 1);
	CHECK_EQ(cmd->lba, 8);
	CHECK_EQ(cmd->n_lbas, 2);
	CHECK_EQ(cmd->data_size, 1024);
	CHECK_EQ(cmd->effects, NVME_IO_READS);
	CHECK_EQ(cmd->direction, NVME_IO_FROM_DEVICE);
	CHECK_EQ(guest_admin(NVME_ADMIN_SANITIZE, 0, 1, 0, NULL), 1);
	CHECK(cmd->admin && cmd->opcode == NVME_ADMIN_SANITIZE);
	CHECK_EQ(cmd->effects, NVME_IO_WHOLE);
}

TEST(a_transfer_of_65536_blocks_is_counted_right)
{
	struct nvme_sqe sqe = guest_rw(NVME_CMD_WRITE_ZEROES, 0, 65536, NULL);

	start_with(0);
	guest_run(&sq, &sqe, NULL);
	CHECK_EQ(fake_double.last.n_lbas, 65536);
	CHECK_EQ(fake_double.last.effects, NVME_IO_WRITES);
}

static u8 *seen_block;
static u8 seen[1024];

static enum nvme_io_verdict look(struct nvme_request *req,
				 const struct nvme_io_command *cmd)
{
	seen_block = nvme_io_req_buf(fake_double.host, req, 1);
	CHECK(!nvme_io_req_buf(fake_double.host, req, 2));
	CHECK_EQ(nvme_io_req_read(req, 0, seen, 1024), 0);
	CHECK_EQ(nvme_io_req_read(req, 1, seen, 1024), -1);
	CHECK_EQ(nvme_io_req_write(req, 1000, "new", 3), 0);
	CHECK_EQ((*nvme_io_req_private(req, &fake_interceptor))++, 0);
	return NVME_IO_PASS;
}

TEST(a_hook_can_reach_the_data_wherever_it_lies)
{
	struct nvme_sqe sqe;
	u8 *data;

	start_with(0);
	data = fake_ram(8192, 4096);
	data += 4096 - 512;
	memset(data, 'a', 512);
	memset(data + 512, 'b', 512);
	sqe = guest_rw(NVME_CMD_WRITE, 5, 2, data);
	fake_double.answer = look;
	CHECK_EQ(guest_run(&sq, &sqe, NULL), 0);
	CHECK(seen_block == data + 512);
	CHECK(seen[511] == 'a' && seen[512] == 'b');
	CHECK(!memcmp(fake_nvme.namespaces[0].data + 5 * 512 + 1000, "new",
		      3));
}

static enum nvme_io_verdict mark(struct nvme_request *req,
				 const struct nvme_io_command *cmd)
{
	CHECK_EQ((*nvme_io_req_private(req, &fake_interceptor))++, 0);
	return NVME_IO_PASS;
}

TEST(an_interceptor_s_word_is_zero_for_each_command)
{
	start_with(0);
	fake_double.answer = mark;
	for (int i = 0; i < 40; i++)
		CHECK_EQ(flush(NULL), 0);
}

TEST(ranges_to_deallocate_are_shown_edited_and_counted)
{
	struct nvme_sqe sqe = { .opcode = NVME_CMD_DSM, .nsid = 1,
				.cdw10 = 2, .cdw11 = 4 };
	struct nvme_dsm_range *ranges;
	u8 *disk;

	start_with(0);
	disk = fake_nvme.namespaces[0].data;
	ranges = fake_ram(4096, 4096);
	ranges[0] = (struct nvme_dsm_range){ .lba = 10, .n_lbas = 1 };
	ranges[1] = (struct nvme_dsm_range){ .lba = 20, .n_lbas = 1 };
	ranges[2] = (struct nvme_dsm_range){ .lba = 30, .n_lbas = 1 };
	sqe.prp1 = (u64)ranges;
	fake_double.ranges_kept = 2;
	CHECK_EQ(guest_run(&sq, &sqe, NULL), 0);
	CHECK_EQ(fake_double.first_range.lba_start, 10);
	CHECK(disk[10 * 512] == 0 && disk[11 * 512] == 0xdd);
	CHECK(disk[20 * 512] == 0xdd && disk[30 * 512] == 0);
	CHECK_EQ(ranges[0].lba, 10);
	fake_double.ranges_kept = 0;
	CHECK_EQ(guest_run(&sq, &sqe, NULL), 0);
	CHECK_EQ(fake_nvme_seen(false, NVME_CMD_DSM), 1);
}

TEST(the_sources_of_a_copy_are_shown_in_both_formats)
{
	for (u32 format = 0; format < 2; format++) {
		struct nvme_sqe sqe = { .opcode = NVME_CMD_COPY, .nsid = 1,
			.cdw10 = 500, .cdw12 = format << 8 | 1 };
		u32 size = format ? 40 : 32;
		u8 *list;

		if (!format)
			start_with(0);
		list = fake_ram(4096, 4096);
		*(u64 *)(list + 8) = 77;
		*(u16 *)(list + 16) = 9;
		*(u64 *)(list + size + 8) = 100;
		*(u16 *)(list + size + 16) = 0xffff;
		sqe.prp1 = (u64)list;
		/* As many blocks as that there are not. */
		CHECK_EQ(guest_run(&sq, &sqe, NULL),
			 NVME_SC_LBA_OUT_OF_RANGE);
		CHECK_EQ(fake_double.source_count, 2);
		CHECK_EQ(fake_double.first_source.lba_start, 77);
		CHECK_EQ(fake_double.first_source.n_lbas, 10);
		CHECK_EQ(fake_double.last.n_lbas, 65546);
		CHECK_EQ(fake_double.last.lba, 500);
		CHECK_EQ(fake_double.last.effects,
			 NVME_IO_WRITES | NVME_IO_RANGES);
	}
}

TEST(identify_data_passes_the_filter_of_the_interceptor)
{
	u8 *data;

	start_with(0);
	data = fake_ram(4096, 4096);
	CHECK_EQ(guest_admin(NVME_ADMIN_IDENTIFY, 1, NVME_CNS_NAMESPACE, 0,
			     data), 0);
	CHECK_EQ(data[99], 1);
	CHECK_EQ(data[80], 101);
	CHECK_EQ(fake_double.identify_count, 1);
}
