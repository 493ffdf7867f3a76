/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The host's own address space: physical memory one to one, so that a
 * pointer of ours is its host-physical address. RAM write-back, everything
 * else uncached, only our text executable.
 */
#ifndef SLUICE_PAGING_H
#define SLUICE_PAGING_H

#include "boot_info.h"

int paging_init(const struct boot_info *info);

/*
 * Our own access to `address` has faulted: true when it is a device's, far
 * above RAM, and mapped now.
 */
bool paging_fill(u64 address);

/* On each CPU: our page tables and control registers. */
void paging_load(void);

#endif
