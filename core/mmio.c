/* SPDX-License-Identifier: BSD-2-Clause */
/* Trapped guest-physical regions: registration and dispatch. */
#include <errno.h>

#include "bits.h"
#include "lock.h"
#include "log.h"
#include "mmio.h"
#include "mmio_dispatch.h"
#include "x86/cpu.h"
#include "x86/slat.h"
#include "x86/smp.h"

/* Guards the list only: handlers run without it. */
static struct lock lock;
static struct list regions = LIST_INIT(regions);

static struct mmio_region *find(u64 base, u64 size)
{
	struct list *node;

	lock_assert_held(&lock);
	list_for_each(node, &regions) {
		struct mmio_region *region =
			container_of(node, struct mmio_region, node);

		if (ranges_overlap(base, size, region->base.v, region->size))
			return region;
	}
	return NULL;
}

static enum slat_access access_of(enum mmio_traps traps)
{
	switch (traps) {
	case MMIO_TRAPS_ALL:
		return SLAT_NONE;
	case MMIO_TRAPS_WRITES:
		return SLAT_READ;
	default:
		return SLAT_ALL;
	}
}

int mmio_register(struct mmio_region *region)
{
	u64 base = region->base.v, size = region->size;
	int error = 0;

	if (!size || !is_aligned(base | size, PAGE_SIZE) ||
	    !range_inside(base, size, cpu_physical_limit()))
		return -EINVAL;
	lock_acquire(&lock);
	if (find(base, size))
		error = -EEXIST;
	else
		list_add_tail(&regions, &region->node);
	lock_release(&lock);
	if (error)
		return error;
	error = slat_set_access(region->base, size, access_of(region->traps));
	if (error) {
		mmio_unregister(region);
		return error;
	}
	smp_flush_all();
	log_debug("mmio: %s: %#llx-%#llx trapped", region->name,
		  (unsigned long long)base,
		  (unsigned long long)(base + size - 1));
	return 0;
}

void mmio_set_traps(struct mmio_region *region, enum mmio_traps traps)
{
	bool is_more = traps < region->traps;
	int error;

	WRITE_ONCE(region->traps, traps);
	/* Registering has split the pages: there is nothing to allocate. */
	error = slat_set_access(region->base, region->size, access_of(traps));
	ASSERT(!error);
	if (is_more)
		smp_flush_all();
	else
		smp_flush_later();
}

void mmio_unregister(struct mmio_region *region)
{
	/* Access first: an exit that finds no region is simply tried again. */
	slat_set_access(region->base, region->size, SLAT_ALL);
	lock_acquire(&lock);
	list_remove(&region->node);
	lock_release(&lock);
	smp_flush_all();
}

static bool is_trapped(const struct mmio_region *region, bool is_write)
{
	enum mmio_traps traps = READ_ONCE(region->traps);

	return traps == MMIO_TRAPS_ALL ||
		(traps == MMIO_TRAPS_WRITES && is_write);
}

bool mmio_dispatch(gpa_t address, struct mmio_access *access)
{
	struct mmio_region *region;

	lock_acquire(&lock);
	region = find(address.v, 1);
	/* Later it may be somewhere else. */
	if (region)
		access->offset = address.v - region->base.v;
	lock_release(&lock);
	if (!region || !is_trapped(region, access->is_write))
		return false;
	region->access(region, access);
	return true;
}

/* One instruction each: nothing may split, merge or widen the access. */
#define ACCESSORS(bits, suffix, constraint)                               \
	u##bits mmio_read##bits(hpa_t address)                            \
	{                                                                 \
		u##bits value;                                            \
                                                                          \
		__asm__ volatile("mov" suffix " %1, %0"                   \
				 : constraint(value)                      \
				 : "m"(*(volatile u##bits *)address.v)    \
				 : "memory");                             \
		return value;                                             \
	}                                                                 \
	void mmio_write##bits(hpa_t address, u##bits value)               \
	{                                                                 \
		__asm__ volatile("mov" suffix " %1, %0"                   \
				 : "=m"(*(volatile u##bits *)address.v)   \
				 : "r"(value)                             \
				 : "memory");                             \
	}

ACCESSORS(8, "b", "=q")
ACCESSORS(16, "w", "=r")
ACCESSORS(32, "l", "=r")
ACCESSORS(64, "q", "=r")

u64 mmio_read(hpa_t address, unsigned size)
{
	switch (size) {
	case 1:
		return mmio_read8(address);
	case 2:
		return mmio_read16(address);
	case 4:
		return mmio_read32(address);
	default:
		return mmio_read64(address);
	}
}

void mmio_write(hpa_t address, unsigned size, u64 value)
{
	switch (size) {
	case 1:
		mmio_write8(address, value);
		break;
	case 2:
		mmio_write16(address, value);
		break;
	case 4:
		mmio_write32(address, value);
		break;
	default:
		mmio_write64(address, value);
	}
}
