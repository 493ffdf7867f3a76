/* SPDX-License-Identifier: BSD-2-Clause */
/* The list of RAM ranges in struct boot_info. Pure. */
#ifndef SLUICE_BOOT_RAM_H
#define SLUICE_BOOT_RAM_H

#include "boot_info.h"

/*
 * Adds [base, base + size), page-aligned, to the sorted list and merges it
 * with neighbours it touches. -ENOSPC when the list is full: then the
 * smallest ranges would be lost, and with them memory the guest needs.
 */
int ram_add(struct boot_info *info, u64 base, u64 size);

#endif
