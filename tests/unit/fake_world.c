/* SPDX-License-Identifier: BSD-2-Clause */
/* See fake_world.h. */
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fake_world.h"
#include "test.h"

#define FIRST 5u			/* of the base */
#define STORE 800u
#define STORE_BLOCKS 1200u
#define BASE 1u				/* a version */
#define ZERO 0u

struct world *world;

/* ---- Versions ------------------------------------------------------------ */

static void make_block(u32 block, u32 version, u8 *bytes)
{
	u32 words[POWER_BLOCK / 4];

	for (u32 i = 0; i < POWER_BLOCK / 4; i++)
		words[i] = version ? (version ^ block << 20) + i * 2654435761u :
				     0;
	words[0] = version;
	memcpy(bytes, words, POWER_BLOCK);
}

/* What it says it is, and has to be from the first byte to the last. */
static u32 version_of(u32 block, const u8 *bytes)
{
	u8 expected[POWER_BLOCK];
	u32 version;

	memcpy(&version, bytes, sizeof(version));
	make_block(block, version, expected);
	if (memcmp(bytes, expected, POWER_BLOCK))
		FAIL("block %u is nobody's: it begins like %u", block, version);
	return version;
}

static u32 current(u32 block)
{
	const struct history *history = &world->blocks[block];

	return history->versions[history->count - 1];
}

static bool may_be(u32 block, u32 version)
{
	const struct history *history = &world->blocks[block];

	for (u32 i = 0; i < history->count; i++)
		if (history->versions[i] == version)
			return true;
	return false;
}

static void add_version(u32 block, u32 version)
{
	struct history *history = &world->blocks[block];

	CHECK(history->count < HISTORY);
	history->versions[history->count++] = version;
}

static void set_version(u32 block, u32 version)
{
	world->blocks[block] = (struct history){ 1, { version } };
}

static void all_safe(void)
{
	for (u32 i = 0; i < BLOCKS; i++)
		set_version(i, current(i));
}

bool world_has_room(void)
{
	for (u32 i = 0; i < BLOCKS; i++)
		if (world->blocks[i].count > HISTORY - 8)
			return false;
	return true;
}

/* ---- What the log says --------------------------------------------------- */

/* What is under way has its turn before or after. */
static u32 current_but(u32 block, bool is_after)
{
	const struct history *history = &world->blocks[block];
	bool is_changing = block - world->block < world->count;

	return history->versions[history->count - 1 -
				 (is_changing && is_after)];
}

static bool is_all_in_base(bool is_after)
{
	u8 bytes[POWER_BLOCK];

	for (u32 i = 0; i < BLOCKS; i++) {
		power_read(FIRST + i, bytes, false);
		if (version_of(i, bytes) != current_but(i, is_after))
			return false;
	}
	return true;
}

/* It is in the base, and safe there. */
static void check_committed(void)
{
	bool is_after = !is_all_in_base(false);

	CHECK(!is_after || is_all_in_base(true));
	for (u32 i = 0; i < BLOCKS; i++) {
		u32 last = current(i);

		world->base[i] = current_but(i, is_after);
		set_version(i, world->base[i]);
		if (last != world->base[i])
			add_version(i, last);
	}
	world->commits = false;
	world->commit_count++;
}

static void discarded(void)
{
	for (u32 i = 0; i < BLOCKS; i++)
		set_version(i, world->base[i]);
	world->discards = false;
	world->discard_count++;
}

static void said(const char *line)
{
	if (strstr(line, ": committed"))
		check_committed();
	if (strstr(line, ": discarded"))
		discarded();
	CHECK(!strstr(line, "read-only"));
	CHECK(!strstr(line, "failed with"));
	CHECK(!strstr(line, "stops with"));
}

/* ---- Commands ------------------------------------------------------------ */

static void finish(struct nvme_request *req)
{
	while (!req->is_over)
		CHECK(power_step());
	CHECK_EQ(req->status, 0);
}

static void finish_change(struct nvme_request *req, u32 block, u32 count)
{
	world->block = block;
	world->count = count;
	power_send(req);
	finish(req);
	world->count = 0;
}

static void read_blocks(u32 block, u32 count, u8 *bytes)
{
	struct nvme_request req = {
		.command = { .opcode = 0x02, .nsid = 1, .lba = FIRST + block,
			     .n_lbas = count, .effects = NVME_IO_READS },
		.bytes = bytes,
	};

	power_send(&req);
	finish(&req);
}

void world_check(void)
{
	static u8 bytes[BLOCKS * POWER_BLOCK];

	read_blocks(0, BLOCKS, bytes);
	for (u32 i = 0; i < BLOCKS; i++)
		CHECK_EQ(version_of(i, bytes + i * POWER_BLOCK), current(i));
}

#define FORCED (1u << 30)

void world_change(u32 block, u32 count, bool is_zero, bool is_forced)
{
	static u8 bytes[64 * POWER_BLOCK];
	u32 version = is_zero ? ZERO : ++world->version;
	struct nvme_request req = {
		.command = { .opcode = is_zero ? 0x08 : 0x01, .nsid = 1,
			     .lba = FIRST + block, .n_lbas = count,
			     .effects = NVME_IO_WRITES,
			     .cdw12 = is_forced ? FORCED : 0 },
		.bytes = bytes,
	};

	for (u32 i = 0; i < count; i++) {
		add_version(block + i, version);
		if (!is_zero)
			make_block(block + i, version,
				   bytes + i * POWER_BLOCK);
	}
	finish_change(&req, block, count);
	for (u32 i = 0; is_forced && i < count; i++)
		set_version(block + i, version);
}

void world_trim(u32 block, u32 count)
{
	struct nvme_io_range range = { 0, count, FIRST + block };
	struct nvme_request req = {
		.command = { .opcode = 0x09, .nsid = 1, .cdw11 = 4,
			     .effects = NVME_IO_RANGES },
		.ranges = &range,
	};

	for (u32 i = 0; i < count; i++)
		add_version(block + i, ZERO);
	finish_change(&req, block, count);
}

void world_flush(void)
{
	struct nvme_request req = { .command = { .nsid = 1 } };

	power_send(&req);
	finish(&req);
	all_safe();
}

static void order(const char *text)
{
	struct nvme_io_interceptor *it = power_host.interceptor;
	char why[80] = "";

	CHECK_EQ(it->control->order(it->interceptor, text, why, sizeof(why)),
		 0);
}

void world_order_commit(void)
{
	world->commits = true;
	order("commit");
}

void world_order_discard(void)
{
	if (world->commits)
		return;
	world->discards = true;
	order("discard");
	while (world->discards)
		CHECK(power_step());
}

/* ---- A machine ----------------------------------------------------------- */

static bool are_all(const u8 *bytes, bool of_base)
{
	for (u32 i = 0; i < BLOCKS; i++) {
		u32 version = version_of(i, bytes + i * POWER_BLOCK);

		if (of_base ? version != world->base[i] : !may_be(i, version))
			return false;
	}
	return true;
}

/* The old or the new, as a whole, where either may be; and it stays. */
static void check_start(void)
{
	static u8 bytes[BLOCKS * POWER_BLOCK];
	bool may_be_base = !world->keeps || world->discards;
	bool may_be_overlay = world->keeps || world->commits;

	read_blocks(0, BLOCKS, bytes);
	CHECK((may_be_base && are_all(bytes, true)) ||
	      (may_be_overlay && are_all(bytes, false)));
	for (u32 i = 0; i < BLOCKS; i++)
		set_version(i, version_of(i, bytes + i * POWER_BLOCK));
}

static void read_base(u8 *bytes)
{
	for (u32 i = 0; i < BLOCKS; i++)
		power_read(FIRST + i, bytes + i * POWER_BLOCK, true);
}

static bool is_committing(void)
{
	struct nvme_io_interceptor *it = power_host.interceptor;
	char text[512] = "";
	struct nvme_io_answer list = {
		.data = (u8 *)text, .size_max = sizeof(text) - 1,
	};

	CHECK(it->control->ask(it->interceptor, &list));
	return strstr(text, "state=committing");
}

/* The power may have failed before it was written down that it is to be, or
 * after it was written down that it is done. */
static void check_commit(void)
{
	static u8 bytes[BLOCKS * POWER_BLOCK];

	if (is_committing()) {
		CHECK(world->commits);
		return;
	}
	read_base(bytes);
	if (!are_all(bytes, true)) {
		CHECK(world->commits && are_all(bytes, false));
		for (u32 i = 0; i < BLOCKS; i++)
			world->base[i] = version_of(i, bytes + i * POWER_BLOCK);
	}
}

static void configure(const char *key, const char *value)
{
	extern const struct nvme_io_plugin *const __start_nvme_io_plugins[];
	char why[200] = "";

	if (__start_nvme_io_plugins[0]->configure(1, key, value, why,
						  sizeof(why)))
		FAIL("%s", why);
}

static void start(void)
{
	power_host = (struct nvme_host){
		.drive = &world->drive, .said = said,
		.data = { 1, FIRST, FIRST + BLOCKS - 1 },
		.store = { 1, STORE, STORE + STORE_BLOCKS - 1 },
	};
	configure("overlay", "memory=1 PARTLABEL=data");
	configure("overlay.store", "PARTLABEL=store");
	configure("overlay.boot", world->keeps ? "keep" : "discard");
	configure("overlay.orders", "on");
	power_start();
	check_commit();
	check_start();
	world->commits &= is_committing();
	world->discards = false;
	world->count = 0;
}

void world_make(bool keeps)
{
	world = mmap(NULL, sizeof(*world), PROT_READ | PROT_WRITE,
		     MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	CHECK(world != MAP_FAILED);
	world->keeps = keeps;
	world->version = BASE;
	world->drive.random = 1;
	memset(world->drive.disk, 0xa5, sizeof(world->drive.disk));
	for (u32 i = 0; i < BLOCKS; i++) {
		make_block(i, BASE,
			   world->drive.disk + (FIRST + i) * POWER_BLOCK);
		world->base[i] = BASE;
		set_version(i, BASE);
	}
}

/* True: it ended as it should, by itself or by a failure of the power. */
bool world_live(void (*work)(void), u32 steps)
{
	int status;
	pid_t pid;

	fflush(NULL);
	world->drive.steps_left = steps;
	world->drive.step_count = 0;
	pid = fork();
	if (!pid) {
		start();
		work();
		_exit(0);
	}
	CHECK(pid > 0 && waitpid(pid, &status, 0) == pid);
	world->lives++;
	/* A machine that was switched off in order: the drive is not. */
	world->drive.cached = 0;
	return WIFEXITED(status) && !WEXITSTATUS(status);
}
