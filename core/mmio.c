/* SPDX-License-Identifier: BSD-2-Clause */
/* Trapped guest-physical regions: registration and dispatch. */
#include <errno.h>

#include "barrier.h"
#include "bits.h"
#include "lock.h"
#include "log.h"
#include "mmio.h"
#include "mmio_dispatch.h"
#include "x86/cpu.h"
#include "x86/slat.h"
#include "x86/smp.h"

#define REGION_MAX 2048

struct entry {
	u64 base, last;		/* first byte and last */
	struct mmio_region *region;	/* NULL: behind the last */
};

/*
 * By address. The lock is for those who change it. Who looks something up
 * takes none and does it again when `version` has changed meanwhile; it is
 * odd during a change.
 */
static struct entry entries[REGION_MAX + 1];
static u32 count;
static HOT_DATA u64 version;
static struct lock lock;

/* By page, where one of its addresses was found last: any value will do. */
#define GUESSES 16
static u32 guesses[GUESSES];

/* The first entry that does not end before `address`. */
static struct entry *search(u64 address)
{
	u32 low = 0, high = READ_FIRST(count);

	while (low < high) {
		u32 middle = (low + high) / 2;

		if (READ_FIRST(entries[middle].last) < address)
			low = middle + 1;
		else
			high = middle;
	}
	return &entries[low];
}

static bool is_in(const struct entry *entry, u64 address)
{
	return address >= READ_FIRST(entry->base) &&
	       address <= READ_FIRST(entry->last);
}

static struct entry *look(u64 address)
{
	u32 *guess = &guesses[address / PAGE_SIZE % GUESSES];
	struct entry *entry = &entries[READ_ONCE(*guess)];

	if (!is_in(entry, address)) {
		entry = search(address);
		WRITE_ONCE(*guess, entry - entries);
	}
	return entry;
}

static bool find(u64 address, struct mmio_place *out)
{
	struct mmio_region *region;
	u64 before, after, base;

	do {
		struct entry *entry;

		before = READ_FIRST(version);
		entry = look(address);
		base = READ_FIRST(entry->base);
		region = READ_FIRST(entry->region);
		after = READ_ONCE(version);
	} while (before != after || before & 1);
	out->page = align_down(address, PAGE_SIZE);
	out->offset = out->page - base;
	out->region = region;
	out->version = before;
	return region && address >= base;
}

static void set_entry(struct entry *entry, const struct entry *value)
{
	WRITE_LAST(entry->base, value->base);
	WRITE_LAST(entry->last, value->last);
	WRITE_LAST(entry->region, value->region);
}

static void insert(struct entry *at, const struct entry *value)
{
	WRITE_ONCE(version, version + 1);
	for (struct entry *entry = &entries[count]; entry >= at; entry--)
		set_entry(entry + 1, entry);
	set_entry(at, value);
	WRITE_LAST(count, count + 1);
	WRITE_LAST(version, version + 1);
}

static void remove_entry(struct entry *at)
{
	WRITE_ONCE(version, version + 1);
	WRITE_LAST(count, count - 1);
	for (struct entry *entry = at; entry <= &entries[count]; entry++)
		set_entry(entry, entry + 1);
	WRITE_LAST(version, version + 1);
}

static int add(struct mmio_region *region)
{
	struct entry value = {
		region->base.v, region->base.v + region->size - 1, region,
	};
	struct entry *at = search(value.base);

	lock_assert_held(&lock);
	if (at->region && at->base <= value.last)
		return -EEXIST;
	if (count == REGION_MAX)
		return -ENOSPC;
	insert(at, &value);
	return 0;
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
	int error;

	if (!size || !is_aligned(base | size, PAGE_SIZE) ||
	    !range_inside(base, size, cpu_physical_limit()))
		return -EINVAL;
	lock_acquire(&lock);
	error = add(region);
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
	struct entry *entry;

	/* Access first: an exit that finds no region is simply tried again. */
	slat_set_access(region->base, region->size, SLAT_ALL);
	lock_acquire(&lock);
	entry = search(region->base.v);
	ASSERT(entry->region == region);
	remove_entry(entry);
	lock_release(&lock);
	smp_flush_all();
}

static bool is_trapped(const struct mmio_region *region, bool is_write)
{
	enum mmio_traps traps = READ_ONCE(region->traps);

	return traps == MMIO_TRAPS_ALL ||
		(traps == MMIO_TRAPS_WRITES && is_write);
}

static inline void hand_over(const struct mmio_place *place, gpa_t address,
			     struct mmio_access *access)
{
	access->offset = place->offset + (address.v & PAGE_MASK);
	place->region->access(place->region, access);
}

bool mmio_dispatch(gpa_t address, struct mmio_access *access)
{
	struct mmio_place place;

	if (!find(address.v, &place) ||
	    !is_trapped(place.region, access->is_write))
		return false;
	hand_over(&place, address, access);
	return true;
}

bool mmio_find_place(gpa_t address, struct mmio_place *out)
{
	return find(address.v, out);
}

HOT bool mmio_write_at(const struct mmio_place *place, gpa_t address,
		       struct mmio_access *access)
{
	if (READ_FIRST(version) != place->version ||
	    align_down(address.v, PAGE_SIZE) != place->page ||
	    READ_ONCE(place->region->traps) == MMIO_TRAPS_NOTHING)
		return false;
	hand_over(place, address, access);
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
