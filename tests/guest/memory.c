/* SPDX-License-Identifier: BSD-2-Clause */
/* Memory: what is Sluice's, and code that is changed or stepped through. */
#include "payload.h"
#include "spec/x86.h"

static volatile u64 *hidden(u64 offset)
{
	return (volatile u64 *)(machine.sluice_base + offset);
}

void memory_of_sluice_reads_as_ones(void)
{
	CHECK(machine.sluice_base);
	for (u64 at = 0; at < machine.sluice_size; at += machine.sluice_size / 16)
		CHECK_EQ(*hidden(at), ~0ull);
	CHECK_EQ(*hidden(machine.sluice_size - 8), ~0ull);
	CHECK_EQ(*(volatile u8 *)hidden(1), 0xff);
}

void writes_to_memory_of_sluice_vanish(void)
{
	u8 bytes[64] = { 0 };
	u64 count = sizeof(bytes) / 8;
	const void *from = bytes;
	void *to = (void *)hidden(0x10000);

	*hidden(0) = 0;
	*(volatile u8 *)hidden(8) = 0;
	__asm__ volatile("lock; incq %0" : "+m"(*hidden(16)));
	__asm__ volatile("rep movsq" : "+c"(count), "+S"(from), "+D"(to)
			 :: "memory");
	CHECK_EQ(count, 0);
	CHECK_EQ(*hidden(0), ~0ull);
	CHECK_EQ(*hidden(16), ~0ull);
	CHECK_EQ(*hidden(0x10000), ~0ull);
}

/* mov $n, %eax; cpuid-free; ret - in memory that can be written. */
static u8 code[8192] __attribute__((aligned(4096)));

static u32 run_code(void *at)
{
	u32 (*function)(void) = at;

	return function();
}

static void write_code(u8 *at, u32 value)
{
	at[0] = 0xb8;
	for (unsigned i = 0; i < 4; i++)
		at[1 + i] = value >> (8 * i);
	at[5] = 0xc3;
}

void code_that_changes_itself_runs_as_changed(void)
{
	for (u32 i = 0; i < 100; i++) {
		write_code(code, i);
		CHECK_EQ(run_code(code), i);
		write_code(code + 4096 - 3, ~i);	/* across two pages */
		CHECK_EQ(run_code(code + 4096 - 3), ~i);
	}
}

/* The #DB of a single step comes behind the instruction, executed by the
 * processor or for it: CPUID exits on every machine. */
void a_single_step_stops_after_an_exiting_instruction(void)
{
	u64 end;

	trap_clear();
	__asm__ volatile("lea 1f(%%rip), %0\n\t"
			 "pushfq\n\t"
			 "orq $0x100, (%%rsp)\n\t"
			 "xor %%eax, %%eax\n\t"
			 "popfq\n\t"
			 "cpuid\n"
			 "1:\tnop"
			 : "=&S"(end) :: "rax", "rbx", "rcx", "rdx", "memory");
	CHECK_EQ(trap.count, 1);
	CHECK_EQ(trap.vector, VECTOR_DB);
	CHECK_EQ(trap.rip, end);
}
