/* SPDX-License-Identifier: BSD-2-Clause */
/* The processors: their areas, and the moment each becomes a guest. */
#include <errno.h>
#include <string.h>

#include "cpu.h"
#include "apic.h"
#include "exit.h"
#include "idt.h"
#include "log.h"
#include "page.h"
#include "paging.h"
#include "smp.h"
#include "spec/x86.h"
#include "vt.h"

static struct cpu **cpus;
static u32 count;
static u32 launched_count;

/* entry.S: interrupts off, calls cpu_launched() on that CPU's stack. */
_Noreturn void cpu_enter(struct cpu *cpu);
_Noreturn void cpu_launched(struct cpu *cpu);

static struct cpu *alloc_area(u32 index)
{
	/* Twice the size always holds an aligned area. */
	size_t pages = 2 * CPU_AREA_SIZE / PAGE_SIZE;
	u8 *memory = page_alloc(pages);
	u8 *area;
	struct cpu *cpu;

	if (!memory)
		return NULL;
	area = (u8 *)align_up((u64)memory, CPU_AREA_SIZE);
	if (area > memory)
		page_free(memory, (area - memory) / PAGE_SIZE);
	page_free(area + CPU_AREA_SIZE,
		  pages - (area + CPU_AREA_SIZE - memory) / PAGE_SIZE);
	cpu = cpu_in_area((u64)area);
	cpu->index = index;
	return cpu;
}

int cpu_init(u32 wanted)
{
	int error;

	cpus = page_alloc(align_up(wanted * sizeof(*cpus), PAGE_SIZE) /
			  PAGE_SIZE);
	if (!cpus)
		return -ENOMEM;
	for (u32 i = 0; i < wanted; i++) {
		cpus[i] = alloc_area(i);
		if (!cpus[i])
			return -ENOMEM;
		error = vt->cpu_init(cpus[i]);
		if (error)
			return error;
	}
	count = wanted;
	return 0;
}

u32 cpu_count(void)
{
	return count;
}

struct cpu *cpu_get(u32 index)
{
	return cpus[index];
}

bool cpu_has_1g_pages(void)
{
	u32 regs[4];

	cpuid(0x80000001, 0, regs);
	return regs[CPUID_EDX] & CPUID_80000001_EDX_PAGE1GB;
}

void cpu_vendor(char name[CPU_VENDOR_SIZE])
{
	u32 regs[4];

	cpuid(0, 0, regs);
	memcpy(name, &regs[CPUID_EBX], 4);
	memcpy(name + 4, &regs[CPUID_EDX], 4);
	memcpy(name + 8, &regs[CPUID_ECX], 4);
	name[12] = 0;
}

/* Our map is one to one, so it ends with the lower half of the canonical
 * addresses (5.3.1), whatever the processor's bus can do. */
u64 cpu_physical_limit(void)
{
	u64 linear_bits = (read_cr4() & CR4_LA57) ? 56 : 47;
	u32 regs[4];
	u64 bits;

	cpuid(0x80000008, 0, regs);
	bits = FIELD_GET(CPUID_80000008_EAX_PHYSICAL, regs[CPUID_EAX]);
	return BIT(MIN(bits, linear_bits));
}

void cpu_halt(void)
{
	for (;;)
		__asm__ volatile("cli; hlt");
}

/* The guest's state is taken before anything of the host's is loaded. */
void cpu_launched(struct cpu *cpu)
{
	apic_identify(cpu);
	vt->capture(cpu);
	paging_load();
	idt_load();
	__atomic_store_n(&cpu->is_virtualized, true, __ATOMIC_RELEASE);
	exit_loop(cpu);
}

/* A call that returned 0, as the caller sees it. */
static void return_to(struct insn_cpu *guest, const struct cpu_caller *caller)
{
	guest->gpr[INSN_RAX] = 0;
	guest->gpr[INSN_RBX] = caller->rbx;
	guest->gpr[INSN_RBP] = caller->rbp;
	guest->gpr[INSN_R12] = caller->r12;
	guest->gpr[INSN_R13] = caller->r13;
	guest->gpr[INSN_R14] = caller->r14;
	guest->gpr[INSN_R15] = caller->r15;
	guest->gpr[INSN_RSP] = (u64)(caller + 1);
	guest->rip = caller->rip;
	guest->rflags = caller->rflags;
}

long cpu_launch(const struct cpu_caller *caller)
{
	u32 index = __atomic_fetch_add(&launched_count, 1, __ATOMIC_RELAXED);

	if (index >= count)
		return -ENODEV;
	return_to(&cpus[index]->guest, caller);
	cpu_enter(cpus[index]);
}
