/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The guest's page tables in 4 MiB of make-believe RAM at 1 GiB, walked in
 * every paging mode; and tables that a hostile guest would make.
 */
#include <errno.h>
#include <string.h>

#include "../../core/x86/cpu.h"
#include "../../core/x86/linear.h"
#include "bits.h"
#include "gmem.h"
#include "spec/x86.h"
#include "test.h"
#include "vt.h"

#define RAM_BASE 0x40000000ull
#define RAM_SIZE 0x400000ull
#define ROOT RAM_BASE
#define TABLE(n) (RAM_BASE + (n) * PAGE_SIZE)

#define P PTE_PRESENT
#define RW (PTE_PRESENT | PTE_WRITE)
#define US (PTE_PRESENT | PTE_USER)
#define RWU (PTE_PRESENT | PTE_WRITE | PTE_USER)
#define PS PTE_LARGE

static u8 ram[RAM_SIZE] __attribute__((aligned(4096)));
static struct cpu cpu;
static struct vt_paging *const paging = &cpu.paging;

/* ---- What the walk stands on --------------------------------------------- */

static u32 map_count;		/* entries that were looked for */

void *gmem_map(gpa_t base, size_t size)
{
	map_count++;
	if (base.v < RAM_BASE ||
	    !range_inside(base.v - RAM_BASE, size, RAM_SIZE))
		return NULL;
	return ram + (base.v - RAM_BASE);
}

int gmem_read(void *to, gpa_t from, size_t size)
{
	const void *memory = gmem_map(from, size);

	if (!memory)
		return -EFAULT;
	memcpy(to, memory, size);
	return 0;
}

/* ---- Building tables ----------------------------------------------------- */

enum mode { FOUR_LEVELS, FIVE_LEVELS, PAE, LEGACY, LEGACY_PSE, OFF };

static const struct vt_paging modes[] = {
	[FOUR_LEVELS] = { CR0_PG | CR0_PE, ROOT, CR4_PAE, EFER_LME | EFER_LMA,
			  false },
	[FIVE_LEVELS] = { CR0_PG | CR0_PE, ROOT, CR4_PAE | CR4_LA57,
			  EFER_LME | EFER_LMA, false },
	[PAE] = { CR0_PG | CR0_PE, ROOT, CR4_PAE, 0, false },
	[LEGACY] = { CR0_PG | CR0_PE, ROOT, 0, 0, false },
	[LEGACY_PSE] = { CR0_PG | CR0_PE, ROOT, CR4_PSE, 0, false },
	[OFF] = { CR0_PE, ROOT, CR4_PAE, 0, false },
};

static void start(enum mode mode)
{
	memset(ram, 0, sizeof(ram));
	*paging = modes[mode];
}

static void put(u64 address, u64 entry, unsigned size)
{
	CHECK(address >= RAM_BASE &&
	      range_inside(address - RAM_BASE, size, RAM_SIZE));
	memcpy(ram + (address - RAM_BASE), &entry, size);
}

/*
 * `entries` from the root down; each but the last is completed with the
 * address of the next table. Entry size and index bits are the mode's.
 */
static void build(enum mode mode, u64 linear, const u64 *entries,
		  unsigned count)
{
	bool is_legacy = mode == LEGACY || mode == LEGACY_PSE;
	unsigned bits = is_legacy ? 10 : 9;
	static const unsigned levels[] = { 4, 5, 3, 2, 2 };

	if (mode >= PAE)
		linear = (u32)linear;
	for (unsigned i = 0; i < count; i++) {
		unsigned shift = 12 + bits * (levels[mode] - 1 - i);
		u64 index = linear >> shift & (BIT(bits) - 1);
		u64 entry = entries[i];

		if (i + 1 < count && (entry & P))
			entry |= TABLE(i + 1);
		put(TABLE(i) + index * (is_legacy ? 4 : 8), entry,
		    is_legacy ? 4 : 8);
	}
}

/* ---- Where it leads ------------------------------------------------------ */

static const struct {
	enum mode mode;
	u64 linear;
	unsigned count;
	u64 entries[5];
	u64 expected;
} translations[] = {
	{ FOUR_LEVELS, 0x7f8012345678, 4, { RW, RW, RW, 0x12345000 | RW },
	  0x12345678 },
	{ FOUR_LEVELS, 0xffffffff81234567, 3,
	  { RW, RW, 0x7000200000 | RW | PS }, 0x7000234567 },
	{ FOUR_LEVELS, 0xffff888052345678, 2, { RW, 0x40000000 | RW | PS },
	  0x52345678 },
	/* PAT of a large page is bit 12, not an address. */
	{ FOUR_LEVELS, 0x201234, 3, { RW, RW, 0x600000 | BIT(12) | RW | PS },
	  0x601234 },
	/* Bits 63:52 are NX, keys and the system's own. */
	{ FOUR_LEVELS, 0x1000, 4,
	  { RW, RW, RW, BITS(63, 52) | 0xabcde000 | RW }, 0xabcde000 },
	/* PAT of a small page is where PS is. */
	{ FOUR_LEVELS, 0x1abc, 4, { RW, RW, RW, 0x5000 | RW | PS }, 0x5abc },
	{ FIVE_LEVELS, 0x00ff7f8012345678, 5,
	  { RW, RW, RW, RW, 0xfffffffff000 | RW }, 0xfffffffff678 },
	{ FIVE_LEVELS, 0xff00000040000000, 3,
	  { RW, RW, 0x80000000 | RW | PS }, 0x80000000 },
	{ PAE, 0xc0123456, 3, { P, RW, 0x123456000 | RW }, 0x123456456 },
	{ PAE, 0xc0323456, 2, { P, 0xf00200000 | RW | PS }, 0xf00323456 },
	/* Only 32 bits of an address exist outside long mode. */
	{ PAE, 0xffffffff80000123, 3, { P, RW, 0x1000 | RW }, 0x1123 },
	{ LEGACY, 0x80403abc, 2, { RW, 0xfffff000 | RW }, 0xfffffabc },
	/* Without CR4.PSE that bit means nothing. */
	{ LEGACY, 0x80403abc, 2, { RW | PS, 0x9000 | RW }, 0x9abc },
	{ LEGACY_PSE, 0x80403abc, 2, { RW, 0x8000 | RW }, 0x8abc },
	{ LEGACY_PSE, 0xc05abcde, 1, { 0x12c00000 | RW | PS }, 0x12dabcde },
	/* Bits 20:13 of a 4 MiB page are bits 39:32 of its address. */
	{ LEGACY_PSE, 0xc03abcde, 1, { 0x400000 | 0xa5 << 13 | RW | PS },
	  0xa5007abcde },
	{ OFF, 0xfee00300, 0, { 0 }, 0xfee00300 },
	{ OFF, 0x1234567800000010, 0, { 0 }, 0x10 },
};

TEST(every_paging_mode_leads_where_the_processor_goes)
{
	struct linear_fault fault;
	gpa_t out;

	for (size_t i = 0; i < ARRAY_COUNT(translations); i++) {
		start(translations[i].mode);
		build(translations[i].mode, translations[i].linear,
		      translations[i].entries, translations[i].count);
		CHECK_EQ(linear_translate(&cpu, translations[i].linear, true,
					  &out, &fault), 0);
		CHECK_EQ(out.v, translations[i].expected);
	}
}

/* PWT and PCD of CR3, and in long mode a PCID, are no part of the address. */
TEST(the_low_bits_of_cr3_are_not_the_tables_address)
{
	static const u64 leaf[] = { RW, RW, RW, 0x5000 | RW };
	struct linear_fault fault;
	gpa_t out;

	start(FOUR_LEVELS);
	build(FOUR_LEVELS, 0x1000, leaf, 4);
	paging->cr3 |= 0xfff | BIT(63);
	CHECK_EQ(linear_translate(&cpu, 0x1000, false, &out, &fault), 0);
	CHECK_EQ(out.v, 0x5000);
}

/* The four pointers of PAE lie anywhere in a page, 32-byte aligned. */
TEST(the_pointers_of_pae_need_no_page_of_their_own)
{
	struct linear_fault fault;
	gpa_t out;

	start(PAE);
	paging->cr3 = ROOT + 0xfe0;
	put(ROOT + 0xfe0 + 3 * 8, TABLE(1) | P, 8);
	put(TABLE(1), 0x200000 | RW | PS, 8);
	CHECK_EQ(linear_translate(&cpu, 0xc0000042, true, &out, &fault), 0);
	CHECK_EQ(out.v, 0x200042);
}

/* ---- Permissions --------------------------------------------------------- */

#define ALLOWED 0xffff

static const struct {
	enum mode mode;
	unsigned count;
	u64 entries[4];
	bool is_user, is_write, write_protect;
	u32 error;		/* or ALLOWED */
} permissions[] = {
	{ FOUR_LEVELS, 4, { RWU, RWU, RWU, RWU }, 1, 1, 1, ALLOWED },
	{ FOUR_LEVELS, 4, { RWU, RWU, RWU, US }, 1, 0, 1, ALLOWED },
	{ FOUR_LEVELS, 4, { RWU, RWU, RWU, US }, 1, 1, 0,
	  PF_PRESENT | PF_WRITE | PF_USER },
	{ FOUR_LEVELS, 4, { RWU, RWU, RWU, US }, 0, 1, 0, ALLOWED },
	{ FOUR_LEVELS, 4, { RWU, RWU, RWU, US }, 0, 1, 1,
	  PF_PRESENT | PF_WRITE },
	{ FOUR_LEVELS, 4, { RWU, RWU, RWU, RW }, 1, 0, 1,
	  PF_PRESENT | PF_USER },
	{ FOUR_LEVELS, 4, { RWU, RWU, RWU, RW }, 0, 1, 1, ALLOWED },
	/* The strictest level decides. */
	{ FOUR_LEVELS, 4, { RW, RWU, RWU, RWU }, 1, 0, 1,
	  PF_PRESENT | PF_USER },
	{ FOUR_LEVELS, 4, { RWU, US, RWU, RWU }, 0, 1, 1,
	  PF_PRESENT | PF_WRITE },
	{ FOUR_LEVELS, 3, { RWU, RWU, US | PS }, 1, 1, 1,
	  PF_PRESENT | PF_WRITE | PF_USER },
	/* Not present, on any level. */
	{ FOUR_LEVELS, 4, { RWU, RWU, RWU, RWU & ~P }, 0, 0, 1, 0 },
	{ FOUR_LEVELS, 4, { RWU, RWU, RWU, RWU & ~P }, 1, 1, 1,
	  PF_WRITE | PF_USER },
	{ FOUR_LEVELS, 1, { 0 }, 0, 1, 1, PF_WRITE },
	{ FOUR_LEVELS, 2, { RWU, 0 }, 1, 0, 1, PF_USER },
	{ FOUR_LEVELS, 3, { RWU, RWU, 0 }, 0, 0, 1, 0 },
	{ FIVE_LEVELS, 1, { 0 }, 0, 0, 1, 0 },
	/* Pointers of PAE have no permissions. */
	{ PAE, 3, { P, RWU, RWU }, 1, 1, 1, ALLOWED },
	{ PAE, 3, { P, US, RWU }, 1, 1, 1, PF_PRESENT | PF_WRITE | PF_USER },
	{ PAE, 1, { 0 }, 0, 0, 0, 0 },
	{ LEGACY, 2, { RW, RWU }, 1, 0, 0, PF_PRESENT | PF_USER },
	{ LEGACY, 2, { US, RWU }, 0, 1, 0, ALLOWED },
	{ LEGACY, 2, { US, RWU }, 0, 1, 1, PF_PRESENT | PF_WRITE },
	{ LEGACY_PSE, 1, { US | PS }, 1, 1, 0,
	  PF_PRESENT | PF_WRITE | PF_USER },
};

TEST(permissions_and_error_codes_are_the_processors)
{
	for (size_t i = 0; i < ARRAY_COUNT(permissions); i++) {
		struct linear_fault fault = { 0, 0xdead };
		u64 linear = 0x1234;
		gpa_t out;
		int error;

		start(permissions[i].mode);
		build(permissions[i].mode, linear, permissions[i].entries,
		      permissions[i].count);
		paging->is_user = permissions[i].is_user;
		if (permissions[i].write_protect)
			paging->cr0 |= CR0_WP;
		error = linear_translate(&cpu, linear, permissions[i].is_write,
					 &out, &fault);
		if (permissions[i].error == ALLOWED) {
			CHECK_EQ(error, 0);
			continue;
		}
		CHECK_EQ(error, (u64)-EFAULT);
		CHECK_EQ(fault.error, permissions[i].error);
		CHECK_EQ(fault.address, linear);
	}
}

/* ---- Hostile ------------------------------------------------------------- */

/* Beyond RAM, just before and at its end, and where additions would wrap. */
static const u64 nowhere[] = {
	0, RAM_BASE - PAGE_SIZE, RAM_BASE + RAM_SIZE, 0xffffffffff000,
	0xfee00000,
};

TEST(tables_outside_of_ram_end_the_walk_with_a_fault)
{
	struct linear_fault fault;
	gpa_t out;

	for (size_t i = 0; i < ARRAY_COUNT(nowhere); i++) {
		for (unsigned level = 0; level < 4; level++) {
			static const u64 path[] = { RW, RW, RW, 0x5000 | RW };
			u64 at = TABLE(level - 1);

			start(FOUR_LEVELS);
			build(FOUR_LEVELS, 0, path, 4);
			if (level)
				put(at, nowhere[i] | RW, 8);
			else
				paging->cr3 = nowhere[i];
			CHECK_EQ(linear_translate(&cpu, 0, true, &out, &fault),
				 (u64)-EFAULT);
			CHECK_EQ(fault.error, PF_WRITE);
		}
	}
}

TEST(a_table_that_is_its_own_entry_ends_like_any_other)
{
	struct linear_fault fault;
	gpa_t out;

	start(FIVE_LEVELS);
	put(ROOT, ROOT | RW, 8);
	CHECK_EQ(linear_translate(&cpu, 0x123, true, &out, &fault), 0);
	CHECK_EQ(out.v, ROOT + 0x123);
}

static u64 random_bits(void)
{
	return (u64)rand() << 33 ^ (u64)rand() << 12 ^ rand();
}

/* Noise, with an entry now and then that leads on. */
static void build_noise(void)
{
	for (u64 at = ROOT; at < TABLE(16); at += 8)
		put(at, random_bits(), 8);
	for (u64 at = ROOT; at < TABLE(16); at += 64)
		put(at, TABLE(rand() % 16) | RWU, 8);
}

TEST(tables_of_random_bits_never_lead_outside_of_52_bits)
{
	unsigned translated_count = 0;
	struct linear_fault fault;
	gpa_t out;

	srand(1);
	for (unsigned step = 0; step < 100000; step++) {
		if (step % 1000 == 0)
			build_noise();
		*paging = modes[rand() % OFF];
		paging->is_user = rand() & 1;
		if (linear_translate(&cpu, random_bits(), rand() & 1, &out,
				     &fault))
			continue;
		CHECK(out.v < BIT(52));
		translated_count++;
	}
	CHECK(translated_count > 1000);
}

/* ---- Walks that are kept ------------------------------------------------- */

static const u64 kept_path[] = { RW, RW, RW, 0x5000 | RW };

static u64 translate(u64 linear)
{
	struct linear_fault fault;
	gpa_t out;

	CHECK_EQ(linear_translate(&cpu, linear, false, &out, &fault), 0);
	return out.v;
}

static void start_kept(void)
{
	start(FOUR_LEVELS);
	build(FOUR_LEVELS, 0x1000, kept_path, 4);
	CHECK_EQ(translate(0x1000), 0x5000);
	map_count = 0;
}

TEST(a_walk_is_kept_for_its_whole_page)
{
	start_kept();
	CHECK_EQ(translate(0x1ff8), 0x5ff8);
	CHECK_EQ(translate(0x1000), 0x5000);
	CHECK_EQ(map_count, 0);
}

TEST(a_kept_walk_still_asks_who_may)
{
	struct linear_fault fault;
	gpa_t out;

	start_kept();
	put(TABLE(3) + 8, 0x5000 | P, 8);
	CHECK_EQ(translate(0x1000), 0x5000);
	CHECK_EQ(linear_translate(&cpu, 0x1008, true, &out, &fault), 0);
	paging->cr0 |= CR0_WP;
	CHECK_EQ(linear_translate(&cpu, 0x1008, true, &out, &fault),
		 (u64)-EFAULT);
	CHECK_EQ(fault.error, PF_PRESENT | PF_WRITE);
	CHECK_EQ(fault.address, 0x1008);
	paging->is_user = true;
	CHECK_EQ(linear_translate(&cpu, 0x1010, false, &out, &fault),
		 (u64)-EFAULT);
	CHECK_EQ(fault.error, PF_PRESENT | PF_USER);
}

TEST(an_entry_that_has_changed_is_followed_on_every_level)
{
	struct linear_fault fault;
	gpa_t out;

	for (unsigned level = 0; level < 4; level++) {
		u64 at = TABLE(level) + (level == 3 ? 8 : 0);

		start_kept();
		put(at, TABLE(8) | RW, 8);
		put(TABLE(8), TABLE(9) | RW, 8);
		put(TABLE(9), TABLE(10) | RW, 8);
		for (unsigned i = 8; i < 11; i++)
			put(TABLE(i) + 8, (0x1000 * i) | RW, 8);
		CHECK_EQ(translate(0x1000), level == 3 ? TABLE(8)
						       : 0x1000 * (10 - level));
		put(at, 0, 8);
		CHECK_EQ(linear_translate(&cpu, 0x1000, false, &out, &fault),
			 (u64)-EFAULT);
	}
}

TEST(another_root_is_another_walk)
{
	start_kept();
	paging->cr3 = TABLE(8);
	put(TABLE(8), TABLE(9) | RW, 8);
	put(TABLE(9), 0x40000000 | RW | PS, 8);
	CHECK_EQ(translate(0x1000), 0x40001000);
	*paging = modes[OFF];
	CHECK_EQ(translate(0x1000), 0x1000);
	*paging = modes[FOUR_LEVELS];
	CHECK_EQ(translate(0x1000), 0x5000);
}

TEST(two_pages_in_one_place_are_not_mixed_up)
{
	start_kept();
	put(TABLE(3) + 8 + 8 * LINEAR_WALKS, 0x6000 | RW, 8);
	for (unsigned i = 0; i < 2; i++) {
		CHECK_EQ(translate(0x1008 + LINEAR_WALKS * PAGE_SIZE), 0x6008);
		CHECK_EQ(translate(0x1008), 0x5008);
	}
}

/* What the walks that are kept make of it, and none. True: one was used. */
static bool check_same(u64 linear, bool is_write)
{
	u32 count = map_count;
	struct linear_walk kept[LINEAR_WALKS];
	struct linear_fault fault = { 0 }, other_fault = { 0 };
	gpa_t out = { 0 }, other = { 0 };
	int error = linear_translate(&cpu, linear, is_write, &out, &fault);
	bool is_kept = !error && map_count == count;

	memcpy(kept, cpu.walks, sizeof(kept));
	memset(cpu.walks, 0, sizeof(kept));
	CHECK_EQ(linear_translate(&cpu, linear, is_write, &other, &other_fault),
		 error);
	memcpy(cpu.walks, kept, sizeof(kept));
	CHECK_EQ(out.v, other.v);
	if (error)
		CHECK_EQ(fault.error, other_fault.error);
	return is_kept;
}

TEST(a_kept_walk_leads_where_a_new_one_does)
{
	unsigned kept_count = 0;

	start(FOUR_LEVELS);
	srand(2);
	for (unsigned step = 0; step < 100000; step++) {
		if (step % 5000 == 0)
			build_noise();
		if (step % 64 == 0)
			*paging = modes[rand() % OFF];
		if (step % 16 == 0)
			paging->cr3 = TABLE(rand() % 2);
		paging->is_user = rand() & 1;
		put(TABLE(rand() % 16) + rand() % 4 * 64,
		    TABLE(rand() % 16) | (rand() % 16 ? RWU : 0), 8);
		kept_count += check_same((u64)(rand() % 4) * 8 << 12,
					 rand() & 1);
	}
	CHECK(kept_count > 1000);
}

/* ---- Fetching code ------------------------------------------------------- */

/* Two pages next to each other, far apart in memory. */
static void build_code(u64 linear, bool has_second)
{
	static const u64 first[] = { RW, RW, RW, TABLE(8) | RW };
	u64 second = linear + PAGE_SIZE;

	start(FOUR_LEVELS);
	build(FOUR_LEVELS, linear, first, 4);
	if (has_second)
		put(TABLE(3) + (second >> 12 & 511) * 8, TABLE(40) | RW, 8);
	memset(ram + 8 * PAGE_SIZE, 0x11, PAGE_SIZE);
	memset(ram + 40 * PAGE_SIZE, 0x22, PAGE_SIZE);
}

static size_t fetch(u64 base, u64 rip, u8 bytes[LINEAR_FETCH_SIZE])
{
	memset(bytes, 0, LINEAR_FETCH_SIZE);
	cpu.guest.segment_base[INSN_CS] = base;
	cpu.guest.rip = rip;
	return linear_fetch(&cpu, bytes);
}

static struct linear_walk kept;

static bool walk_code(u64 rip)
{
	cpu.guest.segment_base[INSN_CS] = 0;
	cpu.guest.rip = rip;
	return linear_walk_code(&cpu, &kept);
}

TEST(an_instruction_across_two_pages_is_fetched_from_both)
{
	u8 bytes[LINEAR_FETCH_SIZE];

	build_code(0x401000, true);
	CHECK_EQ(fetch(0, 0x401ffb, bytes), LINEAR_FETCH_SIZE);
	for (unsigned i = 0; i < LINEAR_FETCH_SIZE; i++)
		CHECK_EQ(bytes[i], i < 5 ? 0x11 : 0x22);
	CHECK_EQ(fetch(0x400000, 0x1ff0, bytes), LINEAR_FETCH_SIZE);
	CHECK_EQ(bytes[15], 0x11);
}

TEST(what_the_next_page_does_not_give_is_not_fetched)
{
	u8 bytes[LINEAR_FETCH_SIZE];

	build_code(0x401000, false);
	CHECK_EQ(fetch(0, 0x401ffb, bytes), 5);
	CHECK_EQ(bytes[4], 0x11);
	CHECK_EQ(bytes[5], 0);
	CHECK_EQ(fetch(0, 0x402000, bytes), 0);
}

TEST(code_outside_of_ram_is_not_fetched)
{
	static const u64 outside[] = { RW, RW, RW, 0xfee00000 | RW };
	u8 bytes[LINEAR_FETCH_SIZE];

	start(FOUR_LEVELS);
	build(FOUR_LEVELS, 0x401000, outside, 4);
	CHECK_EQ(fetch(0, 0x401ff8, bytes), 0);
	CHECK_EQ(fetch(0, 0x401000, bytes), 0);
	CHECK(!walk_code(0x401000));
}

/* ---- Walks to code, for later -------------------------------------------- */

TEST(a_walk_to_code_is_true_until_an_entry_changes)
{
	build_code(0x401000, false);
	CHECK(walk_code(0x401234));
	CHECK(kept.memory == ram + 8 * PAGE_SIZE);
	CHECK_EQ(kept.paging.cr3, ROOT);
	for (unsigned i = 0; i < 4; i++) {
		CHECK(linear_is_same(&kept));
		memset(ram + i * PAGE_SIZE, 0, PAGE_SIZE);
		CHECK(!linear_is_same(&kept));
		build_code(0x401000, false);
	}
}

TEST(code_that_one_walk_does_not_reach_is_not_kept)
{
	static const u64 legacy[] = { RW, TABLE(8) | RW };

	build_code(0x401000, true);
	CHECK(walk_code(0x401ff0));
	CHECK(!walk_code(0x401ff1));
	CHECK(!walk_code(0x403000));
	paging->is_user = true;
	CHECK(!walk_code(0x401ff0));
	/* Half a word is never looked at again. */
	start(LEGACY);
	build(LEGACY, 0x401000, legacy, 2);
	CHECK(!walk_code(0x401000));
}
