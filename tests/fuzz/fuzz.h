/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What every fuzz target shares: the bytes of one input, taken from the
 * front. An input that has run out goes on with zeros.
 */
#ifndef SLUICE_FUZZ_H
#define SLUICE_FUZZ_H

#include <stdlib.h>
#include <string.h>

#include "bits.h"
#include "test.h"
#include "types.h"

int LLVMFuzzerTestOneInput(const u8 *data, size_t size);

struct input {
	const u8 *data;
	size_t size;
};

static inline bool input_is_over(const struct input *in)
{
	return !in->size;
}

static inline void input_bytes(struct input *in, void *to, size_t size)
{
	size_t have = MIN(size, in->size);

	memset(to, 0, size);
	memcpy(to, in->data, have);
	in->data += have;
	in->size -= have;
}

static inline u64 input_number(struct input *in, size_t size)
{
	u64 value = 0;

	input_bytes(in, &value, size);
	return value;
}

static inline u8 input_byte(struct input *in)
{
	return input_number(in, 1);
}

/* 0 to limit - 1 */
static inline u32 input_of(struct input *in, u32 limit)
{
	return input_number(in, limit > 256 ? 4 : 1) % limit;
}

/* All that is left, in a block of that size: ASan sees a read past it. */
static inline void *input_rest(struct input *in)
{
	void *copy = malloc(in->size ? in->size : 1);

	memcpy(copy, in->data, in->size);
	return copy;
}

/*
 * Writes numbers from the input over a block, anywhere: what is left of a
 * good file when somebody has changed some of its fields.
 */
static inline void input_patch(struct input *in, void *block, size_t size)
{
	for (u32 i = input_of(in, 16); i && !input_is_over(in); i--) {
		size_t width = 1u << input_of(in, 4);
		size_t at = input_of(in, 1 << 16) % (size - width + 1);
		u64 value = input_number(in, width);

		memcpy((u8 *)block + at, &value, width);
	}
}

#endif
