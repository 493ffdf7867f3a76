/* SPDX-License-Identifier: BSD-2-Clause */
/* The map of overlay beside a plain array, with too few pages for both. */
#include "../../drivers/nvme/interceptors/overlay.h"
#include "fuzz.h"

#define CHUNKS 4096u
#define FIRST ((1ull << 27) - CHUNKS / 2)	/* where two nodes meet */
#define PAGES 48u
#define STEPS 200

static u8 memory[PAGES * CHUNK_SIZE] __attribute__((aligned(8)));
static u16 model[CHUNKS];	/* masks: zero, data */
static struct overlay_pages pages;
static struct overlay_map map;

static void put(struct input *in)
{
	u32 chunk = input_of(in, CHUNKS);
	u8 mask = input_byte(in), wants_page = input_byte(in) & 1;
	u64 *entry = overlay_map_make(&map, FIRST + chunk);
	u32 page;

	if (!entry)
		return;
	CHECK_EQ(*entry & 0xffff, model[chunk]);
	page = ENTRY_PAGE(*entry);
	if (!page && wants_page)
		page = overlay_pages_get(&pages);
	if (page)
		*entry = ENTRY_MAKE(page, ENTRY_ZERO(*entry) & ~mask,
				    ENTRY_DATA(*entry) | mask);
	else
		*entry = ENTRY_MAKE(0, ENTRY_ZERO(*entry) | mask, 0);
	model[chunk] = (u16)*entry;
}

static void zero(struct input *in)
{
	u32 first = input_of(in, CHUNKS);
	u32 count = input_of(in, CHUNKS - first + 1);

	if (overlay_map_zero(&map, FIRST + first, count))
		return;
	for (u32 i = 0; i < count; i++)
		model[first + i] = ENTRY_ALL_ZERO;
}

static void forget(struct input *in)
{
	u32 first = input_of(in, CHUNKS);
	u32 count = input_of(in, CHUNKS - first + 1);

	if (overlay_map_forget(&map, FIRST + first, count))
		return;
	memset(model + first, 0, count * sizeof(*model));
}

/* Together they are all that there is, and no run could be longer. */
static void check_runs(void)
{
	struct overlay_run run, last = { 0 };
	u64 at = FIRST, end = FIRST + CHUNKS;

	for (; overlay_map_run(&map, at, end, &run); at += run.count) {
		for (; at < run.first; at++)
			CHECK_EQ(model[at - FIRST], 0);
		for (u64 i = 0; i < run.count; i++)
			CHECK_EQ(overlay_map_get(&map, at + i),
				 overlay_run_entry(&run, i));
		CHECK(last.first + last.count != run.first ||
		      overlay_run_entry(&last, last.count) != run.entry);
		last = run;
	}
	for (; at < end; at++)
		CHECK_EQ(model[at - FIRST], 0);
}

static void check_next(struct input *in)
{
	u32 chunk = input_of(in, CHUNKS);
	u64 found = overlay_map_next(&map, FIRST + chunk, FIRST + CHUNKS);

	while (chunk < CHUNKS && !model[chunk])
		chunk++;
	CHECK_EQ(found, FIRST + chunk);
}

static void check_all(void)
{
	for (u32 i = 0; i < CHUNKS; i++)
		CHECK_EQ(overlay_map_get(&map, FIRST + i) & 0xffff, model[i]);
	CHECK_EQ(overlay_map_get(&map, FIRST - 1), 0);
	CHECK_EQ(overlay_map_get(&map, FIRST + CHUNKS), 0);
}

/* Nothing is lost, nothing is there twice. */
static void clear(void)
{
	overlay_map_clear(&map);
	memset(model, 0, sizeof(model));
	CHECK_EQ(pages.free_count, PAGES - 1);
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	struct input in = { data, size };

	overlay_pages_init(&pages, memory, 0, PAGES);
	map = (struct overlay_map){ .pages = &pages };
	memset(model, 0, sizeof(model));
	for (u32 i = 0; i < STEPS && !input_is_over(&in); i++) {
		switch (input_of(&in, 8)) {
		case 0 ... 3:
			put(&in);
			break;
		case 4 ... 5:
			zero(&in);
			break;
		case 6:
			check_next(&in);
			forget(&in);
			break;
		default:
			if (!input_of(&in, 16))
				clear();
		}
	}
	check_all();
	check_runs();
	clear();
	return 0;
}
