/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the guest sees of SVM: nothing. CPUID denies it, its MSRs are those
 * of a processor whose firmware has switched it off for good.
 */
#include <errno.h>

#include "log.h"
#include "page.h"
#include "spec/x86.h"
#include "svm_cpu.h"

static u8 *msr_map;

enum { TRAP_READ = 1, TRAP_WRITE = 2 };

/* Two bits an MSR, three ranges of 2000h MSRs (APM vol. 2, 15.11). */
#define RANGE_MSRS 0x2000
#define RANGE_BYTES 0x800

static const u32 range_bases[] = { 0, 0xc0000000, 0xc0010000 };

static void trap_msr(u32 index, unsigned how)
{
	u32 offset;

	for (unsigned range = 0; range < ARRAY_COUNT(range_bases); range++) {
		offset = index - range_bases[range];
		if (offset < RANGE_MSRS)
			msr_map[range * RANGE_BYTES + offset / 4] |=
				how << (offset % 4 * 2);
	}
}

/* All others exit always, wanted or not: machine check banks for one. */
static bool is_mapped(u32 index)
{
	for (unsigned range = 0; range < ARRAY_COUNT(range_bases); range++)
		if (index - range_bases[range] < RANGE_MSRS)
			return true;
	return false;
}

int svm_hide_init(void)
{
	msr_map = page_alloc(SVM_MSR_MAP_PAGES);
	if (!msr_map)
		return -ENOMEM;
	for (u32 index = MSR_VM_CR; index <= MSR_SVM_KEY; index++)
		trap_msr(index, TRAP_READ | TRAP_WRITE);
	trap_msr(MSR_EFER, TRAP_READ | TRAP_WRITE);
	trap_msr(MSR_MMIO_CONFIG_BASE, TRAP_WRITE);
	/* Not SVM's, but nobody else fills the map: see apic.h. */
	trap_msr(MSR_APIC_BASE, TRAP_WRITE);
	trap_msr(MSR_X2APIC_ICR, TRAP_WRITE);
	return 0;
}

hpa_t svm_hide_msr_map(void)
{
	return page_hpa(msr_map);
}

static struct vmcb *vmcb_of(struct cpu *cpu)
{
	return ((struct svm_cpu *)cpu->vendor)->vmcb;
}

bool svm_hide_msr_read(struct cpu *cpu, u32 index, u64 *value)
{
	switch (index) {
	case MSR_EFER:
		*value = vmcb_of(cpu)->efer & ~EFER_SVME;
		return true;
	case MSR_VM_CR:
		*value = VM_CR_SVMDIS | VM_CR_LOCK;
		return true;
	default:
		return !is_mapped(index) && msr_read_safe(index, value);
	}
}

/*
 * Optional bits of EFER and the CPUID bit that announces each (3.1.7; vol. 3,
 * appendix E): one too many in the VMCB and VMRUN fails.
 */
static const struct {
	u64 bit;
	u32 leaf;
	u8 reg, feature;
} efer_features[] = {
	{ EFER_NXE, 0x80000001, CPUID_EDX, 20 },
	{ EFER_FFXSR, 0x80000001, CPUID_EDX, 25 },
	{ EFER_TCE, 0x80000001, CPUID_ECX, 17 },
	{ EFER_MCOMMIT, 0x80000008, CPUID_EBX, 8 },
	{ EFER_INTWB, 0x80000008, CPUID_EBX, 13 },
	{ EFER_UAIE, 0x80000021, CPUID_EAX, 7 },
	{ EFER_AIBRSE, 0x80000021, CPUID_EAX, 8 },
};

static u64 efer_known(void)
{
	u64 known = EFER_SCE | EFER_LME | EFER_LMA;
	u32 regs[4], last;

	cpuid(0x80000000, 0, regs);
	last = regs[CPUID_EAX];
	for (size_t i = 0; i < ARRAY_COUNT(efer_features); i++) {
		if (efer_features[i].leaf > last)
			continue;
		cpuid(efer_features[i].leaf, 0, regs);
		if (regs[efer_features[i].reg] & BIT(efer_features[i].feature))
			known |= efer_features[i].bit;
	}
	return known;
}

static bool efer_write(struct vmcb *vmcb, u64 value)
{
	u64 old = vmcb->efer;

	if (value & ~efer_known())
		return false;
	if (((value ^ old) & EFER_LME) && (vmcb->cr0 & CR0_PG))
		return false;
	/* LMA follows CR0.PG and LME; it cannot be written. */
	vmcb->efer = (value & ~EFER_LMA) | (old & EFER_LMA) | EFER_SVME;
	/* A change of NXE changes what cached translations mean (15.16). */
	vmcb->tlb_control = SVM_TLB_FLUSH_ALL;
	return true;
}

bool svm_hide_msr_write(struct cpu *cpu, u32 index, u64 value)
{
	if (index == MSR_EFER)
		return efer_write(vmcb_of(cpu), value);
	/* The guest could move config space away from under its trap. */
	if (index == MSR_MMIO_CONFIG_BASE) {
		log_limited(LOG_WARN, "cpu%u: config space cannot be moved",
			    cpu->index);
		return value == rdmsr(index);
	}
	return !is_mapped(index) && msr_write_safe(index, value);
}

void svm_hide_cpuid(struct cpu *cpu, u32 leaf, u32 regs[4])
{
	(void)cpu;
	if (leaf == 0x80000001)
		regs[CPUID_ECX] &= ~(CPUID_80000001_ECX_SVM |
				     CPUID_80000001_ECX_SKINIT);
	/* INVLPGB would need its own intercept control. */
	if (leaf == 0x80000008)
		regs[CPUID_EBX] &= ~CPUID_80000008_EBX_INVLPGB;
	/* Encryption bits in the guest's tables mean nothing to the nested
	 * ones (15.34.1). */
	if (leaf == CPUID_SVM || leaf == CPUID_ENCRYPTION)
		regs[0] = regs[1] = regs[2] = regs[3] = 0;
}
