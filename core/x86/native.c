/* SPDX-License-Identifier: BSD-2-Clause */
/* Instructions that C cannot say, one function each. */
#include "cpu.h"

/* A CPU's area is aligned to its size. */
struct cpu *cpu_this(void)
{
	u64 rsp;

	__asm__("mov %%rsp, %0" : "=r"(rsp));
	return cpu_in_area(align_down(rsp, CPU_AREA_SIZE));
}

u64 rdmsr(u32 index)
{
	u32 low, high;

	__asm__ volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(index));
	return (u64)high << 32 | low;
}

void wrmsr(u32 index, u64 value)
{
	__asm__ volatile("wrmsr" ::"c"(index), "a"((u32)value),
			 "d"((u32)(value >> 32))
			 : "memory");
}

void cpuid(u32 leaf, u32 subleaf, u32 regs[4])
{
	__asm__ volatile("cpuid"
			 : "=a"(regs[0]), "=b"(regs[1]), "=c"(regs[2]),
			   "=d"(regs[3])
			 : "a"(leaf), "c"(subleaf));
}

u64 rdtsc(void)
{
	u32 low, high;

	__asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
	return (u64)high << 32 | low;
}

#define READ_REGISTER(name)                                        \
	u64 read_##name(void)                                      \
	{                                                          \
		u64 value;                                         \
                                                                   \
		__asm__ volatile("mov %%" #name ", %0" : "=r"(value)); \
		return value;                                      \
	}

#define WRITE_REGISTER(name)                                             \
	void write_##name(u64 value)                                     \
	{                                                                \
		__asm__ volatile("mov %0, %%" #name ::"r"(value) : "memory"); \
	}

READ_REGISTER(cr0)
READ_REGISTER(cr2)
READ_REGISTER(cr3)
READ_REGISTER(cr4)
READ_REGISTER(dr6)
READ_REGISTER(dr7)
WRITE_REGISTER(cr0)
WRITE_REGISTER(cr2)
WRITE_REGISTER(cr3)
WRITE_REGISTER(cr4)
WRITE_REGISTER(dr6)

void cpu_write_back_caches(void)
{
	__asm__ volatile("wbinvd" ::: "memory");
}
