/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * INIT made harmless. It waits while GIF is 0, which is always in the host
 * (APM vol. 2, 15.17), brings a guest out by its intercept, and is an #SX
 * instead of a reset where the host lets it in (VM_CR.R_INIT, 15.28).
 */
#include "spec/x86.h"
#include "svm_cpu.h"

static const char *missing;

static bool bit_sticks(void)
{
	u64 old = rdmsr(MSR_VM_CR);
	bool sticks;

	wrmsr(MSR_VM_CR, old | VM_CR_R_INIT);
	sticks = rdmsr(MSR_VM_CR) & VM_CR_R_INIT;
	wrmsr(MSR_VM_CR, old);
	return sticks;
}

/* Only an INIT would show more, and could be the end of this CPU. */
void svm_redirect_init(void)
{
	u32 regs[4];

	cpuid(1, 0, regs);
	missing = NULL;
	if (!bit_sticks())
		missing = "this processor does not redirect INIT (VM_CR.R_INIT)";
	else if (regs[CPUID_ECX] & CPUID_1_ECX_HYPERVISOR)
		missing = "this processor is a hypervisor's, and may not redirect INIT though it keeps VM_CR.R_INIT, as KVM's";
}

const char *svm_redirect_is_missing(void)
{
	return missing;
}

/* On each CPU. Not even a locked VM_CR refuses this bit (15.30.1). */
void svm_redirect_enable(void)
{
	if (!missing)
		wrmsr(MSR_VM_CR, rdmsr(MSR_VM_CR) | VM_CR_R_INIT);
}
