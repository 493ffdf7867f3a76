/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The firmware's segments and behind them some more: a task whose stack is
 * for exceptions, whatever rsp is, and code of 32 and 16 bits.
 */
#include <string.h>

#include "payload.h"
#include "spec/x86.h"

#define STACK_SIZE 4096

struct table_register {
	u16 limit;
	u64 base;
} __attribute__((packed));

/* AMD64 APM vol. 2, 12.2.5 */
static struct {
	u32 reserved;
	u64 rsp[3], reserved_1, ist[7], reserved_2;
	u16 reserved_3, io_map;
} __attribute__((packed)) task;

static u64 table[SEGMENTS_END / 8] __attribute__((aligned(8)));
static u8 stack[STACK_SIZE] __attribute__((aligned(16)));
static struct table_register firmware_table;

static void set(u16 selector, u64 descriptor)
{
	table[selector / 8] = descriptor;
}

/* APM vol. 2, 4.8.3 */
static void set_task(void)
{
	u64 base = (u64)&task, limit = sizeof(task) - 1;

	task.ist[0] = (u64)stack + STACK_SIZE;
	task.io_map = sizeof(task);
	set(SEGMENT_TASK, limit | (base & BITS(23, 0)) << 16 |
	    0x89ull << 40 | (base >> 24 & 0xff) << 56);
	set(SEGMENT_TASK + 8, base >> 32);
}

static u64 with_base(u64 descriptor, u32 base)
{
	return descriptor | (base & BITS(23, 0)) << 16 |
	       (u64)(base >> 24) << 56;
}

void segments_set_data_16(u32 base)
{
	set(SEGMENT_DATA_16, with_base(0x000093000000ffff, base));
}

void segments_set_code_16(u32 base)
{
	set(SEGMENT_CODE_16, with_base(0x00009b000000ffff, base));
}

void segments_install(void)
{
	struct table_register ours = { sizeof(table) - 1, (u64)table };

	__asm__ volatile("sgdt %0" : "=m"(firmware_table));
	memset(table, 0, sizeof(table));
	memcpy(table, (void *)firmware_table.base,
	       MIN(firmware_table.limit + 1u, SEGMENT_CODE_32));
	set(SEGMENT_CODE_32, 0x00cf9b000000ffff);
	set(SEGMENT_DATA_32, 0x00cf93000000ffff);
	set_task();
	__asm__ volatile("lgdt %0; ltr %w1" ::"m"(ours), "r"(SEGMENT_TASK));
}

void segments_remove(void)
{
	__asm__ volatile("lgdt %0" ::"m"(firmware_table));
}
