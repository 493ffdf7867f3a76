/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The guest's physical address space: the machine's own, one to one, but for
 * trapped pages and the memory that is Sluice's. Populated before the guest
 * runs, with the largest pages; addresses far above RAM on first use.
 */
#ifndef SLUICE_SLAT_H
#define SLUICE_SLAT_H

#include "types.h"
#include "vt.h"

/* Everything mapped, [hidden_base, +hidden_size) not. -ENOMEM. */
int slat_init(u64 hidden_base, u64 hidden_size);

hpa_t slat_root(void);

/*
 * How the guest reaches these pages from now on. No flush. -ENOMEM; -EPERM
 * for what is hidden: the guest chooses where a device's registers are.
 */
int slat_set_access(gpa_t base, u64 size, enum slat_access access);

/* The MTRRs have changed. No flush. */
void slat_update_types(void);

bool slat_is_hidden(gpa_t address);

/*
 * The guest has touched hidden memory. The first time all of it is made to
 * read as ones; true then, and the access is to be tried again.
 */
bool slat_show_ones(void);

/* A page far above RAM that was not mapped yet: true, try again. */
bool slat_fill(gpa_t address);

#endif
