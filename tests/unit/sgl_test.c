/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * SGLs of any shape against a reference: what the device moves is what the
 * guest's descriptors name, in order, and everything else is refused.
 */
#include <stdlib.h>
#include <string.h>

#include "fake_double.h"
#include "fake_guest.h"
#include "fake_machine.h"
#include "fake_nvme.h"
#include "page.h"
#include "test.h"

#define BLOCK NVME_SGL_DATA_BLOCK
#define BUCKET NVME_SGL_BIT_BUCKET
#define SEGMENT NVME_SGL_SEGMENT
#define LAST NVME_SGL_LAST_SEGMENT
#define ARENA (16u << 20)
#define PIECES_MAX 4096

struct piece {
	u64 address, size;	/* 0: a bucket */
};

static struct guest_cq cq;
static struct guest_sq sq;
static u8 *arena;
static struct piece pieces[PIECES_MAX];
static u32 piece_count;

static void start(u32 sgls)
{
	guest_boot();
	fake_nvme.sgls = sgls;
	CHECK_EQ(fake_machine_attach(), 0);
	CHECK(guest_enable(0));
	CHECK_EQ(guest_create_cq(&cq, 1, 16, true), 0);
	CHECK_EQ(guest_create_sq(&sq, 1, 16, &cq), 0);
	arena = fake_ram(ARENA, 4096);
	for (u32 i = 0; i < ARENA; i += 8)
		*(u64 *)(arena + i) = (u64)rand() << 32 | rand();
}

static struct nvme_sgl sgl(u8 type, const void *at, u32 length)
{
	return (struct nvme_sgl){ (u64)at, length, { 0 }, type };
}

static u16 run(u8 opcode, u64 size, struct nvme_sgl first)
{
	struct nvme_sqe sqe = guest_rw(opcode, 0, size / 512, NULL);

	sqe.flags = FIELD_PREP(NVME_SQE_PSDT, NVME_PSDT_SGL);
	sqe.sgl = first;
	return guest_run(&sq, &sqe, NULL);
}

/* ---- Random ones ----------------------------------------------------------- */

/* A descriptor for up to `left` bytes, at a place of its own. */
static struct nvme_sgl random_piece(u64 left, bool may_skip, u32 *used)
{
	u64 wanted = rand() % 8000, size = MIN(left, wanted);
	bool is_bucket = may_skip && rand() % 8 == 0;
	u8 *at = arena + *used;

	if (rand() % 16 == 0)
		size = 0;
	*used += size + rand() % 64;
	CHECK(piece_count < PIECES_MAX);
	pieces[piece_count++] = (struct piece){ is_bucket ? 0 : (u64)at,
						size };
	return sgl(is_bucket ? BUCKET : BLOCK, at, size);
}

/* Segments of random lengths until `size` bytes are named. */
static struct nvme_sgl random_sgl(u64 size, bool may_skip)
{
	struct nvme_sgl first, *link = &first;
	u32 used = 0;

	piece_count = 0;
	while (size) {
		u32 i = 0, limit = rand() % 300 + 1;
		struct nvme_sgl *list = fake_ram((limit + 1) * 16, 8);

		for (; i < limit && size; i++) {
			list[i] = random_piece(size, may_skip, &used);
			size -= list[i].length;
		}
		*link = sgl(size ? SEGMENT : LAST, list,
			    (size ? i + 1 : i) * 16);
		link = &list[i];
	}
	return first;
}

TEST(random_lists_are_written_as_a_reference_walk_finds)
{
	start(1);
	for (int round = 0; round < 200; round++) {
		u64 size = (rand() % 2000 + 1) * 512ull;
		u8 *at = fake_nvme.namespaces[0].data;

		CHECK_EQ(run(NVME_CMD_WRITE, size, random_sgl(size, false)), 0);
		for (u32 i = 0; i < piece_count; at += pieces[i++].size)
			CHECK(!memcmp(at, (void *)pieces[i].address,
				      pieces[i].size));
	}
}

TEST(random_lists_are_read_into_and_buckets_lose_their_bytes)
{
	u8 *copy = malloc(ARENA), *data;

	start(1 | NVME_SGLS_BIT_BUCKET);
	data = fake_nvme.namespaces[0].data;
	for (u32 i = 0; i < 1 << 20; i++)
		data[i] = rand();
	for (int round = 0; round < 100; round++) {
		u64 size = (rand() % 2000 + 1) * 512ull, at = 0;
		struct nvme_sgl first = random_sgl(size, true);

		memcpy(copy, arena, ARENA);
		CHECK_EQ(run(NVME_CMD_READ, size, first), 0);
		for (u32 i = 0; i < piece_count; at += pieces[i++].size)
			if (pieces[i].address)
				memcpy(copy + (pieces[i].address - (u64)arena),
				       data + at, pieces[i].size);
		CHECK(!memcmp(copy, arena, ARENA));
	}
	free(copy);
}

/* ---- Limits ------------------------------------------------------------------ */

/* `count` blocks, 8 bytes apart, as one segment. */
static struct nvme_sgl even(u32 count, u32 size)
{
	struct nvme_sgl *list = fake_ram(count * 16, 16);

	for (u32 i = 0; i < count; i++)
		list[i] = sgl(BLOCK, arena + i * (size + 8), size);
	return sgl(LAST, list, count * 16);
}

TEST(lists_around_the_end_of_a_page_fit)
{
	static const u32 counts[] = { 1, 2, 254, 255, 256, 257, 510, 511,
				      1020, 2047 };

	start(1);
	for (u32 i = 0; i < ARRAY_COUNT(counts); i++) {
		u8 *data = fake_nvme.namespaces[0].data;

		CHECK_EQ(run(NVME_CMD_WRITE, counts[i] * 512,
			     even(counts[i], 512)), 0);
		for (u32 b = 0; b < counts[i]; b++)
			CHECK(!memcmp(data + b * 512, arena + b * 520, 512));
	}
}

TEST(the_largest_transfer_in_blocks_of_4_kib_fits)
{
	start(1);
	CHECK_EQ(run(NVME_CMD_WRITE, 8 << 20, even(2048, 4096)), 0);
	CHECK(!memcmp(fake_nvme.namespaces[0].data + (2047 << 12),
		      arena + 2047 * 4104, 4096));
}

TEST(more_blocks_than_there_is_room_for_are_refused)
{
	start(1);
	CHECK_EQ(run(NVME_CMD_READ, 4096, even(256, 16)), 0x400e);
	CHECK_EQ(run(NVME_CMD_READ, 2 << 20, even(4096, 512)), 0x400e);
	CHECK_EQ(run(NVME_CMD_READ, 4080 / 16 * 512, even(255, 512)), 0);
}

/* Thousands of them, so that one page lost each time would be felt. */
TEST(pages_come_back_after_success_and_refusal)
{
	struct nvme_sgl good, bad;

	start(1);
	good = even(300, 512);
	bad = even(299, 512);
	for (int i = 0; i < 600; i++) {
		CHECK_EQ(run(NVME_CMD_WRITE, 300 * 512, good), 0);
		CHECK_EQ(run(NVME_CMD_WRITE, 300 * 512, bad), 0x400f);
	}
}

/* ---- Refusals ------------------------------------------------------------------ */

/* The descriptor in the SQE, for a read of a block of 512 bytes. */
TEST(a_single_descriptor_is_checked)
{
	static const struct {
		u8 type;
		u32 length;
		u16 status;
	} cases[] = {
		{ BLOCK, 512, 0 },
		{ BLOCK, 511, 0x400f },
		{ BLOCK, 0, 0x400f },
		{ BLOCK, 513, 0x400f },
		{ BLOCK, ~0u, 0x400f },
		{ BLOCK | 1, 512, 0x4011 },	/* an offset */
		{ BUCKET, 512, 0x4011 },	/* not the device's */
		{ 0x40, 512, 0x4011 },		/* keyed */
		{ 0x5a, 512, 0x4011 },		/* transport */
		{ 0xf0, 512, 0x4011 },
		{ SEGMENT | 1, 512, 0x4011 },
		{ SEGMENT, 0, 0x400d },
		{ LAST, 0, 0x400d },
		{ LAST, 8, 0x400d },
		{ LAST, 24, 0x400d },
		{ LAST, ~0u & ~15u, 0x400e },
	};

	start(1);
	for (u32 i = 0; i < ARRAY_COUNT(cases); i++)
		CHECK_EQ(run(NVME_CMD_READ, 512,
			     sgl(cases[i].type, arena, cases[i].length)),
			 cases[i].status);
	CHECK_EQ(run(NVME_CMD_READ, 512, sgl(LAST, arena + 4, 16)), 0x400d);
	CHECK_EQ(fake_nvme_seen(false, NVME_CMD_READ), 1);
}

TEST(a_segment_leads_on_at_its_end_only_and_the_last_not_at_all)
{
	struct nvme_sgl *list, *tail;

	start(1);
	list = fake_ram(4096, 4096);
	tail = fake_ram(4096, 4096);
	list[0] = sgl(LAST, tail, 16);
	list[1] = tail[0] = sgl(BLOCK, arena, 512);
	CHECK_EQ(run(NVME_CMD_READ, 512, sgl(SEGMENT, list, 16)), 0);
	CHECK_EQ(run(NVME_CMD_READ, 512, sgl(SEGMENT, list, 32)), 0x400e);
	CHECK_EQ(run(NVME_CMD_READ, 512, sgl(LAST, list, 16)), 0x400d);
	tail[0].type = 0x40;
	CHECK_EQ(run(NVME_CMD_READ, 512, sgl(SEGMENT, list, 16)), 0x4011);
	CHECK_EQ(fake_nvme_seen(false, NVME_CMD_READ), 1);
}

TEST(a_segment_that_ends_outside_of_memory_is_a_transfer_error)
{
	struct nvme_sgl *last;

	start(1);
	last = fake_ram(4096, 4096);
	while (fake_is_ram((u64)last, 4096 + sizeof(*last)))
		last += 4096 / sizeof(*last);
	last += 4096 / sizeof(*last) - 1;
	*last = sgl(BLOCK, arena, 512);
	CHECK_EQ(run(NVME_CMD_READ, 512, sgl(LAST, last, 16)), 0);
	CHECK_EQ(run(NVME_CMD_READ, 512, sgl(LAST, last, 32)), 0x4004);
}

TEST(segments_in_a_circle_end)
{
	struct nvme_sgl *list;

	start(1);
	list = fake_ram(4096, 4096);
	list[0] = sgl(BLOCK, arena, 0);
	list[1] = sgl(SEGMENT, list, 32);
	CHECK_EQ(run(NVME_CMD_READ, 512, list[1]), 0x400e);
}

TEST(what_is_longer_than_the_transfer_is_cut_where_the_device_allows_it)
{
	u8 *data;

	start(1 | NVME_SGLS_LONGER);
	data = fake_nvme.namespaces[0].data;
	memset(data, 0x77, 4096);
	memset(arena, 0, 8192);
	CHECK_EQ(run(NVME_CMD_READ, 512, even(2, 1024)), 0);
	CHECK_EQ(arena[511], 0x77);
	CHECK_EQ(arena[512], 0);
	CHECK_EQ(arena[1032], 0);
	CHECK_EQ(run(NVME_CMD_READ, 4096, even(3, 1024)), 0x400f);
}

TEST(a_bucket_holds_nothing_that_could_be_written)
{
	const struct nvme_sgl *device_list;
	struct nvme_sgl *list;

	start(1 | NVME_SGLS_BIT_BUCKET);
	list = fake_ram(4096, 4096);
	list[0] = sgl(BUCKET, NULL, 4096);
	list[1] = sgl(BLOCK, arena, 512);
	CHECK_EQ(run(NVME_CMD_WRITE, 512, sgl(LAST, list, 32)), 0);
	CHECK(!memcmp(fake_nvme.namespaces[0].data, arena, 512));
	CHECK_EQ(run(NVME_CMD_WRITE, 1024, sgl(LAST, list, 32)), 0x400f);
	CHECK_EQ(run(NVME_CMD_READ, 4608, sgl(LAST, list, 32)), 0);
	/* Nor does the device get an address that nobody has looked at. */
	list[0] = list[1];
	list[1] = sgl(BUCKET, arena, 4096);
	CHECK_EQ(run(NVME_CMD_READ, 4608, sgl(LAST, list, 32)), 0);
	device_list = (void *)fake_nvme_last(false, NVME_CMD_READ)->sgl.address;
	CHECK_EQ(device_list[1].type, BUCKET);
	CHECK_EQ(device_list[1].address, 0);
}

TEST(dma_to_sluice_is_refused_wherever_it_stands)
{
	struct nvme_sgl *list;
	u8 *secret;

	start(1);
	secret = page_alloc(1);
	memset(secret, 0x5a, 4096);
	list = fake_ram(4096, 4096);
	list[0] = sgl(BLOCK, arena, 512);
	list[1] = sgl(BLOCK, secret - 511, 512);
	CHECK_EQ(run(NVME_CMD_READ, 512, sgl(BLOCK, secret, 512)), 0x4004);
	CHECK_EQ(run(NVME_CMD_READ, 1024, sgl(LAST, list, 32)), 0x4004);
	CHECK_EQ(run(NVME_CMD_READ, 512, sgl(LAST, secret, 16)), 0x4004);
	CHECK_EQ(run(NVME_CMD_READ, 512, sgl(SEGMENT, (void *)8, 16)), 0x4004);
	CHECK_EQ(run(NVME_CMD_READ, 512, sgl(BLOCK, (void *)-256, 512)),
		 0x4004);
	list[1] = sgl(LAST, secret, 16);
	CHECK_EQ(run(NVME_CMD_READ, 1024, sgl(SEGMENT, list, 32)), 0x4004);
	for (int i = 0; i < 4096; i++)
		CHECK_EQ(secret[i], 0x5a);
	CHECK_EQ(fake_nvme_seen(false, NVME_CMD_READ), 0);
	page_free(secret, 1);
}

/* Where the blocks before it are, but for its last byte. */
TEST(a_block_may_begin_where_all_is_safe_and_end_where_nothing_is)
{
	struct nvme_sgl *list;
	u8 *secret;

	start(1);
	secret = page_alloc(1);
	list = fake_ram(4096, 4096);
	list[0] = sgl(BLOCK, secret - 4096, 512);
	for (u32 i = 0; i < 512; i += 73) {
		list[1] = sgl(BLOCK, secret - i, 512);
		CHECK_EQ(run(NVME_CMD_READ, 1024, sgl(LAST, list, 32)), 0x4004);
		list[1] = sgl(BLOCK, secret + 4095 - i, 512);
		CHECK_EQ(run(NVME_CMD_READ, 1024, sgl(LAST, list, 32)), 0x4004);
	}
	list[0] = sgl(BLOCK, arena, 512);
	list[1] = sgl(BLOCK, (void *)-256, 512);
	CHECK_EQ(run(NVME_CMD_READ, 1024, sgl(LAST, list, 32)), 0x4004);
	CHECK_EQ(fake_nvme_seen(false, NVME_CMD_READ), 0);
	page_free(secret, 1);
}

/* ---- What is offered ------------------------------------------------------------ */

TEST(only_what_is_offered_is_taken)
{
	struct nvme_sqe sqe;

	start(1);
	sqe = guest_rw(NVME_CMD_READ, 0, 1, NULL);
	sqe.sgl = sgl(BLOCK, arena, 512);
	for (u32 psdt = 2; psdt < 4; psdt++) {
		sqe.flags = FIELD_PREP(NVME_SQE_PSDT, psdt);
		CHECK_EQ(guest_run(&sq, &sqe, NULL), 0x4002);
	}
	CHECK_EQ(fake_nvme_seen(false, NVME_CMD_READ), 0);
}

TEST(a_device_without_sgls_is_not_given_one)
{
	start(0);
	CHECK_EQ(run(NVME_CMD_READ, 512, sgl(BLOCK, arena, 512)), 0x4002);
}

TEST(identify_offers_what_is_walked_and_the_device_has)
{
	static const struct {
		u32 device, guest;
	} cases[] = {
		{ 0, 0 },
		{ 1, 1 },
		{ 2, 2 },
		{ 0xfffffffd, 0x0007ff01 },
		{ 0xfffffffc, 0 },
	};

	for (u32 i = 0; i < ARRAY_COUNT(cases); i++) {
		struct nvme_id_ctrl *id;

		if (!i)
			start(0);
		CHECK(guest_disable());
		fake_nvme.sgls = cases[i].device;
		CHECK(guest_enable(0));
		id = fake_ram(4096, 4096);
		CHECK_EQ(guest_admin(NVME_ADMIN_IDENTIFY, 0,
				     NVME_CNS_CONTROLLER, 0, id), 0);
		CHECK_EQ(id->sgls, cases[i].guest);
	}
}

/* ---- What Sluice and interceptors see of it ---------------------------------------- */

TEST(ranges_to_deallocate_may_come_in_pieces)
{
	struct nvme_sqe sqe = { .opcode = NVME_CMD_DSM, .nsid = 1,
				.cdw10 = 1, .cdw11 = 4 };
	struct nvme_dsm_range ranges[2] = { { 0, 1, 3 }, { 0, 2, 8 } };
	u8 *data;

	start(1);
	fake_double.ranges_kept = 2;
	data = fake_nvme.namespaces[0].data;
	memcpy(arena, ranges, 12);
	memcpy(arena + 20, (u8 *)ranges + 12, 12);
	memcpy(arena + 40, (u8 *)ranges + 24, 8);
	sqe.flags = FIELD_PREP(NVME_SQE_PSDT, NVME_PSDT_SGL);
	sqe.sgl = even(3, 12);
	((struct nvme_sgl *)sqe.sgl.address)[2].length = 8;
	CHECK_EQ(guest_run(&sq, &sqe, NULL), 0);
	CHECK_EQ(fake_nvme_last(false, NVME_CMD_DSM)->flags, 0);
	CHECK_EQ(fake_double.first_range.lba_start, 3);
	CHECK_EQ(data[4 * 512], 0xdd);
	CHECK_EQ(data[8 * 512], 0xdd);
	CHECK_EQ(data[10 * 512 - 1], 0xdd);
	CHECK_EQ(data[10 * 512], 0);
}

static u8 seen[2048], *whole, *split;

static enum nvme_io_verdict look(struct nvme_request *req,
				 const struct nvme_io_command *cmd)
{
	if (cmd->admin)
		return NVME_IO_PASS;
	whole = nvme_io_req_buf(fake_double.host, req, 0);
	split = nvme_io_req_buf(fake_double.host, req, 1);
	CHECK(!nvme_io_req_buf(fake_double.host, req, 2));
	CHECK(!nvme_io_req_buf(fake_double.host, req, 3));
	CHECK_EQ(nvme_io_req_read(req, 0, seen, 1024), 0);
	CHECK_EQ(nvme_io_req_read(req, 1000, seen, 536), 0);
	CHECK_EQ(nvme_io_req_read(req, 1537, seen, 512), -1);
	CHECK_EQ(nvme_io_req_write(req, 1000, "new", 3), 0);
	return NVME_IO_PASS;
}

/* Block 0 in one piece, 1 in two adjacent ones, 2 in two that are not, and a
 * bucket is nowhere. */
TEST(a_hook_can_reach_the_data_but_what_is_in_a_bucket)
{
	struct nvme_sgl *list;

	start(1 | NVME_SGLS_BIT_BUCKET);
	list = fake_ram(4096, 4096);
	list[0] = sgl(BLOCK, arena, 700);
	list[1] = sgl(BLOCK, arena + 700, 400);
	list[2] = sgl(BLOCK, arena + 4096, 436);
	list[3] = sgl(BUCKET, NULL, 512);
	fake_double.answer = look;
	memset(arena, 0x31, 8192);
	CHECK_EQ(run(NVME_CMD_COMPARE, 2048, sgl(LAST, list, 64)), 0x400f);
	CHECK_EQ(run(NVME_CMD_READ, 2048, sgl(LAST, list, 64)), 0);
	CHECK(whole == arena);
	CHECK(split == arena + 512);
	CHECK_EQ(seen[1023], 0x31);
}

TEST(a_flush_takes_no_descriptor_along)
{
	start(1);
	CHECK_EQ(run(NVME_CMD_FLUSH, 512, sgl(BLOCK, arena, 512)), 0);
	CHECK_EQ(fake_nvme_last(false, NVME_CMD_FLUSH)->flags, 0);
	CHECK_EQ(fake_nvme_last(false, NVME_CMD_FLUSH)->prp1, 0);
}
