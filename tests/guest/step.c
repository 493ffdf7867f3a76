/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Single steps, interrupt shadows and the like around an instruction that
 * Sluice executes: each sequence runs on memory first, then on the region,
 * and traps have to come at the same places.
 */
#include <string.h>

#include "spec/x86.h"
#include "window.h"

#define PLACES 32
#define VECTOR 0x51

struct course {
	u32 count;
	u64 rip[PLACES];
	u64 dr6[PLACES];
};

static u8 memory[4096] __attribute__((aligned(4096)));
static volatile struct course now;

static u64 read_dr6(void)
{
	u64 value;

	__asm__ volatile("mov %%dr6, %0" : "=r"(value));
	return value;
}

static void write_dr6(u64 value)
{
	__asm__ volatile("mov %0, %%dr6" ::"r"(value));
}

static void note(void)
{
	if (now.count < PLACES) {
		now.rip[now.count] = trap.rip;
		now.dr6[now.count] = read_dr6() & (DR6_BS | BITS(3, 0));
	}
	now.count++;
	write_dr6(DR6_INIT);
}

static void begin(u64 physical)
{
	window_map(0, physical, WINDOW_WRITABLE);
	memset((void *)&now, 0, sizeof(now));
	write_dr6(DR6_INIT);
	trap_clear();
	trap_hook = note;
	trap_keeps_stepping = true;
}

static void end(void)
{
	trap_keeps_stepping = false;
	trap_clear();
}

static void check_same(const struct course *native)
{
	CHECK(native->count > 0 && native->count < PLACES);
	CHECK_EQ(now.count, native->count);
	for (u32 i = 0; i < native->count; i++) {
		CHECK_EQ(now.rip[i], native->rip[i]);
		CHECK_EQ(now.dr6[i], native->dr6[i]);
	}
}

static void run_on(void (*sequence)(void), u64 physical)
{
	begin(physical);
	sequence();
	end();
}

static void compare(void (*sequence)(void))
{
	struct course native;

	if (!window_open())
		return;
	run_on(sequence, (u64)memory);
	memcpy(&native, (const void *)&now, sizeof(native));
	run_on(sequence, window_region(0));
	check_same(&native);
	window_close();
}

/* Between them every instruction is one step. */
#define STEP_ON "pushfq; orq $0x100, (%%rsp); popfq\n\t"
#define STEP_OFF "\n\tpushfq; andq $~0x100, (%%rsp); popfq"

static void step_over_moves(void)
{
	__asm__ volatile(STEP_ON
			 "movl $5, (%%rdi)\n\t"
			 "movq (%%rdi), %%rax\n\t"
			 "addl %%eax, (%%rdi)\n\t"
			 "nop"
			 STEP_OFF :: "D"(WINDOW) : "rax", "memory", "cc");
}

void a_single_step_stops_after_an_emulated_instruction(void)
{
	compare(step_over_moves);
}

static void step_over_strings(void)
{
	u64 count = 3, from = (u64)WINDOW, to = (u64)WINDOW + 64;

	__asm__ volatile(STEP_ON
			 "rep movsl\n\t"
			 "stosb"
			 STEP_OFF
			 : "+c"(count), "+S"(from), "+D"(to) :: "rax",
			   "memory", "cc");
}

void a_single_step_stops_after_each_iteration(void)
{
	compare(step_over_strings);
}

static void step_behind_mov_ss(void)
{
	__asm__ volatile("mov %%ss, %%ecx\n\t"
			 STEP_ON
			 "mov %%ecx, %%ss\n\t"
			 "movl (%%rdi), %%eax\n\t"
			 "nop"
			 STEP_OFF
			 :: "D"(WINDOW) : "rax", "rcx", "memory", "cc");
}

void a_step_behind_mov_ss_is_one(void)
{
	compare(step_behind_mov_ss);
}

static void interrupt_behind_sti(void)
{
	apic_send(apic_read(APIC_ID) >> 24, VECTOR | ICR_ASSERT);
	__asm__ volatile("sti\n\t"
			 "movl (%%rdi), %%eax\n\t"
			 "nop\n\tnop\n\tcli"
			 :: "D"(WINDOW) : "rax", "memory");
}

/* The access that STI's shadow is on is done, and not done again. */
void an_interrupt_waits_for_the_access_behind_sti(void)
{
	interrupts_take();
	compare(interrupt_behind_sti);
	CHECK_EQ(now.count, 1);
}

static void interrupt_behind_mov_ss(void)
{
	apic_send(apic_read(APIC_ID) >> 24, VECTOR | ICR_ASSERT);
	__asm__ volatile("mov %%ss, %%ecx\n\t"
			 "sti\n\t"
			 "mov %%ecx, %%ss\n\t"
			 "movl $1, (%%rdi)\n\t"
			 "nop\n\tnop\n\tcli"
			 :: "D"(WINDOW) : "rcx", "memory");
}

void an_interrupt_waits_for_the_access_behind_mov_ss(void)
{
	interrupts_take();
	compare(interrupt_behind_mov_ss);
	CHECK_EQ(now.count, 1);
}
