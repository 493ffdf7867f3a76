/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a Sluice that panics leaves behind: a page at the end of a MiB of
 * memory, which a warm reset does not clear. The next loader looks at the end
 * of each; what it finds may be a guest's forgery, so it is text and no more.
 */
#ifndef SLUICE_LAST_WORDS_H
#define SLUICE_LAST_WORDS_H

#include "types.h"

#define LAST_WORDS_MAGIC "SLUICE LAST WORD"	/* 16 bytes, no zero */
#define LAST_WORDS_STEP (1ull << 20)
#define LAST_WORDS_MAX (PAGE_SIZE - 24)

struct last_words {
	char magic[16];
	u32 size;
	u32 checksum;
	char text[LAST_WORDS_MAX];
};

_Static_assert(sizeof(struct last_words) == PAGE_SIZE, "last_words");

/* FNV-1a; of no more than there can be. */
static inline u32 last_words_checksum(const struct last_words *words)
{
	u32 sum = 2166136261u;

	for (u32 i = 0; i < words->size && i < LAST_WORDS_MAX; i++)
		sum = (sum ^ (u8)words->text[i]) * 16777619u;
	return sum;
}

#endif
