/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Pages of Sluice's own reserved memory: set-up time and queue creation, not
 * the I/O path (pool.h is for that).
 */
#ifndef SLUICE_PAGE_H
#define SLUICE_PAGE_H

#include "types.h"

/* `count` contiguous zeroed pages, page-aligned; NULL when there are none. */
void *page_alloc(size_t count);
void page_free(void *pages, size_t count);

/* What a device or a page table is told. Only for memory of Sluice's own. */
hpa_t page_hpa(const void *memory);
/* And back. */
void *page_pointer(hpa_t address);

size_t page_free_count(void);

#endif
