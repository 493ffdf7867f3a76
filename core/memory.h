/* SPDX-License-Identifier: BSD-2-Clause */
/* Core's side of include/page.h. */
#ifndef SLUICE_MEMORY_H
#define SLUICE_MEMORY_H

#include "types.h"

/* The free part of Sluice's memory, page-aligned. -ENOMEM when it is too
 * small to be of use. */
int page_init(u64 base, u64 size);

#endif
