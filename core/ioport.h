/* SPDX-License-Identifier: BSD-2-Clause */
/* Ports whose accesses by the guest come to us. */
#ifndef SLUICE_IOPORT_H
#define SLUICE_IOPORT_H

#include "list.h"
#include "types.h"

struct ioport_range {
	struct list node;	/* ioport.c's */
	u16 first, last;	/* both inside; whole dwords */
	/* size 1, 2 or 4, naturally aligned. A read fills in `*value`. On the
	 * CPU that made the access, no lock held. */
	void (*access)(u16 port, unsigned size, bool is_write, u32 *value);
};

/* Before the first CPU is launched; the range stays the caller's. */
void ioport_register(struct ioport_range *range);

/*
 * An access that exited. An unaligned one is taken apart as the bus does it;
 * pieces outside every range reach the machine's ports.
 */
void ioport_access(u16 port, unsigned size, bool is_write, u32 *value);

/* Each range, for the back end's permission map. */
void ioport_for_each(void (*visit)(u16 first, u16 last, void *arg), void *arg);

#endif
