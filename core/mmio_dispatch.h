/* SPDX-License-Identifier: BSD-2-Clause */
/* The CPU's side of include/mmio.h. */
#ifndef SLUICE_MMIO_DISPATCH_H
#define SLUICE_MMIO_DISPATCH_H

#include "mmio.h"

/*
 * Gives an access inside one page to the region it falls into. False when
 * the address is not trapped (any more) for this kind of access.
 */
bool mmio_dispatch(gpa_t address, struct mmio_access *access);

/* Whose a page is, as long as no region comes or goes. */
struct mmio_place {
	u64 page, offset;	/* of the page, in the region */
	struct mmio_region *region;
	u64 version;		/* of all that are registered */
};

/* False: nobody's. */
bool mmio_find_place(gpa_t address, struct mmio_place *out);

/* As mmio_dispatch(), of a write, where that place may be it. False also when
 * it is another one, or may not be true any more. */
bool mmio_write_at(const struct mmio_place *place, gpa_t address,
		   struct mmio_access *access);

#endif
