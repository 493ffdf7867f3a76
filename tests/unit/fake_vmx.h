/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A processor with VMX: its entry refuses what the SDM says one refuses
 * (vol. 3, chapter 27), and does with the VMCS what it says a processor does.
 * The rest of the machine is as simple as can be.
 */
#ifndef FAKE_VMX_H
#define FAKE_VMX_H

#include "../../core/x86/vmx_cpu.h"

#define FAKE_VMX_UNDEFINED 0xa5a5a5a5a5a5a5a5

struct fake_vmx {
	struct cpu cpu;
	struct vt_exit last;
	u64 vmcs[0x7000];
	u32 next_reason;	/* what the guest does next */
	u64 next_qualification, next_event, next_vectoring;
	bool nmi_comes_first;
	u8 taken[16];		/* vectors that the guest's handlers saw */
	size_t taken_count;
	size_t flush_count, iret_count, type_updates;
	u64 xcr0, cr2;
	u64 msr_value, feature_control, ept_capability;
	u32 pin_may, processor2_may;
	bool has_vmx;
	u64 timer_us;		/* of the next timer, or ~0 */
};

extern struct fake_vmx fake;

/* A processor with everything, its guest captured. */
void fake_vmx_start(void);
/* The guest, until this exit. */
enum vt_exit_reason fake_vmx_run(u32 reason);
/* The same until an interrupt, which is forwarded. */
void fake_vmx_interrupt(u8 vector);

/* Of the guest: */
bool fake_vmx_is_blocked(u32 bits);
void fake_vmx_iret_of_nmi(void);
void fake_vmx_enable_interrupts(void);

#endif
