/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The guest's processor state in the VMCS: taken from the running CPU at
 * launch, set after INIT and SIPI, and read for the emulator; and the host's,
 * which every exit loads. Sections: Intel SDM vol. 3.
 */
#include <string.h>

#include "idt.h"
#include "page.h"
#include "segment.h"
#include "spec/x86.h"
#include "vmx_cpu.h"

/* Never looked at, but it has to be one: the host switches no stacks. */
#define HOST_TR 0x18

extern u8 vmx_exited[];

/* 25.4.1: attributes as the descriptor has them, bits 55:52 and 47:40. */
static u32 rights_of(const struct segment *segment)
{
	if (!(segment->attributes & SEGMENT_PRESENT))
		return VMX_SEGMENT_UNUSABLE;
	return (segment->attributes & 0xff) |
	       (segment->attributes & 0xf00) << 4;
}

static void set_segment(enum vmcs_segment index, const struct segment *segment)
{
	vmwrite(VMCS_SELECTOR(index), segment->selector);
	vmwrite(VMCS_BASE(index), segment->base);
	vmwrite(VMCS_LIMIT(index), segment->limit);
	vmwrite(VMCS_RIGHTS(index), rights_of(segment));
}

/* ---- The guest at launch ---- */

/* The processor has marked a segment it has loaded as accessed. */
static void capture_segment(enum vmcs_segment index, u16 selector)
{
	struct segment segment = segment_of(selector);

	segment.attributes |= SEGMENT_ACCESSED;
	set_segment(index, &segment);
}

/* Firmware uses none, and an entry insists on one (27.3.1.2). */
static void capture_tr(void)
{
	struct segment tr;
	u16 selector;

	__asm__("str %0" : "=r"(selector));
	tr = segment_of_system(selector);
	tr.attributes = SEGMENT_PRESENT | SEGMENT_BUSY_TSS;
	if (!selector)
		tr.limit = 0x67;
	set_segment(VMCS_TR, &tr);
}

static void capture_ldtr(void)
{
	struct segment ldtr;
	u16 selector;

	__asm__("sldt %0" : "=r"(selector));
	ldtr = segment_of_system(selector);
	set_segment(VMCS_LDTR, &ldtr);
}

static void set_table(enum vmcs_field base, enum vmcs_field limit,
		      const struct segment *table)
{
	vmwrite(base, table->base);
	vmwrite(limit, table->limit);
}

static void capture_segments(void)
{
	struct segment gdtr = segment_gdtr(), idtr = segment_idtr();

	set_table(VMCS_GUEST_GDTR_BASE, VMCS_GUEST_GDTR_LIMIT, &gdtr);
	set_table(VMCS_GUEST_IDTR_BASE, VMCS_GUEST_IDTR_LIMIT, &idtr);
	capture_segment(VMCS_CS, SEGMENT_SELECTOR(cs));
	capture_segment(VMCS_SS, SEGMENT_SELECTOR(ss));
	capture_segment(VMCS_DS, SEGMENT_SELECTOR(ds));
	capture_segment(VMCS_ES, SEGMENT_SELECTOR(es));
	capture_segment(VMCS_FS, SEGMENT_SELECTOR(fs));
	capture_segment(VMCS_GS, SEGMENT_SELECTOR(gs));
	vmwrite(VMCS_BASE(VMCS_FS), rdmsr(MSR_FS_BASE));
	vmwrite(VMCS_BASE(VMCS_GS), rdmsr(MSR_GS_BASE));
	capture_tr();
	capture_ldtr();
}

static void set_entry_bit(u32 bit, bool on)
{
	u32 entry = vmread(VMCS_ENTRY);

	vmwrite(VMCS_ENTRY, on ? entry | bit : entry & ~bit);
}

void vmx_capture_guest(struct cpu *cpu)
{
	capture_segments();
	vmwrite(VMCS_GUEST_CR0, read_cr0());
	vmwrite(VMCS_GUEST_CR3, read_cr3());
	vmwrite(VMCS_GUEST_CR4, read_cr4());
	vmwrite(VMCS_GUEST_EFER, rdmsr(MSR_EFER));
	vmwrite(VMCS_GUEST_PAT, rdmsr(MSR_PAT));
	vmwrite(VMCS_GUEST_DEBUGCTL, rdmsr(MSR_DEBUGCTL));
	vmwrite(VMCS_GUEST_DR7, read_dr7());
	vmwrite(VMCS_GUEST_SYSENTER_CS, rdmsr(MSR_SYSENTER_CS));
	vmwrite(VMCS_GUEST_SYSENTER_ESP, rdmsr(MSR_SYSENTER_ESP));
	vmwrite(VMCS_GUEST_SYSENTER_EIP, rdmsr(MSR_SYSENTER_EIP));
	vmwrite(VMCS_GUEST_INTERRUPTIBILITY, 0);
	vmwrite(VMCS_GUEST_ACTIVITY, VMX_ACTIVE);
	vmwrite(VMCS_GUEST_PENDING_DEBUG, 0);
	vmwrite(VMCS_LINK, VMCS_LINK_NONE);
	set_entry_bit(VMX_ENTRY_GUEST_64, true);
	vmx_of(cpu)->cr2 = read_cr2();
}

/* ---- The host, as every exit finds it ---- */

/* It uses none of these, but an exit loads them. */
static void clear_host(void)
{
	static const enum vmcs_field unused[] = {
		VMCS_HOST_FS, VMCS_HOST_GS, VMCS_HOST_FS_BASE,
		VMCS_HOST_GS_BASE, VMCS_HOST_TR_BASE, VMCS_HOST_SYSENTER_CS,
		VMCS_HOST_SYSENTER_ESP, VMCS_HOST_SYSENTER_EIP,
	};

	for (size_t i = 0; i < ARRAY_COUNT(unused); i++)
		vmwrite(unused[i], 0);
}

void vmx_set_host(void)
{
	struct segment gdtr = segment_gdtr(), idtr = segment_idtr();
	u64 cr4 = read_cr4();
	u32 regs[4];

	cpuid(1, 0, regs);
	if (regs[CPUID_ECX] & CPUID_1_ECX_XSAVE)
		cr4 |= CR4_OSXSAVE;	/* for XSETBV in the guest's place */
	write_cr4(cr4);
	clear_host();
	vmwrite(VMCS_HOST_CR0, read_cr0());
	vmwrite(VMCS_HOST_CR3, read_cr3());
	vmwrite(VMCS_HOST_CR4, cr4);
	vmwrite(VMCS_HOST_EFER, rdmsr(MSR_EFER));
	vmwrite(VMCS_HOST_PAT, rdmsr(MSR_PAT));
	vmwrite(VMCS_HOST_CS, HOST_CS);
	vmwrite(VMCS_HOST_SS, HOST_DS);
	vmwrite(VMCS_HOST_DS, HOST_DS);
	vmwrite(VMCS_HOST_ES, HOST_DS);
	vmwrite(VMCS_HOST_TR, HOST_TR);
	vmwrite(VMCS_HOST_GDTR_BASE, gdtr.base);
	vmwrite(VMCS_HOST_IDTR_BASE, idtr.base);
	vmwrite(VMCS_HOST_RIP, (u64)vmx_exited);
}

/* ---- INIT and SIPI, 10.1.1 and table 10-1 ---- */

static void reset_segments(void)
{
	struct segment data = {
		.attributes = SEGMENT_PRESENT | SEGMENT_S | 3, .limit = 0xffff,
	};
	struct segment code = {
		.selector = INIT_CS_SELECTOR, .base = INIT_CS_BASE,
		.attributes = SEGMENT_PRESENT | SEGMENT_S | 0xb,
		.limit = 0xffff,
	};
	struct segment system = {
		.attributes = SEGMENT_PRESENT | SEGMENT_LDT, .limit = 0xffff,
	};

	for (unsigned i = VMCS_ES; i <= VMCS_GS; i++)
		set_segment(i, i == VMCS_CS ? &code : &data);
	set_segment(VMCS_LDTR, &system);
	set_table(VMCS_GUEST_GDTR_BASE, VMCS_GUEST_GDTR_LIMIT, &system);
	set_table(VMCS_GUEST_IDTR_BASE, VMCS_GUEST_IDTR_LIMIT, &system);
	system.attributes = SEGMENT_PRESENT | SEGMENT_BUSY_TSS;
	set_segment(VMCS_TR, &system);
}

static void reset_registers(void)
{
	u64 cr0 = vmread(VMCS_GUEST_CR0);

	vmwrite(VMCS_GUEST_CR0, (cr0 & (CR0_CD | CR0_NW)) | CR0_ET);
	vmwrite(VMCS_GUEST_CR3, 0);
	vmwrite(VMCS_GUEST_CR4, 0);
	vmwrite(VMCS_GUEST_EFER, 0);
	vmwrite(VMCS_GUEST_DR7, DR7_INIT);
	vmx_hide_registers();
	set_entry_bit(VMX_ENTRY_GUEST_64, false);
}

static void reset_events(struct vmx_cpu *vmx)
{
	vmwrite(VMCS_GUEST_INTERRUPTIBILITY, 0);
	vmwrite(VMCS_GUEST_PENDING_DEBUG, 0);
	vmwrite(VMCS_GUEST_ACTIVITY, VMX_ACTIVE);
	vmx->inject = 0;
	memset(vmx->acknowledged, 0, sizeof(vmx->acknowledged));
	vmx->nmi_is_pending = false;
	vmx->cr2 = 0;
	vmx->needs_flush = true;
}

void vmx_reset(struct cpu *cpu)
{
	u32 regs[4];

	reset_segments();
	reset_registers();
	reset_events(vmx_of(cpu));
	write_dr6(DR6_INIT);
	memset(&cpu->guest, 0, sizeof(cpu->guest));
	cpu->guest.rip = INIT_RIP;
	cpu->guest.rflags = RFLAGS_FIXED;
	cpuid(1, 0, regs);
	cpu->guest.gpr[INSN_RDX] = regs[CPUID_EAX];
}

void vmx_wait_for_startup(struct cpu *cpu)
{
	(void)cpu;
	vmwrite(VMCS_GUEST_ACTIVITY, VMX_WAIT_STARTUP);
}

void vmx_start(struct cpu *cpu, u8 startup_vector)
{
	vmwrite(VMCS_SELECTOR(VMCS_CS), startup_vector << 8);
	vmwrite(VMCS_BASE(VMCS_CS), (u64)startup_vector << 12);
	vmwrite(VMCS_GUEST_ACTIVITY, VMX_ACTIVE);
	/* What waiting had blocked is blocked no more. */
	vmwrite(VMCS_GUEST_INTERRUPTIBILITY, 0);
	cpu->guest.rip = 0;
}

/* ---- For the emulator ---- */

enum insn_mode vmx_mode(void)
{
	u32 rights = vmread(VMCS_RIGHTS(VMCS_CS));

	if ((rights & SEGMENT_LONG << 4) &&
	    (vmread(VMCS_GUEST_EFER) & EFER_LMA))
		return INSN_MODE_64;
	return (rights & SEGMENT_DEFAULT_32 << 4) ? INSN_MODE_32
						  : INSN_MODE_16;
}

static bool is_user(void)
{
	return FIELD_GET(SEGMENT_DPL, vmread(VMCS_RIGHTS(VMCS_SS))) == 3;
}

void vmx_load_context(struct cpu *cpu)
{
	cpu->guest.mode = vmx_mode();
	cpu->guest.segment_base[INSN_CS] =
		cpu->guest.mode == INSN_MODE_64
			? 0 : vmread(VMCS_BASE(VMCS_CS));
	cpu->paging = (struct vt_paging){
		.cr0 = vmread(VMCS_GUEST_CR0), .cr3 = vmread(VMCS_GUEST_CR3),
		.cr4 = vmread(VMCS_GUEST_CR4), .efer = vmread(VMCS_GUEST_EFER),
		.is_user = is_user(),
	};
}

bool vmx_is_64bit_under(const struct cpu *cpu, const struct vt_paging *paging)
{
	return vmread(VMCS_GUEST_CR3) == paging->cr3 &&
	       vmread(VMCS_GUEST_CR0) == paging->cr0 &&
	       vmread(VMCS_GUEST_CR4) == paging->cr4 &&
	       vmread(VMCS_GUEST_EFER) == paging->efer &&
	       is_user() == paging->is_user && vmx_mode() == INSN_MODE_64;
}

void vmx_load_segments(struct cpu *cpu)
{
	u64 *base = cpu->guest.segment_base;

	base[INSN_ES] = vmread(VMCS_BASE(VMCS_ES));
	base[INSN_SS] = vmread(VMCS_BASE(VMCS_SS));
	base[INSN_DS] = vmread(VMCS_BASE(VMCS_DS));
	base[INSN_FS] = vmread(VMCS_BASE(VMCS_FS));
	base[INSN_GS] = vmread(VMCS_BASE(VMCS_GS));
}
