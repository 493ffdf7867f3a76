/* SPDX-License-Identifier: BSD-2-Clause */
/* Bit masks, register fields and arithmetic that cannot overflow. */
#ifndef SLUICE_BITS_H
#define SLUICE_BITS_H

#include "types.h"

#define BIT(n) (1ull << (n))
#define BITS(hi, lo) ((~0ull >> (63 - (hi))) & (~0ull << (lo)))

/* A field is named by its mask: FIELD_GET(CAP_MQES, cap). */
#define FIELD_LSB(mask) ((mask) & -(mask))
#define FIELD_GET(mask, reg) (((reg) & (mask)) / FIELD_LSB(mask))
#define FIELD_PREP(mask, value) (((u64)(value) * FIELD_LSB(mask)) & (mask))
#define FIELD_SET(mask, reg, value) \
	(((reg) & ~(mask)) | FIELD_PREP(mask, value))

#define MIN(a, b) ((a) < (b) ? (a) : (b))
#define MAX(a, b) ((a) > (b) ? (a) : (b))

/* align is a power of two */
static inline u64 align_down(u64 value, u64 align)
{
	return value & ~(align - 1);
}

static inline u64 align_up(u64 value, u64 align)
{
	return (value + align - 1) & ~(align - 1);
}

static inline bool is_aligned(u64 value, u64 align)
{
	return !(value & (align - 1));
}

/*
 * An access of any alignment is taken apart into naturally aligned ones of
 * 1, 2 or 4 bytes: the size of the first.
 */
static inline unsigned aligned_piece(u64 address, unsigned size)
{
	unsigned piece = 4;

	while (piece > size || !is_aligned(address, piece))
		piece /= 2;
	return piece;
}

/* Does [start, start + length) lie inside [0, limit)? Any input is safe. */
static inline bool range_inside(u64 start, u64 length, u64 limit)
{
	return length <= limit && start <= limit - length;
}

/*
 * Do two ranges share a byte? An empty range shares none. A range that runs
 * past 2^64 is taken to end there.
 */
static inline bool ranges_overlap(u64 a, u64 a_length, u64 b, u64 b_length)
{
	if (!a_length || !b_length)
		return false;
	return a < b ? b - a < a_length : a - b < b_length;
}

#endif
