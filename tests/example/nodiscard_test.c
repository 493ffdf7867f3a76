/* SPDX-License-Identifier: BSD-2-Clause */
/* nodiscard, before a controller in this program and behind a guest in it. */
#include <string.h>

#include "fake_guest.h"
#include "fake_log.h"
#include "fake_machine.h"
#include "fake_nvme.h"
#include "test.h"

#define DEALLOCATE 4		/* Dataset Management, CDW11 (6.7) */

static struct guest_cq cq;
static struct guest_sq sq;

static void start(void)
{
	guest_boot();
	CHECK_EQ(fake_machine_attach(), 0);
	CHECK(guest_enable(0));
	CHECK_EQ(guest_create_cq(&cq, 1, 16, true), 0);
	CHECK_EQ(guest_create_sq(&sq, 1, 16, &cq), 0);
}

static u16 discard(u64 lba, u32 n_lbas)
{
	struct nvme_dsm_range *range = fake_ram(4096, 4096);
	struct nvme_sqe sqe = {
		.opcode = NVME_CMD_DSM, .nsid = 1, .cdw11 = DEALLOCATE,
	};

	*range = (struct nvme_dsm_range){ .lba = lba, .n_lbas = n_lbas };
	guest_set_prps(&sqe, range, sizeof(*range));
	return guest_run(&sq, &sqe, NULL);
}

TEST(a_discard_succeeds_and_the_drive_never_sees_it)
{
	start();
	CHECK_EQ(discard(100, 8), 0);
	CHECK_EQ(fake_nvme_seen(false, NVME_CMD_DSM), 0);
	CHECK(fake_log_has("nodiscard: 1 ranges of n1 kept"));
}

TEST(what_was_written_is_still_there)
{
	struct nvme_sqe command;
	u8 *data;

	start();
	data = fake_ram(4096, 4096);
	memset(data, 0x5a, 4096);
	command = guest_rw(NVME_CMD_WRITE, 100, 8, data);
	CHECK_EQ(guest_run(&sq, &command, NULL), 0);
	CHECK_EQ(discard(100, 8), 0);
	memset(data, 0, 4096);
	command = guest_rw(NVME_CMD_READ, 100, 8, data);
	CHECK_EQ(guest_run(&sq, &command, NULL), 0);
	CHECK_EQ(data[0], 0x5a);
	CHECK_EQ(data[4095], 0x5a);
}
