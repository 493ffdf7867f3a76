/* SPDX-License-Identifier: BSD-2-Clause */
/* Namespaces: as many as there may be, and those that come and go. */
#include "fake_guest.h"
#include "fake_log.h"
#include "fake_machine.h"
#include "fake_nvme.h"
#include "test.h"

#define NONE 0x400b		/* Invalid Namespace or Format */

static struct guest_cq cq;
static struct guest_sq sq;

static void make_queues(void)
{
	CHECK_EQ(guest_create_cq(&cq, 1, 16, true), 0);
	CHECK_EQ(guest_create_sq(&sq, 1, 16, &cq), 0);
}

static u16 read_from(u32 nsid)
{
	struct nvme_sqe sqe = guest_rw(NVME_CMD_READ, 0, 1,
				       fake_ram(512, 512));

	sqe.nsid = nsid;
	return guest_run(&sq, &sqe, NULL);
}

/* The fake has done it already; `cdw10` says whether it was to attach. */
static void attach_or_detach(u32 nsid, u32 cdw10)
{
	CHECK_EQ(guest_admin(NVME_ADMIN_NS_ATTACHMENT, nsid, cdw10, 0,
			     fake_ram(4096, 4096)), 0);
}

TEST(a_namespace_is_there_as_soon_as_it_is_attached)
{
	guest_start();
	make_queues();
	CHECK_EQ(read_from(9), NONE);
	fake_nvme_add(9, 9, 64);
	CHECK_EQ(read_from(9), NONE);
	attach_or_detach(9, 0);
	CHECK_EQ(read_from(9), 0);
	CHECK_EQ(read_from(1), 0);
}

TEST(a_namespace_is_gone_as_soon_as_it_is_detached)
{
	guest_boot();
	fake_nvme_add(9, 9, 64);
	CHECK_EQ(fake_machine_attach(), 0);
	CHECK(guest_enable(0));
	make_queues();
	CHECK_EQ(read_from(9), 0);
	fake_nvme.namespace_count--;
	attach_or_detach(9, 1);
	CHECK_EQ(read_from(77), NONE);
	CHECK_EQ(read_from(9), NONE);
	CHECK_EQ(read_from(1), 0);
}

/* One list is full at 1024 and leads on; more are not kept. */
TEST(the_first_1024_namespaces_can_be_used)
{
	guest_boot();
	for (u32 nsid = 2; nsid <= 1030; nsid++)
		fake_nvme_add(nsid, 9, 0)->n_lbas = 1;
	for (u32 i = 1; i < fake_nvme.namespace_count; i++)
		fake_nvme.namespaces[i].data = fake_nvme.namespaces[0].data;
	CHECK_EQ(fake_machine_attach(), 0);
	CHECK(guest_enable(0));
	make_queues();
	CHECK_EQ(read_from(2), 0);
	CHECK_EQ(read_from(1024), 0);
	CHECK_EQ(read_from(1025), NONE);
}

/* NN is a thousand million and says nothing about how many there are. */
TEST(the_number_of_identifiers_costs_no_command)
{
	u32 before;

	guest_boot();
	fake_nvme.nn = 1000000000;
	CHECK_EQ(fake_machine_attach(), 0);
	before = fake_nvme.record_count;
	CHECK(guest_enable(0));
	CHECK(fake_nvme.record_count - before < 16);
}
