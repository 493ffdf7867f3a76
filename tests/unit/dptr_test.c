/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * PRPs of any shape against a reference: the bytes that the device reads are
 * those of the pages the guest listed, in order, and nothing else.
 */
#include <stdlib.h>
#include <string.h>

#include "fake_guest.h"
#include "fake_log.h"
#include "fake_machine.h"
#include "fake_nvme.h"
#include "page.h"
#include "test.h"

static struct guest_cq cq;
static struct guest_sq sq;
static u8 *arena, *expected;

static void enable(u32 mps)
{
	CHECK(guest_enable(FIELD_PREP(NVME_CC_MPS, mps)));
	CHECK_EQ(guest_create_cq(&cq, 1, 16, true), 0);
	CHECK_EQ(guest_create_sq(&sq, 1, 16, &cq), 0);
}

static void start(u32 mps)
{
	guest_boot();
	CHECK_EQ(fake_machine_attach(), 0);
	enable(mps);
	arena = fake_ram(32 << 20, 65536);
	for (u32 i = 0; i < 32 << 20; i += 8)
		*(u64 *)(arena + i) = (u64)rand() << 32 | rand();
	expected = malloc(16 << 20);
}

static u64 random_page(void)
{
	return (u64)arena + rand() % ((32u << 20) / guest.page_size) *
		guest.page_size;
}

/* Appends what the guest means by an entry to the reference. */
static u64 expect(u64 at, u64 address, u64 size)
{
	u64 piece = MIN(size - at, guest.page_size -
			(address & (guest.page_size - 1)));

	memcpy(expected + at, (void *)address, piece);
	return at + piece;
}

/* A write of `size` bytes in pages at random, lists at `list_offset`. */
static struct nvme_sqe scattered_write(u64 size, u64 offset, u64 list_offset)
{
	struct nvme_sqe sqe = guest_rw(NVME_CMD_WRITE, 0, size / 512, NULL);
	u64 per_page = guest.page_size / 8, at;
	u64 *list = (u64 *)((u8 *)fake_ram(guest.page_size, guest.page_size) +
			    list_offset);

	sqe.prp1 = random_page() + offset;
	at = expect(0, sqe.prp1, size);
	if (at == size)
		return sqe;
	if (size - at <= guest.page_size) {
		sqe.prp2 = random_page();
		expect(at, sqe.prp2, size);
		return sqe;
	}
	sqe.prp2 = (u64)list;
	while (at < size) {
		bool is_last = ((u64)list / 8 + 1) % per_page == 0;

		if (is_last && size - at > guest.page_size) {
			u64 *next = fake_ram(guest.page_size, guest.page_size);

			*list = (u64)next;
			list = next;
			continue;
		}
		*list = random_page();
		at = expect(at, *list++, size);
	}
	return sqe;
}

static void check_write(u64 size, u64 offset, u64 list_offset)
{
	struct nvme_sqe sqe = scattered_write(size, offset, list_offset);

	memset(fake_nvme.namespaces[0].data, 0, size);
	CHECK_EQ(guest_run(&sq, &sqe, NULL), 0);
	CHECK(!memcmp(fake_nvme.namespaces[0].data, expected, size));
}

TEST(lists_of_511_512_and_513_entries_at_every_kind_of_offset)
{
	static const u64 entries[] = { 1, 2, 3, 510, 511, 512, 513, 1021,
		1022, 1023, 1024, 1534 };
	static const u64 offsets[] = { 0, 512, 3584, 4092 };
	static const u64 list_offsets[] = { 0, 8, 2048, 4080, 4088 };

	start(0);
	for (u32 e = 0; e < ARRAY_COUNT(entries); e++)
		for (u32 o = 0; o < ARRAY_COUNT(offsets); o++)
			for (u32 l = 0; l < ARRAY_COUNT(list_offsets); l++)
				check_write(entries[e] * 4096, offsets[o],
					    list_offsets[l]);
}

/* The last entry of a page leads on only when more than a page remains. */
TEST(lists_that_begin_anywhere_end_where_their_data_does)
{
	start(0);
	for (u64 list_offset = 0; list_offset < 4096; list_offset += 8) {
		u64 in_page = (4096 - list_offset) / 8;

		check_write(in_page * 4096, 0, list_offset);
		check_write((in_page + 1) * 4096, 0, list_offset);
		check_write((in_page + 2) * 4096, 0, list_offset);
	}
}

TEST(random_lists_carry_what_a_reference_walk_finds)
{
	start(0);
	for (int i = 0; i < 300; i++)
		check_write((rand() % 2000 + 1) * 512ull,
			    rand() % 1024 * 4, rand() % 512 * 8);
}

TEST(guest_pages_of_every_size_are_cut_into_the_device_s)
{
	start(0);
	for (u32 mps = 1; mps <= 4; mps++) {
		u64 page = 4096u << mps;

		CHECK(guest_disable());
		enable(mps);
		for (int i = 0; i < 60; i++)
			check_write((rand() % 4000 + 1) * 512ull,
				    rand() % (page / 4) * 4,
				    rand() % (page / 8) * 8);
	}
}

TEST(the_largest_transfer_at_the_worst_offset_fits)
{
	start(0);
	check_write(8 << 20, 4092, 4088);
}

TEST(a_transfer_beyond_mdts_is_refused)
{
	struct nvme_sqe sqe;

	guest_boot();
	fake_nvme.mdts = 3;
	CHECK_EQ(fake_machine_attach(), 0);
	enable(0);
	sqe = guest_rw(NVME_CMD_READ, 0, 64, fake_ram(65536, 4096));
	CHECK_EQ(guest_run(&sq, &sqe, NULL), 0);
	sqe = guest_rw(NVME_CMD_READ, 0, 65, fake_ram(65536, 4096));
	CHECK_EQ(guest_run(&sq, &sqe, NULL), 0x4002);
}

TEST(entries_with_an_offset_are_refused)
{
	static const struct {
		u64 prp1_offset, prp2_offset, entry_offset;
		u32 n_lbas;
	} cases[] = {
		{ 2, 0, 0, 1 },			/* not a dword */
		{ 2, 0, 0, 15 },
		{ 0, 512, 0, 16 },		/* PRP2 is a page */
		{ 0, 0, 8, 32 },		/* entry is not a page */
	};

	start(0);
	for (u32 i = 0; i < ARRAY_COUNT(cases); i++) {
		u64 *list = fake_ram(8192, 4096);
		struct nvme_sqe sqe = guest_rw(NVME_CMD_READ, 0,
					       cases[i].n_lbas, NULL);

		list[0] = list[1] = list[2] = random_page() +
			cases[i].entry_offset;
		sqe.prp1 = random_page() + cases[i].prp1_offset;
		sqe.prp2 = cases[i].n_lbas > 16 ?
			(u64)list : random_page() + cases[i].prp2_offset;
		CHECK_EQ(guest_run(&sq, &sqe, NULL), 0x4013);
	}
	CHECK_EQ(fake_nvme_seen(false, NVME_CMD_READ), 0);
}

/* Though what stands there is well aligned. */
TEST(a_list_with_an_offset_is_refused)
{
	struct nvme_sqe sqe = guest_rw(NVME_CMD_READ, 0, 32, NULL);
	u64 *list;

	start(0);
	list = fake_ram(4096, 4096);
	sqe.prp1 = random_page();
	sqe.prp2 = (u64)list + 4;		/* not a qword */
	CHECK_EQ(guest_run(&sq, &sqe, NULL), 0x4013);
	list[1] = list[2] = list[3] = random_page();
	list[511] = (u64)&list[1];		/* not a page */
	sqe.prp2 = (u64)&list[511];
	CHECK_EQ(guest_run(&sq, &sqe, NULL), 0x4013);
	CHECK_EQ(fake_nvme_seen(false, NVME_CMD_READ), 0);
}

/* Each way to name an address, pointed at a page of Sluice's. */
TEST(dma_to_sluice_is_refused_wherever_it_stands)
{
	void *secret;
	struct nvme_sqe sqe;
	u64 *list;

	start(0);
	secret = page_alloc(1);
	memset(secret, 0x5a, 4096);
	list = fake_ram(4096, 4096);

	sqe = guest_rw(NVME_CMD_READ, 0, 1, NULL);
	sqe.prp1 = (u64)secret + 512;
	CHECK_EQ(guest_run(&sq, &sqe, NULL), 0x4004);
	sqe = guest_rw(NVME_CMD_READ, 0, 16, NULL);
	sqe.prp1 = random_page();
	sqe.prp2 = (u64)secret;
	CHECK_EQ(guest_run(&sq, &sqe, NULL), 0x4004);
	sqe = guest_rw(NVME_CMD_READ, 0, 24, NULL);
	sqe.prp1 = list[0] = random_page();
	list[1] = (u64)secret;
	sqe.prp2 = (u64)list;
	CHECK_EQ(guest_run(&sq, &sqe, NULL), 0x4004);
	sqe.prp2 = (u64)secret;
	CHECK_EQ(guest_run(&sq, &sqe, NULL), 0x4004);
	sqe.prp2 = (u64)list;
	list[0] = (u64)secret;
	list[1] = random_page();
	CHECK_EQ(guest_run(&sq, &sqe, NULL), 0x4004);
	/* One page after the other, up to Sluice's. */
	list[0] = (u64)secret - 4096;
	list[1] = (u64)secret;
	CHECK_EQ(guest_run(&sq, &sqe, NULL), 0x4004);
	for (int i = 0; i < 4096; i++)
		CHECK_EQ(((u8 *)secret)[i], 0x5a);
	CHECK_EQ(fake_nvme_seen(false, NVME_CMD_READ), 0);
	CHECK(fake_log_has("(5 so far)"));
	page_free(secret, 1);
}

/* Among pages that are below all of Sluice's or not, in any order. */
TEST(any_entry_of_a_list_may_be_the_one_that_names_sluice)
{
	struct nvme_sqe sqe;
	void *secret;
	u64 *list;

	start(0);
	secret = page_alloc(1);
	list = fake_ram(4096, 4096);
	sqe = guest_rw(NVME_CMD_READ, 0, 24 * 8, NULL);
	sqe.prp1 = random_page();
	sqe.prp2 = (u64)list;
	for (u32 i = 0; i < 23; i++) {
		for (u32 e = 0; e < 23; e++)
			list[e] = rand() % 2 ? random_page() : 4096;
		list[i] = (u64)secret;
		CHECK_EQ(guest_run(&sq, &sqe, NULL), 0x4004);
	}
	CHECK_EQ(fake_nvme_seen(false, NVME_CMD_READ), 0);
	page_free(secret, 1);
}

TEST(a_list_outside_of_memory_is_a_transfer_error)
{
	struct nvme_sqe sqe = guest_rw(NVME_CMD_READ, 0, 32, NULL);

	start(0);
	sqe.prp1 = random_page();
	sqe.prp2 = 0x1000;
	CHECK_EQ(guest_run(&sq, &sqe, NULL), 0x4004);
	sqe.prp2 = ~0xfffull;
	CHECK_EQ(guest_run(&sq, &sqe, NULL), 0x4004);
}

TEST(separate_metadata_is_checked_as_a_whole)
{
	struct nvme_sqe sqe;
	void *secret;
	u8 *mptr;

	start(0);
	CHECK(guest_disable());
	fake_nvme.namespaces[0].metadata_size = 8;
	enable(0);
	secret = page_alloc(1);
	sqe = guest_rw(NVME_CMD_READ, 0, 16, arena);
	mptr = fake_ram(4096, 4096);
	sqe.mptr = (u64)mptr;
	CHECK_EQ(guest_run(&sq, &sqe, NULL), 0);
	CHECK_EQ(fake_nvme_last(false, NVME_CMD_READ)->mptr, (u64)mptr);
	sqe.mptr = (u64)secret - 120;
	CHECK_EQ(guest_run(&sq, &sqe, NULL), 0x4004);
	page_free(secret, 1);
}

TEST(a_command_without_data_takes_no_address_along)
{
	struct nvme_sqe sqe = guest_rw(NVME_CMD_FLUSH, 0, 1, NULL);

	start(0);
	sqe.prp1 = sqe.prp2 = sqe.mptr = 0xdead000;
	CHECK_EQ(guest_run(&sq, &sqe, NULL), 0);
	CHECK_EQ(fake_nvme_last(false, NVME_CMD_FLUSH)->prp1, 0);
	CHECK_EQ(fake_nvme_last(false, NVME_CMD_FLUSH)->prp2, 0);
	CHECK_EQ(fake_nvme_last(false, NVME_CMD_FLUSH)->mptr, 0);
}

TEST(data_may_stand_in_the_last_page_of_all_addresses)
{
	struct nvme_sqe sqe = guest_rw(NVME_CMD_READ, 0, 1, NULL);

	start(0);
	fake_nvme.allows_nowhere = true;
	sqe.prp1 = -PAGE_SIZE;
	CHECK_EQ(guest_run(&sq, &sqe, NULL), 0);
	CHECK_EQ(fake_nvme_last(false, NVME_CMD_READ)->prp1, -PAGE_SIZE);
}
