/* SPDX-License-Identifier: BSD-2-Clause */
/* Pages of an overlay's log: overlay_log.h says how they belong together. */
#include <string.h>

#include "overlay_log.h"

#define MULTIPLIER 0x9e3779b97f4a7c15ull	/* 2^64 / golden ratio, odd */
#define CHECKSUM_WORD 1

u64 overlay_log_checksum(const struct overlay_log_page *page, u64 chain)
{
	u64 words[CHUNK_SIZE / 8];

	memcpy(words, page, sizeof(words));
	words[CHECKSUM_WORD] = 0;
	for (u32 i = 0; i < CHUNK_SIZE / 8; i++) {
		chain = (chain ^ words[i]) * MULTIPLIER;
		chain ^= chain >> 32;
	}
	return chain;
}

bool overlay_log_continues(const struct overlay_log_page *page,
			   const struct overlay_log_head *head, u64 chain)
{
	return page->head.magic == OVERLAY_LOG_MAGIC &&
	       page->head.generation == head->generation &&
	       page->head.index == head->index &&
	       page->head.count <= OVERLAY_LOG_RUNS &&
	       page->head.checksum == overlay_log_checksum(page, chain);
}
