/* SPDX-License-Identifier: BSD-2-Clause */
/* A range of addresses by its first and last: it may end where all do. */
#ifndef SLUICE_SPAN_H
#define SLUICE_SPAN_H

#include "bits.h"
#include "types.h"

struct span {
	u64 first, last;	/* first > last: empty */
};
#define SPAN_EMPTY ((struct span){ 1, 0 })

/* `size` bytes, at least one, from `start` on? Any input is safe. */
static inline bool span_has(const struct span *span, u64 start, u64 size)
{
	return start >= span->first && start <= span->last &&
		size - 1 <= span->last - start;
}

/* What is on `at`'s side of a range; nothing, should it be in there. */
static inline struct span span_beside(struct span span, u64 at, u64 base,
				      u64 size)
{
	if (at < base)
		span.last = MIN(span.last, base - 1);
	else if (at - base >= size)
		span.first = MAX(span.first, base + size);
	else
		span = SPAN_EMPTY;
	return span;
}

#endif
