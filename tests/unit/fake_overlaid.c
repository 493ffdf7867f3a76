/* SPDX-License-Identifier: BSD-2-Clause */
/* The disk and the guest of the tests of overlay. */
#include <string.h>

#include "bits.h"
#include "fake_machine.h"
#include "fake_nvme.h"
#include "fake_overlaid.h"
#include "test.h"

#define DEALLOCATE 4		/* CDW11 of Dataset Management */

struct overlaid overlaid;

static u8 *model_at(u64 lba)
{
	return overlaid.model + lba * 512;
}

/* ---- The machine --------------------------------------------------------- */

void overlaid_boot(void)
{
	guest_boot();
	fake_nvme.sgls = 1 | NVME_SGLS_BIT_BUCKET;
	overlaid_line("overlay.orders", "on");
}

void overlaid_line(const char *key, const char *value)
{
	if (fake_configure(key, value))
		FAIL("%s: %s", value, fake_machine.boot_info.error);
}

void overlaid_make_disk(const struct fake_gpt_partition *store)
{
	static const struct fake_gpt_partition data = {
		FIRST, FIRST + COUNT - 1, 0xbb, "data",
	};
	struct fake_gpt gpt = { .block_size = 512, .lba_count = LBAS };
	u8 *image = fake_nvme.namespaces[0].data;

	overlaid.image = gpt.disk = image;
	fake_gpt_init(&gpt);
	fake_gpt_add(&gpt, 0, &data);
	if (store)
		fake_gpt_add(&gpt, 1, store);
	for (u32 i = FIRST * 512; i < (FIRST + COUNT) * 512; i++)
		image[i] = (u8)(i / 512 * 7 + i);
	memcpy(overlaid.base, image, sizeof(overlaid.base));
	memcpy(overlaid.model, image, sizeof(overlaid.model));
}

static void enable(void)
{
	CHECK(guest_enable(0));
	CHECK_EQ(guest_create_cq(&overlaid.cq, 1, 16, true), 0);
	CHECK_EQ(guest_create_sq(&overlaid.sq, 1, 16, &overlaid.cq), 0);
}

void overlaid_attach(void)
{
	CHECK_EQ(fake_machine_attach(), 0);
	enable();
	overlaid.buffer = fake_ram(1 << 20, 4096);
}

void overlaid_reset(void)
{
	CHECK(guest_disable());
	enable();
}

/* ---- Commands ------------------------------------------------------------ */

u16 overlaid_run(u8 opcode, u64 lba, u32 n_lbas)
{
	struct nvme_sqe sqe = guest_rw(opcode, lba, n_lbas, overlaid.buffer);

	return guest_run(&overlaid.sq, &sqe, NULL);
}

u16 overlaid_write(u64 lba, u32 n_lbas, u8 content)
{
	memset(overlaid.buffer, content, n_lbas * 512);
	memset(model_at(lba), content, n_lbas * 512);
	return overlaid_run(NVME_CMD_WRITE, lba, n_lbas);
}

u16 overlaid_zero(u64 lba, u32 n_lbas)
{
	memset(model_at(lba), 0, n_lbas * 512);
	return overlaid_run(NVME_CMD_WRITE_ZEROES, lba, n_lbas);
}

u16 overlaid_discard(const struct nvme_dsm_range *ranges, u32 count)
{
	struct nvme_sqe sqe = {
		.opcode = NVME_CMD_DSM, .nsid = 1,
		.prp1 = (u64)overlaid.buffer,
		.cdw10 = count - 1, .cdw11 = DEALLOCATE,
	};

	memcpy(overlaid.buffer, ranges, count * sizeof(*ranges));
	for (u32 i = 0; i < count; i++)
		memset(model_at(ranges[i].lba), 0, ranges[i].n_lbas * 512);
	return guest_run(&overlaid.sq, &sqe, NULL);
}

u32 overlaid_fill(void)
{
	u32 lba = FIRST, written = 0;

	for (; lba + 64 < FIRST + COUNT; lba += 64) {
		u8 before[64 * 512];

		memcpy(before, model_at(lba), sizeof(before));
		if (!overlaid_write(lba, 64, (u8)lba)) {
			written++;
			continue;
		}
		memcpy(model_at(lba), before, sizeof(before));
		break;
	}
	CHECK(written > 20 && written < 32);
	CHECK_EQ(overlaid_run(NVME_CMD_WRITE, lba, 64), CAPACITY_EXCEEDED);
	return lba;
}

void overlaid_order(const char *text)
{
	CHECK_EQ(guest_order(OVERLAY, text, overlaid.buffer), 0);
}

/* ---- What the guest sees ------------------------------------------------- */

void overlaid_check(u64 lba, u32 n_lbas)
{
	const u8 *buffer = overlaid.buffer;

	memset(overlaid.buffer, 0xee, n_lbas * 512);
	CHECK_EQ(overlaid_run(NVME_CMD_READ, lba, n_lbas), 0);
	for (u32 i = 0; i < n_lbas; i++)
		if (memcmp(buffer + i * 512, model_at(lba + i), 512))
			FAIL("lba %llu", (unsigned long long)lba + i);
}

void overlaid_check_all(void)
{
	for (u32 lba = FIRST; lba < FIRST + COUNT; lba += 128)
		overlaid_check(lba, lba + 128 < FIRST + COUNT ? 128 :
			       FIRST + COUNT - lba);
}

/* 700 bytes of three written blocks go nowhere. */
void overlaid_check_bit_bucket(void)
{
	struct nvme_sqe sqe = guest_rw(NVME_CMD_READ, FIRST, 3, NULL);
	struct nvme_sgl *list = fake_ram(4096, 4096);
	u8 *buffer = overlaid.buffer;

	CHECK_EQ(overlaid_write(FIRST, 3, 0x5a), 0);
	memset(buffer, 0xee, 2048);
	list[0] = (struct nvme_sgl){ (u64)buffer, 512, { 0 }, 0 };
	list[1] = (struct nvme_sgl){ 0, 700, { 0 }, 0x10 };
	list[2] = (struct nvme_sgl){ (u64)buffer + 1024, 324, { 0 }, 0 };
	sqe.flags = FIELD_PREP(NVME_SQE_PSDT, NVME_PSDT_SGL);
	sqe.sgl = (struct nvme_sgl){ (u64)list, 48, { 0 }, 0x30 };
	CHECK_EQ(guest_run(&overlaid.sq, &sqe, NULL), 0);
	for (u32 i = 0; i < 2048; i++)
		CHECK_EQ(buffer[i], i < 512 || (i >= 1024 && i < 1348) ?
			 0x5a : 0xee);
}

u32 overlaid_random(u64 *state, u32 limit)
{
	*state = *state * 6364136223846793005ull + 1442695040888963407ull;
	return (u32)(*state >> 33) % limit;
}
