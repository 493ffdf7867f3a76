/* SPDX-License-Identifier: BSD-2-Clause */
/* The trace plug-in: records, and what root may ask of them. */
#include <string.h>

#include "../../drivers/nvme/interceptors/trace_record.h"
#include "fake_nvme_io.h"
#include "test.h"

static struct nvme_host host = { .name = "nvme0", .serial = "QF0" };
static struct trace_record records[100];
static u64 first, next;
static char why[100];

static int configure(const char *key, const char *value)
{
	return fake_plugin()->configure(1, key, value, why, sizeof(why));
}

static void start(const char *ring, const char *latency)
{
	fake_add_namespace(&host, 1, 100, 4096);
	CHECK_EQ(configure("trace.ring", ring), 0);
	CHECK_EQ(configure("trace.latency", latency), 0);
	CHECK_EQ(fake_plugin()->attach(&host), 0);
	CHECK(host.interceptor->on_init(host.interceptor->interceptor));
}

/* A read of block `lba`, answered after 120 us. */
static void run(u64 lba, u16 status)
{
	struct nvme_request req = { .command = {
		.opcode = 0x02, .queue_id = 3, .cid = 12, .nsid = 1,
		.effects = NVME_IO_READS, .lba = lba, .n_lbas = 8,
	} };

	host.interceptor->on_command(host.interceptor->interceptor, &req,
				     &req.command);
	fake_now_us += 120;
	if (host.interceptor->needs & NVME_IO_NEEDS_COMPLETIONS)
		fake_complete_command(&host, &req, status);
}

static u32 ask(u64 cursor, u32 size_max)
{
	struct nvme_io_answer answer = {
		.verb = TRACE_VERB_RECORDS, .first = cursor, .next = cursor,
		.data = (u8 *)records, .size_max = size_max,
	};

	CHECK(host.interceptor->control->ask(host.interceptor->interceptor,
					     &answer));
	first = answer.first;
	next = answer.next;
	CHECK_EQ(answer.size % sizeof(records[0]), 0);
	return answer.size / sizeof(records[0]);
}

static int order(const char *text)
{
	return host.interceptor->control->order(
		host.interceptor->interceptor, text, why, sizeof(why));
}

TEST(what_is_no_setting_is_refused)
{
	CHECK_EQ(configure("trace.ring", "many"), -1);
	CHECK_EQ(configure("trace.ring", "1048577"), -1);
	CHECK_EQ(configure("trace.ring", ""), -1);
	CHECK_STR(why, "expected a number of records up to 1048576");
	CHECK_EQ(configure("trace.latency", "yes"), -1);
	CHECK_STR(why, "expected on or off");
}

TEST(without_latency_queues_stay_direct)
{
	start("16", "off");
	CHECK(!(host.interceptor->needs & NVME_IO_NEEDS_COMPLETIONS));
	fake_now_us = 5000;
	run(40, 0);
	CHECK_EQ(ask(0, sizeof(records)), 1);
	CHECK_EQ(records[0].time_us, 5000);
	CHECK_EQ(records[0].lba, 40);
	CHECK_EQ(records[0].blocks, 8);
	CHECK_EQ(records[0].lba_shift, 12);
	CHECK_EQ(records[0].queue, 3);
	CHECK_EQ(records[0].flags, TRACE_READS);
	CHECK_EQ(records[0].latency_us, TRACE_NO_LATENCY);
	CHECK_EQ(records[0].status, TRACE_NO_STATUS);
}

TEST(with_latency_a_record_has_its_answer)
{
	start("16", "on");
	CHECK(host.interceptor->needs & NVME_IO_NEEDS_COMPLETIONS);
	fake_now_us = 5000;
	run(40, 0x281);
	CHECK_EQ(ask(0, sizeof(records)), 1);
	CHECK_EQ(records[0].time_us, 5000);
	CHECK_EQ(records[0].latency_us, 120);
	CHECK_EQ(records[0].status, 0x281);
}

TEST(lost_records_are_told_by_the_first_number)
{
	start("16", "off");
	for (u64 i = 0; i < 50; i++)
		run(i, 0);
	CHECK_EQ(ask(0, sizeof(records)), 16);
	CHECK_EQ(first, 34);
	CHECK_EQ(next, 50);
	CHECK_EQ(records[0].lba, 34);
	CHECK_EQ(records[15].lba, 49);
	CHECK_EQ(ask(50, sizeof(records)), 0);
	CHECK_EQ(ask(~0ull, sizeof(records)), 0);
}

TEST(a_long_ring_is_read_in_whole_records)
{
	start("16", "off");
	for (u64 i = 0; i < 16; i++)
		run(i, 0);
	CHECK_EQ(ask(0, 3 * 40 + 39), 3);
	CHECK_EQ(next, 3);
	CHECK_EQ(ask(3, 39), 0);
	CHECK_EQ(ask(3, 40), 1);
	CHECK_EQ(records[0].lba, 3);
}

TEST(recording_stops_and_starts)
{
	start("16", "off");
	run(1, 0);
	CHECK_EQ(order("stop"), 0);
	run(2, 0);
	CHECK_EQ(order("start"), 0);
	run(3, 0);
	CHECK_EQ(ask(0, sizeof(records)), 2);
	CHECK_EQ(records[1].lba, 3);
	CHECK_EQ(order("rewind"), -1);
	CHECK_STR(why, "expected start or stop");
}

TEST(without_a_ring_nothing_is_kept)
{
	start("0", "on");
	CHECK(!(host.interceptor->needs & NVME_IO_NEEDS_COMPLETIONS));
	run(1, 0);
	CHECK_EQ(ask(0, sizeof(records)), 0);
	CHECK_EQ(order("start"), -1);
	CHECK_STR(why, "there is no ring: trace.ring = RECORDS in sluice.conf");
}

TEST(the_list_says_how_many_there_were)
{
	struct nvme_io_answer answer = {
		.data = (u8 *)records, .size_max = sizeof(records),
	};

	start("16", "on");
	for (u64 i = 0; i < 20; i++)
		run(i, i % 2);
	CHECK(host.interceptor->control->ask(host.interceptor->interceptor,
					     &answer));
	CHECK(strstr((char *)records, "reads=20\t"));
	CHECK(strstr((char *)records, "errors=10\tring=16\trecords=20\t"
		     "lost=4\tlatency=on\trecording=on\n"));
	answer.verb = 2;
	CHECK(!host.interceptor->control->ask(host.interceptor->interceptor,
					      &answer));
}
