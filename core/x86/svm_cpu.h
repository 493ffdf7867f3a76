/* SPDX-License-Identifier: BSD-2-Clause */
/* What the files of the SVM back end share. */
#ifndef SLUICE_SVM_CPU_H
#define SLUICE_SVM_CPU_H

#include "cpu.h"
#include "spec/svm.h"
#include "vt.h"

struct svm_cpu {
	struct vmcb *vmcb;
	void *host_save;	/* VM_HSAVE_PA: the processor's own */
	bool interrupts_exit;	/* all of them: somebody watches */
	bool has_events;	/* of the following, or in the VMCB */
	int offered;		/* acknowledged vector in it, or -1 */
	u64 inject;		/* EVENTINJ of the next run */
	u64 acknowledged[4];	/* interrupts the guest is still to get */
	bool nmi_is_pending;
	bool nmi_is_blocked;	/* until the handler's IRET has run */
	bool iret_is_running;
	u64 iret_rip;

	/* svm_step.c */
	bool is_stepping, step_is_guests;
	u64 step_dr6;
};

_Static_assert(sizeof(struct svm_cpu) <=
	       sizeof(((struct cpu *)0)->vendor_area), "vendor_area");

extern bool svm_has_next_rip;	/* the processor tells */

static inline struct svm_cpu *svm_of(const struct cpu *cpu)
{
	return cpu->vendor;
}

/* svm_event.c: as in vt.h */
void svm_event_inject_exception(struct cpu *cpu, u8 vector, bool has_error,
				u32 error);
void svm_event_set_page_fault_address(struct cpu *cpu, u64 linear);
void svm_event_inject_nmi(struct cpu *cpu);
void svm_event_forward_interrupt(struct cpu *cpu);
bool svm_event_take_interrupt(struct cpu *cpu);
void svm_event_set_interrupt_exits(struct cpu *cpu, bool on);
void svm_event_set_halt_exits(struct cpu *cpu, bool on);
bool svm_event_ends_halt(struct cpu *cpu, bool sleeps);
/* Around a run, with svm->has_events: what is offered, what was taken. */
__attribute__((noinline)) void svm_event_offer(struct cpu *cpu);
void svm_event_note(struct cpu *cpu);
/* The exit has cut short the delivery of EXITINTINFO `info`. */
void svm_event_repeat(struct cpu *cpu, u64 info);
/* The IRET of an NMI's handler is next. */
void svm_event_iret_exited(struct cpu *cpu);

/* svm_state.c */
void svm_capture(struct cpu *cpu);
void svm_reset(struct cpu *cpu);
void svm_start(struct cpu *cpu, u8 startup_vector);
enum insn_mode svm_mode(const struct vmcb *vmcb);
void svm_load_context(struct cpu *cpu);
void svm_load_segments(struct cpu *cpu);
bool svm_is_64bit_under(const struct cpu *cpu, const struct vt_paging *paging);

/* svm_redirect.c */
void svm_redirect_init(void);
const char *svm_redirect_is_missing(void);	/* NULL, or why */
void svm_redirect_enable(void);

/* svm_step.c: one instruction, then an exit. At that or an earlier one, true
 * if the step's trap is the guest's as well. */
void svm_step_begin(struct cpu *cpu);
bool svm_step_end(struct cpu *cpu);

/* svm_hide.c */
int svm_hide_init(void);
hpa_t svm_hide_msr_map(void);
bool svm_hide_msr_read(struct cpu *cpu, u32 index, u64 *value);
bool svm_hide_msr_write(struct cpu *cpu, u32 index, u64 value);
void svm_hide_cpuid(struct cpu *cpu, u32 leaf, u32 regs[4]);

#endif
