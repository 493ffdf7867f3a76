/* SPDX-License-Identifier: BSD-2-Clause */
/* Reads and writes of a page: what is known of them is known no longer than
 * it holds. */
#include <string.h>

#include "fake_double.h"
#include "fake_guest.h"
#include "fake_machine.h"
#include "fake_nvme.h"
#include "page.h"
#include "test.h"

#define READ NVME_CMD_READ
#define WRITE NVME_CMD_WRITE

static struct guest_cq cq;
static struct guest_sq sq;
static u32 asked_count;
static u64 clear_first = 8, clear_last = 15;

static enum nvme_io_verdict count(struct nvme_request *req,
				  const struct nvme_io_command *cmd)
{
	asked_count += !cmd->admin;
	return NVME_IO_PASS;
}

static enum nvme_io_verdict refuse(struct nvme_request *req,
				   const struct nvme_io_command *cmd)
{
	nvme_io_set_status(req, NVME_IO_ACCESS_DENIED, 0);
	return cmd->admin ? NVME_IO_PASS : NVME_IO_DONE;
}

static void count_read(void *interceptor, struct nvme_request *req, u32 nsid,
		       u64 lba_start, u32 n_lbas)
{
	fake_double.read_count++;
}

static void count_write(void *interceptor, struct nvme_request *req, u32 nsid,
			u64 lba_start, u32 n_lbas)
{
	fake_double.write_count++;
}

static void on_passed(void *interceptor, const struct nvme_io_command *cmd,
		      u64 *first, u64 *last)
{
	*first = clear_first;
	*last = clear_last;
}

/* ---- Another plug-in, after that one ------------------------------------ */

static struct {
	bool takes_part, is_passed_by;
	u32 asked_count, complete_count;
	enum nvme_io_verdict verdict;
	struct nvme_request *held;
} other;

static enum nvme_io_verdict other_on_command(void *interceptor,
					     struct nvme_request *req,
					     const struct nvme_io_command *cmd)
{
	if (cmd->admin)
		return NVME_IO_PASS;
	other.asked_count++;
	other.held = req;
	nvme_io_set_status(req, NVME_IO_WRITE_PROTECTED, 0);
	return other.verdict;
}

/* All but the first twelve blocks. */
static void other_on_passed(void *interceptor,
			    const struct nvme_io_command *cmd, u64 *first,
			    u64 *last)
{
	*first = *first < 12 ? 12 : *first;
}

static void other_on_complete(void *interceptor, struct nvme_request *req,
			      const struct nvme_io_command *cmd,
			      struct nvme_io_completion *completion)
{
	other.complete_count += !cmd->admin;
}

static u8 other_on_init(void *interceptor)
{
	nvme_io_start_fetching_g_reqs(interceptor);
	return 1;
}

static int other_attach(struct nvme_host *host)
{
	static struct nvme_io_interceptor it = {
		.on_init = other_on_init, .on_command = other_on_command,
		.on_complete = other_on_complete,
	};

	it.interceptor = host;
	it.needs = fake_double.needs | NVME_IO_CONCURRENT;
	it.on_passed = other.is_passed_by ? other_on_passed : NULL;
	if (other.takes_part)
		nvme_io_install_interceptor(host, &it);
	return 0;
}

static const struct nvme_io_plugin other_plugin = {
	.name = "other", .attach = other_attach,
};
NVME_IO_PLUGIN(other_plugin);

/* ---- The guest ---------------------------------------------------------- */

static void make_queues(void)
{
	CHECK_EQ(guest_create_cq(&cq, 1, 16, true), 0);
	CHECK_EQ(guest_create_sq(&sq, 1, 16, &cq), 0);
}

static void start_with(u32 needs)
{
	guest_boot();
	fake_interceptor.on_read = NULL;
	fake_interceptor.on_write = NULL;
	fake_interceptor.on_passed = on_passed;
	fake_double.needs = needs;
	fake_double.answer = count;
	fake_nvme_add(2, 9, 64);
	CHECK_EQ(fake_machine_attach(), 0);
	CHECK(guest_enable(0));
	make_queues();
}

static void start(void)
{
	start_with(NVME_IO_CONCURRENT);
}

/* double before other. */
static void start_both(u32 needs)
{
	CHECK_EQ(fake_configure("chain", "double other"), 0);
	other.takes_part = true;
	start_with(NVME_IO_CONCURRENT | needs);
}

static u16 run(u8 opcode, u32 nsid, u64 lba, u32 n_lbas)
{
	struct nvme_sqe sqe = guest_rw(opcode, lba, n_lbas,
				       fake_ram(4096, 4096));

	sqe.nsid = nsid;
	return guest_run(&sq, &sqe, NULL);
}

/* Does it pass, with a question to the interceptor? */
static bool is_asked(u8 opcode, u32 nsid, u64 lba, u32 n_lbas)
{
	u32 before = asked_count;

	CHECK_EQ(run(opcode, nsid, lba, n_lbas), 0);
	return asked_count != before;
}

/* With the first the namespace is known, with the second what is clear. */
static void learn_of(u32 nsid)
{
	CHECK(is_asked(READ, nsid, 9, 1));
	CHECK(is_asked(READ, nsid, 9, 1));
	CHECK(!is_asked(READ, nsid, 9, 1));
}

static void learn(void)
{
	learn_of(1);
}

TEST(nobody_is_asked_twice_about_what_is_clear)
{
	start();
	learn();
	CHECK(!is_asked(READ, 1, 8, 8));
	CHECK(!is_asked(READ, 1, 15, 1));
	CHECK_EQ(fake_nvme_seen(false, READ), 5);
}

TEST(what_is_not_all_clear_is_asked_about)
{
	static const struct { u64 lba; u32 n_lbas; } others[] = {
		{ 7, 1 }, { 7, 2 }, { 15, 2 }, { 16, 1 }, { 0, 8 }, { 63, 1 },
	};

	start();
	learn();
	for (u32 i = 0; i < ARRAY_COUNT(others); i++) {
		CHECK(is_asked(READ, 1, others[i].lba, others[i].n_lbas));
		CHECK(!is_asked(READ, 1, 9, 1));
	}
}

TEST(a_range_that_wraps_is_not_clear)
{
	start();
	clear_first = 0;
	clear_last = ~0ull;
	learn();
	asked_count = 0;
	CHECK(run(READ, 1, ~0ull, 2));
	CHECK_EQ(asked_count, 1);
}

TEST(what_is_clear_to_read_may_not_be_to_write)
{
	start();
	learn();
	CHECK(is_asked(WRITE, 1, 9, 1));
	CHECK(!is_asked(WRITE, 1, 10, 1));
	CHECK(!is_asked(READ, 1, 10, 1));
}

TEST(what_is_clear_in_one_namespace_is_not_in_another)
{
	start();
	learn();
	learn_of(2);
	learn_of(1);
}

TEST(what_an_interceptor_takes_back_is_asked_about)
{
	start();
	learn();
	nvme_io_ask_again(fake_double.host);
	learn();
}

TEST(when_the_rules_change_a_command_is_refused)
{
	start();
	learn();
	fake_double.answer = refuse;
	nvme_io_ask_again(fake_double.host);
	CHECK_EQ(run(READ, 1, 9, 1), NVME_IO_ACCESS_DENIED);
	CHECK_EQ(run(READ, 1, 9, 1), NVME_IO_ACCESS_DENIED);
	CHECK_EQ(fake_nvme_seen(false, READ), 3);
}

TEST(where_a_command_was_refused_nothing_is_clear)
{
	start();
	fake_double.answer = refuse;
	for (u32 i = 0; i < 3; i++)
		CHECK_EQ(run(READ, 1, 9, 1), NVME_IO_ACCESS_DENIED);
	fake_double.answer = count;
	CHECK(is_asked(READ, 1, 9, 1));
}

static enum nvme_io_verdict make_flush(struct nvme_request *req,
				       const struct nvme_io_command *cmd)
{
	asked_count++;
	nvme_io_change_g_req_to_flush(req);
	return NVME_IO_PASS;
}

TEST(a_command_changed_to_a_flush_leaves_nothing_clear)
{
	start();
	fake_double.answer = make_flush;
	for (u32 i = 0; i < 3; i++)
		CHECK(is_asked(READ, 1, 9, 1));
	CHECK_EQ(fake_nvme_seen(false, READ), 0);
}

TEST(an_interceptor_that_wants_to_see_each_command_does)
{
	start();
	fake_interceptor.on_passed = NULL;
	for (u32 i = 0; i < 3; i++)
		CHECK(is_asked(READ, 1, 9, 1));
}

TEST(each_transfer_comes_to_the_hook_that_is_for_it)
{
	start();
	fake_interceptor.on_read = count_read;
	fake_interceptor.on_write = count_write;
	for (u32 i = 1; i < 4; i++) {
		CHECK_EQ(run(READ, 1, 9, 1), 0);
		CHECK_EQ(run(WRITE, 1, 9, 1), 0);
		CHECK_EQ(fake_double.read_count, i);
		CHECK_EQ(fake_double.write_count, i);
	}
}

TEST(none_is_clear_where_the_last_is_before_the_first)
{
	start();
	clear_first = 1;
	clear_last = 0;
	for (u32 i = 0; i < 3; i++)
		CHECK(is_asked(READ, 1, 1, 1));
}

TEST(one_that_takes_turns_is_always_asked)
{
	start_with(0);
	for (u32 i = 0; i < 3; i++)
		CHECK(is_asked(READ, 1, 9, 1));
}

TEST(completions_are_seen_of_what_nobody_was_asked_about)
{
	start_with(NVME_IO_CONCURRENT | NVME_IO_NEEDS_COMPLETIONS);
	learn();
	fake_double.complete_count = 0;
	CHECK(!is_asked(READ, 1, 10, 1));
	CHECK_EQ(fake_double.complete_count, 1);
}

TEST(a_new_queue_knows_nothing_of_the_old)
{
	start();
	learn();
	CHECK_EQ(guest_delete(NVME_ADMIN_DELETE_SQ, 1), 0);
	CHECK_EQ(guest_delete(NVME_ADMIN_DELETE_CQ, 1), 0);
	make_queues();
	learn();
}

TEST(a_controller_that_was_reset_knows_nothing)
{
	start();
	learn();
	CHECK(guest_disable());
	CHECK(guest_enable(0));
	make_queues();
	learn();
}

/* A block of 4096 bytes from now on: two of them are two pages. */
TEST(a_command_after_a_format_is_as_long_as_the_new_blocks)
{
	struct nvme_sqe sqe;
	u8 *data;

	start();
	data = fake_ram(8192, 4096);
	learn();
	fake_nvme.namespaces[0].lba_shift = 12;
	CHECK_EQ(guest_admin(NVME_ADMIN_FORMAT, 1, 0, 0, NULL), 0);
	sqe = guest_rw(READ, 0, 2, data);
	sqe.prp2 = (u64)data + 4096;
	CHECK_EQ(guest_run(&sq, &sqe, NULL), 0);
	CHECK_EQ(fake_double.last.data_size, 8192);
	CHECK_EQ(fake_nvme_last(false, READ)->prp2, (u64)data + 4096);
}

/* Fields that mean nothing in a command of one page without metadata. */
TEST(the_device_gets_no_address_that_was_not_looked_at)
{
	struct nvme_sqe sqe;
	const struct nvme_sqe *seen;

	start();
	learn();
	sqe = guest_rw(READ, 0, 8, fake_ram(4096, 4096));
	sqe.prp2 = 0x123456789000;
	sqe.mptr = 0x987654321000;
	CHECK_EQ(guest_run(&sq, &sqe, NULL), 0);
	seen = fake_nvme_last(false, READ);
	CHECK_EQ(seen->prp1, sqe.prp1);
	CHECK_EQ(seen->prp2, 0);
	CHECK_EQ(seen->mptr, 0);
}

TEST(a_command_without_data_has_no_address_of_another_s)
{
	struct nvme_sqe sqe = { .opcode = NVME_CMD_FLUSH, .nsid = 1 };

	start();
	learn();
	CHECK_EQ(guest_run(&sq, &sqe, NULL), 0);
	CHECK_EQ(fake_nvme_last(false, NVME_CMD_FLUSH)->prp1, 0);
}

TEST(clear_blocks_excuse_no_other_check)
{
	struct nvme_sqe sqe;
	u8 *data, *secret;

	start();
	data = fake_ram(4096, 4096);
	secret = page_alloc(1);
	learn();
	sqe = guest_rw(READ, 9, 1, data + 2);
	CHECK_EQ(guest_run(&sq, &sqe, NULL), 0x4013);
	sqe = guest_rw(READ, 9, 1, data);
	sqe.flags = 1;
	CHECK_EQ(guest_run(&sq, &sqe, NULL), 0x4002);
	sqe = guest_rw(READ, 9, 1, (void *)cq.entries);
	CHECK_EQ(guest_run(&sq, &sqe, NULL), 0x4004);
	sqe = guest_rw(READ, 9, 1, secret);
	CHECK_EQ(guest_run(&sq, &sqe, NULL), 0x4004);
	CHECK_EQ(fake_nvme_seen(false, READ), 3);
	page_free(secret, 1);
}

/* ---- Two interceptors --------------------------------------------------- */

TEST(one_that_sees_each_command_is_asked_and_the_other_is_not)
{
	start_both(0);
	learn();
	other.asked_count = 0;
	CHECK(!is_asked(READ, 1, 8, 8));
	CHECK(!is_asked(READ, 1, 15, 1));
	CHECK_EQ(other.asked_count, 2);
	CHECK(is_asked(READ, 1, 16, 1));
	CHECK_EQ(other.asked_count, 3);
	CHECK_EQ(fake_nvme_seen(false, READ), 6);
}

TEST(what_one_sees_in_clear_blocks_it_may_refuse)
{
	start_both(0);
	learn();
	other.verdict = NVME_IO_DONE;
	CHECK_EQ(run(READ, 1, 9, 1), NVME_IO_WRITE_PROTECTED);
	CHECK_EQ(fake_nvme_seen(false, READ), 3);
	other.verdict = NVME_IO_PASS;
	CHECK(!is_asked(READ, 1, 9, 1));
}

TEST(what_one_sees_in_clear_blocks_it_may_hold)
{
	struct nvme_sqe sqe = guest_rw(READ, 9, 1, NULL);
	struct nvme_cqe cqe;

	start_both(NVME_IO_NEEDS_COMPLETIONS);
	learn();
	sqe.prp1 = (u64)fake_ram(4096, 4096);
	other.verdict = NVME_IO_HOLD;
	guest_put(&sq, &sqe);
	guest_ring(&sq);
	CHECK_EQ(fake_nvme_seen(false, READ), 3);
	nvme_io_resume_guest_request(fake_double.host, other.held, 1);
	guest_read32(NVME_REG_VS);
	CHECK(guest_wait(&cq, &cqe));
	CHECK_EQ(fake_nvme_seen(false, READ), 4);
}

TEST(both_see_the_completion_of_what_one_was_asked_about)
{
	start_both(NVME_IO_NEEDS_COMPLETIONS);
	learn();
	other.complete_count = fake_double.complete_count = 0;
	CHECK(!is_asked(READ, 1, 9, 1));
	CHECK_EQ(other.complete_count, 1);
	CHECK_EQ(fake_double.complete_count, 1);
}

TEST(clear_for_both_is_what_is_clear_for_each)
{
	other.is_passed_by = true;
	start_both(0);
	CHECK(is_asked(READ, 1, 13, 1));
	CHECK(is_asked(READ, 1, 13, 1));
	other.asked_count = 0;
	CHECK(!is_asked(READ, 1, 12, 4));
	CHECK_EQ(other.asked_count, 0);
	CHECK(is_asked(READ, 1, 11, 1));
	CHECK_EQ(other.asked_count, 1);
}

TEST(where_one_says_none_both_are_asked)
{
	other.is_passed_by = true;
	start_both(0);
	clear_last = 11;
	for (u32 i = 0; i < 3; i++)
		CHECK(is_asked(READ, 1, 9, 1));
	CHECK_EQ(other.asked_count, 3);
}

TEST(what_one_has_changed_to_a_flush_is_not_shown_to_the_next)
{
	start_both(0);
	fake_double.answer = make_flush;
	CHECK(is_asked(READ, 1, 9, 1));
	CHECK(is_asked(READ, 1, 9, 1));
	CHECK_EQ(other.asked_count, 0);
}
