/* SPDX-License-Identifier: BSD-2-Clause */
/* RAM ranges, sorted and merged as they come: firmware promises no order. */
#include <errno.h>
#include <string.h>

#include "bits.h"
#include "ram.h"

static u64 end_of(const struct ram_range *range)
{
	return range->base + range->size;
}

static void remove_at(struct boot_info *info, u32 at)
{
	info->ram_count--;
	memmove(&info->ram[at], &info->ram[at + 1],
		(info->ram_count - at) * sizeof(info->ram[0]));
}

static void insert_at(struct boot_info *info, u32 at, struct ram_range range)
{
	memmove(&info->ram[at + 1], &info->ram[at],
		(info->ram_count - at) * sizeof(info->ram[0]));
	info->ram[at] = range;
	info->ram_count++;
}

int ram_add(struct boot_info *info, u64 base, u64 size)
{
	struct ram_range range = { base, size };
	u32 at = 0;

	if (!size)
		return 0;
	while (at < info->ram_count && end_of(&info->ram[at]) < range.base)
		at++;
	while (at < info->ram_count &&
	       info->ram[at].base <= end_of(&range)) {
		u64 end = MAX(end_of(&info->ram[at]), end_of(&range));

		range.base = MIN(info->ram[at].base, range.base);
		range.size = end - range.base;
		remove_at(info, at);
	}
	if (info->ram_count == BOOT_RAM_RANGE_MAX)
		return -ENOSPC;
	insert_at(info, at, range);
	return 0;
}
