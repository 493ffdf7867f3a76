/* SPDX-License-Identifier: BSD-2-Clause */
/* Areas of the processors, their launch, and how far they reach. */
#include <errno.h>
#include <setjmp.h>
#include <string.h>

#include "../../core/x86/apic.h"
#include "../../core/x86/exit.h"
#include "../../core/x86/idt.h"
#include "../../core/x86/paging.h"
#include "bits.h"
#include "memory.h"
#include "page.h"
#include "spec/x86.h"
#include "test.h"
#include "vt.h"

#define ARENA_PAGES 128
#define AREA_PAGES (CPU_AREA_SIZE / PAGE_SIZE)

static u8 arena[ARENA_PAGES * PAGE_SIZE] __attribute__((aligned(4096)));
static u32 init_count, init_limit;
static u64 cr4;
static u32 physical_bits;
static jmp_buf entered;
static struct cpu *entered_cpu;

static int init_cpu(struct cpu *cpu)
{
	CHECK_EQ(cpu->index, init_count);
	if (init_count == init_limit)
		return -ENOMEM;
	init_count++;
	return 0;
}

static const struct vt fake_vt = { .cpu_init = init_cpu };
const struct vt *vt = &fake_vt;

_Noreturn void cpu_enter(struct cpu *cpu);

void cpu_enter(struct cpu *cpu)
{
	entered_cpu = cpu;
	longjmp(entered, 1);
}

u64 read_cr4(void)
{
	return cr4;
}

void cpuid(u32 leaf, u32 subleaf, u32 regs[4])
{
	CHECK_EQ(leaf, 0x80000008);
	regs[CPUID_EAX] = 0x3000 | physical_bits;
}

void apic_identify(struct cpu *cpu)
{
}

void paging_load(void)
{
}

void idt_load(void)
{
}

void exit_loop(struct cpu *cpu)
{
	FAIL("cpu%u runs", cpu->index);
}

static void start(void)
{
	init_count = 0;
	init_limit = ~0u;
	CHECK_EQ(page_init((u64)arena, sizeof(arena)), 0);
}

TEST(each_cpu_has_an_aligned_area_and_nothing_else_is_kept)
{
	size_t before;

	start();
	before = page_free_count();
	CHECK_EQ(cpu_init(5), 0);
	CHECK_EQ(cpu_count(), 5);
	CHECK_EQ(page_free_count(), before - 1 - 5 * AREA_PAGES);
	for (u32 i = 0; i < 5; i++) {
		u8 *end = (u8 *)(cpu_get(i) + 1);

		CHECK(is_aligned((u64)end, CPU_AREA_SIZE));
		CHECK_EQ(cpu_get(i)->index, i);
		memset(end - CPU_AREA_SIZE, 0xa5,
		       CPU_AREA_SIZE - sizeof(struct cpu));
	}
	for (u32 i = 0; i < 5; i++)
		CHECK_EQ(cpu_get(i)->index, i);
}

TEST(too_little_memory_for_the_cpus_is_told)
{
	start();
	CHECK_EQ(cpu_init(ARENA_PAGES / AREA_PAGES + 1), (u64)-ENOMEM);
	start();
	init_limit = 2;
	CHECK_EQ(cpu_init(3), (u64)-ENOMEM);
}

static const struct cpu_caller caller = {
	.rflags = 0x246, .r15 = 15, .r14 = 14, .r13 = 13, .r12 = 12,
	.rbp = 5, .rbx = 3, .rip = 0x401000,
};

static long launch(void)
{
	return setjmp(entered) ? 0 : cpu_launch(&caller);
}

TEST(a_launched_cpu_returns_to_its_caller_as_the_guest)
{
	start();
	CHECK_EQ(cpu_init(2), 0);
	for (u32 i = 0; i < 2; i++) {
		const struct insn_cpu *guest = &cpu_get(i)->guest;

		CHECK_EQ(launch(), 0);
		CHECK(entered_cpu == cpu_get(i));
		CHECK_EQ(guest->gpr[INSN_RAX], 0);
		CHECK_EQ(guest->gpr[INSN_RBX], 3);
		CHECK_EQ(guest->gpr[INSN_RBP], 5);
		CHECK_EQ(guest->gpr[INSN_R12], 12);
		CHECK_EQ(guest->gpr[INSN_R15], 15);
		CHECK_EQ(guest->gpr[INSN_RSP], (u64)(&caller + 1));
		CHECK_EQ(guest->rip, 0x401000);
		CHECK_EQ(guest->rflags, 0x246);
	}
	CHECK_EQ(launch(), (u64)-ENODEV);
}

static const struct {
	u32 physical_bits;
	u64 cr4;
	u64 limit;
} limits[] = {
	{ 36, CR4_PAE, 1ull << 36 },
	{ 40, CR4_PAE, 1ull << 40 },
	{ 48, CR4_PAE, 1ull << 47 },
	{ 52, CR4_PAE, 1ull << 47 },
	{ 52, CR4_PAE | CR4_LA57, 1ull << 52 },
};

TEST(no_address_is_within_reach_that_is_not_canonical)
{
	for (size_t i = 0; i < ARRAY_COUNT(limits); i++) {
		physical_bits = limits[i].physical_bits;
		cr4 = limits[i].cr4;
		CHECK_EQ(cpu_physical_limit(), limits[i].limit);
	}
}
