/* SPDX-License-Identifier: BSD-2-Clause */
/* The control channel: who is answered, with what, and what is refused. */
#include <string.h>

#include "control.h"
#include "fake_double.h"
#include "fake_guest.h"
#include "fake_log.h"
#include "fake_machine.h"
#include "fake_nvme.h"
#include "test.h"

#define DNR 0x4000
#define DOUBLE 1
#define VERSION_1 (CONTROL_VERSION << 16)

static u8 *page;

static struct nvme_sqe make(u8 opcode, u32 target, u32 verb, u64 cursor)
{
	struct nvme_sqe sqe = {
		.opcode = opcode, .cdw10 = CONTROL_DATA_MAX / 4,
		.cdw12 = CONTROL_MAGIC,
		.cdw13 = VERSION_1 | verb << 8 | target,
		.cdw14 = (u32)cursor, .cdw15 = cursor >> 32,
	};

	guest_set_prps(&sqe, page, CONTROL_DATA_MAX);
	return sqe;
}

static u16 run(struct nvme_sqe *sqe)
{
	return guest_run(&guest.admin, sqe, NULL);
}

/* The answer stands in `page`; its header is returned. */
static const struct control_answer *ask(u32 target, u32 verb, u64 cursor)
{
	struct nvme_sqe sqe = make(CONTROL_QUESTION, target, verb, cursor);
	const struct control_answer *answer = (void *)page;

	memset(page, 0xee, CONTROL_DATA_MAX);
	CHECK_EQ(run(&sqe), 0);
	CHECK_EQ(answer->magic, CONTROL_MAGIC);
	CHECK_EQ(answer->version, CONTROL_VERSION);
	for (u32 i = 32 + answer->size; i < CONTROL_DATA_MAX; i++)
		CHECK_EQ(page[i], 0);
	return answer;
}

static u16 order(u32 target, const char *text)
{
	struct nvme_sqe sqe = make(CONTROL_ORDER, target, 0, strlen(text));

	strcpy((char *)page, text);
	return run(&sqe);
}

static void start(void)
{
	guest_start();
	page = fake_ram(3 * 4096, 4096);
	fake_nvme_forget();
}

static void check_device_saw_nothing(void)
{
	CHECK_EQ(fake_nvme_seen(true, CONTROL_QUESTION), 0);
	CHECK_EQ(fake_nvme_seen(true, CONTROL_ORDER), 0);
	CHECK_EQ(fake_nvme_seen(true, NVME_ADMIN_GET_LOG_PAGE), 0);
}

/* ---- Questions for Sluice -------------------------------------------- */

TEST(sluice_says_who_it_is)
{
	const struct control_identity *identity;

	start();
	CHECK_EQ(ask(0, CONTROL_IDENTITY, 0)->size, sizeof(*identity));
	identity = (void *)(page + 32);
	CHECK_STR(identity->sluice, "test");
	CHECK_STR(identity->controller, "nvme0");
	CHECK_EQ(ask(0, CONTROL_IDENTITY, 1)->size, 0);
	check_device_saw_nothing();
}

TEST(a_long_list_is_asked_for_piece_by_piece)
{
	const struct control_answer *answer;
	u32 count = 0;

	start();
	for (u64 at = 0; (answer = ask(0, CONTROL_CPUS, at))->size;
	     at = answer->next) {
		const struct control_cpu *cpu = (void *)(answer + 1);

		CHECK_EQ(answer->size, 256 * (answer->next - at));
		for (; at < answer->next; at++, cpu++, count++)
			CHECK_EQ(cpu->exits[CONTROL_EXIT_IO], 1000 + count);
	}
	CHECK_EQ(count, FAKE_CPUS);
	CHECK_EQ(ask(0, CONTROL_CPUS, 1ull << 32)->size, 0);
	CHECK_EQ(ask(0, CONTROL_CPUS, ~0ull)->size, 0);
}

TEST(a_controller_s_commands_are_counted)
{
	const struct control_controller *it = NULL;
	struct nvme_sqe flush = guest_rw(NVME_CMD_FLUSH, 0, 1, NULL);
	static struct guest_cq cq;
	static struct guest_sq sq;

	start();
	CHECK_EQ(guest_create_cq(&cq, 1, 16, true), 0);
	CHECK_EQ(guest_create_sq(&sq, 1, 16, &cq), 0);
	for (int i = 0; i < 3; i++)
		CHECK_EQ(guest_run(&sq, &flush, NULL), 0);
	ask(0, CONTROL_CONTROLLERS, 0);
	it = (void *)(page + 32);
	CHECK_STR(it->name, "nvme0");
	CHECK_EQ(it->state, 1);
	CHECK_EQ(it->resets, 1);
	CHECK_EQ(it->fetched[0], 3);
	CHECK_EQ(it->fetched[1], 3);
	CHECK_EQ(it->relayed_count + it->direct_count, 1);
	CHECK_EQ(guest_delete(NVME_ADMIN_DELETE_SQ, 1), 0);
	CHECK_EQ(guest_delete(NVME_ADMIN_DELETE_CQ, 1), 0);
	ask(0, CONTROL_CONTROLLERS, 0);
	CHECK_EQ(it->fetched[1], 3);
	CHECK_EQ(it->relayed_count + it->direct_count, 0);
}

TEST(the_log_is_read_from_a_cursor)
{
	u64 first;

	start();
	first = ask(0, CONTROL_LOG, 0)->next;
	CHECK_EQ(first, ((struct control_answer *)page)->size);
	CHECK(strstr((char *)page + 32, "nvme0"));
	CHECK_EQ(ask(0, CONTROL_LOG, first)->size, 0);
	CHECK_EQ(ask(0, CONTROL_LOG, ~0ull)->size, 0);
}

TEST(the_last_words_of_the_run_before_are_kept)
{
	start();
	CHECK_EQ(ask(0, CONTROL_PANIC_LOG, 0)->size, 13);
	CHECK_STR((char *)page + 32, "panic: seven\n");
	CHECK_EQ(ask(0, CONTROL_PANIC_LOG, 13)->size, 0);
}

/* ---- The log page ---------------------------------------------------- */

static u16 get_log(u32 lsp, u32 lsi, u64 offset, u32 size)
{
	struct nvme_sqe sqe = {
		.opcode = NVME_ADMIN_GET_LOG_PAGE,
		.cdw10 = (size / 4 - 1) << 16 | lsp << 8 | CONTROL_LOG_PAGE,
		.cdw11 = lsi << 16, .cdw12 = (u32)offset,
		.cdw13 = offset >> 32,
	};

	memset(page, 0xee, 3 * 4096);
	guest_set_prps(&sqe, page, size);
	return run(&sqe);
}

TEST(the_log_page_answers_without_a_header)
{
	const struct control_identity *identity;
	const struct control_cpu *cpu;

	start();
	identity = (void *)page;
	cpu = (void *)page;
	CHECK_EQ(get_log(CONTROL_IDENTITY, CONTROL_LOG_MAGIC, 0, 512), 0);
	CHECK_EQ(identity->magic, CONTROL_MAGIC);
	CHECK_EQ(page[256], 0);
	CHECK_EQ(page[512], 0xee);
	CHECK_EQ(get_log(CONTROL_CPUS, CONTROL_LOG_MAGIC, 4096, 4096), 0);
	CHECK_EQ(cpu[15].index, 31);
	CHECK_EQ(get_log(CONTROL_CPUS, CONTROL_LOG_MAGIC, 0, 12288), 0);
	CHECK_EQ(cpu[39].index, 39);
	CHECK_EQ(page[40 * 256], 0);
	CHECK_EQ(page[12287], 0);
	CHECK_EQ(get_log(CONTROL_CPUS, CONTROL_LOG_MAGIC, 256 * 40, 256), 0);
	CHECK_EQ(cpu->exits[CONTROL_EXIT_IO], 0);
	check_device_saw_nothing();
}

TEST(the_log_page_is_refused_out_of_step)
{
	start();
	CHECK_EQ(get_log(CONTROL_CPUS, CONTROL_LOG_MAGIC, 8, 256), DNR | 2);
	CHECK_EQ(get_log(CONTROL_VERBS, CONTROL_LOG_MAGIC, 0, 256), DNR | 2);
	CHECK_EQ(get_log(15, CONTROL_LOG_MAGIC, 0, 256), DNR | 2);
	CHECK_EQ(get_log(0, CONTROL_LOG_MAGIC, 0, 65540), DNR | 2);
	check_device_saw_nothing();
}

/* ---- Plug-ins -------------------------------------------------------- */

TEST(a_plug_in_is_found_by_its_name)
{
	const struct control_plugin *plugin;

	start();
	CHECK_EQ(ask(0, CONTROL_PLUGINS, 0)->size, sizeof(*plugin));
	plugin = (void *)(page + 32);
	CHECK_STR(plugin->name, "double");
	CHECK_EQ(plugin->target, DOUBLE);
	CHECK_EQ(plugin->flags,
		 CONTROL_PLUGIN_ASKS | CONTROL_PLUGIN_ORDERS);
}

TEST(a_plug_in_s_list_comes_in_whole_lines)
{
	const struct control_answer *answer;
	u32 count = 0;

	fake_double.item_count = 1000;
	start();
	for (u64 at = 0; (answer = ask(DOUBLE, CONTROL_LIST, at))->size;
	     at = answer->next) {
		char *line = strtok((char *)(answer + 1), "\n");

		CHECK_EQ(page[31 + answer->size], '\n');
		for (; line; line = strtok(NULL, "\n")) {
			char expected[40];

			sprintf(expected, "item=%u\tname=?a?", count++);
			CHECK_STR(line, expected);
		}
	}
	CHECK_EQ(count, 1000);
}

TEST(an_answer_is_as_long_as_there_is_room)
{
	struct nvme_sqe sqe;

	start();
	CHECK_EQ(ask(DOUBLE, 1, 7)->size, 4096 - 32);
	sqe = make(CONTROL_QUESTION, DOUBLE, 1, 0);
	sqe.cdw10 = 9;
	memset(page, 0xee, 4096);
	CHECK_EQ(run(&sqe), 0);
	CHECK_EQ(((struct control_answer *)page)->size, 4);
	CHECK_EQ(page[35], 0x5a);
	CHECK_EQ(page[36], 0xee);
}

TEST(a_buffer_may_begin_anywhere_in_a_page)
{
	struct nvme_sqe sqe;

	start();
	sqe = make(CONTROL_QUESTION, DOUBLE, 1, 0);
	guest_set_prps(&sqe, page + 104, 4096);
	CHECK_EQ(run(&sqe), 0);
	CHECK_EQ(((struct control_answer *)(page + 104))->size, 4096 - 32);
	CHECK_EQ(page[104 + 4095], 0x5a);
	CHECK_EQ(page[104 + 4096], 0);
}

TEST(an_order_reaches_the_plug_in)
{
	start();
	CHECK_EQ(order(DOUBLE, "delay 5ms\top=write"), 0);
	CHECK_STR(fake_double.ordered, "delay 5ms\top=write");
	CHECK(fake_log_has("nvme0: order: \"delay 5ms\top=write\""));
	CHECK_EQ(order(DOUBLE, ""), 0);
	CHECK_STR(fake_double.ordered, "");
	check_device_saw_nothing();
}

TEST(a_refused_order_says_why)
{
	start();
	CHECK_EQ(order(DOUBLE, "refuse"), DNR | CONTROL_REFUSED);
	CHECK_EQ(ask(0, CONTROL_WHY, 0)->size, 28);
	CHECK_STR((char *)page + 32, "expected what is not refused");
}

/* ---- What is not answered -------------------------------------------- */

TEST(what_there_is_not_is_refused)
{
	static const struct {
		const char *what;
		u8 opcode;
		u32 cdw10, cdw11, cdw13, cdw14, cdw15;
		u16 status;
	} cases[] = {
		{ "no such verb", CONTROL_QUESTION, 1024, 0,
		  VERSION_1 | CONTROL_VERBS << 8, 0, 0, CONTROL_UNKNOWN },
		{ "verb FFh", CONTROL_QUESTION, 1024, 0, VERSION_1 | 0xff00,
		  0, 0, CONTROL_UNKNOWN },
		{ "the plug-in's verb", CONTROL_QUESTION, 1024, 0,
		  VERSION_1 | 2 << 8 | DOUBLE, 0, 0, CONTROL_UNKNOWN },
		{ "target 2", CONTROL_QUESTION, 1024, 0, VERSION_1 | 2, 0, 0,
		  CONTROL_UNKNOWN },
		{ "target FFh", CONTROL_ORDER, 1024, 0, VERSION_1 | 255, 0, 0,
		  CONTROL_UNKNOWN },
		{ "order to Sluice", CONTROL_ORDER, 1024, 0, VERSION_1, 0, 0,
		  CONTROL_UNKNOWN },
		{ "order with a verb", CONTROL_ORDER, 1024, 0,
		  VERSION_1 | 0x100 | DOUBLE, 0, 0, CONTROL_UNKNOWN },
		{ "version 0", CONTROL_QUESTION, 1024, 0, 0, 0, 0,
		  CONTROL_UNKNOWN },
		{ "version 2", CONTROL_ORDER, 1024, 0, 2 << 16 | DOUBLE, 0, 0,
		  CONTROL_UNKNOWN },
		{ "no data", CONTROL_QUESTION, 0, 0, VERSION_1, 0, 0, 2 },
		{ "less than a header", CONTROL_QUESTION, 7, 0, VERSION_1, 0,
		  0, 2 },
		{ "more than a page", CONTROL_QUESTION, 1025, 0, VERSION_1, 0,
		  0, 2 },
		{ "16 GiB", CONTROL_ORDER, ~0u, 0, VERSION_1 | DOUBLE, 0, 0,
		  2 },
		{ "metadata", CONTROL_QUESTION, 1024, 1, VERSION_1, 0, 0, 2 },
		{ "text past its data", CONTROL_ORDER, 1, 0,
		  VERSION_1 | DOUBLE, 5, 0, 2 },
		{ "a long text", CONTROL_ORDER, 1024, 0, VERSION_1 | DOUBLE,
		  CONTROL_TEXT_MAX + 1, 0, 2 },
		{ "a very long one", CONTROL_ORDER, 1024, 0,
		  VERSION_1 | DOUBLE, 4, 1, 2 },
		{ "FFFFFFFFh", CONTROL_ORDER, 1024, 0, VERSION_1 | DOUBLE,
		  ~0u, 0, 2 },
		{ "no text", CONTROL_ORDER, 1024, 0, VERSION_1 | DOUBLE,
		  4, 0, 2 },
	};

	start();
	for (u32 i = 0; i < ARRAY_COUNT(cases); i++) {
		struct nvme_sqe sqe = {
			.opcode = cases[i].opcode, .cdw10 = cases[i].cdw10,
			.cdw11 = cases[i].cdw11, .cdw12 = CONTROL_MAGIC,
			.cdw13 = cases[i].cdw13, .cdw14 = cases[i].cdw14,
			.cdw15 = cases[i].cdw15,
		};
		u16 status;

		memset(page, 1, 4096);
		guest_set_prps(&sqe, page, 4096);
		status = run(&sqe);
		if (status != (DNR | cases[i].status))
			FAIL("%s: %#x", cases[i].what, status);
		CHECK_EQ(page[0], 1);
	}
	CHECK_STR(fake_double.ordered, "");
	check_device_saw_nothing();
}

TEST(an_answer_into_sluice_s_memory_is_refused)
{
	struct nvme_sqe sqe;
	u8 *secret;

	start();
	secret = nvme_io_alloc_pages(NULL, 1, &(phys_t){ 0 });
	sqe = make(CONTROL_QUESTION, DOUBLE, 1, 0);
	sqe.prp1 = (u64)secret;
	CHECK_EQ(run(&sqe), DNR | 4);
	CHECK_EQ(secret[0], 0);
	sqe.prp1 = 1ull << 60;
	CHECK_EQ(run(&sqe), DNR | 4);
}

/* What the drive has at these places stays the drive's. */
TEST(without_the_magic_the_device_is_asked)
{
	struct nvme_sqe sqe;

	start();
	CHECK_EQ(get_log(0, 0, 0, 512), get_log(0, 0x534c, 0, 512));
	CHECK_EQ(fake_nvme_seen(true, NVME_ADMIN_GET_LOG_PAGE), 2);
	sqe = make(CONTROL_QUESTION, 0, 0, 0);
	sqe.cdw12++;
	CHECK_EQ(run(&sqe), DNR | 1);
}

TEST(a_channel_that_is_off_is_not_there)
{
	struct nvme_sqe sqe;

	guest_boot();
	CHECK_EQ(fake_configure("control", "off"), 0);
	CHECK_EQ(fake_machine_attach(), 0);
	CHECK(guest_enable(0));
	page = fake_ram(2 * 4096, 4096);
	sqe = make(CONTROL_QUESTION, 0, 0, 0);
	CHECK_EQ(run(&sqe), DNR | 1);
}

TEST(a_channel_for_reading_takes_no_orders)
{
	guest_boot();
	CHECK_EQ(fake_configure("control", "read"), 0);
	CHECK_EQ(fake_configure("control", "on"), -22);
	CHECK_EQ(fake_machine_attach(), 0);
	CHECK(guest_enable(0));
	page = fake_ram(2 * 4096, 4096);
	CHECK_EQ(order(DOUBLE, "go"), DNR | CONTROL_FORBIDDEN);
	CHECK_EQ(ask(0, CONTROL_STATUS, 0)->size, 256);
}
