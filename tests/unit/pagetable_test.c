/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Page tables against a map that knows each piece of a small address space:
 * what was mapped last is what translates.
 */
#include <errno.h>
#include <string.h>

#include "../../core/x86/mtrr.h"
#include "../../core/x86/pagetable.h"
#include "bits.h"
#include "page.h"
#include "spec/x86.h"
#include "test.h"

#define KIB(n) ((u64)(n) << 10)
#define MIB(n) ((u64)(n) << 20)
#define GIB(n) ((u64)(n) << 30)

#define ALL (PTE_PRESENT | PTE_WRITE | PTE_USER)
#define READ (PTE_PRESENT | PTE_USER)
#define NONE 0

static const struct slat_format format = {
	.table = PTE_PRESENT | PTE_WRITE | PTE_USER,
	.large = PTE_LARGE,
	.present_mask = PTE_PRESENT,
};

/* ---- Pages and memory types ---------------------------------------------- */

static struct { u8 bytes[PAGE_SIZE]; } pages[256]
	__attribute__((aligned(4096)));
static size_t page_used, page_limit;
static u64 type_boundary;	/* 0: none */

void *page_alloc(size_t count)
{
	CHECK_EQ(count, 1);
	if (page_used == page_limit)
		return NULL;
	return memset(&pages[page_used++], 0, PAGE_SIZE);
}

hpa_t page_hpa(const void *memory)
{
	return hpa((u64)memory);
}

bool mtrr_changes_within(u64 base, u64 size)
{
	return type_boundary > base && type_boundary - base < size;
}

static struct pagetable start(unsigned levels, bool has_1g_pages)
{
	struct pagetable table;

	page_used = 0;
	page_limit = ARRAY_COUNT(pages);
	type_boundary = 0;
	CHECK_EQ(pagetable_init(&table, &format, levels, has_1g_pages), 0);
	return table;
}

/* ---- What a leaf says, and on which level it is -------------------------- */

struct translation {
	u64 address;
	u64 size;		/* of the page; 0: not mapped */
	u64 access;
};

/* As the processor walks: independent of pagetable_lookup(). */
static struct translation walk(const struct pagetable *table, u64 address)
{
	const u64 *entries = table->root;
	u64 size = 1ull << (12 + 9 * (table->levels - 1));

	for (;; size >>= 9) {
		u64 entry = entries[address / size % 512];

		if (!(entry & PTE_PRESENT))
			return (struct translation){ 0 };
		if (size == PAGE_SIZE || (entry & PTE_LARGE)) {
			u64 base = entry & PTE_ADDRESS;

			CHECK(is_aligned(base, size) && size <= GIB(1));
			/* There it would choose a memory type (7.8.2). */
			CHECK(size > PAGE_SIZE || !(entry & PTE_LARGE));
			return (struct translation){
				base + address % size, size, entry & ALL,
			};
		}
		entries = (const u64 *)(entry & PTE_ADDRESS);
	}
}

static void check(const struct pagetable *table, u64 address, u64 access,
		  u64 size)
{
	struct translation got = walk(table, address);

	CHECK_EQ(got.access, access);
	CHECK_EQ(!pagetable_lookup(table, address), !access);
	if (!access)
		return;
	CHECK_EQ(got.address, address);
	CHECK_EQ(got.size, size);
	CHECK_EQ(pagetable_lookup(table, address) & ALL, access);
}

/* ---- Sizes --------------------------------------------------------------- */

static const struct {
	const char *what;
	bool has_1g_pages;
	u64 base, size, boundary;
	struct { u64 address, size; } pages[5];
} layouts[] = {
	{ "one gigabyte page where there are such", true, 0, GIB(4), 0,
	  { { 0, GIB(1) }, { GIB(3) + 5 * PAGE_SIZE, GIB(1) } } },
	{ "2 MiB pages where there are not", false, 0, GIB(1), 0,
	  { { 0, MIB(2) }, { GIB(1) - 1, MIB(2) } } },
	{ "small pages up to the first large one and after the last", true,
	  MIB(2) - KIB(8), GIB(2) - MIB(2) + KIB(12), 0,
	  { { MIB(2) - KIB(8), KIB(4) }, { MIB(2), MIB(2) },
	    { GIB(1), GIB(1) }, { GIB(2), KIB(4) } } },
	{ "no page across a change of memory type", true, 0, GIB(3),
	  GIB(1) + MIB(5),
	  { { 0, GIB(1) }, { GIB(1), MIB(2) }, { GIB(1) + MIB(4), KIB(4) },
	    { GIB(1) + MIB(6), MIB(2) }, { GIB(2), GIB(1) } } },
	{ "a change at a page's edge is not across it", true, 0, GIB(3),
	  GIB(1), { { 0, GIB(1) }, { GIB(1), GIB(1) } } },
	{ "a single page", true, GIB(5) - PAGE_SIZE, PAGE_SIZE, 0,
	  { { GIB(5) - PAGE_SIZE, KIB(4) } } },
};

TEST(ranges_are_mapped_with_the_largest_pages_that_fit)
{
	for (size_t i = 0; i < ARRAY_COUNT(layouts); i++) {
		struct pagetable table = start(4, layouts[i].has_1g_pages);

		type_boundary = layouts[i].boundary;
		CHECK_EQ(pagetable_map(&table, layouts[i].base,
				       layouts[i].size, ALL), 0);
		for (size_t j = 0; j < 5 && layouts[i].pages[j].size; j++)
			check(&table, layouts[i].pages[j].address, ALL,
			      layouts[i].pages[j].size);
		if (layouts[i].base)
			check(&table, layouts[i].base - 1, NONE, 0);
		check(&table, layouts[i].base + layouts[i].size, NONE, 0);
	}
}

TEST(five_levels_reach_higher_and_four_map_all_of_48_bits)
{
	struct pagetable table = start(4, true);

	CHECK_EQ(pagetable_map(&table, (1ull << 48) - GIB(1), GIB(1), ALL), 0);
	check(&table, (1ull << 48) - 1, ALL, GIB(1));
	table = start(5, true);
	CHECK_EQ(pagetable_map(&table, (1ull << 52) - GIB(1), GIB(1), ALL), 0);
	check(&table, (1ull << 52) - 1, ALL, GIB(1));
	check(&table, (1ull << 48) - 1, NONE, 0);
	CHECK_EQ(pagetable_map(&table, (1ull << 48) - GIB(1), GIB(2), READ),
		 0);
	check(&table, (1ull << 48) - 1, READ, GIB(1));
	check(&table, 1ull << 48, READ, GIB(1));
}

/* ---- Splitting ----------------------------------------------------------- */

TEST(a_page_taken_out_of_a_gigabyte_leaves_the_rest_as_it_was)
{
	struct pagetable table = start(4, true);

	CHECK_EQ(pagetable_map(&table, 0, GIB(2), ALL), 0);
	CHECK_EQ(pagetable_map(&table, MIB(7), PAGE_SIZE, NONE), 0);
	check(&table, MIB(7), NONE, 0);
	check(&table, MIB(7) - 1, ALL, KIB(4));
	check(&table, MIB(7) + PAGE_SIZE, ALL, KIB(4));
	check(&table, MIB(6) - 1, ALL, MIB(2));
	check(&table, MIB(8), ALL, MIB(2));
	check(&table, GIB(1), ALL, GIB(1));
}

TEST(a_split_keeps_the_permissions_of_what_it_splits)
{
	struct pagetable table = start(4, true);

	CHECK_EQ(pagetable_map(&table, 0, GIB(1), READ), 0);
	CHECK_EQ(pagetable_map(&table, MIB(512), PAGE_SIZE, ALL), 0);
	check(&table, MIB(512), ALL, KIB(4));
	check(&table, MIB(512) + PAGE_SIZE, READ, KIB(4));
	check(&table, 0, READ, MIB(2));
}

TEST(a_page_can_be_taken_and_given_back)
{
	struct pagetable table = start(4, true);
	size_t after_first;

	CHECK_EQ(pagetable_map(&table, 0, GIB(1), ALL), 0);
	CHECK_EQ(pagetable_map(&table, MIB(3), PAGE_SIZE, NONE), 0);
	after_first = page_used;
	for (int i = 0; i < 100; i++) {
		CHECK_EQ(pagetable_map(&table, MIB(3), PAGE_SIZE, ALL), 0);
		check(&table, MIB(3), ALL, KIB(4));
		CHECK_EQ(pagetable_map(&table, MIB(3), PAGE_SIZE, NONE), 0);
		check(&table, MIB(3), NONE, 0);
	}
	CHECK_EQ(page_used, after_first);
}

TEST(a_range_can_show_one_page_everywhere)
{
	struct pagetable table = start(4, true);
	u64 target = GIB(3) + MIB(1);

	CHECK_EQ(pagetable_map(&table, 0, GIB(1), ALL), 0);
	CHECK_EQ(pagetable_map_onto(&table, MIB(4), MIB(4), target, READ), 0);
	for (u64 address = MIB(4); address < MIB(8); address += PAGE_SIZE) {
		struct translation got = walk(&table, address + 0x123);

		CHECK_EQ(got.address, target + 0x123);
		CHECK_EQ(got.access, READ);
		CHECK_EQ(got.size, PAGE_SIZE);
	}
	check(&table, MIB(4) - 1, ALL, MIB(2));
	check(&table, MIB(8), ALL, MIB(2));
}

/* ---- Out of memory ------------------------------------------------------- */

TEST(without_memory_for_a_table_everything_stays_translated)
{
	for (size_t spare = 0; spare < 2; spare++) {
		struct pagetable table = start(4, true);

		CHECK_EQ(pagetable_map(&table, 0, GIB(2), ALL), 0);
		page_limit = page_used + spare;
		CHECK_EQ(pagetable_map(&table, GIB(1) + PAGE_SIZE, PAGE_SIZE,
				       NONE), (u64)-ENOMEM);
		check(&table, 0, ALL, GIB(1));
		check(&table, GIB(1) + PAGE_SIZE, ALL,
		      spare ? MIB(2) : GIB(1));
		check(&table, GIB(2) - 1, ALL, spare ? MIB(2) : GIB(1));
	}
}

TEST(without_memory_for_the_root_there_is_no_table)
{
	struct pagetable table = start(4, true);

	page_limit = page_used;
	CHECK_EQ(pagetable_init(&table, &format, 4, true), (u64)-ENOMEM);
}

/* ---- Random, against one access for each page ---------------------------- */

/* Windows of 1024 pages around edges where levels meet. */
#define WINDOW 1024
static const u64 windows[] = {
	0, MIB(30), GIB(1) - MIB(2), GIB(512) - MIB(2),
};
static u64 reference[ARRAY_COUNT(windows)][WINDOW];

static void map_at_random(struct pagetable *table, unsigned window)
{
	static const u64 accesses[] = { NONE, READ, ALL };
	unsigned first = rand() % WINDOW;
	unsigned count = 1 + rand() % (rand() % 4 ? 8 : WINDOW);
	u64 access = accesses[rand() % 3];

	count = MIN(count, WINDOW - first);
	CHECK_EQ(pagetable_map(table, windows[window] + first * PAGE_SIZE,
			       count * PAGE_SIZE, access), 0);
	for (unsigned i = first; i < first + count; i++)
		reference[window][i] = access;
}

static void check_window(const struct pagetable *table, unsigned window)
{
	for (unsigned i = 0; i < WINDOW; i++) {
		u64 address = windows[window] + i * PAGE_SIZE;
		struct translation got = walk(table, address);

		CHECK_EQ(got.access, reference[window][i]);
		CHECK_EQ(pagetable_lookup(table, address) & ALL, got.access);
		if (got.access)
			CHECK_EQ(got.address, address);
	}
}

TEST(what_was_mapped_last_is_what_translates)
{
	srand(1);
	for (unsigned round = 0; round < 12; round++) {
		struct pagetable table = start(4 + round % 2, round % 3);

		memset(reference, 0, sizeof(reference));
		type_boundary = round % 4 ? 0 : MIB(31) + KIB(64);
		for (unsigned step = 0; step < 200; step++) {
			unsigned window = rand() % ARRAY_COUNT(windows);

			map_at_random(&table, window);
			check_window(&table, window);
		}
		for (unsigned i = 0; i < ARRAY_COUNT(windows); i++)
			check_window(&table, i);
	}
}

/* ---- Memory types --------------------------------------------------------- */

#define TYPE BITS(5, 3)

static u64 type_below, type_above;	/* type_boundary */

static u64 type_at(u64 base)
{
	return FIELD_PREP(TYPE, base < type_boundary ? type_below : type_above);
}

static const struct slat_format typed = {
	.table = PTE_PRESENT | PTE_WRITE | PTE_USER,
	.large = PTE_LARGE,
	.present_mask = PTE_PRESENT,
	.type = type_at,
	.type_mask = TYPE,
};

static u64 type_of_leaf(const struct pagetable *table, u64 address)
{
	return FIELD_GET(TYPE, pagetable_lookup(table, address));
}

TEST(leaves_carry_their_memory_type)
{
	struct pagetable table = start(4, true);

	table.format = &typed;
	type_boundary = GIB(1) + MIB(4);
	type_below = 6;
	type_above = 0;
	CHECK_EQ(pagetable_map(&table, 0, GIB(4), ALL), 0);
	CHECK_EQ(type_of_leaf(&table, 0), 6);
	CHECK_EQ(type_of_leaf(&table, GIB(1) + MIB(4) - 1), 6);
	CHECK_EQ(type_of_leaf(&table, GIB(1) + MIB(4)), 0);
	CHECK_EQ(type_of_leaf(&table, GIB(3)), 0);
	CHECK_EQ(pagetable_map(&table, MIB(8), KIB(4), READ), 0);
	CHECK_EQ(type_of_leaf(&table, MIB(8)), 6);
	CHECK_EQ(type_of_leaf(&table, MIB(8) + KIB(4)), 6);
}

TEST(new_memory_types_change_every_leaf_and_split_what_they_cross)
{
	struct pagetable table = start(4, true);

	table.format = &typed;
	type_below = type_above = 6;
	CHECK_EQ(pagetable_map(&table, 0, GIB(4), ALL), 0);
	CHECK_EQ(pagetable_map(&table, GIB(1), KIB(4), NONE), 0);
	type_boundary = GIB(2) + KIB(4);
	type_above = 0;
	CHECK_EQ(pagetable_update_types(&table), 0);
	CHECK_EQ(type_of_leaf(&table, GIB(2)), 6);
	CHECK_EQ(type_of_leaf(&table, GIB(2) + KIB(4)), 0);
	CHECK_EQ(type_of_leaf(&table, GIB(3)), 0);
	/* What is trapped stays trapped. */
	CHECK_EQ(pagetable_lookup(&table, GIB(1)), 0);
	CHECK_EQ(pagetable_lookup(&table, GIB(2) + KIB(8)) & PTE_ADDRESS,
		 GIB(2) + KIB(8));
}

TEST(a_new_memory_type_without_pages_to_split_is_an_error)
{
	struct pagetable table = start(4, true);

	table.format = &typed;
	CHECK_EQ(pagetable_map(&table, 0, GIB(4), ALL), 0);
	page_limit = page_used;
	type_boundary = KIB(4);
	CHECK_EQ(pagetable_update_types(&table), -ENOMEM);
}
