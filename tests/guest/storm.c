/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Interrupts and NMIs that arrive while Sluice executes accesses, and another
 * CPU that makes some of its own: none is lost, none comes twice, and no
 * access is left out or done again.
 */
#include <string.h>

#include "spec/x86.h"
#include "startup.h"
#include "window.h"

#define VECTOR 0x71
#define ROUNDS 50
#define PATIENCE 1000000u	/* accesses */
#define TIMER_DIVIDE 0x3e0	/* APM vol. 2, 16.4.1 */
#define DIVIDE_BY_1 0xb

static u8 code[4096] __attribute__((aligned(4096)));
static volatile u32 is_over, bsp, sent, own_count;

static volatile u32 *word(unsigned index)
{
	return (volatile u32 *)WINDOW + index;
}

static bool open(void)
{
	if (!window_open())
		return false;
	window_map(0, window_region(0), WINDOW_WRITABLE);
	is_over = sent = own_count = 0;
	bsp = apic_read(APIC_ID) >> 24;
	trap_clear();
	return true;
}

static void access(void)
{
	__asm__ volatile("addl $1, %0" : "+m"(*word(0)) :: "cc");
	own_count++;
}

/* Accesses without end, until it is over. */
static void access_until(const volatile u32 *what, u32 wanted)
{
	for (u32 i = 0; *what != wanted && i < PATIENCE; i++) {
		access();
		__asm__ volatile("pause");	/* an emulator's other CPU */
	}
}

static void check_accesses(void)
{
	u32 count;

	memcpy(&count, window_backing(), sizeof(count));
	CHECK_EQ(count, own_count);
}

void a_timer_interrupts_accesses_once(void)
{
	interrupts_take();
	if (!open())
		return;
	apic_write(TIMER_DIVIDE, DIVIDE_BY_1);
	apic_write(APIC_LVT_TIMER, VECTOR);
	__asm__ volatile("sti");
	for (u32 i = 1; i <= ROUNDS; i++) {
		apic_write(APIC_TIMER_COUNT, 1000 + i * 97);
		access_until(&trap.count, i);
		if (trap.count != i || trap.vector != VECTOR)
			break;
	}
	for (u32 i = 0; i < 100; i++)
		access();
	__asm__ volatile("cli");
	apic_write(APIC_LVT_TIMER, APIC_LVT_MASKED);
	CHECK_EQ(trap.count, ROUNDS);
	check_accesses();
	window_close();
}

/* ---- Another CPU ------------------------------------------------------- */

/* The next is sent when the last has arrived. */
static void send_all(u32 command)
{
	for (u32 i = 0; i < ROUNDS; i++) {
		apic_send(bsp, command | ICR_ASSERT);
		sent++;
		if (!wait_until(&trap.count, i + 1))
			break;
	}
	is_over = 1;
}

static void send_interrupts(void)
{
	send_all(VECTOR);
}

static void send_nmis(void)
{
	send_all(FIELD_PREP(ICR_MODE, ICR_MODE_NMI));
}

static void check_storm(void (*work)(void), u8 vector)
{
	if (!startup_run(work))
		return;
	access_until(&is_over, 1);
	for (u32 i = 0; i < 100; i++)
		access();
	CHECK(is_over);
	CHECK_EQ(sent, ROUNDS);
	CHECK_EQ(trap.count, ROUNDS);
	CHECK_EQ(trap.vector, vector);
	check_accesses();
}

void interrupts_of_another_cpu_come_once(void)
{
	interrupts_take();
	if (!open())
		return;
	__asm__ volatile("sti");
	check_storm(send_interrupts, VECTOR);
	__asm__ volatile("cli");
	window_close();
}

void nmis_of_another_cpu_come_once(void)
{
	if (!open())
		return;
	check_storm(send_nmis, VECTOR_NMI);
	window_close();
}

static void access_beside(void)
{
	for (u32 i = 0; i < 1000; i++)
		__asm__ volatile("addl $1, %0" : "+m"(*word(1)) :: "cc");
	is_over = 1;
}

void two_cpus_access_at_once(void)
{
	u32 theirs;

	if (!open())
		return;
	if (startup_run(access_beside)) {
		access_until(&is_over, 1);
		CHECK(is_over);
		check_accesses();
		memcpy(&theirs, window_backing() + 4, sizeof(theirs));
		CHECK_EQ(theirs, 1000);
	}
	window_close();
}

void a_cpu_without_paging_reaches_the_region(void)
{
	static const u32 value = 0x600dcafe;
	u32 seen;

	if (!open())
		return;
	memcpy(window_backing() + 16, &value, sizeof(value));
	seen = startup_look(window_region(0) + 16);
	if (machine.cpu_count > 1)
		CHECK_EQ(seen, value);
	window_close();
}

/* movl $value, (%rdi); ret - the value an aligned word, to be written while
 * the instruction is executed. */
#define CODE_START 2
#define CHANGES 100
static volatile u32 *const value_in_code = (volatile u32 *)&code[4];

static void change_code(void)
{
	for (u32 i = 1; i <= CHANGES; i++) {
		*value_in_code = i * 0x10001;
		__asm__ volatile("pause");
	}
	is_over = 1;
}

/* Whole values, and none that was already replaced. */
static u32 run_code(u32 last)
{
	u32 value;

	__asm__ volatile("call *%0; pause"
			 :: "r"(code + CODE_START), "D"(WINDOW) : "memory");
	memcpy(&value, window_backing(), sizeof(value));
	CHECK_EQ(value >> 16, value & 0xffff);
	CHECK(value >= last);
	return value;
}

void another_cpu_changes_the_instruction(void)
{
	u32 last = 0;
	bool was_over;

	if (!open())
		return;
	memcpy(code + CODE_START, "\xc7\x07\0\0\0\0\xc3", 7);
	if (startup_run(change_code)) {
		do {
			was_over = is_over;
			last = run_code(last);
		} while (!was_over);
		CHECK_EQ(last, CHANGES * 0x10001);
	}
	window_close();
}
