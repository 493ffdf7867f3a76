/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A processor with SVM: its VMRUN does with the VMCB what the APM says one
 * does. The rest of the machine is as simple as can be.
 */
#ifndef FAKE_SVM_H
#define FAKE_SVM_H

#include "../../core/x86/linear.h"
#include "../../core/x86/svm_cpu.h"

struct fake_svm {
	struct cpu cpu;
	struct vmcb *vmcb;
	struct vt_exit last;
	u32 next_exit;		/* what the guest does next */
	u64 next_info1, next_info2, next_event;
	u64 guest_rflags;	/* as what it executes leaves them */
	bool guest_if;		/* may it take an interrupt now? */
	bool stepped;		/* it ran for one instruction */
	u32 pending_vector;	/* at the APIC, for the host's window */
	u8 taken[16];		/* vectors that the guest's handlers saw */
	size_t taken_count;
	u8 code[LINEAR_FETCH_SIZE];
	u64 msr_value;
	bool msr_is_there;
	u32 cpuid_regs[4];
	u64 vm_cr, vm_cr_bits;	/* those it keeps */
	bool init_is_pending;
};

extern struct fake_svm fake;

/* What was set up of MSRs and CPUID stays. */
void fake_svm_start(void);
/* The guest, until this exit. */
enum vt_exit_reason fake_svm_run(u32 code);
/* An interrupt that comes while the host runs. */
void fake_svm_forward(u8 vector);

#endif
