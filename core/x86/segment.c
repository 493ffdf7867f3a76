/* SPDX-License-Identifier: BSD-2-Clause */
/* What the processor does not tell of its segments stands in their
 * descriptors. Sections: APM vol. 2. */
#include <string.h>

#include "segment.h"

struct table_register {
	u16 limit;
	u64 base;
} __attribute__((packed));

struct segment segment_gdtr(void)
{
	struct table_register gdtr;

	__asm__("sgdt %0" : "=m"(gdtr));
	return (struct segment){ .base = gdtr.base, .limit = gdtr.limit };
}

struct segment segment_idtr(void)
{
	struct table_register idtr;

	__asm__("sidt %0" : "=m"(idtr));
	return (struct segment){ .base = idtr.base, .limit = idtr.limit };
}

static bool read_descriptor(u16 selector, void *to, u32 size)
{
	struct segment gdtr = segment_gdtr();
	u32 offset = selector & ~7u;

	if (!offset || offset + size - 1 > gdtr.limit)
		return false;
	memcpy(to, (void *)(gdtr.base + offset), size);
	return true;
}

/* 4.7 */
struct segment segment_of(u16 selector)
{
	struct segment segment = { .selector = selector };
	u64 descriptor;

	if (!read_descriptor(selector, &descriptor, sizeof(descriptor)))
		return segment;
	segment.attributes = FIELD_GET(BITS(47, 40), descriptor) |
			     FIELD_GET(BITS(55, 52), descriptor) << 8;
	segment.base = FIELD_GET(BITS(39, 16), descriptor) |
		       FIELD_GET(BITS(63, 56), descriptor) << 24;
	segment.limit = FIELD_GET(BITS(15, 0), descriptor) |
			FIELD_GET(BITS(51, 48), descriptor) << 16;
	if (segment.attributes & SEGMENT_GRANULARITY)
		segment.limit = segment.limit << 12 | 0xfff;
	return segment;
}

/* 4.8.3: twice as long, for the upper half of the base. */
struct segment segment_of_system(u16 selector)
{
	struct segment segment = segment_of(selector);
	u64 descriptor[2];

	if (read_descriptor(selector, descriptor, sizeof(descriptor)))
		segment.base |= descriptor[1] << 32;
	return segment;
}
