/* SPDX-License-Identifier: BSD-2-Clause */
/* Guest memory: RAM as the firmware has listed it, less Sluice's own. */
#include <errno.h>
#include <string.h>

#include "barrier.h"
#include "bits.h"
#include "gmem.h"
#include "gmem_init.h"

#define MESSAGE_BASE 0xfee00000ull	/* interrupt messages */
#define MESSAGE_SIZE 0x100000ull

/* What is the guest's of the RAM: each range may have been cut in two. */
static struct ram_range ram[2 * BOOT_RAM_RANGE_MAX];
static u32 ram_count;
static u64 own_base, own_size;

static void add(u64 base, u64 end)
{
	if (base < end)
		ram[ram_count++] = (struct ram_range){ base, end - base };
}

void gmem_init(const struct boot_info *info)
{
	own_base = info->memory_base;
	own_size = info->memory_size;
	ram_count = 0;
	for (u32 i = 0; i < info->ram_count; i++) {
		u64 base = info->ram[i].base, end = base + info->ram[i].size;

		add(base, MIN(end, own_base));
		add(MAX(base, own_base + own_size), end);
	}
}

static bool is_in_range(u32 i, u64 base, u64 size)
{
	return base >= ram[i].base &&
	       range_inside(base - ram[i].base, size, ram[i].size);
}

/* Page tables and the like of one guest are mostly where others are. */
static bool is_ram(u64 base, u64 size)
{
	static u32 last;
	u32 i = READ_ONCE(last);

	if (!is_in_range(i, base, size)) {
		for (i = 0; i < ram_count && !is_in_range(i, base, size); i++)
			;
		if (i == ram_count)
			return false;
		WRITE_ONCE(last, i);
	}
	return true;
}

void *gmem_map(gpa_t base, size_t size)
{
	return is_ram(base.v, size) ? (void *)base.v : NULL;
}

int gmem_read(void *to, gpa_t from, size_t size)
{
	if (!is_ram(from.v, size))
		return -EFAULT;
	memcpy(to, (const void *)from.v, size);
	return 0;
}

int gmem_read64(u64 *to, gpa_t from)
{
	if (!is_ram(from.v, sizeof(*to)))
		return -EFAULT;
	*to = READ_ONCE(*(const u64 *)from.v);
	return 0;
}

int gmem_write(gpa_t to, const void *from, size_t size)
{
	if (!is_ram(to.v, size))
		return -EFAULT;
	memcpy((void *)to.v, from, size);
	return 0;
}

static bool is_own(u64 base, u64 size)
{
	return ranges_overlap(base, size, own_base, own_size);
}

inline bool gmem_is_dma_safe(gpa_t base, u64 size)
{
	return base.v + size >= base.v && !is_own(base.v, size) &&
	       !ranges_overlap(base.v, size, MESSAGE_BASE, MESSAGE_SIZE);
}

struct span gmem_dma_span(gpa_t at)
{
	struct span all = { 0, ~0ull };

	return span_beside(span_beside(all, at.v, own_base, own_size), at.v,
			   MESSAGE_BASE, MESSAGE_SIZE);
}
