/* SPDX-License-Identifier: BSD-2-Clause */
/* The processor: what it says it has, and what it does when asked for it. */
#include "payload.h"
#include "spec/svm.h"
#include "spec/vmx.h"
#include "spec/x86.h"

void cpuid_shows_no_virtualization(void)
{
	u32 regs[4];

	cpuid(1, 0, regs);
	CHECK(!(regs[ECX] & (CPUID_1_ECX_VMX | CPUID_1_ECX_SMX)));
	cpuid(0x80000001, 0, regs);
	CHECK(!(regs[ECX] & CPUID_80000001_ECX_SVM));
	cpuid(0x80000000, 0, regs);
	if (regs[EAX] < CPUID_SVM)
		return;
	cpuid(CPUID_SVM, 0, regs);
	CHECK(!(regs[EAX] | regs[EBX] | regs[ECX] | regs[EDX]));
}

static bool says_osxsave(void)
{
	u32 regs[4];

	cpuid(1, 0, regs);
	return regs[ECX] & CPUID_1_ECX_OSXSAVE;
}

static bool has_xsave(void)
{
	u32 regs[4];

	cpuid(1, 0, regs);
	return regs[ECX] & CPUID_1_ECX_XSAVE;
}

void cpuid_follows_cr4(void)
{
	u64 cr4 = read_cr4();

	if (!has_xsave()) {
		payload_skip("no XSAVE");
		return;
	}
	CHECK(try_write_cr4(cr4 | CR4_OSXSAVE));
	CHECK(says_osxsave());
	CHECK(try_write_cr4(cr4 & ~CR4_OSXSAVE));
	CHECK(!says_osxsave());
	CHECK(try_write_cr4(cr4));
}

#define UNDEFINED(text) \
	CHECK(!TRY(text, , "c"(0) : "rax", "memory") && trap_was(VECTOR_UD))

void instructions_of_virtualization_are_undefined(void)
{
	if (is_intel()) {
		UNDEFINED("vmcall");
		UNDEFINED("vmxoff");
		UNDEFINED("vmlaunch");
		UNDEFINED("vmresume");
		UNDEFINED("vmread %%rax, %%rcx");
		return;
	}
	UNDEFINED("vmmcall");
	/* An address of no page would be a #GP even before an intercept. */
	UNDEFINED("xor %%eax, %%eax; vmrun %%rax");
	UNDEFINED("xor %%eax, %%eax; vmload %%rax");
	UNDEFINED("xor %%eax, %%eax; vmsave %%rax");
	UNDEFINED("stgi");
	UNDEFINED("clgi");
	UNDEFINED("invlpga %%rax, %%ecx");
}

static void check_intel_msrs(void)
{
	u64 value;

	CHECK(try_read_msr(MSR_FEATURE_CONTROL, &value));
	CHECK_EQ(value, FEATURE_CONTROL_LOCK);
	CHECK(!try_write_msr(MSR_FEATURE_CONTROL, 5));
	CHECK(trap_was(VECTOR_GP));
	for (u32 index = MSR_VMX_BASIC; index <= MSR_VMX_LAST; index++)
		CHECK(!try_read_msr(index, &value));
}

static void check_amd_msrs(void)
{
	u64 value;

	CHECK(try_read_msr(MSR_VM_CR, &value));
	CHECK_EQ(value, VM_CR_SVMDIS | VM_CR_LOCK);
	CHECK(!try_read_msr(MSR_VM_HSAVE_PA, &value));
	CHECK(trap_was(VECTOR_GP));
	CHECK(!try_write_msr(MSR_VM_HSAVE_PA, 0x1000));
}

void msrs_of_virtualization_are_locked_or_gone(void)
{
	if (is_intel())
		check_intel_msrs();
	else
		check_amd_msrs();
}

void efer_takes_only_what_the_processor_has(void)
{
	u64 efer = read_msr(MSR_EFER);

	CHECK(efer & EFER_LMA);
	CHECK(!(efer & EFER_SVME));
	CHECK(try_write_msr(MSR_EFER, efer ^ EFER_SCE));
	CHECK_EQ(read_msr(MSR_EFER), efer ^ EFER_SCE);
	CHECK(try_write_msr(MSR_EFER, efer));
	CHECK(!try_write_msr(MSR_EFER, efer | EFER_SVME));
	CHECK(trap_was(VECTOR_GP));
	CHECK(!try_write_msr(MSR_EFER, efer | BIT(63)));
	/* Long mode cannot be left while paging is on. */
	CHECK(!try_write_msr(MSR_EFER, efer & ~EFER_LME));
	CHECK_EQ(read_msr(MSR_EFER), efer);
}

void control_registers_read_as_they_were_written(void)
{
	static const u64 bits[] = { CR0_NE, CR0_WP, CR0_TS, CR0_MP };
	u64 cr0 = read_cr0(), cr4 = read_cr4();

	for (unsigned i = 0; i < ARRAY_COUNT(bits); i++) {
		CHECK(try_write_cr0(cr0 ^ bits[i]));
		CHECK_EQ(read_cr0(), cr0 ^ bits[i]);
	}
	CHECK(try_write_cr0(cr0));
	CHECK_EQ(read_cr0(), cr0);
	CHECK(try_write_cr4(cr4 ^ CR4_PGE));
	CHECK_EQ(read_cr4(), cr4 ^ CR4_PGE);
	CHECK(try_write_cr4(cr4));
	CHECK_EQ(read_cr4(), cr4);
}

void control_registers_refuse_what_is_reserved(void)
{
	u64 cr4 = read_cr4();

	/* Nothing of CR0, nor PAE: QEMU lets go of PE while paging and of PAE
	 * in long mode. */
	CHECK(!try_write_cr4(cr4 | CR4_VMXE));
	CHECK(trap_was(VECTOR_GP));
	CHECK(!try_write_cr4(cr4 | CR4_SMXE));
	CHECK_EQ(read_cr4(), cr4);
}

static u64 read_xcr0(void)
{
	u32 low, high;

	__asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
	return (u64)high << 32 | low;
}

static bool try_write_xcr(u32 index, u32 value)
{
	return TRY("mov %%esi, %%eax; xsetbv", , "c"(index), "S"(value),
		   "d"(0) : "rax", "memory");
}

void xcr0_is_judged_by_the_processor(void)
{
	u64 cr4 = read_cr4();

	if (!has_xsave()) {
		payload_skip("no XSAVE");
		return;
	}
	CHECK(try_write_cr4(cr4 & ~CR4_OSXSAVE));
	CHECK(!try_write_xcr(0, 1) && trap_was(VECTOR_UD));
	CHECK(try_write_cr4(cr4 | CR4_OSXSAVE));
	CHECK(try_write_xcr(0, 3));
	CHECK_EQ(read_xcr0(), 3);
	CHECK(!try_write_xcr(0, 2) && trap_was(VECTOR_GP));
	CHECK(!try_write_xcr(1, 1) && trap_was(VECTOR_GP));
	CHECK_EQ(read_xcr0(), 3);
	CHECK(try_write_cr4(cr4));
}

void the_apic_cannot_be_moved(void)
{
	u64 base = read_msr(MSR_APIC_BASE);

	CHECK(!try_write_msr(MSR_APIC_BASE, base + 0x1000));
	CHECK(trap_was(VECTOR_GP));
	CHECK(try_write_msr(MSR_APIC_BASE, base));
	CHECK_EQ(read_msr(MSR_APIC_BASE), base);
}

void debug_registers_are_the_guests(void)
{
	u32 regs[4];
	u64 dr0, dr7;

	__asm__ volatile("mov %0, %%dr0" ::"r"(0x123456789ull));
	__asm__ volatile("mov %0, %%dr7" ::"r"(DR7_INIT | BIT(8)));
	cpuid(0, 0, regs);		/* exits */
	__asm__ volatile("mov %%dr0, %0" : "=r"(dr0));
	__asm__ volatile("mov %%dr7, %0" : "=r"(dr7));
	__asm__ volatile("mov %0, %%dr7" ::"r"(DR7_INIT));
	CHECK_EQ(dr0, 0x123456789);
	CHECK_EQ(dr7, DR7_INIT | BIT(8));
}
