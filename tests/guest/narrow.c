/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Accesses from 32-bit and 16-bit code segments, with addresses of either
 * size: on memory first, then on the region. The code is in narrow_code.S.
 */
#include <string.h>

#include "window.h"

struct far_pointer {
	u32 offset;
	u16 selector;
};

struct narrow_registers {
	u32 eax, ebx, ecx, edx, esi, edi, eflags;
};

extern u8 narrow_32[] __attribute__((visibility("hidden")));
extern u8 narrow_16[] __attribute__((visibility("hidden")));
void narrow_call(const struct far_pointer *code, struct narrow_registers *out,
		 u32 edi);

static u8 memory[4096] __attribute__((aligned(4096)));

static void fill(u8 *page)
{
	for (u32 i = 0; i < PAGE_SIZE; i++)
		page[i] = 0x11 * (i % 15 + 1) + i / 15;
	/* An index, to be used as one. */
	page[2] = 9;
	page[3] = 0;
}

static void compare(const struct far_pointer *code)
{
	struct narrow_registers native, emulated;

	fill(memory);
	fill(window_backing());
	segments_set_data_16((u32)(u64)WINDOW);
	window_map(0, (u64)memory, WINDOW_WRITABLE);
	narrow_call(code, &native, (u32)(u64)WINDOW);
	window_map(0, window_region(0), WINDOW_WRITABLE);
	window_count();
	narrow_call(code, &emulated, (u32)(u64)WINDOW);
	CHECK(window_count() > 20);
	CHECK(!memcmp(&native, &emulated, sizeof(native)));
	CHECK(!memcmp(memory, window_backing(), PAGE_SIZE));
}

void accesses_of_32_bit_code_are_as_to_memory(void)
{
	struct far_pointer code = { (u32)(u64)narrow_32, SEGMENT_CODE_32 };

	if (!window_open())
		return;
	compare(&code);
	window_close();
}

void accesses_of_16_bit_code_are_as_to_memory(void)
{
	struct far_pointer code = { 0, SEGMENT_CODE_16 };

	if (!window_open())
		return;
	segments_set_code_16((u32)(u64)narrow_16);
	compare(&code);
	window_close();
}
