/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Accesses to the trapped region, and what of an instruction or of its page
 * tables has changed since it was executed the last time.
 */
#include <string.h>

#include "spec/x86.h"
#include "window.h"

#define DATA 0		/* window pages: where the operand is, */
#define CODE 4		/* and the instruction, each two of them */

static u8 code[2][4096] __attribute__((aligned(4096)));
static u8 memory[4096] __attribute__((aligned(4096)));

static u8 *data(u32 offset)
{
	return WINDOW + DATA * PAGE_SIZE + offset;
}

static u32 shown(u32 offset)
{
	u32 value;

	memcpy(&value, window_backing() + offset, sizeof(value));
	return value;
}

/* The region's pages, and code that can be changed and run. */
static bool open(void)
{
	if (!window_open())
		return false;
	for (unsigned i = 0; i < 2; i++) {
		window_map(DATA + i, window_region(i), WINDOW_WRITABLE);
		window_map(CODE + i, (u64)code[i], WINDOW_WRITABLE);
	}
	memset(code, 0xcc, sizeof(code));
	return true;
}

#define CHECK_ACCESS(text, offset_, kind)                                \
	do {                                                             \
		window_count();                                          \
		CHECK(TRY(text, , "D"(data(offset_)), "c"(0)             \
			  : "rax", "memory"));                           \
		CHECK_EQ(window_count(), 1);                             \
		CHECK_EQ(window_offset(), offset_);                      \
		CHECK_EQ(window_kind(), kind);                           \
	} while (0)

void an_access_is_one_access_of_its_width(void)
{
	if (!open())
		return;
	CHECK_ACCESS("movb (%%rdi), %%al", 0x101, 1);
	CHECK_ACCESS("movw (%%rdi), %%ax", 0x102, 2);
	CHECK_ACCESS("movl (%%rdi), %%eax", 0x104, 4);
	CHECK_ACCESS("movq (%%rdi), %%rax", 0x108, 8);
	CHECK_ACCESS("movzbl (%%rdi), %%eax", 0x103, 1);
	CHECK_ACCESS("movswq (%%rdi), %%rax", 0x105, 2);
	CHECK_ACCESS("movslq (%%rdi), %%rax", 0x107, 4);
	CHECK_ACCESS("movb %%cl, (%%rdi)", 0x201, 1 | REGION_KIND_WRITE);
	CHECK_ACCESS("movw %%cx, (%%rdi)", 0x203, 2 | REGION_KIND_WRITE);
	CHECK_ACCESS("movl %%ecx, (%%rdi)", 0x205, 4 | REGION_KIND_WRITE);
	CHECK_ACCESS("movq %%rcx, (%%rdi)", 0x207, 8 | REGION_KIND_WRITE);
	CHECK_ACCESS("movnti %%rcx, (%%rdi)", 0x208, 8 | REGION_KIND_WRITE);
	window_close();
}

#define CHECK_UNDEFINED(text)                                            \
	do {                                                             \
		CHECK(!TRY(text, , "D"(data(0)), "c"(1)                  \
			   : "rax", "rdx", "memory"));                   \
		CHECK(trap_was(VECTOR_UD));                              \
	} while (0)

/* Nobody reads a register of a device like this; it is said in the log. */
void what_is_not_emulated_is_undefined(void)
{
	if (!open())
		return;
	window_count();
	CHECK_UNDEFINED("shll $1, (%%rdi)");
	CHECK_UNDEFINED("rorb %%cl, (%%rdi)");
	CHECK_UNDEFINED("mull (%%rdi)");
	CHECK_UNDEFINED("imul (%%rdi), %%rax");
	CHECK_UNDEFINED("divb (%%rdi)");
	CHECK_UNDEFINED("cmpxchg8b (%%rdi)");
	CHECK_UNDEFINED("cmovz (%%rdi), %%rax");
	CHECK_UNDEFINED("setz (%%rdi)");
	CHECK_UNDEFINED("pushq (%%rdi)");
	CHECK_EQ(window_count(), 0);
	window_close();
}

/* A page that is not trapped is behind the last that is. */
void an_access_may_cross_the_regions_end(void)
{
	if (!open())
		return;
	window_map(DATA, window_region(2), WINDOW_WRITABLE);
	window_map(DATA + 1, window_region(3), WINDOW_WRITABLE);
	for (u32 offset = 4089; offset < 4096; offset++) {
		CHECK(TRY("movq (%%rdi), %%rax", , "D"(data(offset)) : "rax"));
		CHECK(TRY("movq %%rcx, (%%rdi)", , "D"(data(offset)), "c"(0)
			  : "rax", "memory"));
	}
	window_close();
}

static void check_fault(u64 error)
{
	CHECK(trap_was(VECTOR_PF));
	CHECK_EQ(trap.cr2, (u64)data(4096));
	CHECK_EQ(trap.error, error);
	CHECK_EQ(window_count(), 0);
}

/* Half an access is none: the fault comes before the first byte moves. */
void a_fault_in_the_second_page_comes_first(void)
{
	static const u64 rights[] = { WINDOW_NOTHING, WINDOW_READ_ONLY };
	u64 cr0 = read_cr0();

	if (!open())
		return;
	CHECK(try_write_cr0(cr0 | CR0_WP));
	for (unsigned i = 0; i < ARRAY_COUNT(rights); i++) {
		window_map(DATA + 1, window_region(1), rights[i]);
		window_count();
		CHECK(!TRY("movq %%rcx, (%%rdi)", , "D"(data(4091)), "c"(1)
			   : "rax", "memory"));
		check_fault(PF_WRITE | (i ? PF_PRESENT : 0));
	}
	window_map(DATA + 1, 0, WINDOW_NOTHING);
	CHECK(!TRY("movq (%%rdi), %%rax", , "D"(data(4091)) : "rax"));
	check_fault(0);
	CHECK(try_write_cr0(cr0));
	window_close();
}

/* As far as it went, it went. */
void a_string_stops_at_the_page_that_is_missing(void)
{
	u64 count = 10, to = (u64)data(4096 - 12);

	if (!open())
		return;
	window_count();
	window_map(DATA + 1, 0, WINDOW_NOTHING);
	CHECK(!TRY("mov $0x11223344, %%eax; rep stosl",
		   "+c"(count) COMMA "+D"(to), : "rax", "memory"));
	CHECK_EQ(count, 7);
	CHECK_EQ(to, (u64)data(4096));
	CHECK_EQ(window_count(), 3);
	check_fault(PF_WRITE);
	CHECK_EQ(shown(4096 - 12), 0x11223344);
	CHECK_EQ(shown(4096 - 4), 0x11223344);
	window_close();
}

static u32 load(const u8 *from)
{
	u32 value;

	__asm__ volatile("movl (%1), %0" : "=r"(value) : "r"(from));
	return value;
}

/* One instruction, and its operand is somewhere else each time. */
void page_tables_may_change_between_accesses(void)
{
	u32 one = 0x1111, two = 0x2222, three = 0x3333;

	if (!open())
		return;
	memcpy(window_backing(), &one, 4);
	memcpy(window_backing() + PAGE_SIZE, &two, 4);
	memcpy(memory, &three, 4);
	for (unsigned i = 0; i < 20; i++) {
		window_map(DATA, window_region(0), WINDOW_WRITABLE);
		CHECK_EQ(load(data(0)), one);
		window_map(DATA, window_region(1), WINDOW_WRITABLE);
		CHECK_EQ(load(data(0)), two);
		window_map(DATA, (u64)memory, WINDOW_WRITABLE);
		CHECK_EQ(load(data(0)), three);
	}
	window_close();
}

/* ---- Code that is not what it was -------------------------------------- */

static u32 run_at(u32 offset)
{
	u32 (*function)(u8 *to) = (void *)(WINDOW + CODE * PAGE_SIZE + offset);
	u32 value;

	__asm__ volatile("call *%1" : "=a"(value)
			 : "r"(function), "D"(data(0)) : "memory");
	return value;
}

/* mov $value, (%rdi) or add $value, (%rdi), then ret */
static void put_mov(u8 *at, u32 value)
{
	memcpy(at, "\xc7\x07", 2);
	memcpy(at + 2, &value, 4);
	at[6] = 0xc3;
}

static void put_add(u8 *at, u32 value)
{
	memcpy(at, "\x81\x07", 2);
	memcpy(at + 2, &value, 4);
	at[6] = 0xc3;
}

/* Written where it is, and by another address. */
void an_instruction_may_change_where_it_stands(void)
{
	u8 *alias = WINDOW + CODE * PAGE_SIZE;

	if (!open())
		return;
	for (u32 i = 0; i < 50; i++) {
		put_mov(code[0], i);
		run_at(0);
		CHECK_EQ(shown(0), i);
		put_add(alias, 0x1000);
		run_at(0);
		CHECK_EQ(shown(0), i + 0x1000);
		memcpy(alias, "\x8b\x07\xc3", 3);	/* mov (%rdi), %eax */
		CHECK_EQ(run_at(0), i + 0x1000);
	}
	window_close();
}

/* Its second half is on a page that others take the place of. */
void an_instruction_may_cross_two_pages(void)
{
	static u8 spare[4096] __attribute__((aligned(4096)));

	if (!open())
		return;
	for (u32 split = 1; split < 6; split++) {
		put_mov(code[0] + 4096 - split, 0x55555555);
		memcpy(spare, code[1], 7);
		run_at(4096 - split);
		CHECK_EQ(shown(0), 0x55555555);
		put_mov(code[0] + 4096 - split, 0x66666666);
		window_map(CODE + 1, (u64)spare, WINDOW_WRITABLE);
		run_at(4096 - split);
		window_map(CODE + 1, (u64)code[1], WINDOW_WRITABLE);
		CHECK_EQ(shown(0) >> 24, 0x55);
		run_at(4096 - split);
		CHECK_EQ(shown(0), 0x66666666);
	}
	window_close();
}

void an_instruction_may_end_on_a_missing_page(void)
{
	u8 *end = WINDOW + (CODE + 1) * PAGE_SIZE;

	if (!open())
		return;
	put_mov(end - 3, 1);
	run_at(4096 - 3);
	window_map(CODE + 1, 0, WINDOW_NOTHING);
	window_count();
	CHECK(!TRY("jmp *%0", , "r"(end - 3), "D"(data(0))
		   : "rax", "memory"));
	CHECK(trap_was(VECTOR_PF));
	CHECK_EQ(trap.cr2, (u64)end);
	CHECK_EQ(trap.rip, (u64)(end - 3));
	CHECK_EQ(trap.error & (PF_PRESENT | PF_WRITE), 0);
	CHECK_EQ(window_count(), 0);
	window_close();
}
