/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A guest that wants to change a read-only partition, or to see or change a
 * hidden one, by commands of any kind from memory that changes meanwhile. The
 * device destroys all blocks when it is given a command it does not know.
 */
#include "fake_gpt.h"
#include "fake_guest.h"
#include "fake_machine.h"
#include "fake_nvme.h"
#include "guest.h"

#define LBAS 16384
#define KEPT_LBA 1000		/* read-only */
#define SECRET_LBA 1064		/* hidden */
#define COUNT 64
#define OPEN_LBA (SECRET_LBA + COUNT)
#define OPEN_COUNT 128		/* where a Copy could bring them */
#define HEAD 34			/* blocks of the table at the start */
#define TAIL 33			/* and at the end */
#define WORDS (COUNT * 512 / 8)
#define KEPT 0x6b65707421ull
#define SECRET 0x736563726574ull
#define FACTOR 0x9e3779b97f4a7c15ull
#define RING 16

static struct guest_cq cq;
static struct guest_sq sq;
static u64 kept[WORDS], secret[WORDS];
static u64 ranges;		/* of Dataset Management and Copy */
static u8 head[HEAD * 512], tail[TAIL * 512];

/* ---- The disk ------------------------------------------------------------------ */

static u8 *block(u64 lba)
{
	return fake_nvme.namespaces[0].data + lba * 512;
}

static void make_table(void)
{
	static const struct fake_gpt_partition partitions[] = {
		{ KEPT_LBA, KEPT_LBA + COUNT - 1, 1, "kept" },
		{ SECRET_LBA, SECRET_LBA + COUNT - 1, 2, "secret" },
	};
	struct fake_gpt gpt = {
		.disk = block(0), .block_size = 512, .lba_count = LBAS,
	};

	fake_gpt_init(&gpt);
	fake_gpt_add(&gpt, 0, &partitions[0]);
	fake_gpt_add(&gpt, 1, &partitions[1]);
	memcpy(head, block(0), sizeof(head));
	memcpy(tail, block(LBAS - TAIL), sizeof(tail));
	for (u32 i = 0; i < WORDS; i++) {
		kept[i] = KEPT;
		secret[i] = SECRET;
	}
}

static void restore_disk(void)
{
	memcpy(block(0), head, sizeof(head));
	memcpy(block(LBAS - TAIL), tail, sizeof(tail));
	memcpy(block(KEPT_LBA), kept, sizeof(kept));
	memcpy(block(SECRET_LBA), secret, sizeof(secret));
	memset(block(OPEN_LBA), 0, OPEN_COUNT * 512);
}

/* In a way that libFuzzer, which looks for what is compared, cannot turn into
 * inputs that have it in their own memory. */
static bool has_secret(const void *memory, size_t size)
{
	const u64 *words = memory;

	for (size_t i = 0; i < size / 8 - 1; i++)
		if (words[i] * FACTOR + words[i + 1] ==
		    SECRET * FACTOR + SECRET)
			return true;
	return false;
}

static void check(void)
{
	CHECK(!memcmp(block(KEPT_LBA), kept, sizeof(kept)));
	CHECK(!memcmp(block(SECRET_LBA), secret, sizeof(secret)));
	CHECK(!memcmp(block(0), head, sizeof(head)));
	CHECK(!memcmp(block(LBAS - TAIL), tail, sizeof(tail)));
	CHECK(!has_secret(fuzz_ram, FUZZ_RAM_PAGES * PAGE_SIZE));
	CHECK(!has_secret(block(OPEN_LBA), OPEN_COUNT * 512));
}

/* ---- The guest ----------------------------------------------------------------- */

static void start(void)
{
	CHECK(guest_enable(0));
	memset((void *)cq.entries, 0, 4096);
	cq = (struct guest_cq){ .id = 1, .size = RING, .phase = true,
				.entries = cq.entries };
	sq = (struct guest_sq){ .id = 1, .size = RING, .cq = &cq,
				.entries = sq.entries };
	CHECK_EQ(guest_admin(NVME_ADMIN_CREATE_CQ, 0, (RING - 1) << 16 | 1, 3,
			     (void *)cq.entries), 0);
	CHECK_EQ(guest_admin(NVME_ADMIN_CREATE_SQ, 0, (RING - 1) << 16 | 1,
			     1 << 16 | 1, sq.entries), 0);
}

/* In, before and after the partitions. */
static u64 any_lba(struct input *in)
{
	return input_of(in, 8) ? KEPT_LBA - 16 + input_of(in, 3 * COUNT) :
		input_number(in, 8);
}

static struct nvme_sqe any_admin_command(struct input *in)
{
	struct nvme_sqe sqe = { 0 };

	fuzz_fill_sqe(in, &sqe, true);
	return sqe;
}

/* Often with the ranges that were filled in last. */
static struct nvme_sqe any_io_command(struct input *in)
{
	struct nvme_sqe sqe = { 0 };
	u64 lba = any_lba(in);

	fuzz_fill_sqe(in, &sqe, false);
	if (sqe.opcode == NVME_CMD_DSM) {
		sqe.cdw10 = input_of(in, 4);
	} else {
		sqe.cdw10 = lba;
		sqe.cdw11 = lba >> 32;
	}
	if (input_of(in, 2)) {
		sqe.flags = 0;
		sqe.prp1 = ranges;
	}
	return sqe;
}

static struct nvme_sqe any_command(struct input *in, bool is_admin)
{
	return is_admin ? any_admin_command(in) : any_io_command(in);
}

/* As Dataset Management and both formats of Copy read them: the first block
 * is at 8 in each. */
static void fill_ranges(struct input *in)
{
	static const u8 sizes[] = { 16, 32, 40 };
	u32 size = sizes[input_of(in, 3)];
	u64 at;

	ranges = (u64)fuzz_ram + PAGE_SIZE * input_of(in, FUZZ_RAM_PAGES);
	at = ranges;
	for (u32 i = input_of(in, 4) + 1; i; i--, at += size) {
		fake_guest_write(at + 4, 4, 1 + input_of(in, 80));
		fake_guest_write(at + 8, 8, any_lba(in));
		if (size > 16)
			fake_guest_write(at + 16, 2, input_of(in, 80));
	}
}

static void put(struct guest_sq *queue, struct input *in)
{
	struct nvme_sqe sqe = any_command(in, !queue->id);

	if ((queue->tail + 1) % queue->size != queue->head)
		guest_put(queue, &sqe);
}

static void consume(struct guest_sq *queue)
{
	struct nvme_cqe cqe;

	while (guest_poll(queue->cq, &cqe))
		if (cqe.sq_id == queue->id)
			queue->head = cqe.sq_head;
	guest_consumed(queue->cq);
}

static void start_over(void)
{
	CHECK(guest_disable());
	check();
	start();
}

static void step(struct input *in)
{
	struct guest_sq *queue = input_of(in, 4) ? &sq : &guest.admin;

	switch (input_of(in, 10)) {
	case 0:
		fuzz_fill_list(in);
		break;
	case 1:
	case 2:
		fill_ranges(in);
		break;
	case 3:
		queue->entries[input_of(in, queue->size)] =
			any_command(in, !queue->id);
		break;
	case 4:
		guest_ring(queue);
		break;
	case 5:
		guest_idle(input_of(in, 16));
		break;
	case 6:
		consume(queue);
		break;
	case 7:
		if (!input_of(in, 8))
			start_over();
		break;
	default:
		put(queue, in);
	}
}

static void boot(void)
{
	CHECK_EQ(fake_configure("gate", "ro PARTLABEL=kept"), 0);
	CHECK_EQ(fake_configure("gate", "none PARTLABEL=secret"), 0);
	fuzz_boot();
	fake_nvme.is_ruthless = true;
	/* Tables are read to where only partition.c knows. */
	fake_nvme.may_reach = NULL;
	cq.entries = fake_ram(4096, 4096);
	sq.entries = fake_ram(4096, 4096);
	/* The pages for tables are kept from the first reading on. */
	make_table();
	CHECK(guest_enable(0));
	CHECK(guest_disable());
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	struct input in = { data, size };

	if (!fuzz_ram)
		boot();
	fuzz_begin();
	ranges = (u64)fuzz_ram;
	restore_disk();
	start();
	while (!input_is_over(&in))
		step(&in);
	guest_ring(&sq);
	guest_ring(&guest.admin);
	guest_idle(200);
	check();
	fuzz_end();
	return 0;
}
