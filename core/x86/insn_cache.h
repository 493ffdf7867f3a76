/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The instructions a CPU exits at are few: their decoded forms, found by
 * where they stand and valid for exactly the bytes that stand there now.
 */
#ifndef SLUICE_INSN_CACHE_H
#define SLUICE_INSN_CACHE_H

#include "insn.h"

#define INSN_CACHE_SIZE 4	/* a power of two */
#define INSN_CACHE_BYTES 16	/* whole words, and no less than a fetch */

struct insn_cache {
	struct insn_cached {
		u64 words[INSN_CACHE_BYTES / sizeof(u64)];
		size_t count;	/* 0: empty */
		enum insn_mode mode;
		struct insn insn;
	} entries[INSN_CACHE_SIZE];
};

/*
 * As insn_decode(), of `count` bytes in a buffer of INSN_CACHE_BYTES that is
 * zero behind them. NULL where that gives an error. Valid until the next call.
 */
const struct insn *insn_cache_decode(struct insn_cache *cache, u64 rip,
				     const u8 *bytes, size_t count,
				     enum insn_mode mode);

#endif
