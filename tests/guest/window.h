/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Page tables of the payload's own: everything below 4 GiB where it is, and
 * a window of pages that lead where a payload wants them to, so that the same
 * instruction at the same address finds memory once and the trapped region
 * then.
 */
#ifndef SLUICE_WINDOW_H
#define SLUICE_WINDOW_H

#include "../device/device.h"
#include "payload.h"

#define WINDOW ((u8 *)0x60000000)	/* above all RAM of these machines */

#define WINDOW_WRITABLE (BIT(0) | BIT(1))	/* AMD64 APM vol. 2, 5.4 */
#define WINDOW_READ_ONLY BIT(0)
#define WINDOW_NOTHING 0

/*
 * Two pages of memory that the region shows as its own, all zeroes; false,
 * and the payload is skipped, where there is no region.
 */
bool window_open(void);
void window_close(void);

/* Page `page` of the window; from the return on. */
void window_map(unsigned page, u64 physical, u64 flags);

u8 *window_backing(void);		/* what the region shows */
u64 window_region(unsigned page);	/* the region's own address */

/* Since the last call; of the last access. */
u64 window_count(void);
u64 window_kind(void);
u64 window_offset(void);

#endif
