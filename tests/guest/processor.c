/* SPDX-License-Identifier: BSD-2-Clause */
/* Instructions, one function each. */
#include "payload.h"
#include "spec/x86.h"

/* Some seconds on any machine; clocks here tick as they like. */
#define WAIT_TURNS 20000000u

void cpuid(u32 leaf, u32 subleaf, u32 regs[4])
{
	__asm__ volatile("cpuid"
			 : "=a"(regs[EAX]), "=b"(regs[EBX]), "=c"(regs[ECX]),
			   "=d"(regs[EDX])
			 : "a"(leaf), "c"(subleaf));
}

bool is_intel(void)
{
	u32 regs[4];

	cpuid(0, 0, regs);
	return regs[EBX] == 0x756e6547;	/* "Genu" */
}

bool try_read_msr(u32 index, u64 *value)
{
	u32 low = 0, high = 0;
	bool done = TRY("rdmsr", "=&a"(low) COMMA "=d"(high), "c"(index));

	*value = (u64)high << 32 | low;
	return done;
}

u64 read_msr(u32 index)
{
	u64 value;

	CHECK(try_read_msr(index, &value));
	return value;
}

bool try_write_msr(u32 index, u64 value)
{
	return TRY("mov %%esi, %%eax; wrmsr", , "c"(index), "S"((u32)value),
		   "d"((u32)(value >> 32)) : "rax", "memory");
}

u64 read_cr0(void)
{
	u64 value;

	__asm__ volatile("mov %%cr0, %0" : "=r"(value));
	return value;
}

u64 read_cr2(void)
{
	u64 value;

	__asm__ volatile("mov %%cr2, %0" : "=r"(value));
	return value;
}

u64 read_cr4(void)
{
	u64 value;

	__asm__ volatile("mov %%cr4, %0" : "=r"(value));
	return value;
}

bool try_write_cr0(u64 value)
{
	return TRY("mov %0, %%cr0", , "r"(value) : "rax", "memory");
}

bool try_write_cr4(u64 value)
{
	return TRY("mov %0, %%cr4", , "r"(value) : "rax", "memory");
}

u32 apic_read(u32 offset)
{
	return *(volatile u32 *)(APIC_DEFAULT_BASE + offset);
}

void apic_write(u32 offset, u32 value)
{
	__asm__ volatile("movl %0, %1"
			 ::"r"(value),
			   "m"(*(volatile u32 *)(APIC_DEFAULT_BASE + offset))
			 : "memory");
}

void apic_send(u32 destination, u32 command)
{
	apic_write(APIC_ICR_HIGH, destination << 24);
	apic_write(APIC_ICR_LOW, command);
	while (apic_read(APIC_ICR_LOW) & ICR_PENDING)
		;
}

bool wait_until(const volatile u32 *word, u32 wanted)
{
	for (u32 i = 0; *word != wanted && i < WAIT_TURNS; i++)
		__asm__ volatile("pause");
	return *word == wanted;
}
