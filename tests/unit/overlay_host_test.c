/* SPDX-License-Identifier: BSD-2-Clause */
/* Host requests of an interceptor above an overlay, and the overlay's own. */
#include <string.h>

#include "fake_double.h"
#include "fake_guest.h"
#include "fake_log.h"
#include "fake_machine.h"
#include "fake_nvme.h"
#include "test.h"

#define WRITE_PROTECTED 0x4020

static struct guest_cq cq;
static struct guest_sq sq;
static phys_t *list, list_phys;
static u8 *pages, *image, *buffer;
static int last_status;

static void start_in(const char *chain)
{
	phys_t phys;

	guest_boot();
	CHECK_EQ(fake_configure("chain", chain), 0);
	CHECK_EQ(fake_configure("overlay", "memory=2 FAKE1:n1"), 0);
	fake_double.needs = NVME_IO_NEEDS_HOST_REQUESTS;
	CHECK_EQ(fake_machine_attach(), 0);
	CHECK(guest_enable(0));
	CHECK_EQ(guest_create_cq(&cq, 1, 16, true), 0);
	CHECK_EQ(guest_create_sq(&sq, 1, 16, &cq), 0);
	image = fake_nvme.namespaces[0].data;
	buffer = fake_ram(65536, 4096);
	list = nvme_io_alloc_pages(fake_double.host, 1, &list_phys);
	pages = nvme_io_alloc_pages(fake_double.host, 2, &phys);
	list[0] = phys;
	list[1] = phys + 4096;
}

static void start(void)
{
	start_in("double, overlay");
}

static void on_done(struct nvme_host *host, u16 status, void *arg)
{
	last_status = status;
}

static int submit(enum nvme_io_operation operation, u64 lba, u16 n_lbas)
{
	struct nvme_io_descriptor *desc =
		nvme_io_init_descriptor(fake_double.host, 1, 0, lba, n_lbas);

	last_status = -1;
	nvme_io_set_sender(desc, &fake_interceptor);
	CHECK(nvme_io_set_phys_buffers(fake_double.host, desc, list, list_phys,
				       2, 0));
	CHECK(nvme_io_submit(fake_double.host, desc, operation, on_done, NULL));
	guest_read32(NVME_REG_VS);
	guest_idle(200);
	fake_interrupt();
	return last_status;
}

TEST(they_read_what_the_guest_has_written)
{
	struct nvme_sqe sqe;

	start();
	memset(image, 0x11, 64 * 512);
	memset(buffer, 0x5a, 65536);
	sqe = guest_rw(NVME_CMD_WRITE, 13, 2, buffer);
	CHECK_EQ(guest_run(&sq, &sqe, NULL), 0);
	CHECK_EQ(submit(NVME_IO_READ, 8, 16), 0);
	for (u32 i = 0; i < 16; i++)
		CHECK_EQ(pages[i * 512], i == 5 || i == 6 ? 0x5a : 0x11);
}

TEST(they_do_not_write_to_the_base)
{
	start();
	memset(image, 0x11, 64 * 512);
	memset(pages, 0x22, 8192);
	CHECK_EQ(submit(NVME_IO_WRITE, 8, 16), WRITE_PROTECTED);
	for (u32 i = 0; i < 64; i++)
		CHECK_EQ(image[i * 512], 0x11);
}

/* ---- The overlay's own ------------------------------------------------------ */

static u32 shown_count;

/* As crypt would. */
static u16 change(void *interceptor, const struct nvme_io_host_data *data)
{
	shown_count++;
	for (u32 i = 0; data->is_write && i < data->n_lbas * 512; i++)
		data->bytes[i] ^= 0xff;
	return NVME_IO_SUCCESS;
}

static void commit(u32 target)
{
	CHECK_EQ(guest_order(target, "commit", buffer), 0);
	for (u32 i = 0; !fake_log_has(": committed"); i++) {
		CHECK(i < 1000);
		guest_idle(10);
	}
}

static void write_and_commit(const char *chain, u32 target)
{
	struct nvme_sqe sqe;

	fake_interceptor.on_host_data = change;
	start_in(chain);
	CHECK_EQ(fake_configure("overlay.orders", "on"), 0);
	memset(buffer, 0x5a, 65536);
	sqe = guest_rw(NVME_CMD_WRITE, 13, 2, buffer);
	CHECK_EQ(guest_run(&sq, &sqe, NULL), 0);
	shown_count = 0;
	commit(target);
}

TEST(what_is_committed_passes_those_below)
{
	write_and_commit("overlay, double", 1);
	CHECK(shown_count);
	CHECK_EQ(image[13 * 512], 0xa5);
}

TEST(what_is_committed_does_not_pass_those_above)
{
	write_and_commit("double, overlay", 2);
	CHECK_EQ(shown_count, 0);
	CHECK_EQ(image[13 * 512], 0x5a);
}
