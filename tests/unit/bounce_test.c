/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Data in Sluice's own pages: two interceptors, the lower of which turns the
 * bits of all that goes to blocks [SECRET, SECRET_END) and comes from there.
 */
#include <stdlib.h>
#include <string.h>

#include "fake_guest.h"
#include "fake_log.h"
#include "fake_machine.h"
#include "fake_nvme.h"
#include "nvme_io.h"
#include "page.h"
#include "test.h"

#define SECRET 64
#define SECRET_END 4096
#define PAGES 130

static struct guest_cq cq;
static struct guest_sq sq;
static struct nvme_host *the_host;
static u8 *pages;		/* the upper one's */
static phys_t *list, list_phys, pages_phys;
static char order[16];
static bool lower_is_slow;
static u16 refusal;		/* of the lower one, for host requests */
static bool is_done;
static u16 done_status;
static struct nvme_io_interceptor upper, lower;

/* ---- The interceptors ------------------------------------------------ */

static void turn(u8 *bytes, size_t size)
{
	for (size_t i = 0; i < size; i++)
		bytes[i] ^= 0x5a;
}

static bool is_secret(u64 lba)
{
	return lba >= SECRET && lba < SECRET_END;
}

static bool wants_copy(void *interceptor, const struct nvme_io_command *cmd)
{
	return is_secret(cmd->lba) || is_secret(cmd->lba + cmd->n_lbas - 1);
}

static void turn_blocks(struct nvme_request *req, u64 lba, u32 n_lbas)
{
	for (u32 i = 0; i < n_lbas; i++)
		if (is_secret(lba + i))
			turn(nvme_io_req_buf(the_host, req, i), 512);
}

static void on_write(void *interceptor, struct nvme_request *req, u32 nsid,
		     u64 lba, u32 n_lbas)
{
	turn_blocks(req, lba, n_lbas);
}

static u16 on_host_data(void *interceptor, const struct nvme_io_host_data *data)
{
	for (u32 i = 0; i < data->n_lbas; i++)
		if (is_secret(data->lba + i))
			turn(data->bytes + i * data->lba_size, data->lba_size);
	return refusal;
}

static u8 lower_on_init(void *interceptor)
{
	strcat(order, "l");
	if (!lower_is_slow)
		nvme_io_start_fetching_g_reqs(the_host);
	return 1;
}

static u8 upper_on_init(void *interceptor)
{
	strcat(order, "u");
	nvme_io_start_fetching_g_reqs(the_host);
	return 1;
}

static struct nvme_io_interceptor upper = {
	.needs = NVME_IO_NEEDS_HOST_REQUESTS, .on_init = upper_on_init,
};
static struct nvme_io_interceptor lower = {
	.on_init = lower_on_init, .on_write = on_write,
	.wants_copy = wants_copy, .on_host_data = on_host_data,
};

static int attach(struct nvme_host *host)
{
	the_host = host;
	nvme_io_install_interceptor(host, &upper);
	nvme_io_install_interceptor(host, &lower);
	pages = nvme_io_alloc_pages(host, PAGES, &pages_phys);
	list = nvme_io_alloc_pages(host, 1, &list_phys);
	for (u32 i = 0; i < PAGES; i++)
		list[i] = pages_phys + i * PAGE_SIZE;
	return 0;
}

static const struct nvme_io_plugin plugin = {
	.name = "pair", .attach = attach,
};
NVME_IO_PLUGIN(plugin);

/* ---- Helpers ----------------------------------------------------------- */

static void start(void)
{
	guest_boot();
	CHECK_EQ(fake_machine_attach(), 0);
	CHECK(guest_enable(0));
	CHECK_EQ(guest_create_cq(&cq, 1, 64, true), 0);
	CHECK_EQ(guest_create_sq(&sq, 1, 64, &cq), 0);
	srand(1);
}

static u8 *disk_at(u64 lba)
{
	return fake_nvme.namespaces[0].data + lba * 512;
}

static u8 *noise(size_t size, size_t offset)
{
	u8 *data = (u8 *)fake_ram(size + PAGE_SIZE, PAGE_SIZE) + offset;

	for (size_t i = 0; i < size; i++)
		data[i] = rand();
	return data;
}

static bool is_turned(u64 lba, const u8 *data, u32 n_lbas)
{
	for (u32 i = 0; i < n_lbas * 512; i++) {
		u8 mask = is_secret(lba + i / 512) ? 0x5a : 0;

		if (disk_at(lba)[i] != (data[i] ^ mask))
			return false;
	}
	return true;
}

static void check_write(u64 lba, u32 n_lbas, size_t offset)
{
	u8 *data = noise(n_lbas * 512, offset), *before;
	struct nvme_sqe sqe = guest_rw(NVME_CMD_WRITE, lba, n_lbas, data);

	before = malloc(n_lbas * 512);
	memcpy(before, data, n_lbas * 512);
	CHECK_EQ(guest_run(&sq, &sqe, NULL), 0);
	CHECK(is_turned(lba, data, n_lbas));
	CHECK(!memcmp(before, data, n_lbas * 512));
	free(before);
}

static void done(struct nvme_host *host, u16 status, void *arg)
{
	is_done = true;
	done_status = status;
}

static u16 host_request(enum nvme_io_operation operation, u64 lba, u16 n_lbas,
			u32 offset, const struct nvme_io_interceptor *sender)
{
	struct nvme_io_descriptor *desc =
		nvme_io_init_descriptor(the_host, 1, 0, lba, n_lbas);

	is_done = false;
	if (sender)
		nvme_io_set_sender(desc, sender);
	CHECK(nvme_io_set_phys_buffers(the_host, desc, list, list_phys, PAGES,
				       offset));
	CHECK(nvme_io_submit(the_host, desc, operation, done, NULL));
	for (int i = 0; i < 1000 && !is_done; i++)
		guest_read32(NVME_REG_CSTS);
	CHECK(is_done);
	return done_status;
}

/* ---- The guest's writes ------------------------------------------------- */

TEST(a_copy_is_changed_and_the_guest_s_data_is_not)
{
	start();
	check_write(SECRET, 1, 0);
	check_write(SECRET, 8, 512);
	check_write(SECRET + 100, 1024, 0);
	check_write(SECRET + 100, 1024, 4092);
	check_write(SECRET - 3, 17, 256);
	check_write(SECRET_END - 9, 17, 4);
}

TEST(what_needs_no_copy_goes_to_the_device_from_the_guest_s_pages)
{
	struct nvme_sqe sqe;
	u8 *data;

	start();
	data = noise(4096, 0);
	sqe = guest_rw(NVME_CMD_WRITE, 0, 8, data);
	CHECK_EQ(guest_run(&sq, &sqe, NULL), 0);
	CHECK_EQ(fake_nvme_last(false, NVME_CMD_WRITE)->prp1, (u64)data);
	check_write(SECRET, 8, 0);
	CHECK(fake_is_sluice(fake_nvme_last(false, NVME_CMD_WRITE)->prp1,
			     4096));
}

TEST(compare_sees_the_changed_copy_too)
{
	struct nvme_sqe sqe;
	u8 *data;

	start();
	data = noise(4096, 0);
	memcpy(disk_at(SECRET), data, 4096);
	sqe = guest_rw(NVME_CMD_COMPARE, SECRET, 8, data);
	CHECK_EQ(guest_run(&sq, &sqe, NULL), 0);
	CHECK(fake_is_sluice(fake_nvme_last(false, NVME_CMD_COMPARE)->prp1,
			     4096));
}

TEST(a_guest_is_told_of_transfers_that_a_copy_can_hold)
{
	struct nvme_id_ctrl *id;
	struct nvme_sqe sqe;

	guest_boot();
	fake_nvme.mdts = 0;
	CHECK_EQ(fake_machine_attach(), 0);
	CHECK(guest_enable(0));
	id = fake_ram(4096, 4096);
	CHECK_EQ(guest_admin(NVME_ADMIN_IDENTIFY, 0, NVME_CNS_CONTROLLER, 0,
			     id), 0);
	CHECK_EQ(4096u << id->mdts, 512u << 10);
	CHECK_EQ(guest_create_cq(&cq, 1, 64, true), 0);
	CHECK_EQ(guest_create_sq(&sq, 1, 64, &cq), 0);
	sqe = guest_rw(NVME_CMD_WRITE, SECRET, 1025,
		       fake_ram(1025 * 512, 4096));
	CHECK_EQ(guest_run(&sq, &sqe, NULL) & 0x7ff, NVME_IO_INVALID_FIELD);
}

/* 63 copies of 512 KiB do not fit, so some wait for others. */
TEST(more_copies_than_there_are_pages_for_all_arrive)
{
	struct nvme_cqe cqe;
	struct nvme_sqe sqe;
	u8 *data;

	start();
	data = noise(1024 * 512, 0);
	for (int i = 0; i < 63; i++) {
		sqe = guest_rw(NVME_CMD_WRITE, SECRET + i, 1024, data);
		guest_put(&sq, &sqe);
	}
	guest_ring(&sq);
	for (int i = 0; i < 63; i++) {
		CHECK(guest_wait(&cq, &cqe));
		CHECK_EQ(cqe.status >> 1, 0);
		guest_consumed(&cq);
	}
	CHECK(is_turned(SECRET + 62, data, 1024));
}

TEST(data_that_is_not_memory_is_an_error_and_leaves_nothing_behind)
{
	struct nvme_sqe sqe;

	start();
	for (int i = 0; i < 600; i++) {
		sqe = guest_rw(NVME_CMD_WRITE, SECRET, 8, NULL);
		sqe.prp1 = 0xfe000000;
		CHECK(guest_run(&sq, &sqe, NULL));
	}
	CHECK_EQ(fake_nvme_seen(false, NVME_CMD_WRITE), 0);
	check_write(SECRET, 1024, 512);
}

/* ---- Host requests ---------------------------------------------------------- */

TEST(a_host_request_passes_those_below_its_sender)
{
	start();
	memset(pages, 0x11, 4096);
	CHECK_EQ(host_request(NVME_IO_WRITE, SECRET, 8, 0, &upper), 0);
	CHECK_EQ(disk_at(SECRET)[0], 0x11 ^ 0x5a);
	CHECK_EQ(pages[0], 0x11);
	CHECK_EQ(host_request(NVME_IO_WRITE, SECRET, 8, 0, &lower), 0);
	CHECK_EQ(disk_at(SECRET)[0], 0x11);
	CHECK_EQ(host_request(NVME_IO_READ, SECRET, 8, 0, NULL), 0);
	CHECK_EQ(pages[4095], 0x11 ^ 0x5a);
}

TEST(a_host_request_may_be_of_any_size_and_place)
{
	static const struct { u64 lba; u16 n_lbas; u32 offset; } rows[] = {
		{ SECRET, 1, 0 }, { SECRET, 1, 4092 }, { SECRET - 2, 4, 0 },
		{ SECRET, 17, 1024 }, { SECRET_END - 1, 1024, 8 },
	};

	start();
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		u8 *mine = pages + rows[i].offset;
		size_t size = rows[i].n_lbas * 512;

		for (size_t at = 0; at < size; at++)
			mine[at] = rand();
		CHECK_EQ(host_request(NVME_IO_WRITE, rows[i].lba,
				      rows[i].n_lbas, rows[i].offset, &upper),
			 0);
		CHECK(is_turned(rows[i].lba, mine, rows[i].n_lbas));
		memset(pages, 0, PAGES * PAGE_SIZE);
		CHECK_EQ(host_request(NVME_IO_READ, rows[i].lba,
				      rows[i].n_lbas, rows[i].offset, &upper),
			 0);
		CHECK(is_turned(rows[i].lba, mine, rows[i].n_lbas));
	}
}

TEST(a_host_request_that_is_refused_does_not_reach_the_device)
{
	start();
	refusal = NVME_IO_ACCESS_DENIED;
	memset(pages, 0x11, 4096);
	CHECK_EQ(host_request(NVME_IO_WRITE, SECRET, 8, 0, &upper),
		 NVME_IO_ACCESS_DENIED);
	CHECK_EQ(fake_nvme_seen(false, NVME_CMD_WRITE), 0);
	CHECK_EQ(host_request(NVME_IO_READ, SECRET, 8, 0, &upper),
		 NVME_IO_ACCESS_DENIED);
	CHECK_EQ(pages[0], 0x11);
	refusal = 0;
	CHECK_EQ(host_request(NVME_IO_FLUSH, 0, 1, 0, &upper), 0);
}

/* Two of the largest fit. */
TEST(host_requests_wait_for_pages)
{
	struct nvme_io_descriptor *desc;

	start();
	fake_nvme.is_stalled = true;
	for (int i = 0; i < 6; i++) {
		desc = nvme_io_init_descriptor(the_host, 1, 0, SECRET, 1024);
		CHECK(nvme_io_set_phys_buffers(the_host, desc, list, list_phys,
					       PAGES, 0));
		CHECK(nvme_io_submit(the_host, desc, NVME_IO_READ, done,
				     NULL));
	}
	for (int i = 0; i < 100; i++)
		guest_read32(NVME_REG_CSTS);
	CHECK_EQ(fake_nvme_seen(false, NVME_CMD_READ), 2);
	fake_nvme.is_stalled = false;
	for (int i = 0; i < 1000; i++)
		guest_read32(NVME_REG_CSTS);
	CHECK_EQ(fake_nvme_seen(false, NVME_CMD_READ), 6);
}

/* ---- Life --------------------------------------------------------------------- */

TEST(those_below_have_started_before_those_above_begin)
{
	guest_boot();
	lower_is_slow = true;
	CHECK_EQ(fake_machine_attach(), 0);
	guest_begin_enable(0);
	for (int i = 0; i < 100; i++)
		CHECK(!(guest_read32(NVME_REG_CSTS) & NVME_CSTS_RDY));
	CHECK_STR(order, "l");
	nvme_io_start_fetching_g_reqs(the_host);
	CHECK(guest_wait_ready(true));
	CHECK_STR(order, "lu");
}
