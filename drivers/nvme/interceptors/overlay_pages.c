/* SPDX-License-Identifier: BSD-2-Clause */
/* Pages of a volume: taken once, handed out by number. */
#include <string.h>

#include "overlay.h"

void overlay_pages_init(struct overlay_pages *pages, void *memory, phys_t phys,
			u32 count)
{
	*pages = (struct overlay_pages){
		.memory = memory, .phys = phys, .count = count,
		.free_count = count - 1, .used_max = 1,
	};
}

u32 overlay_pages_get(struct overlay_pages *pages)
{
	u32 page = pages->first_free;

	if (!pages->free_count)
		return 0;
	pages->free_count--;
	if (page)
		memcpy(&pages->first_free, overlay_pages_at(pages, page),
		       sizeof(page));
	else
		page = pages->used_max++;
	memset(overlay_pages_at(pages, page), 0, CHUNK_SIZE);
	return page;
}

void overlay_pages_put(struct overlay_pages *pages, u32 page)
{
	if (!page)
		return;
	memcpy(overlay_pages_at(pages, page), &pages->first_free,
	       sizeof(page));
	pages->first_free = page;
	pages->free_count++;
}
