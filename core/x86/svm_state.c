/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The guest's processor state in the VMCB: taken from the running CPU at
 * launch, set after INIT and SIPI, and read for the emulator. FS, GS, TR and
 * LDTR live in the processor itself, not in the VMCB: VMRUN leaves them
 * alone (APM vol. 2, 15.5.2). Sections: APM vol. 2.
 */
#include <string.h>

#include "linear.h"
#include "page.h"
#include "segment.h"
#include "spec/x86.h"
#include "svm_cpu.h"

static struct vmcb *vmcb_of(const struct cpu *cpu)
{
	return ((struct svm_cpu *)cpu->vendor)->vmcb;
}

static void capture_segments(struct vmcb *vmcb)
{
	vmcb->gdtr = segment_gdtr();
	vmcb->idtr = segment_idtr();
	vmcb->cs = segment_of(SEGMENT_SELECTOR(cs));
	vmcb->ss = segment_of(SEGMENT_SELECTOR(ss));
	vmcb->ds = segment_of(SEGMENT_SELECTOR(ds));
	vmcb->es = segment_of(SEGMENT_SELECTOR(es));
}

void svm_capture(struct cpu *cpu)
{
	struct svm_cpu *svm = cpu->vendor;
	struct vmcb *vmcb = svm->vmcb;

	wrmsr(MSR_EFER, rdmsr(MSR_EFER) | EFER_SVME);
	wrmsr(MSR_VM_HSAVE_PA, page_hpa(svm->host_save).v);
	__asm__ volatile("clgi" ::: "memory");
	svm_redirect_enable();
	capture_segments(vmcb);
	vmcb->efer = rdmsr(MSR_EFER);
	vmcb->cr0 = read_cr0();
	vmcb->cr2 = read_cr2();
	vmcb->cr3 = read_cr3();
	vmcb->cr4 = read_cr4();
	vmcb->dr6 = read_dr6();
	vmcb->dr7 = read_dr7();
	vmcb->pat = rdmsr(MSR_PAT);
	vmcb->cpl = 0;
}

/* ---- INIT and SIPI, 14.1.3 and table 14-1 ---- */

static void reset_segments(struct vmcb *vmcb)
{
	const struct segment data = {
		.attributes = SEGMENT_PRESENT | SEGMENT_S | 3, .limit = 0xffff,
	};

	vmcb->es = vmcb->ss = vmcb->ds = vmcb->fs = vmcb->gs = data;
	vmcb->cs = data;
	vmcb->cs.attributes = SEGMENT_PRESENT | SEGMENT_S | 0xb;
	vmcb->cs.selector = INIT_CS_SELECTOR;
	vmcb->cs.base = INIT_CS_BASE;
	vmcb->gdtr = vmcb->idtr = (struct segment){ .limit = 0xffff };
	vmcb->ldtr = vmcb->tr = vmcb->gdtr;
	vmcb->ldtr.attributes = SEGMENT_PRESENT | SEGMENT_LDT;
	vmcb->tr.attributes = SEGMENT_PRESENT | SEGMENT_BUSY_TSS;
}

/* VMLOAD brings FS, GS, TR and LDTR back, and MSRs that INIT keeps: so VMSAVE
 * fetches those first (15.5.2). */
static void reset_processor_segments(struct vmcb *vmcb)
{
	u64 address = page_hpa(vmcb).v;

	__asm__ volatile("vmsave %0" ::"a"(address) : "memory");
	reset_segments(vmcb);
	__asm__ volatile("vmload %0" ::"a"(address) : "memory");
}

void svm_reset(struct cpu *cpu)
{
	struct svm_cpu *svm = cpu->vendor;
	struct vmcb *vmcb = svm->vmcb;
	u32 regs[4];

	reset_processor_segments(vmcb);
	vmcb->cr0 = (vmcb->cr0 & (CR0_CD | CR0_NW)) | CR0_ET;
	vmcb->cr2 = vmcb->cr3 = vmcb->cr4 = 0;
	vmcb->dr6 = DR6_INIT;
	vmcb->dr7 = DR7_INIT;
	vmcb->efer = EFER_SVME;
	vmcb->cpl = 0;
	vmcb->interrupt_shadow = 0;
	vmcb->tlb_control = SVM_TLB_FLUSH_ALL;
	svm->has_events = true;		/* none, but some may be in the VMCB */
	svm->inject = 0;
	memset(svm->acknowledged, 0, sizeof(svm->acknowledged));
	svm->nmi_is_pending = svm->nmi_is_blocked = false;
	svm->iret_is_running = svm->is_stepping = false;
	vmcb->intercept_exception = 0;
	memset(&cpu->guest, 0, sizeof(cpu->guest));
	cpu->guest.rip = INIT_RIP;
	cpu->guest.rflags = RFLAGS_FIXED;
	cpuid(1, 0, regs);
	cpu->guest.gpr[INSN_RDX] = regs[CPUID_EAX];
}

void svm_start(struct cpu *cpu, u8 startup_vector)
{
	struct vmcb *vmcb = vmcb_of(cpu);

	vmcb->cs.selector = startup_vector << 8;
	vmcb->cs.base = (u64)startup_vector << 12;
	cpu->guest.rip = 0;
}

/* ---- For the emulator ---- */

enum insn_mode svm_mode(const struct vmcb *vmcb)
{
	if ((vmcb->efer & EFER_LMA) && (vmcb->cs.attributes & SEGMENT_LONG))
		return INSN_MODE_64;
	return (vmcb->cs.attributes & SEGMENT_DEFAULT_32) ? INSN_MODE_32
							  : INSN_MODE_16;
}

void svm_load_context(struct cpu *cpu)
{
	const struct vmcb *vmcb = vmcb_of(cpu);

	cpu->guest.mode = svm_mode(vmcb);
	cpu->guest.segment_base[INSN_CS] =
		cpu->guest.mode == INSN_MODE_64 ? 0 : vmcb->cs.base;
	cpu->paging = (struct vt_paging){
		.cr0 = vmcb->cr0, .cr3 = vmcb->cr3, .cr4 = vmcb->cr4,
		.efer = vmcb->efer, .is_user = vmcb->cpl == 3,
	};
}

HOT bool svm_is_64bit_under(const struct cpu *cpu, const struct vt_paging *paging)
{
	const struct vmcb *vmcb = vmcb_of(cpu);
	u64 differences = vmcb->cr3 ^ paging->cr3;

	differences |= vmcb->cr0 ^ paging->cr0;
	differences |= vmcb->cr4 ^ paging->cr4;
	differences |= vmcb->efer ^ paging->efer;
	return !differences && (paging->efer & EFER_LMA) &&
	       (vmcb->cs.attributes & SEGMENT_LONG) &&
	       (vmcb->cpl == 3) == paging->is_user;
}

void svm_load_segments(struct cpu *cpu)
{
	const struct vmcb *vmcb = vmcb_of(cpu);
	u64 *base = cpu->guest.segment_base;

	base[INSN_ES] = vmcb->es.base;
	base[INSN_SS] = vmcb->ss.base;
	base[INSN_DS] = vmcb->ds.base;
	base[INSN_FS] = rdmsr(MSR_FS_BASE);
	base[INSN_GS] = rdmsr(MSR_GS_BASE);
}
