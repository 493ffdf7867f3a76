/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A root that says anything to the control channel: questions, orders and
 * log pages of any verb, target, cursor, length and place, with the plug-ins
 * gate and trace behind it. An answer is as long as it says and zeros after
 * that; nothing but its buffer is written.
 */
#include "control.h"
#include "fake_double.h"
#include "fake_gpt.h"
#include "fake_guest.h"
#include "fake_machine.h"
#include "fake_nvme.h"
#include "guest.h"

#define GUARD 0xee
#define BUFFER_SIZE (2 * PAGE_SIZE)

static u8 *area;		/* a page of guard, the buffer, another one */

static u8 *buffer(void)
{
	return area + PAGE_SIZE;
}

static bool is_guard(const u8 *bytes, size_t size)
{
	while (size && bytes[size - 1] == GUARD)
		size--;
	return !size;
}

static void check_area(size_t offset, size_t size)
{
	const u8 *end = buffer() + offset + size;

	CHECK(is_guard(area, buffer() + offset - area));
	CHECK(is_guard(end, area + BUFFER_SIZE + 2 * PAGE_SIZE - end));
}

static void check_answer(const u8 *bytes, size_t size)
{
	struct control_answer answer;

	memcpy(&answer, bytes, sizeof(answer));
	CHECK_EQ(answer.magic, CONTROL_MAGIC);
	CHECK(answer.size <= size - sizeof(answer));
	for (size_t i = sizeof(answer) + answer.size; i < size; i++)
		CHECK_EQ(bytes[i], 0);
}

/* ---- What is said ---------------------------------------------------- */

static u64 any_cursor(struct input *in)
{
	return input_of(in, 4) ? input_of(in, 256) : input_number(in, 8);
}

static u32 any_size(struct input *in)
{
	return input_of(in, 8) ? 4 * (1 + input_of(in, 1024)) :
		(u32)input_number(in, 4);
}

/* Words that mean something, and others. */
static size_t fill_text(struct input *in, char *text)
{
	static const char *const words[] = {
		"ro ", "none ", "rw ", "PARTLABEL=", "PARTUUID=", "QF0:n1",
		":p1", "\"", "start", "stop", "a", "kept", "\t", "\n",
		"00000000-0000-0000-0000-000000000000", "ro QF0:n1 ",
	};
	size_t used = 0;

	for (u32 i = input_of(in, 12); i && used < 900; i--) {
		u32 word = input_of(in, ARRAY_COUNT(words) + 1);

		if (word == ARRAY_COUNT(words))
			text[used++] = input_byte(in);
		else
			used += sprintf(text + used, "%s", words[word]);
	}
	return used;
}

static struct nvme_sqe any_command(struct input *in)
{
	struct nvme_sqe sqe = {
		.opcode = input_of(in, 3) ? CONTROL_QUESTION : CONTROL_ORDER,
		.cdw10 = any_size(in) / 4, .cdw12 = CONTROL_MAGIC,
		.cdw13 = CONTROL_VERSION << 16 | input_of(in, 10) << 8 |
			input_of(in, 5),
	};
	u64 cursor = any_cursor(in);

	sqe.cdw14 = (u32)cursor;
	sqe.cdw15 = cursor >> 32;
	if (sqe.opcode == CONTROL_ORDER && input_of(in, 8)) {
		sqe.cdw13 &= ~0xff00u;
		sqe.cdw14 = fill_text(in, (char *)buffer());
		sqe.cdw15 = 0;
		sqe.cdw10 = 256;
	}
	return sqe;
}

static struct nvme_sqe any_page(struct input *in)
{
	u64 offset = any_cursor(in) * (input_of(in, 2) ? 256 : 1);

	return (struct nvme_sqe){
		.opcode = NVME_ADMIN_GET_LOG_PAGE,
		.cdw10 = (any_size(in) / 4 - 1) << 16 |
			input_of(in, 16) << 8 | CONTROL_LOG_PAGE,
		.cdw11 = CONTROL_LOG_MAGIC << 16 | (input_of(in, 16) ? 0 : 1),
		.cdw12 = (u32)offset, .cdw13 = offset >> 32,
	};
}

/* A field that is not what it should be. */
static void spoil(struct input *in, struct nvme_sqe *sqe)
{
	u32 *const fields[] = { &sqe->cdw10, &sqe->cdw11, &sqe->cdw12,
				&sqe->cdw13, &sqe->cdw14, &sqe->cdw15,
				&sqe->nsid };

	*fields[input_of(in, ARRAY_COUNT(fields))] = input_number(in, 4);
}

/* ---- How it is said -------------------------------------------------- */

static size_t size_of(const struct nvme_sqe *sqe)
{
	if (sqe->opcode == CONTROL_QUESTION)
		return sqe->cdw10 * 4ull;
	return ((u64)(sqe->cdw11 & 0xffff) << 16 | sqe->cdw10 >> 16) * 4 + 4;
}

/* Into the buffer, from anywhere in its first page; it has to fit. */
static void say(struct input *in, struct nvme_sqe *sqe)
{
	size_t offset = 4 * input_of(in, 1024);
	size_t size = size_of(sqe);
	u16 status;

	if (sqe->opcode == CONTROL_ORDER)
		offset = 0;
	else if (!size || size > BUFFER_SIZE - offset)
		return;
	guest_set_prps(sqe, buffer() + offset, BUFFER_SIZE - offset);
	status = guest_run(&guest.admin, sqe, NULL);
	if (sqe->opcode == CONTROL_ORDER)
		return;
	check_area(offset, status ? 0 : size);
	if (!status && sqe->opcode == CONTROL_QUESTION)
		check_answer(buffer() + offset, size);
}

/* To where it may not go, or may: the device's own business aside. */
static void say_anywhere(struct input *in, struct nvme_sqe *sqe)
{
	fuzz_fill_list(in);
	sqe->prp1 = fuzz_address(in);
	sqe->prp2 = fuzz_address(in);
	guest_run(&guest.admin, sqe, NULL);
}

static void step(struct input *in)
{
	struct nvme_sqe sqe;

	memset(area, GUARD, BUFFER_SIZE + 2 * PAGE_SIZE);
	sqe = input_of(in, 4) ? any_command(in) : any_page(in);
	if (!input_of(in, 4)) {
		spoil(in, &sqe);
		say_anywhere(in, &sqe);
	} else {
		say(in, &sqe);
	}
	if (!input_of(in, 64)) {
		CHECK(guest_disable());
		CHECK(guest_enable(0));
	}
}

/* ---- The machine ----------------------------------------------------- */

static void make_table(void)
{
	static const struct fake_gpt_partition kept = { 1000, 1063, 1, "kept" };
	struct fake_gpt gpt = {
		.disk = fake_nvme.namespaces[0].data, .block_size = 512,
		.lba_count = fake_nvme.namespaces[0].n_lbas,
	};

	fake_gpt_init(&gpt);
	fake_gpt_add(&gpt, 0, &kept);
}

static u32 under_way;

static void is_read(struct nvme_host *host, u32 nsid,
		    const struct nvme_io_table_info *info, void *arg)
{
	under_way--;
}

/* The pages for tables are kept from the first reading on: those of as many
 * as can be read at once. */
static void read_at_once(void)
{
	while (nvme_io_read_partitions(fake_double.host, 1, is_read, NULL))
		under_way++;
	CHECK(under_way > 1);
	while (under_way)
		guest_idle(1);
}

static void boot(void)
{
	CHECK_EQ(fake_configure("gate.orders", "on"), 0);
	CHECK_EQ(fake_configure("trace.ring", "64"), 0);
	CHECK_EQ(fake_configure("trace.latency", "on"), 0);
	fuzz_boot();
	/* Tables are read to where only partition.c knows. */
	fake_nvme.may_reach = NULL;
	area = fake_ram(BUFFER_SIZE + 2 * PAGE_SIZE, PAGE_SIZE);
	make_table();
	CHECK(guest_enable(0));
	read_at_once();
	CHECK(guest_disable());
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	struct input in = { data, size };

	if (!area)
		boot();
	fuzz_begin();
	CHECK(guest_enable(0));
	while (!input_is_over(&in))
		step(&in);
	guest_idle(200);
	fuzz_end();
	return 0;
}
