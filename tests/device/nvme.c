/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The unit tests' controller (tests/unit/fake_nvme.c) in a machine that is
 * none of theirs: its memory is the machine's, its disk pages of Sluice's.
 * A CHECK() of it that fails is a panic here.
 */
#include "../unit/fake_gpt.h"
#include "../unit/fake_machine.h"
#include "../unit/fake_nvme.h"
#include "config.h"
#include "gmem.h"
#include "lock.h"
#include "log.h"
#include "page.h"
#include "../../core/x86/slat.h"

struct fake_machine fake_machine;

static struct lock lock;	/* the controller does one thing at a time */

bool fake_is_ram(u64 address, u64 size)
{
	return gmem_map(gpa(address), size);
}

bool fake_is_sluice(u64 address, u64 size)
{
	return slat_is_hidden(gpa(address)) &&
		slat_is_hidden(gpa(address + size - 1));
}

static void make_partitions(u8 *disk)
{
	struct fake_gpt gpt = {
		.disk = disk, .block_size = 512, .lba_count = DEVICE_BLOCKS,
	};

	fake_gpt_init(&gpt);
	fake_gpt_add(&gpt, 0, &(struct fake_gpt_partition){
		DEVICE_OPEN_LBA, DEVICE_READ_ONLY_LBA - 1, 1, "open" });
	fake_gpt_add(&gpt, 1, &(struct fake_gpt_partition){
		DEVICE_READ_ONLY_LBA, DEVICE_HIDDEN_LBA - 1, 2, "readonly" });
	fake_gpt_add(&gpt, 2, &(struct fake_gpt_partition){
		DEVICE_HIDDEN_LBA, DEVICE_HIDDEN_END - 1, 3, "hidden" });
}

/* When the first register is looked at; the heap has no room for a disk. */
static void power_on(void)
{
	u8 *disk = page_alloc(DEVICE_BLOCKS / 8);

	ASSERT(disk);
	fake_nvme_init();
	fake_nvme.namespace_count = 0;
	*fake_nvme_add(1, 9, 0) = (struct fake_namespace){
		.nsid = 1, .lba_shift = 9, .n_lbas = DEVICE_BLOCKS,
		.data = disk,
	};
	make_partitions(disk);
}

static void send_interrupt(void)
{
	if (fake_nvme.interrupt_is_pending)
		config_send_message(DEVICE_NVME);
	fake_nvme.interrupt_is_pending = false;
}

u64 device_nvme_read(u64 offset, unsigned size)
{
	u64 value;

	lock_acquire(&lock);
	if (!fake_nvme.cap)
		power_on();
	value = fake_machine.read(offset, size);
	lock_release(&lock);
	return value;
}

/* It is fast: what a doorbell brings is done by the time it has been rung. */
void device_nvme_write(u64 offset, unsigned size, u64 value)
{
	u32 before;

	lock_acquire(&lock);
	fake_machine.write(offset, size, value);
	do {
		before = fake_nvme.pending_count;
		fake_nvme_tick();
	} while (fake_nvme.pending_count < before);
	send_interrupt();
	lock_release(&lock);
}

/* Not while it is at work: what it finds wrong is logged, with the time. */
void device_nvme_tick(void)
{
	if (!fake_nvme.cap || !lock_try(&lock))
		return;
	fake_nvme_tick();
	send_interrupt();
	lock_release(&lock);
}

void device_nvme_stall(bool on)
{
	fake_nvme.is_stalled = on;
}
