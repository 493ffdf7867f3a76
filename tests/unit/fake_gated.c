/* SPDX-License-Identifier: BSD-2-Clause */
/* The disks and the guest of the tests of gate. */
#include "fake_gated.h"

struct nvme_host gated_host = { .name = "nvme0", .serial = "QF0" };

static const struct fake_gpt_partition open_part = { 40, 99, 0xaa, "open" };
static const struct fake_gpt_partition data_part = { 100, 199, 0xbb, "data" };

struct fake_gpt gated_make(void)
{
	struct fake_gpt gpt = {
		.disk = fake_add_namespace(&gated_host, 1, 300, 512),
		.block_size = 512, .lba_count = 300,
	};

	fake_gpt_init(&gpt);
	fake_gpt_add(&gpt, 0, &open_part);
	fake_gpt_add(&gpt, 1, &data_part);
	fake_add_namespace(&gated_host, 2, 300, 512);
	return gpt;
}

void gated_rule(const char *value)
{
	static u32 line;
	char why[200] = "";

	if (fake_plugin()->configure(++line, "gate", value, why, sizeof(why)))
		FAIL("%s: %s", value, why);
}

void gated_start(struct nvme_host *on)
{
	u32 before = on->start_count;

	if (!on->interceptor)
		CHECK_EQ(fake_plugin()->attach(on), 0);
	CHECK(on->interceptor->on_init(on->interceptor->interceptor));
	fake_complete_all();
	CHECK_EQ(on->start_count, before + 1);
}

struct fake_gpt gated_start_with(const char *rule)
{
	struct fake_gpt gpt = gated_make();

	gated_rule(rule);
	gated_start(&gated_host);
	return gpt;
}

u16 gated_io(u8 opcode, u32 nsid, u64 lba, u32 n_lbas)
{
	bool is_write = opcode == 0x01 || opcode == 0x04 || opcode == 0x08;
	struct nvme_io_command cmd = {
		.opcode = opcode, .nsid = nsid, .lba = lba, .n_lbas = n_lbas,
		.effects = is_write ? NVME_IO_WRITES : NVME_IO_READS,
	};

	return fake_command(&gated_host, &cmd);
}

u16 gated_write(u64 lba, u32 n_lbas)
{
	return gated_io(0x01, 1, lba, n_lbas);
}

u16 gated_read(u64 lba, u32 n_lbas)
{
	return gated_io(0x02, 1, lba, n_lbas);
}

u16 gated_admin(u8 opcode, u32 nsid, u32 cdw10)
{
	struct nvme_io_command cmd = {
		.admin = true, .opcode = opcode, .nsid = nsid, .cdw10 = cdw10,
	};

	return fake_command(&gated_host, &cmd);
}

bool gated_is_clear(u8 opcode, u64 lba, u64 first, u64 last)
{
	struct nvme_io_interceptor *it = gated_host.interceptor;
	struct nvme_io_command cmd = {
		.opcode = opcode, .nsid = 1, .lba = lba, .n_lbas = 1,
		.effects = opcode == 1 ? NVME_IO_WRITES : NVME_IO_READS,
	};
	u64 from = 0, to = ~0ull;

	it->on_passed(it->interceptor, &cmd, &from, &to);
	return first > last ? from > to : from == first && to == last;
}
