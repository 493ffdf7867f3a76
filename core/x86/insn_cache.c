/* SPDX-License-Identifier: BSD-2-Clause */
/* Decoded instructions, kept. Decoding is pure, so bytes and mode say all. */
#include <string.h>

#include "insn_cache.h"

static struct insn_cached *entry_for(struct insn_cache *cache, u64 rip)
{
	return &cache->entries[(rip ^ rip >> 4) & (INSN_CACHE_SIZE - 1)];
}

static bool matches(const struct insn_cached *entry, const u64 *words,
		    size_t count, enum insn_mode mode)
{
	return entry->words[0] == words[0] && entry->words[1] == words[1] &&
	       entry->count == count && entry->mode == mode;
}

static __attribute__((noinline)) int
decode(struct insn_cached *entry, const u8 *bytes, size_t count,
       enum insn_mode mode)
{
	int error = insn_decode(bytes, count, mode, &entry->insn);

	memcpy(entry->words, bytes, sizeof(entry->words));
	entry->count = error ? 0 : count;
	entry->mode = mode;
	return error;
}

const struct insn *insn_cache_decode(struct insn_cache *cache, u64 rip,
				     const u8 *bytes, size_t count,
				     enum insn_mode mode)
{
	struct insn_cached *entry = entry_for(cache, rip);
	u64 words[2];

	memcpy(words, bytes, sizeof(words));
	if (count && matches(entry, words, count, mode))
		return &entry->insn;
	return decode(entry, bytes, count, mode) ? NULL : &entry->insn;
}
