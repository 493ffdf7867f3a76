/* SPDX-License-Identifier: BSD-2-Clause */
/* The crypt plug-in in the driver as it is, against xts.c for the bytes. */
#include <stdlib.h>
#include <string.h>

#include "../../drivers/nvme/interceptors/crypt_xts.h"
#include "control.h"
#include "fake_gpt.h"
#include "fake_guest.h"
#include "fake_log.h"
#include "fake_machine.h"
#include "fake_nvme.h"
#include "nvme_io.h"
#include "test.h"

#define LBAS 16384
#define FIRST 4096
#define LAST 8191
#define LINE "PARTLABEL=data key-file=\\k"
#define STATUS 0x7ff		/* type and code */

static struct guest_cq cq;
static struct guest_sq sq;
static struct fake_gpt gpt;
static u8 *image, *buffer, *arena;
static u8 key_bytes[64];
static struct xts_key key;

/* ---- Helpers --------------------------------------------------------- */

static int line(const char *value, size_t key_size)
{
	struct boot_info *info = &fake_machine.boot_info;

	info->error[0] = '\0';
	info->secret_count = 1;
	info->secrets[0] = (struct boot_secret){ .line = 1, .size = key_size };
	memcpy(info->secrets[0].bytes, key_bytes, 64);
	return fake_configure("crypt", value);
}

static void make_disk(void)
{
	static const struct fake_gpt_partition data = {
		FIRST, LAST, 0xbb, "data",
	};

	gpt = (struct fake_gpt){ .block_size = 512, .lba_count = LBAS };
	image = gpt.disk = fake_nvme.namespaces[0].data;
	fake_gpt_init(&gpt);
	fake_gpt_add(&gpt, 0, &data);
}

static void enable(void)
{
	CHECK_EQ(fake_machine_attach(), 0);
	CHECK(guest_enable(0));
	CHECK_EQ(guest_create_cq(&cq, 1, 16, true), 0);
	CHECK_EQ(guest_create_sq(&sq, 1, 16, &cq), 0);
	arena = fake_ram(2 << 20, 4096);
	buffer = arena + 4096;
	for (u32 i = 0; i < 2 << 20; i++)
		arena[i] = rand();
}

static void boot(void)
{
	srand(7);
	guest_boot();
	for (u32 i = 0; i < sizeof(key_bytes); i++)
		key_bytes[i] = rand();
	xts_expand(&key, key_bytes, 64);
	fake_nvme.sgls = NVME_SGLS_SUPPORT | NVME_SGLS_BIT_BUCKET;
}

static void start(void)
{
	boot();
	CHECK_EQ(line(LINE, 64), 0);
	make_disk();
	enable();
}

static u16 run_on(u8 opcode, u64 lba, u32 n_lbas, void *data)
{
	struct nvme_sqe sqe = guest_rw(opcode, lba, n_lbas, data);

	return guest_run(&sq, &sqe, NULL) & STATUS;
}

static u16 run(u8 opcode, u64 lba, u32 n_lbas)
{
	return run_on(opcode, lba, n_lbas, buffer);
}

/* What is on the disk, as dm-crypt reads it. */
static bool is_on_disk(u64 lba, u32 n_lbas, const u8 *plain)
{
	u8 block[512];

	for (u32 i = 0; i < n_lbas; i++, lba++) {
		memcpy(block, image + lba * 512, 512);
		if (lba >= FIRST && lba <= LAST)
			xts_decrypt(&key, lba - FIRST, block, 512);
		if (memcmp(block, plain + i * 512, 512))
			return false;
	}
	return true;
}

static void check_round(u64 lba, u32 n_lbas, u32 offset)
{
	u8 *plain = buffer + offset, *before = malloc(n_lbas * 512);

	memcpy(before, plain, n_lbas * 512);
	CHECK_EQ(run_on(NVME_CMD_WRITE, lba, n_lbas, plain), 0);
	CHECK(!memcmp(before, plain, n_lbas * 512));
	CHECK(is_on_disk(lba, n_lbas, plain));
	memset(plain, 0, n_lbas * 512);
	CHECK_EQ(run_on(NVME_CMD_READ, lba, n_lbas, plain), 0);
	CHECK(!memcmp(before, plain, n_lbas * 512));
	free(before);
}

/* ---- Lines ------------------------------------------------------------- */

TEST(what_is_no_volume_is_answered_with_what_was_expected)
{
	static const struct {
		const char *value;
		size_t key_size;
		const char *why;
	} rows[] = {
		{ "", 64, "then key-file=" },
		{ "PARTLABEL=data", 64, "then key-file=" },
		{ "key-file=\\k", 64, "then key-file=" },
		{ "PART=data key-file=\\k", 64, "expected PARTUUID=" },
		{ LINE, 31, "a key of 32 or 64 bytes" },
		{ LINE, 48, "a key of 32 or 64 bytes" },
		{ LINE, 63, "a key of 32 or 64 bytes" },
	};

	boot();
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		CHECK(line(rows[i].value, rows[i].key_size));
		if (!strstr(fake_machine.boot_info.error, rows[i].why))
			FAIL("%s: %s", rows[i].value,
			     fake_machine.boot_info.error);
	}
	memcpy(key_bytes + 32, key_bytes, 32);
	CHECK(line(LINE, 64));
	CHECK(strstr(fake_machine.boot_info.error, "two different halves"));
}

TEST(the_key_is_wiped_where_it_came_from)
{
	static const u8 zeroes[BOOT_SECRET_SIZE];
	struct boot_info *info = &fake_machine.boot_info;

	boot();
	CHECK_EQ(line(LINE, 64), 0);
	CHECK(!memcmp(info->secrets[0].bytes, zeroes, sizeof(zeroes)));
	CHECK_EQ(line("PARTLABEL=other key-file=\\k", 32), 0);
	CHECK(line("nonsense", 64));
	CHECK(!memcmp(info->secrets[0].bytes, zeroes, sizeof(zeroes)));
}

/* ---- Data ------------------------------------------------------------------ */

TEST(what_is_written_is_encrypted_and_comes_back)
{
	start();
	check_round(FIRST, 1, 0);
	check_round(FIRST + 1, 8, 512);
	check_round(FIRST + 3, 1024, 4);
	check_round(LAST, 1, 4092);
	CHECK(memcmp(image + LAST * 512, buffer + 4092, 512));
}

TEST(each_block_goes_by_its_own_place_at_the_borders)
{
	start();
	check_round(FIRST - 5, 16, 0);
	check_round(LAST - 5, 16, 0);
	check_round(FIRST - 8, 8, 0);
	CHECK(!memcmp(image + (FIRST - 8) * 512, buffer, 4096));
	check_round(LAST + 1, 8, 0);
	CHECK(!memcmp(image + (LAST + 1) * 512, buffer, 4096));
}

TEST(blocks_of_4096_count_their_tweak_in_512)
{
	u8 block[4096];

	boot();
	CHECK_EQ(line("PARTLABEL=none key-file=\\k", 64), 0);
	CHECK_EQ(line("FAKE1:n2 key-file=\\k", 64), 0);
	make_disk();
	fake_nvme_add(2, 12, 64);
	enable();
	for (u64 lba = 0; lba < 64; lba += 9) {
		struct nvme_sqe sqe = guest_rw(NVME_CMD_WRITE, lba, 1, buffer);

		sqe.nsid = 2;
		CHECK_EQ(guest_run(&sq, &sqe, NULL), 0);
		memcpy(block, fake_nvme.namespaces[1].data + lba * 4096, 4096);
		xts_decrypt(&key, lba * 8, block, 4096);
		CHECK(!memcmp(block, buffer, 4096));
	}
}

TEST(data_in_pieces_is_decrypted_too)
{
	struct nvme_sgl *list;
	struct nvme_sqe sqe;

	start();
	CHECK_EQ(run(NVME_CMD_WRITE, FIRST, 2), 0);
	sqe = guest_rw(NVME_CMD_READ, FIRST, 2, NULL);
	list = fake_ram(4096, 4096);
	list[0] = (struct nvme_sgl){ (u64)buffer + 0x10001, 100, { 0 }, 0 };
	list[1] = (struct nvme_sgl){ (u64)buffer + 0x20007, 412, { 0 }, 0 };
	list[2] = (struct nvme_sgl){ 0, 512, { 0 }, 0x10 };	/* bucket */
	sqe.flags = FIELD_PREP(NVME_SQE_PSDT, NVME_PSDT_SGL);
	sqe.sgl = (struct nvme_sgl){ (u64)list, 48, { 0 }, 0x30 };
	CHECK_EQ(guest_run(&sq, &sqe, NULL), 0);
	CHECK(!memcmp(buffer + 0x10001, buffer, 100));
	CHECK(!memcmp(buffer + 0x20007, buffer + 100, 412));
}

TEST(a_failed_read_is_left_as_it_is)
{
	start();
	memset(buffer, 0x11, 512);
	fake_nvme.fail_countdown = 1;
	fake_nvme.fail_status = 0x281;
	CHECK_EQ(run(NVME_CMD_READ, FIRST, 1), 0x281);
	CHECK_EQ(buffer[0], 0x11);
}

TEST(compare_sends_ciphertext)
{
	start();
	memset(buffer, 0, 4096);
	CHECK_EQ(run(NVME_CMD_COMPARE, FIRST, 8), 0);
	CHECK(fake_is_sluice(fake_nvme_last(false, NVME_CMD_COMPARE)->prp1,
			     4096));
}

/* ---- Commands that would go around ------------------------------------------- */

TEST(commands_mean_for_encrypted_blocks_what_they_can)
{
	static const struct {
		u8 opcode;
		u64 lba;
		u16 status;
	} rows[] = {
		{ NVME_CMD_FLUSH, 0, 0 },
		{ NVME_CMD_VERIFY, FIRST, 0 },
		{ NVME_CMD_WRITE_UNCORRECTABLE, FIRST, 0 },
		{ NVME_CMD_DSM, 0, 0 },
		{ NVME_CMD_WRITE_ZEROES, FIRST, NVME_IO_INVALID_OPCODE },
		{ NVME_CMD_WRITE_ZEROES, FIRST - 1, NVME_IO_INVALID_OPCODE },
		{ NVME_CMD_WRITE_ZEROES, FIRST - 2, 0 },
		{ NVME_CMD_WRITE_ZEROES, LAST + 1, 0 },
		{ NVME_CMD_COPY, 0, NVME_IO_INVALID_OPCODE },
		{ 0x90, FIRST, NVME_IO_INVALID_OPCODE },
		{ 0x90, 0, NVME_IO_INVALID_OPCODE },
	};

	start();
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		memset(buffer, 0, 64);
		CHECK_EQ(run(rows[i].opcode, rows[i].lba, 2), rows[i].status);
	}
}

TEST(format_is_refused_where_a_volume_is)
{
	start();
	CHECK_EQ(guest_admin(NVME_ADMIN_FORMAT, 1, 0, 0, NULL) & STATUS,
		 NVME_IO_ACCESS_DENIED);
}

TEST(a_range_past_the_last_block_of_all_is_the_device_s_to_refuse)
{
	start();
	CHECK(run(NVME_CMD_READ, ~0ull, 2));
	CHECK(run(NVME_CMD_WRITE, ~0ull, 2));
	CHECK_EQ(run(NVME_CMD_WRITE_ZEROES, ~0ull - 1, 8),
		 NVME_IO_LBA_OUT_OF_RANGE);
}

TEST(zeroes_and_copies_are_not_offered)
{
	struct nvme_id_ctrl *id;

	start();
	id = (void *)buffer;
	CHECK_EQ(guest_admin(NVME_ADMIN_IDENTIFY, 0, NVME_CNS_CONTROLLER, 0,
			     id), 0);
	CHECK_EQ(id->oncs & 0x108, 0);
	CHECK_EQ(guest_admin(NVME_ADMIN_IDENTIFY, 1, NVME_CNS_NAMESPACE, 0,
			     buffer), 0);
	CHECK_EQ(buffer[33], 0);
}

/* ---- Closed ------------------------------------------------------------------- */

TEST(a_disk_with_a_table_nobody_can_read_is_closed)
{
	boot();
	CHECK_EQ(line(LINE, 64), 0);
	make_disk();
	image[512 + 16] ^= 1;
	image[(LBAS - 1) * 512 + 16] ^= 1;
	enable();
	CHECK_EQ(run(NVME_CMD_WRITE, 0, 1), NVME_IO_ACCESS_DENIED);
	CHECK_EQ(run(NVME_CMD_READ, FIRST, 1), NVME_IO_ACCESS_DENIED);
	CHECK_EQ(run(NVME_CMD_DSM, 0, 1), NVME_IO_ACCESS_DENIED);
	CHECK_EQ(run(NVME_CMD_FLUSH, 0, 1), 0);
	CHECK(fake_log_has("is not known"));
	CHECK(strstr(guest_list(1, buffer), "state=closed\n"));
}

TEST(two_keys_for_one_block_are_none)
{
	boot();
	CHECK_EQ(line(LINE, 64), 0);
	CHECK_EQ(line("PARTLABEL=data key-file=\\other", 32), 0);
	make_disk();
	enable();
	CHECK_EQ(run(NVME_CMD_WRITE, FIRST, 1), NVME_IO_ACCESS_DENIED);
	CHECK_EQ(run(NVME_CMD_READ, LAST, 2), NVME_IO_ACCESS_DENIED);
	CHECK_EQ(run(NVME_CMD_WRITE, FIRST - 1, 1), 0);
	CHECK(strstr(guest_list(1, buffer), "state=refused\n"));
	CHECK(!strstr(guest_list(1, buffer), "state=encrypted\n"));
}

TEST(a_volume_without_its_key_is_refused_and_the_rest_is_not)
{
	boot();
	CHECK_EQ(line(LINE, 0), 0);
	make_disk();
	enable();
	CHECK_EQ(run(NVME_CMD_WRITE, FIRST, 1), NVME_IO_ACCESS_DENIED);
	CHECK_EQ(run(NVME_CMD_READ, LAST, 1), NVME_IO_ACCESS_DENIED);
	CHECK_EQ(run(NVME_CMD_DSM, 0, 1), NVME_IO_ACCESS_DENIED);
	CHECK_EQ(run(NVME_CMD_WRITE, LAST + 1, 1), 0);
	CHECK(fake_log_has("refused: there is no key (line 1)"));
	CHECK(strstr(guest_list(1, buffer), "state=no key\n"));
}

TEST(blocks_with_metadata_are_refused)
{
	boot();
	CHECK_EQ(line("FAKE1:n1 key-file=\\k", 64), 0);
	make_disk();
	fake_nvme.namespaces[0].metadata_size = 8;
	fake_nvme.namespaces[0].is_inline = true;
	enable();
	CHECK_EQ(run(NVME_CMD_WRITE, 0, 1), NVME_IO_ACCESS_DENIED);
	CHECK(fake_log_has("blocks with metadata"));
}

/* As somebody else's Format does it, through another controller. */
static void change_namespaces(u8 lba_shift)
{
	struct nvme_sqe sqe = { .opcode = NVME_ADMIN_ASYNC_EVENT };
	struct nvme_cqe cqe;

	guest_put(&guest.admin, &sqe);
	guest_ring(&guest.admin);
	fake_nvme_tick();
	fake_nvme.namespaces[0].lba_shift = lba_shift;
	fake_nvme.namespaces[0].n_lbas = (LBAS << 9) >> lba_shift;
	fake_nvme_add(7, 9, 100);
	CHECK(fake_nvme_event(0x00040002));
	guest_read32(NVME_REG_CSTS);
	CHECK(guest_wait(&guest.admin_cq, &cqe));
	guest_consumed(&guest.admin_cq);
}

TEST(blocks_of_another_size_than_before_are_refused)
{
	struct nvme_sqe sqe;

	boot();
	CHECK_EQ(line("FAKE1:n1 key-file=\\k", 64), 0);
	make_disk();
	enable();
	CHECK_EQ(run(NVME_CMD_WRITE, 0, 8), 0);
	change_namespaces(12);
	sqe = guest_rw(NVME_CMD_WRITE, 0, 1, NULL);
	guest_set_prps(&sqe, buffer, 4096);
	CHECK_EQ(guest_run(&sq, &sqe, NULL) & STATUS, NVME_IO_ACCESS_DENIED);
	sqe = guest_rw(NVME_CMD_READ, 0, 1, NULL);
	guest_set_prps(&sqe, buffer, 4096);
	CHECK_EQ(guest_run(&sq, &sqe, NULL) & STATUS, NVME_IO_ACCESS_DENIED);
}

TEST(blocks_that_a_namespace_has_grown_by_are_encrypted_too)
{
	u8 block[512];

	boot();
	CHECK_EQ(line("FAKE1:n1 key-file=\\k", 64), 0);
	make_disk();
	fake_nvme.namespaces[0].n_lbas = LBAS / 2;
	enable();
	CHECK(strstr(guest_list(1, buffer), "blocks=8192\tstate=encrypted"));
	change_namespaces(9);
	CHECK_EQ(run(NVME_CMD_WRITE, LBAS - 1, 1), 0);
	memcpy(block, image + (LBAS - 1) * 512, 512);
	xts_decrypt(&key, LBAS - 1, block, 512);
	CHECK(!memcmp(block, buffer, 512));
}

TEST(a_namespace_that_came_later_is_closed_where_it_may_have_a_volume)
{
	struct nvme_sqe sqe;

	start();
	change_namespaces(9);
	sqe = guest_rw(NVME_CMD_WRITE, 0, 1, buffer);
	sqe.nsid = 7;
	CHECK_EQ(guest_run(&sq, &sqe, NULL) & STATUS,
		 NVME_IO_INVALID_NAMESPACE);
	CHECK(guest_disable());
	CHECK(guest_enable(0));
	CHECK_EQ(guest_create_cq(&cq, 1, 16, true), 0);
	CHECK_EQ(guest_create_sq(&sq, 1, 16, &cq), 0);
	sqe = guest_rw(NVME_CMD_WRITE, 0, 1, buffer);
	sqe.nsid = 7;
	CHECK_EQ(guest_run(&sq, &sqe, NULL) & STATUS, 0);
}

/* ---- What is told ------------------------------------------------------ */

TEST(volumes_are_listed_and_keys_are_not)
{
	boot();
	CHECK_EQ(line(LINE, 64), 0);
	CHECK_EQ(line("PARTLABEL=elsewhere key-file=\\k", 32), 0);
	make_disk();
	enable();
	CHECK_STR(guest_list(1, buffer),
		  "volume=PARTLABEL=data\tfrom=line 1\tkey_bits=512\t"
		  "ranges=1\tblocks=4096\tstate=encrypted\n"
		  "volume=PARTLABEL=elsewhere\tfrom=line 1\tkey_bits=256\t"
		  "ranges=0\tblocks=0\tstate=not here\n");
}

TEST(there_are_no_orders)
{
	struct nvme_sqe sqe = {
		.opcode = CONTROL_ORDER, .cdw10 = 1, .cdw14 = 4,
		.cdw12 = CONTROL_MAGIC, .cdw13 = CONTROL_VERSION << 16 | 1,
	};

	start();
	memcpy(buffer, "open", 4);
	guest_set_prps(&sqe, buffer, 4);
	CHECK_EQ(guest_run(&guest.admin, &sqe, NULL) & STATUS,
		 CONTROL_UNKNOWN);
}

TEST(a_disk_without_a_volume_is_as_it_was)
{
	boot();
	CHECK_EQ(line("PARTLABEL=elsewhere key-file=\\k", 64), 0);
	make_disk();
	enable();
	CHECK_EQ(run(NVME_CMD_WRITE, FIRST, 8), 0);
	CHECK(!memcmp(image + FIRST * 512, buffer, 4096));
	CHECK_EQ(run(NVME_CMD_WRITE_ZEROES, FIRST, 8), 0);
	CHECK_EQ(guest_admin(NVME_ADMIN_FORMAT, 1, 0, 0, NULL), 0);
}
