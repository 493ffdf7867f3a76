/* SPDX-License-Identifier: BSD-2-Clause */
/* The trace plug-in: counters and lines. */
#include <string.h>

#include "fake_nvme_io.h"
#include "test.h"

static struct nvme_host host = { .name = "nvme0", .serial = "QF0" };

static int configure(const char *key, const char *value)
{
	char why[100] = "";
	int result = fake_plugin()->configure(1, key, value, why, sizeof(why));

	CHECK_STR(why, result ? "expected trace = on, time or off" : "");
	return result;
}

static void start(void)
{
	CHECK_EQ(fake_plugin()->attach(&host), 0);
	CHECK(host.interceptor->on_init(host.interceptor->interceptor));
	CHECK_EQ(host.start_count, 1);
}

static void stop(void)
{
	CHECK(host.interceptor->can_stop(host.interceptor->interceptor));
}

static const struct nvme_io_command read_command = {
	.opcode = 0x02, .queue_id = 1, .cid = 12, .nsid = 1,
	.effects = NVME_IO_READS, .lba = 2048, .n_lbas = 8,
};

TEST(only_on_time_and_off_are_taken)
{
	CHECK_EQ(configure("trace", "time"), 0);
	CHECK_EQ(configure("trace", "on"), 0);
	CHECK_EQ(configure("trace", "off"), 0);
	CHECK_EQ(configure("trace", ""), -1);
	CHECK_EQ(configure("trace", "yes"), -1);
	CHECK_EQ(configure("trace", "On"), -1);
}

TEST(completions_are_asked_for_only_when_they_are_looked_at)
{
	static struct nvme_host second = { .name = "nvme1" };
	static struct nvme_host third = { .name = "nvme2" };

	start();
	CHECK(!(host.interceptor->needs & NVME_IO_NEEDS_COMPLETIONS));
	configure("trace", "on");
	fake_plugin()->attach(&second);
	CHECK(second.interceptor->needs & NVME_IO_NEEDS_COMPLETIONS);
	configure("trace", "time");
	fake_plugin()->attach(&third);
	CHECK(third.interceptor->needs & NVME_IO_NEEDS_COMPLETIONS);
}

/* One command from the guest to its completion. */
static void run_for(const struct nvme_io_command *cmd, u16 status, u64 us)
{
	struct nvme_request req = { .command = *cmd };

	CHECK_EQ(host.interceptor->on_command(host.interceptor->interceptor,
					      &req, &req.command),
		 NVME_IO_PASS);
	fake_now_us += us;
	fake_complete_command(&host, &req, status);
}

static void run(const struct nvme_io_command *cmd, u16 status)
{
	run_for(cmd, status, 120);
}

TEST(each_command_makes_a_line_when_it_is_answered)
{
	static const struct {
		struct nvme_io_command cmd;
		u16 status;
		const char *line;
	} rows[] = {
		{ { .opcode = 0x02, .queue_id = 1, .cid = 12, .nsid = 1,
		    .lba = 2048, .n_lbas = 8 }, 0,
		  "nvme0: q1 cid 12 Read n1 lba 2048+8 -> 0000 120us" },
		{ { .opcode = 0x01, .queue_id = 65535, .cid = 65535,
		    .nsid = 0xffffffff, .lba = ~0ull, .n_lbas = 65536 },
		  0x4186,
		  "nvme0: q65535 cid 65535 Write n4294967295 lba "
		  "18446744073709551615+65536 -> 4186 120us" },
		{ { .admin = true, .opcode = 0x06 }, 0,
		  "nvme0: q0 cid 0 Identify n0 -> 0000 120us" },
		{ { .admin = true, .opcode = 0x02 }, 0, " Get Log Page n0" },
		{ { .admin = true, .opcode = 0xc2 }, 1, " opcode c2h n0" },
		{ { .opcode = 0x00, .nsid = 1 }, 0, " Flush n1 -> 0000" },
		{ { .opcode = 0x93, .nsid = 1 }, 1, " opcode 93h n1 -> 0001" },
	};

	configure("trace", "on");
	start();
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		fake_log_clear();
		run(&rows[i].cmd, rows[i].status);
		CHECK_EQ(fake_log_count(rows[i].line), 1);
		CHECK_EQ(fake_log_count(""), 1);
	}
}

TEST(a_command_answered_before_it_came_here_has_no_time)
{
	struct nvme_request req = { .command = read_command };

	configure("trace", "on");
	start();
	fake_complete_command(&host, &req, 0x4020);
	CHECK_EQ(fake_log_count("lba 2048+8 -> 4020"), 1);
	CHECK_EQ(fake_log_count("us"), 0);
}

TEST(commands_are_counted_by_kind_also_without_lines)
{
	struct nvme_io_command write = read_command;
	struct nvme_io_command identify = { .admin = true, .opcode = 0x06 };
	struct nvme_io_command flush = { .opcode = 0x00, .nsid = 1 };

	write.effects = NVME_IO_WRITES;
	write.n_lbas = 65536;
	start();
	for (int i = 0; i < 3; i++) {
		fake_command(&host, &read_command);
		fake_command(&host, &write);
	}
	fake_command(&host, &identify);
	fake_command(&host, &flush);
	CHECK_EQ(fake_log_count(""), 0);
	stop();
	CHECK_EQ(fake_log_count("nvme0: trace: 1 admin, 3 reads of 24 blocks, "
				"3 writes of 196608 blocks, 1 other commands"),
		 1);
	CHECK_EQ(fake_log_count(""), 1);
}

TEST(errors_are_counted_with_lines)
{
	configure("trace", "on");
	start();
	run(&read_command, 0);
	run(&read_command, 0x0281);
	stop();
	CHECK_EQ(fake_log_count("trace: 1 commands ended with an error"), 1);
}

TEST(answers_are_timed_without_lines)
{
	struct nvme_request unseen = { .command = read_command };

	configure("trace", "time");
	start();
	run_for(&read_command, 0, 50);
	run_for(&read_command, 0x0281, 250);
	run_for(&read_command, 0, 90);
	fake_complete_command(&host, &unseen, 0);
	CHECK_EQ(fake_log_count(""), 0);
	stop();
	CHECK_EQ(fake_log_count("trace: answers after 130us, at most 250us"),
		 1);
	CHECK_EQ(fake_log_count("trace: 1 commands ended with an error"), 1);
}

TEST(the_counts_are_not_told_again_when_nothing_came)
{
	start();
	stop();
	CHECK_EQ(fake_log_count(""), 0);
	fake_command(&host, &read_command);
	stop();
	stop();
	CHECK_EQ(fake_log_count("trace: 0 admin, 1 reads"), 1);
	CHECK_EQ(fake_log_count(""), 1);
}
