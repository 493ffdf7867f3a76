/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * An EFI program as the guest whose machine is switched off: it says on COM1
 * what it finds in each block of the partition of DATA_BYTES, then writes
 * versions for ever, and says up to which they are flushed. Which slot a
 * version is for, and what its blocks have, follows from its number, for
 * test_overlay_power.py too.
 */
#include <efi.h>
#include <efilib.h>

#include "../guest/payload.h"
#include "control.h"
#include "nvme_pass.h"

#define DATA_BYTES (3u << 20)
#define BLOCK 512u
#define SLOTS 96u
#define SLOT_BLOCKS 5u		/* not as chunks are */
#define BLOCKS (SLOTS * SLOT_BLOCKS)
#define MULTIPLIER 0x9e3779b97f4a7c15ull
#define OVERLAY 1		/* target of orders: alone in the chain */

static EFI_BLOCK_IO *data;
static u64 versions[BLOCKS];
static u8 *buffer;
static u64 random_state;

static u32 random_below(u32 limit)
{
	random_state = random_state * 6364136223846793005ull + 1;
	return (random_state >> 33) % limit;
}

/* ---- Blocks ------------------------------------------------------------------ */

static u64 word_of(u64 version, u64 block, u64 index)
{
	return (version << 32 | block << 8 | index) * MULTIPLIER;
}

static void make_block(u64 version, u64 block, u64 *words)
{
	for (u64 i = 0; i < BLOCK / 8; i++)
		words[i] = i ? word_of(version, block, i) : version;
}

static BOOLEAN is_whole(u64 block, const u64 *words)
{
	for (u64 i = 1; i < BLOCK / 8; i++)
		if (words[i] != word_of(words[0], block, i))
			return FALSE;
	return TRUE;
}

static u32 slot_of(u64 version)
{
	return (version * MULTIPLIER >> 40) % SLOTS;
}

static void stop(const char *why)
{
	print(why);
	print("\nSTOPPED\n");
	for (;;)
		__asm__ volatile("hlt");
}

static void check(EFI_STATUS status, const char *what)
{
	if (EFI_ERROR(status))
		stop(what);
}

static void read_slot(u32 slot)
{
	check(data->ReadBlocks(data, data->Media->MediaId, slot * SLOT_BLOCKS,
			       SLOT_BLOCKS * BLOCK, buffer), "read failed");
}

static void write_slot(u64 version)
{
	u32 first = slot_of(version) * SLOT_BLOCKS;

	for (u32 i = 0; i < SLOT_BLOCKS; i++) {
		make_block(version, first + i, (u64 *)(buffer + i * BLOCK));
		versions[first + i] = version;
	}
	check(data->WriteBlocks(data, data->Media->MediaId, first,
				SLOT_BLOCKS * BLOCK, buffer), "write failed");
}

static void check_slot(u32 slot)
{
	read_slot(slot);
	for (u32 i = 0; i < SLOT_BLOCKS; i++) {
		const u64 *words = (u64 *)(buffer + i * BLOCK);
		u32 block = slot * SLOT_BLOCKS + i;

		if (words[0] != versions[block] || !is_whole(block, words))
			stop("what was written is not there");
	}
}

/* ---- What is there ------------------------------------------------------------- */

static u64 find_slot(u32 slot)
{
	u64 last = 0;

	read_slot(slot);
	for (u32 i = 0; i < SLOT_BLOCKS; i++) {
		const u64 *words = (u64 *)(buffer + i * BLOCK);
		u32 block = slot * SLOT_BLOCKS + i;

		if (!is_whole(block, words))
			stop("a block is nobody's");
		versions[block] = words[0];
		last = MAX(last, words[0]);
		print(" ");
		print_number(words[0], 10);
	}
	return last;
}

static u64 find_all(void)
{
	u64 last = 0;

	print("\nFOUND");
	for (u32 i = 0; i < SLOTS; i++) {
		u64 version = find_slot(i);

		last = MAX(last, version);
	}
	print(" .\n");
	return last;
}

/* ---- For ever ------------------------------------------------------------------ */

static void order_commit(void)
{
	static const char text[] = "commit";
	struct nvme_pass_command command = {
		.opcode = CONTROL_ORDER, .flags = NVME_PASS_CDWS,
		.cdw10 = CONTROL_DATA_MAX / 4, .cdw12 = CONTROL_MAGIC,
		.cdw13 = CONTROL_VERSION << 16 | OVERLAY,
		.cdw14 = sizeof(text) - 1,
	};

	ZeroMem(buffer, CONTROL_DATA_MAX);
	CopyMem(buffer, (void *)text, sizeof(text));
	print("ORDERED\n");
	check(nvme_pass_admin(&command, buffer, CONTROL_DATA_MAX),
	      "order failed");
}

static void flush(u64 version)
{
	check(data->FlushBlocks(data), "flush failed");
	print("FLUSHED ");
	print_number(version, 10);
	print("\n");
}

static void work(u64 version)
{
	for (;;) {
		u32 what = random_below(256);

		if (what < 180)
			write_slot(++version);
		else if (what < 220)
			check_slot(random_below(SLOTS));
		else if (what < 255)
			flush(version);
		else
			order_commit();
	}
}

/* ---- The disk ------------------------------------------------------------------ */

static void find_data(void)
{
	EFI_GUID guid = BLOCK_IO_PROTOCOL;
	EFI_HANDLE *handles;
	UINTN count;

	check(BS->LocateHandleBuffer(ByProtocol, &guid, NULL, &count, &handles),
	      "no disk");
	for (UINTN i = 0; i < count; i++) {
		EFI_BLOCK_IO *io;

		if (!EFI_ERROR(BS->HandleProtocol(handles[i], &guid,
						  (void **)&io)) &&
		    io->Media->LogicalPartition &&
		    (io->Media->LastBlock + 1) * BLOCK == DATA_BYTES)
			data = io;
	}
	if (!data)
		stop("no partition");
}

EFI_STATUS efi_main(EFI_HANDLE image, EFI_SYSTEM_TABLE *table)
{
	u32 low, high;
	u64 last;

	InitializeLib(image, table);
	BS->SetWatchdogTimer(0, 0, 0, NULL);
	__asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
	random_state = (u64)high << 32 | low;
	check(BS->AllocatePages(AllocateAnyPages, EfiLoaderData, 1,
				(EFI_PHYSICAL_ADDRESS *)&buffer), "no memory");
	find_data();
	last = find_all();
	work(last);
	return EFI_SUCCESS;
}
