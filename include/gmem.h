/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The only way to guest memory. Guest-physical equals host-physical, but a
 * guest address is never turned into a pointer anywhere else: here it is
 * checked to be RAM and not a byte of Sluice's own.
 *
 * What is read may change under us: copy once, check the copy, use the copy.
 */
#ifndef SLUICE_GMEM_H
#define SLUICE_GMEM_H

#include "span.h"
#include "types.h"

/* -EFAULT when any byte is not guest RAM; then nothing was copied. */
int gmem_read(void *to, gpa_t from, size_t size);
int gmem_write(gpa_t to, const void *from, size_t size);
/* The same for an aligned word: one load. */
int gmem_read64(u64 *to, gpa_t from);

/*
 * A pointer to guest RAM that stays valid, for rings that are used again and
 * again; NULL when any byte is not guest RAM. Access through READ_ONCE and
 * WRITE_ONCE.
 */
void *gmem_map(gpa_t base, size_t size);

/*
 * May a device be handed this range? RAM and MMIO of other devices yes, a
 * byte of Sluice's no, and not the interrupt window FEE00000h-FEEFFFFFh,
 * where a write is an interrupt message of any kind (AMD APM vol. 2, 16.11;
 * PCI 3.0, 6.8).
 */
bool gmem_is_dma_safe(gpa_t base, u64 size);
/* All around `at` of which that is true; empty: not of `at`. Whole pages. */
struct span gmem_dma_span(gpa_t at);

#endif
