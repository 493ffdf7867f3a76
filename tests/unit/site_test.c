/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Stores that are done again: with the real emulator behind them, which does
 * what is not the same any more, over real page tables and regions.
 */
#include <setjmp.h>
#include <string.h>

#include "../../core/x86/cpu.h"
#include "../../core/x86/emulate.h"
#include "../../core/x86/machine.h"
#include "../../core/x86/site.h"
#include "../../core/x86/slat.h"
#include "../../core/x86/smp.h"
#include "bits.h"
#include "gmem.h"
#include "spec/x86.h"
#include "test.h"

#define RAM_BASE 0x40000000ull
#define RAM_PAGES 16ull
#define TABLE(n) (RAM_BASE + (n) * PAGE_SIZE)
#define OTHER_ROOT 5		/* and three more tables */
#define CODE_PAGE 4
#define OTHER_PAGE 9
#define CODE 0xffffffff81234560ull
#define MAPPED 0x7000000ull	/* where the guest has the device, linear */
#define GS 0x5000ull

static struct cpu cpu;
static u8 ram[RAM_PAGES * PAGE_SIZE] __attribute__((aligned(4096)));
/* What is behind a page that is not trapped. */
static u8 device[4 * PAGE_SIZE] __attribute__((aligned(4096)));

/* ---- Memory --------------------------------------------------------------- */

void *gmem_map(gpa_t base, size_t size)
{
	if (base.v < RAM_BASE ||
	    !range_inside(base.v - RAM_BASE, size, sizeof(ram)))
		return NULL;
	return ram + (base.v - RAM_BASE);
}

int slat_set_access(gpa_t base, u64 size, enum slat_access access)
{
	return 0;
}

bool slat_is_hidden(gpa_t address)
{
	return false;
}

bool slat_show_ones(void)
{
	return false;
}

bool slat_fill(gpa_t address)
{
	return false;
}

u64 cpu_physical_limit(void)
{
	return 1ull << 47;
}

void smp_flush_all(void)
{
}

void smp_flush_later(void)
{
}

static u64 *entry(u64 table, unsigned level)
{
	u64 index = CODE >> (12 + 9 * level) & 0x1ff;

	return (u64 *)(ram + table * PAGE_SIZE) + index;
}

/* From `root` down through the next three tables to the page of the code. */
static void map_code(u64 root, u64 page)
{
	for (unsigned i = 0; i < 3; i++)
		*entry(root + i, 3 - i) = TABLE(root + i + 1) | PTE_PRESENT |
					  PTE_WRITE | PTE_USER;
	*entry(root + 3, 0) = TABLE(page) | PTE_PRESENT | PTE_USER;
}

/* ---- The processor -------------------------------------------------------- */

static struct vt_paging paging;
static enum insn_mode mode;
static u32 slow_count;		/* stores that took the long way */
static u32 skip_count;
static int fault_vector;

static void load_context(struct cpu *asked)
{
	slow_count++;
	asked->guest.mode = mode;
	asked->paging = paging;
}

static void load_segments(struct cpu *asked)
{
	asked->guest.segment_base[INSN_GS] = GS;
}

static bool is_64bit_under(const struct cpu *asked,
			   const struct vt_paging *then)
{
	return mode == INSN_MODE_64 && then->cr0 == paging.cr0 &&
	       then->cr3 == paging.cr3 && then->cr4 == paging.cr4 &&
	       then->efer == paging.efer && then->is_user == paging.is_user;
}

static void skip(struct cpu *asked, unsigned length)
{
	asked->guest.rip += length;
	skip_count++;
}

static void inject_exception(struct cpu *asked, u8 vector, bool has_error,
			     u32 error)
{
	fault_vector = vector;
}

static void set_page_fault_address(struct cpu *asked, u64 linear)
{
}

static const struct vt fake_vt = {
	.load_context = load_context,
	.load_segments = load_segments,
	.is_64bit_under = is_64bit_under,
	.skip = skip,
	.inject_exception = inject_exception,
	.set_page_fault_address = set_page_fault_address,
};
const struct vt *vt = &fake_vt;

static jmp_buf reset;

void machine_reset(void)
{
	longjmp(reset, 1);
}

/* ---- Trapped pages -------------------------------------------------------- */

static struct mmio_access last;
static u32 first_count, second_count;

static void first_access(struct mmio_region *region, struct mmio_access *access)
{
	last = *access;
	first_count++;
}

static void second_access(struct mmio_region *region,
			  struct mmio_access *access)
{
	last = *access;
	second_count++;
}

static struct mmio_region first = { .name = "first", .access = first_access };
static struct mmio_region second = {
	.name = "second", .access = second_access,
};

static void trap(struct mmio_region *region, u64 page, u64 count)
{
	region->base = gpa((u64)device + page * PAGE_SIZE);
	region->size = count * PAGE_SIZE;
	CHECK_EQ(mmio_register(region), 0);
}

/* ---- Running -------------------------------------------------------------- */

struct code {
	u8 bytes[LINEAR_FETCH_SIZE];
	u8 length;
};

static const struct code
	store_eax = { { 0x89, 0x03 }, 2 },		/* mov %eax, (%rbx) */
	store_ecx = { { 0x89, 0x0b }, 2 },
	store_rax = { { 0x48, 0x89, 0x03 }, 3 },
	store_ax = { { 0x66, 0x89, 0x03 }, 3 },
	store_al = { { 0x88, 0x03 }, 2 },
	store_ah = { { 0x88, 0x23 }, 2 },
	store_gs = { { 0x65, 0x89, 0x03 }, 3 },
	store_imm = { { 0xc7, 0x03, 0x78, 0x56, 0x34, 0x92 }, 6 },
	store_indexed = { { 0x89, 0x44, 0xcb, 0x04 }, 4 }, /* 4(%rbx,%rcx,8) */
	store_near = { { 0x89, 0x05, 0x9a, 0x0a, 0, 0 }, 6 }, /* at CODE+aa0 */
	store_far = { { 0x48, 0xc7, 0x84, 0xcb, 0, 1, 0, 0, /* 100h(...) */
			0x78, 0x56, 0x34, 0x12 }, 12 },
	store_at_100 = { { 0xa3, 0, 1, 0, 0, 0, 0, 0, 0 }, 9 },
	add_eax = { { 0x01, 0x03 }, 2 };

static u8 *code_in(u64 page)
{
	return ram + page * PAGE_SIZE + (CODE & PAGE_MASK);
}

static void write_code(u64 page, const struct code *code)
{
	memcpy(code_in(page), code->bytes, sizeof(code->bytes));
}

static void start(const struct code *code)
{
	memset(ram, 0, sizeof(ram));
	map_code(0, CODE_PAGE);
	map_code(OTHER_ROOT, OTHER_PAGE);
	write_code(CODE_PAGE, code);
	write_code(OTHER_PAGE, &store_ecx);
	paging = (struct vt_paging){
		.cr0 = CR0_PG | CR0_PE, .cr3 = TABLE(0), .cr4 = CR4_PAE,
		.efer = EFER_LME | EFER_LMA,
	};
	mode = INSN_MODE_64;
	memset(&cpu, 0, sizeof(cpu));
	cpu.guest.gpr[INSN_RAX] = 0x1122334455667788;
	cpu.guest.gpr[INSN_RCX] = 0x99aabbccddeeff00;
	cpu.guest.gpr[INSN_RBX] = MAPPED + 0x100;
	first_count = second_count = 0;
}

static u64 code_at = CODE;

static void exit_by(u64 page, u64 offset, struct vt_exit exit)
{
	cpu.guest.rip = code_at;
	slow_count = skip_count = 0;
	fault_vector = 0;
	exit.reason = VT_EXIT_SLAT;
	exit.slat.address = gpa((u64)device + page * PAGE_SIZE + offset);
	if (!site_execute(&cpu, &exit))
		emulate_slat_exit(&cpu, &exit);
}

static void store_at(u64 page, u64 offset)
{
	exit_by(page, offset, (struct vt_exit){
		.slat = { .is_write = true },
	});
}

static void check_done(unsigned length, u64 offset, u64 value)
{
	CHECK_EQ(fault_vector, 0);
	CHECK_EQ(skip_count, 1);
	CHECK_EQ(cpu.guest.rip, code_at + length);
	CHECK_EQ(last.offset, offset);
	CHECK_EQ(last.value, value);
	CHECK(last.is_write);
}

/* By the site that was kept, or as if there were none. */
static void check_again(const struct code *code, u64 value)
{
	store_at(0, 0x100);
	check_done(code->length, 0x100, value);
	CHECK_EQ(slow_count, 0);
}

static void check_anew(unsigned length, u64 value)
{
	store_at(0, 0x100);
	check_done(length, 0x100, value);
	CHECK_EQ(slow_count, 1);
}

/* A site is there, and works. */
static void keep(const struct code *code, u64 value)
{
	start(code);
	if (first.base.v)
		mmio_unregister(&first);
	trap(&first, 0, 1);
	check_anew(code->length, value);
	check_again(code, value);
}

#define EAX 0x55667788
#define ECX 0xddeeff00

/* ---- The same again ------------------------------------------------------- */

TEST(a_store_is_done_again_with_the_registers_of_today)
{
	keep(&store_eax, EAX);
	cpu.guest.gpr[INSN_RAX] = 0xffffffff00000009;
	check_again(&store_eax, 9);
	cpu.guest.gpr[INSN_RBX] += 8;
	store_at(0, 0x108);
	check_done(2, 0x108, 9);
	CHECK_EQ(slow_count, 0);
	CHECK_EQ(last.size, 4);
}

TEST(only_what_is_stored_of_a_register_gets_there)
{
	keep(&store_rax, 0x1122334455667788);
	CHECK_EQ(last.size, 8);
	keep(&store_ax, 0x7788);
	CHECK_EQ(last.size, 2);
	keep(&store_al, 0x88);
	CHECK_EQ(last.size, 1);
}

TEST(a_constant_is_stored_whatever_the_registers_are)
{
	keep(&store_imm, 0x92345678);
}

TEST(an_address_may_have_an_index_or_be_near_the_code)
{
	start(&store_indexed);
	trap(&first, 0, 1);
	cpu.guest.gpr[INSN_RBX] = MAPPED;
	for (u64 i = 0; i < 4; i++) {
		cpu.guest.gpr[INSN_RCX] = i;
		store_at(0, 4 + 8 * i);
		check_done(4, 4 + 8 * i, EAX);
		CHECK_EQ(slow_count, !i);
	}
	start(&store_near);
	for (u32 i = 0; i < 2; i++) {
		store_at(0, 0);
		check_done(6, 0, EAX);
		CHECK_EQ(slow_count, !i);
	}
}

TEST(each_address_space_has_its_own)
{
	keep(&store_eax, EAX);
	paging.cr3 = TABLE(OTHER_ROOT);
	check_anew(2, ECX);
	for (u32 i = 0; i < 3; i++) {
		paging.cr3 = TABLE(0);
		check_again(&store_eax, EAX);
		paging.cr3 = TABLE(OTHER_ROOT);
		check_again(&store_ecx, ECX);
	}
}

TEST(each_place_has_its_own)
{
	keep(&store_eax, EAX);
	memcpy(code_in(CODE_PAGE) + 0x20, store_ecx.bytes, 2);
	code_at = CODE + 0x20;
	check_anew(2, ECX);
	for (u32 i = 0; i < 3; i++) {
		code_at = CODE;
		check_again(&store_eax, EAX);
		code_at = CODE + 0x20;
		check_again(&store_ecx, ECX);
	}
}

/* In turns, in `count` address spaces from `first`; how many were known? */
static u32 run_spaces(u64 first, u32 count)
{
	u32 known_count = 0;

	for (u32 i = 0; i < 100; i++) {
		paging.cr3 = TABLE(0) | (first + i % count);
		store_at(0, 0x100);
		check_done(2, 0x100, EAX);
		known_count += !slow_count;
	}
	return known_count;
}

TEST(of_more_than_there_is_room_for_most_stay)
{
	start(&store_eax);
	trap(&first, 0, 1);
	CHECK_EQ(run_spaces(0, SITE_COUNT), 100 - SITE_COUNT);
	CHECK(run_spaces(0, SITE_COUNT + 3) > 50);
}

TEST(those_that_are_not_met_any_more_make_room)
{
	start(&store_eax);
	trap(&first, 0, 1);
	run_spaces(0, SITE_COUNT);
	for (u32 i = 0; i < 2; i++)
		run_spaces(SITE_COUNT, SITE_COUNT);
	CHECK_EQ(run_spaces(SITE_COUNT, SITE_COUNT), 100);
}

/* ---- What is different is found out ---------------------------------------- */

TEST(code_that_has_changed_is_decoded)
{
	keep(&store_eax, EAX);
	write_code(CODE_PAGE, &store_ecx);
	check_anew(2, ECX);
	check_again(&store_ecx, ECX);
	/* In its last byte. */
	keep(&store_imm, 0x92345678);
	code_in(CODE_PAGE)[5] = 0x12;
	check_anew(6, 0x12345678);
	start(&store_far);
	cpu.guest.gpr[INSN_RBX] = cpu.guest.gpr[INSN_RCX] = 0;
	check_anew(12, 0x12345678);
	check_again(&store_far, 0x12345678);
	code_in(CODE_PAGE)[11] = 0x72;
	check_anew(12, 0x72345678);
	/* To what is no store. */
	keep(&store_eax, EAX);
	write_code(CODE_PAGE, &add_eax);
	last.value = 1;
	store_at(0, 0x100);
	CHECK_EQ(slow_count, 1);
	CHECK_EQ(last.value, EAX);
	CHECK_EQ(first_count, 4);	/* it has read, too */
}

TEST(each_entry_on_the_way_to_the_code_may_have_changed)
{
	for (unsigned level = 0; level < 4; level++) {
		keep(&store_eax, EAX);
		*entry(3 - level, level) = *entry(OTHER_ROOT + 3 - level,
						  level);
		check_anew(2, ECX);
		check_again(&store_ecx, ECX);
	}
}

TEST(code_that_is_not_mapped_any_more_is_not_executed)
{
	keep(&store_eax, EAX);
	*entry(3, 0) &= ~PTE_PRESENT;
	store_at(0, 0x100);
	CHECK_EQ(fault_vector, VECTOR_PF);
	CHECK_EQ(first_count, 2);
}

TEST(code_that_is_not_a_users_any_more_is_not_executed)
{
	keep(&store_eax, EAX);
	paging.is_user = true;
	check_anew(2, EAX);
	check_again(&store_eax, EAX);
	*entry(3, 0) &= ~PTE_USER;
	store_at(0, 0x100);
	CHECK_EQ(fault_vector, VECTOR_PF);
	CHECK_EQ(first_count, 4);
}

TEST(any_other_paging_is_walked)
{
	keep(&store_eax, EAX);
	paging.cr3 = TABLE(OTHER_ROOT);
	check_anew(2, ECX);
	keep(&store_eax, EAX);
	paging.cr0 |= CR0_WP;
	check_anew(2, EAX);
	keep(&store_eax, EAX);
	paging.cr4 |= CR4_PSE;
	check_anew(2, EAX);
	keep(&store_eax, EAX);
	paging.efer |= EFER_NXE;
	check_anew(2, EAX);
	keep(&store_eax, EAX);
	paging.is_user = true;
	check_anew(2, EAX);
}

TEST(other_modes_are_the_emulators)
{
	static const enum insn_mode modes[] = { INSN_MODE_16, INSN_MODE_32 };

	for (size_t i = 0; i < ARRAY_COUNT(modes); i++) {
		keep(&store_rax, 0x1122334455667788);
		mode = modes[i];
		store_at(0, 0x100);
		CHECK_EQ(slow_count, 1);
		CHECK(last.value != 0x1122334455667788 || !skip_count);
	}
}

/* The same bytes are four more of a longer instruction. */
TEST(what_another_mode_has_done_is_not_done_again)
{
	start(&store_at_100);
	trap(&first, 0, 1);
	mode = INSN_MODE_32;
	check_anew(5, EAX);
	mode = INSN_MODE_64;
	check_anew(9, EAX);
}

TEST(a_region_that_has_gone_is_not_written_to)
{
	keep(&store_eax, EAX);
	mmio_unregister(&first);
	first.base = gpa(0);
	memset(device, 0, sizeof(device));
	store_at(0, 0x100);
	CHECK_EQ(slow_count, 1);
	CHECK_EQ(first_count, 2);
	CHECK_EQ(*(u32 *)(device + 0x100), EAX);
}

TEST(a_region_in_its_place_gets_it)
{
	keep(&store_eax, EAX);
	mmio_unregister(&first);
	trap(&first, 2, 1);
	trap(&second, 0, 1);
	check_anew(2, EAX);
	CHECK_EQ(first_count, 2);
	CHECK_EQ(second_count, 1);
	check_again(&store_eax, EAX);
	CHECK_EQ(second_count, 2);
	store_at(2, 0x100);
	CHECK_EQ(first_count, 3);
}

TEST(a_page_that_is_not_trapped_for_a_while_is_the_devices)
{
	keep(&store_eax, EAX);
	mmio_set_traps(&first, MMIO_TRAPS_NOTHING);
	memset(device, 0, sizeof(device));
	store_at(0, 0x100);
	CHECK_EQ(first_count, 2);
	CHECK_EQ(*(u32 *)(device + 0x100), EAX);
	mmio_set_traps(&first, MMIO_TRAPS_WRITES);
	check_again(&store_eax, EAX);
}

TEST(another_page_has_its_own_offset)
{
	start(&store_eax);
	trap(&first, 0, 2);
	check_anew(2, EAX);
	store_at(1, 0x100);
	CHECK_EQ(slow_count, 1);
	check_done(2, PAGE_SIZE + 0x100, EAX);
	store_at(1, 0x100);
	CHECK_EQ(slow_count, 0);
	check_done(2, PAGE_SIZE + 0x100, EAX);
}

TEST(an_operand_elsewhere_in_the_page_is_translated)
{
	keep(&store_eax, EAX);
	cpu.guest.gpr[INSN_RBX] += 4;
	store_at(0, 0x100);
	CHECK_EQ(slow_count, 1);
	CHECK_EQ(first_count, 2);
	CHECK_EQ(fault_vector, VECTOR_PF);	/* it is mapped nowhere */
}

/* The processor has translated one page of the two. */
TEST(a_store_that_leaves_its_page_is_the_emulators)
{
	keep(&store_eax, EAX);
	cpu.guest.gpr[INSN_RBX] = MAPPED + PAGE_SIZE - 3;
	store_at(0, PAGE_SIZE - 3);
	CHECK_EQ(slow_count, 1);
	CHECK_EQ(first_count, 2);
	cpu.guest.gpr[INSN_RBX]--;
	store_at(0, PAGE_SIZE - 4);
	CHECK_EQ(slow_count, 0);
	check_done(2, PAGE_SIZE - 4, EAX);
}

static void exit_or_reset(struct vt_exit exit)
{
	if (!setjmp(reset))
		exit_by(0, 0x100, exit);
}

TEST(what_is_no_store_of_the_instructions_is_not_done)
{
	static const struct vt_exit exits[] = {
		{ .slat = { .is_write = false } },
		{ .slat = { .is_write = true, .whose = VT_ACCESS_WALK } },
		{ .slat = { .is_write = true, .whose = VT_ACCESS_DELIVERY } },
	};

	for (size_t i = 0; i < ARRAY_COUNT(exits); i++) {
		keep(&store_eax, EAX);
		exit_or_reset(exits[i]);
		CHECK_EQ(first_count, 2);
	}
}

/* ---- What is not kept ------------------------------------------------------ */

static void check_not_kept(const struct code *code, u64 offset, u64 value)
{
	start(code);
	for (u32 i = 0; i < 2; i++) {
		store_at(0, offset);
		check_done(code->length, offset, value);
		CHECK_EQ(slow_count, 1);
	}
}

TEST(a_segments_base_is_asked_for_each_time)
{
	trap(&first, 0, 1);
	check_not_kept(&store_gs, 0x100, EAX);
}

TEST(the_upper_half_of_a_word_is_the_emulators)
{
	trap(&first, 0, 1);
	check_not_kept(&store_ah, 0x100, 0x77);
}

TEST(code_across_two_pages_is_the_emulators)
{
	struct vt_exit exit = {
		.slat = { .address = gpa((u64)device + 0x100),
			  .is_write = true },
	};

	start(&store_eax);
	trap(&first, 0, 1);
	for (u32 i = 0; i < 2; i++) {
		memcpy(ram + (CODE_PAGE + 1) * PAGE_SIZE - 2, store_eax.bytes,
		       2);
		cpu.guest.rip = align_down(CODE, PAGE_SIZE) + PAGE_SIZE - 2;
		CHECK(!site_execute(&cpu, &exit));
		emulate_slat_exit(&cpu, &exit);
	}
	CHECK_EQ(first_count, 2);
}
