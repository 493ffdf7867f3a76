/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the guest sees of VMX: nothing. CPUID denies it, its MSRs are those of
 * a processor whose firmware has switched it off for good, and the bits of
 * CR0 and CR4 that VMX insists on look as the guest has set them. Sections:
 * Intel SDM vol. 3.
 */
#include <errno.h>
#include <string.h>

#include "linear.h"
#include "log.h"
#include "mtrr.h"
#include "page.h"
#include "slat.h"
#include "smp.h"
#include "spec/x86.h"
#include "vmx_cpu.h"

static u8 *msr_map;

enum { TRAP_READ = 1, TRAP_WRITE = 2 };

static u32 map_bit(u32 index)
{
	return index % VMX_MSR_MAP_MSRS;
}

static void trap_msr(u32 index, unsigned how)
{
	u8 *half = msr_map + (index >= 0xc0000000 ? VMX_MSR_MAP_HIGH : 0);
	u32 bit = map_bit(index);

	if (how & TRAP_READ)
		half[VMX_MSR_MAP_READ + bit / 8] |= 1u << bit % 8;
	if (how & TRAP_WRITE)
		half[VMX_MSR_MAP_WRITE + bit / 8] |= 1u << bit % 8;
}

/* All others exit always, wanted or not (25.6.9). */
static bool is_mapped(u32 index)
{
	return index < VMX_MSR_MAP_MSRS ||
	       index - 0xc0000000 < VMX_MSR_MAP_MSRS;
}

int vmx_hide_init(void)
{
	msr_map = page_alloc(1);
	if (!msr_map)
		return -ENOMEM;
	trap_msr(MSR_FEATURE_CONTROL, TRAP_READ | TRAP_WRITE);
	for (u32 index = MSR_VMX_BASIC; index <= MSR_VMX_LAST; index++)
		trap_msr(index, TRAP_READ | TRAP_WRITE);
	for (u32 index = 0; index < VMX_MSR_MAP_MSRS; index++)
		if (mtrr_is_msr(index))
			trap_msr(index, TRAP_WRITE);
	/* Not VMX's, but nobody else fills the map: see apic.h. */
	trap_msr(MSR_APIC_BASE, TRAP_WRITE);
	return 0;
}

hpa_t vmx_hide_msr_map(void)
{
	return page_hpa(msr_map);
}

bool vmx_hide_msr_read(struct cpu *cpu, u32 index, u64 *value)
{
	(void)cpu;
	if (index == MSR_FEATURE_CONTROL) {
		*value = rdmsr(index) | FEATURE_CONTROL_LOCK;
		*value &= ~(FEATURE_CONTROL_VMX | FEATURE_CONTROL_SMX);
		return true;
	}
	return !is_mapped(index) && msr_read_safe(index, value);
}

/* Memory types stand in the nested tables too (29.3.7.2). */
static bool write_mtrr(u32 index, u64 value)
{
	if (!msr_write_safe(index, value))
		return false;
	mtrr_init();
	slat_update_types();
	smp_flush_all();
	return true;
}

bool vmx_hide_msr_write(struct cpu *cpu, u32 index, u64 value)
{
	(void)cpu;
	if (mtrr_is_msr(index))
		return write_mtrr(index, value);
	return !is_mapped(index) && msr_write_safe(index, value);
}

void vmx_hide_cpuid(struct cpu *cpu, u32 leaf, u32 regs[4])
{
	(void)cpu;
	if (leaf == 1)
		regs[CPUID_ECX] &= ~(CPUID_1_ECX_VMX | CPUID_1_ECX_SMX);
}

/* ---- CR0 and CR4, 24.8 and 26.3 ---- */

static u64 cr0_fixed(void)
{
	/* An unrestricted guest may have these two as it likes. */
	return rdmsr(MSR_VMX_CR0_FIXED0) & ~(CR0_PE | CR0_PG);
}

static u64 cr4_hidden(void)
{
	return rdmsr(MSR_VMX_CR4_FIXED0) | CR4_SMXE;
}

void vmx_hide_registers(void)
{
	u64 cr0 = vmread(VMCS_GUEST_CR0), cr4 = vmread(VMCS_GUEST_CR4);

	vmwrite(VMCS_CR0_MASK, cr0_fixed());
	vmwrite(VMCS_CR0_SHADOW, cr0);
	vmwrite(VMCS_GUEST_CR0, cr0 | cr0_fixed());
	vmwrite(VMCS_CR4_MASK, cr4_hidden());
	vmwrite(VMCS_CR4_SHADOW, cr4 & ~cr4_hidden());
	vmwrite(VMCS_GUEST_CR4, cr4 | rdmsr(MSR_VMX_CR4_FIXED0));
}

/*
 * Only a bit that differs from its shadow exits. With the shadow as the guest
 * wants it, the same instruction does all the rest by itself: paging modes,
 * its own checks, its own faults.
 */
bool vmx_hide_register_write(struct cpu *cpu, u64 qualification)
{
	unsigned number = FIELD_GET(VMX_CR_NUMBER, qualification);
	unsigned from = FIELD_GET(VMX_CR_GPR, qualification);

	if (number != 0 || FIELD_GET(VMX_CR_ACCESS, qualification))
		return false;
	vmwrite(VMCS_CR0_SHADOW, cpu->guest.gpr[from]);
	return true;
}
