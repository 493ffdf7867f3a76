/* SPDX-License-Identifier: BSD-2-Clause */
/* Memory that the guest lends the device. */
#include <string.h>

#include "fake_guest.h"
#include "fake_machine.h"
#include "fake_nvme.h"
#include "test.h"

#define INVALID_FIELD 0x4002
#define SEQUENCE_ERROR 0x400c
#define MIB (1u << 20)

static struct nvme_host_memory *list;

static u16 set(u32 enable, u64 from, u32 pages, u32 count)
{
	struct nvme_sqe sqe = {
		.opcode = NVME_ADMIN_SET_FEATURES,
		.cdw10 = NVME_FEATURE_HOST_MEMORY, .cdw11 = enable,
		.cdw12 = pages, .cdw13 = (u32)from, .cdw14 = from >> 32,
		.cdw15 = count,
	};

	return guest_run(&guest.admin, &sqe, NULL);
}

/* Two chunks of 1 MiB. */
static void start(u32 cc)
{
	guest_boot();
	CHECK_EQ(fake_machine_attach(), 0);
	CHECK(guest_enable(cc));
	list = fake_ram(4096, 4096);
	for (int i = 0; i < 2; i++)
		list[i] = (struct nvme_host_memory){
			.address = (u64)fake_ram(MIB, 65536),
			.size = MIB / guest.page_size,
		};
}

static u16 lend(void)
{
	return set(1, (u64)list, 2 * MIB / guest.page_size, 2);
}

TEST(the_device_gets_a_checked_copy_of_the_list)
{
	start(0);
	CHECK_EQ(lend(), 0);
	CHECK_EQ(fake_nvme.host_memory.count, 2);
	CHECK_EQ(fake_nvme.host_memory.size, 512);
	CHECK_EQ(set(0, 0, 0, 0), 0);
	CHECK_EQ(fake_nvme.host_memory.count, 0);
	CHECK_EQ(lend(), 0);
}

TEST(larger_pages_of_the_guest_are_counted_in_the_device_s)
{
	start(FIELD_PREP(NVME_CC_MPS, 2));
	CHECK_EQ(guest.page_size, 16384);
	CHECK_EQ(lend(), 0);
	CHECK_EQ(fake_nvme.host_memory.size, 512);
}

TEST(it_is_offered_with_as_many_chunks_as_sluice_can_check)
{
	struct nvme_id_ctrl *id;

	start(0);
	id = fake_ram(4096, 4096);
	CHECK_EQ(guest_admin(NVME_ADMIN_IDENTIFY, 0, 1, 0, id), 0);
	CHECK_EQ(id->hmpre, 16);
	CHECK_EQ(id->hmmaxd, 256);
}

TEST(a_device_that_asks_for_none_is_shown_as_it_is)
{
	struct nvme_id_ctrl *id;

	start(0);
	fake_nvme.wants_no_memory = true;
	id = fake_ram(4096, 4096);
	CHECK_EQ(guest_admin(NVME_ADMIN_IDENTIFY, 0, 1, 0, id), 0);
	CHECK_EQ(id->hmpre, 0);
	CHECK_EQ(id->hmmaxd, 0);
}

TEST(the_guest_is_told_of_its_own_list)
{
	struct nvme_host_memory_attributes *told;
	struct nvme_sqe sqe = { .opcode = NVME_ADMIN_GET_FEATURES,
				.cdw10 = NVME_FEATURE_HOST_MEMORY };

	start(0);
	told = fake_ram(4096, 4096);
	CHECK_EQ(lend(), 0);
	sqe.prp1 = (u64)told;
	CHECK_EQ(guest_run(&guest.admin, &sqe, NULL), 0);
	CHECK_EQ(told->size, 512);
	CHECK_EQ((u64)told->list_high << 32 | told->list_low, (u64)list);
	CHECK_EQ(told->count, 2);
	CHECK_EQ(set(0, 0, 0, 0), 0);
	CHECK_EQ(guest_run(&guest.admin, &sqe, NULL), 0);
	CHECK_EQ(told->list_low | told->list_high, 0);
}

TEST(lists_that_are_not_good_are_refused)
{
	u64 good = 0;

	start(0);
	good = list[1].address;
	CHECK_EQ(set(1, (u64)list, 512, 0), INVALID_FIELD);
	CHECK_EQ(set(1, (u64)list, 512, 257), INVALID_FIELD);
	CHECK_EQ(set(1, (u64)list, 512, ~0u), INVALID_FIELD);
	CHECK_EQ(set(1, (u64)list + 8, 512, 2), INVALID_FIELD);
	CHECK_EQ(set(1, ~15ull, 512, 2), INVALID_FIELD);
	list[1].address = good + 512;
	CHECK_EQ(lend(), INVALID_FIELD);
	list[1].address = fake_nvme.asq;	/* Sluice's */
	CHECK_EQ(lend(), INVALID_FIELD);
	list[1].address = fake_nvme.asq - 4096;
	CHECK_EQ(lend(), INVALID_FIELD);
	list[1].address = good;
	list[1].size = 0;
	CHECK_EQ(lend(), INVALID_FIELD);
	list[1].size = ~0u;
	list[1].address = ~0ull << 12;
	CHECK_EQ(lend(), INVALID_FIELD);
	CHECK_EQ(fake_nvme_seen(true, NVME_ADMIN_SET_FEATURES), 1);
	CHECK_EQ(fake_nvme.host_memory.count, 0);
}

/* Page by page it would take hours. */
TEST(chunks_of_terabytes_are_looked_at_in_no_time)
{
	start(0);
	fake_nvme.allows_nowhere = true;
	for (int i = 0; i < 256; i++)
		list[i] = (struct nvme_host_memory){
			.address = 4096, .size = ~0u,
		};
	CHECK_EQ(set(1, (u64)list, 512, 256), 0);
	CHECK_EQ(fake_nvme.host_memory.count, 256);
}

TEST(what_is_lent_is_lent_until_it_is_given_back)
{
	size_t pages;

	start(0);
	pages = fake_machine.sluice_pages;
	CHECK_EQ(lend(), 0);
	CHECK_EQ(lend(), SEQUENCE_ERROR);
	CHECK_EQ(fake_nvme.host_memory.count, 2);
	CHECK_EQ(set(0, 0, 0, 0), 0);
	CHECK_EQ(fake_machine.sluice_pages, pages);
}

TEST(a_device_that_refuses_has_been_lent_nothing)
{
	size_t pages;

	start(0);
	pages = fake_machine.sluice_pages;
	fake_nvme.refuse_opcode = NVME_ADMIN_SET_FEATURES;
	fake_nvme.refuse_status = 2;
	CHECK_EQ(lend(), 2);
	CHECK_EQ(fake_machine.sluice_pages, pages);
	fake_nvme.refuse_opcode = -1;
	CHECK_EQ(lend(), 0);
}

TEST(a_reset_gives_it_back)
{
	size_t pages = 0;

	for (int i = 0; i < 100; i++) {
		if (!i)
			start(0);
		else
			CHECK(guest_enable(0));
		CHECK_EQ(lend(), 0);
		CHECK(guest_disable());
		CHECK(!pages || fake_machine.sluice_pages == pages);
		pages = fake_machine.sluice_pages;
	}
}

TEST(a_queue_in_lent_memory_is_relayed)
{
	u64 base;

	start(0);
	base = list[0].address;
	CHECK_EQ(lend(), 0);
	CHECK_EQ(guest_admin(NVME_ADMIN_CREATE_CQ, 0, 15 << 16 | 1, 1 << 16 | 3,
			     (void *)base), 0);
	CHECK(fake_nvme.cqs[1].base != base);
}
