/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Two sides of memory-mapped I/O: registers of a real device, and regions of
 * guest-physical space whose accesses come to us.
 */
#ifndef SLUICE_MMIO_H
#define SLUICE_MMIO_H

#include "types.h"

/* Device registers; always exactly one access of that width. */
u8 mmio_read8(hpa_t address);
u16 mmio_read16(hpa_t address);
u32 mmio_read32(hpa_t address);
u64 mmio_read64(hpa_t address);
void mmio_write8(hpa_t address, u8 value);
void mmio_write16(hpa_t address, u16 value);
void mmio_write32(hpa_t address, u32 value);
void mmio_write64(hpa_t address, u64 value);

/* By width 1, 2, 4 or 8. */
u64 mmio_read(hpa_t address, unsigned size);
void mmio_write(hpa_t address, unsigned size, u64 value);

/* One access of the guest, naturally 1, 2, 4 or 8 bytes, any alignment. */
struct mmio_access {
	u64 offset;	/* from the region's base */
	unsigned size;
	bool is_write;
	u64 value;	/* written, or to be filled in for a read */
};

/* Which accesses come to us; the others reach the device or RAM itself. */
enum mmio_traps { MMIO_TRAPS_ALL, MMIO_TRAPS_WRITES, MMIO_TRAPS_NOTHING };

struct mmio_region {
	const char *name;
	gpa_t base;		/* page-aligned */
	u64 size;		/* whole pages */
	enum mmio_traps traps;
	/* On the CPU that made the access, no lock held. */
	void (*access)(struct mmio_region *region, struct mmio_access *access);
};

/*
 * From the return on, every CPU's accesses come to `access`: nested tables
 * are changed and other CPUs' translations flushed before it returns. The
 * region stays the caller's and must not change while registered. -EEXIST
 * when it overlaps another region, -ENOSPC when there are 2048, -EINVAL when
 * not page-aligned or beyond the physical address width.
 */
int mmio_register(struct mmio_region *region);

/* Of a registered region. More: from the return on they come, as above.
 * Less: they may still come for a while. Locks may be held. */
void mmio_set_traps(struct mmio_region *region, enum mmio_traps traps);

/* From the return on the guest reaches the device itself. A handler may
 * still be running on another CPU. */
void mmio_unregister(struct mmio_region *region);

#endif
