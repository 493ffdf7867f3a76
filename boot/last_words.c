/* SPDX-License-Identifier: BSD-2-Clause */
/* See last_words.h. */
#include <string.h>

#include "bits.h"
#include "last_words.h"

static bool is_text(const struct last_words *words)
{
	for (u32 i = 0; i < words->size; i++) {
		char c = words->text[i];

		if (c != '\n' && c != '\t' && (c < ' ' || c > '~'))
			return false;
	}
	return true;
}

static bool are_words(const struct last_words *words)
{
	return !memcmp(words->magic, LAST_WORDS_MAGIC,
		       sizeof(words->magic)) &&
		words->size && words->size <= LAST_WORDS_MAX &&
		words->checksum == last_words_checksum(words) &&
		is_text(words);
}

static void take(struct boot_info *info, struct last_words *words)
{
	if (!are_words(words))
		return;
	info->last_words_size = words->size;
	memcpy(info->last_words, words->text, words->size);
	memset(words->magic, 0, sizeof(words->magic));
}

void last_words_look(struct boot_info *info, u64 base, u64 size)
{
	u64 at = align_up(base + PAGE_SIZE, LAST_WORDS_STEP) - PAGE_SIZE;

	for (; range_inside(at - base, PAGE_SIZE, size);
	     at += LAST_WORDS_STEP)
		take(info, (struct last_words *)at);
}
