/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * x86 page tables by range, with the largest pages that fit: the nested
 * tables (slat.c) and the host's own (paging.c) are both made here. Pure but
 * for page.h and mtrr.h.
 */
#ifndef SLUICE_PAGETABLE_H
#define SLUICE_PAGETABLE_H

#include "types.h"
#include "vt.h"

struct pagetable {
	const struct slat_format *format;
	unsigned levels;	/* 4 or 5 */
	bool has_1g_pages;
	u64 *root;
};

/* -ENOMEM */
int pagetable_init(struct pagetable *table, const struct slat_format *format,
		   unsigned levels, bool has_1g_pages);

/* Identity: [base, base + size) with these leaf bits. Whole pages. */
int pagetable_map(struct pagetable *table, u64 base, u64 size, u64 leaf);

/* Every page of the range shows the one page at `target`. */
int pagetable_map_onto(struct pagetable *table, u64 base, u64 size,
		       u64 target, u64 leaf);

/* Every leaf gets the memory type that format->type() gives it now, split
 * where that changes inside it. -ENOMEM. */
int pagetable_update_types(struct pagetable *table);

/* The leaf that translates `address`, 0 when there is none. */
u64 pagetable_lookup(const struct pagetable *table, u64 address);

/* Nothing is mapped in the GiB of `address`, nor ever was in parts of it. */
bool pagetable_is_empty(const struct pagetable *table, u64 address);

#endif
