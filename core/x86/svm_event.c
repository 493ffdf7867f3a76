/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What is injected into a guest under SVM: exceptions, NMIs and interrupts,
 * each when the guest can take it, and the halt that they end. Sections: APM
 * vol. 2.
 */
#include "barrier.h"
#include "spec/x86.h"
#include "svm_cpu.h"

void svm_take_interrupt(void);
void svm_take_nmi_smi_and_init(void);
void svm_sleep(const u32 *host_nmi);
void svm_doze(const u32 *host_nmi);

static void set_intercept3(struct vmcb *vmcb, enum svm_intercept3 bit, bool on)
{
	if (on)
		vmcb->intercept3 |= BIT(bit);
	else
		vmcb->intercept3 &= ~BIT(bit);
}

void svm_event_set_interrupt_exits(struct cpu *cpu, bool on)
{
	svm_of(cpu)->interrupts_exit = on;
	set_intercept3(svm_of(cpu)->vmcb, SVM_INTERCEPT_INTR, on);
}

void svm_event_set_halt_exits(struct cpu *cpu, bool on)
{
	struct vmcb *vmcb = svm_of(cpu)->vmcb;

	set_intercept3(vmcb, SVM_INTERCEPT_HLT, on);
	vmcb->intercept4 &= ~BIT(SVM_INTERCEPT_MWAIT);
	if (on)
		vmcb->intercept4 |= BIT(SVM_INTERCEPT_MWAIT);
}

/* ---- Exceptions, NMIs and interrupts ---- */

static void set_inject(struct svm_cpu *svm, u64 event)
{
	svm->inject = event;
	svm->has_events = true;
}

void svm_event_inject_exception(struct cpu *cpu, u8 vector, bool has_error,
				u32 error)
{
	set_inject(svm_of(cpu),
		   SVM_EVENT_VALID | vector |
		   FIELD_PREP(SVM_EVENT_TYPE, SVM_EVENT_EXCEPTION) |
		   (has_error ? SVM_EVENT_HAS_ERROR : 0) |
		   FIELD_PREP(SVM_EVENT_ERROR, error));
}

void svm_event_set_page_fault_address(struct cpu *cpu, u64 linear)
{
	svm_of(cpu)->vmcb->cr2 = linear;
	/* VMRUN loads it (15.5.1); in Bochs 2.7 it stays what it is. */
	write_cr2(linear);
}

void svm_event_inject_nmi(struct cpu *cpu)
{
	svm_of(cpu)->nmi_is_pending = true;
	svm_of(cpu)->has_events = true;
}

/*
 * An injected NMI blocks no further ones by itself (15.20), so the IRET that
 * ends its handler exits. A second NMI follows that IRET.
 */
static void inject_pending_nmi(struct svm_cpu *svm)
{
	if (!svm->nmi_is_pending || svm->nmi_is_blocked || svm->inject)
		return;
	set_inject(svm, SVM_EVENT_VALID | VECTOR_NMI |
		   FIELD_PREP(SVM_EVENT_TYPE, SVM_EVENT_NMI));
	svm->nmi_is_pending = false;
	svm->nmi_is_blocked = true;
}

/*
 * The local APIC has handed the interrupt over: it is the guest's now, as a
 * virtual one, to be taken as soon as RFLAGS.IF allows (15.21.4). A second
 * may come before that; it is of higher priority then, or the APIC would
 * have kept it, and goes first.
 */
static void note_vector(struct cpu *cpu)
{
	u32 taken = READ_ONCE(cpu->host_vector);
	struct svm_cpu *svm = svm_of(cpu);
	u8 vector = taken;

	/* None: it was withdrawn, as a level-triggered one can be. */
	if (!taken)
		return;
	svm->acknowledged[vector / 64] |= BIT(vector % 64);
	svm->has_events = true;
}

void svm_event_forward_interrupt(struct cpu *cpu)
{
	WRITE_ONCE(cpu->host_vector, 0);
	svm_take_interrupt();
	note_vector(cpu);
}

bool svm_event_take_interrupt(struct cpu *cpu)
{
	svm_event_forward_interrupt(cpu);
	return READ_ONCE(cpu->host_vector);
}

static bool has_interrupt(const struct svm_cpu *svm)
{
	return svm->acknowledged[0] | svm->acknowledged[1] |
	       svm->acknowledged[2] | svm->acknowledged[3];
}

static bool has_reason_to_wake(struct cpu *cpu)
{
	const struct svm_cpu *svm = svm_of(cpu);

	return READ_ONCE(cpu->host_nmi) || READ_ONCE(cpu->host_init) ||
	       svm->nmi_is_pending ||
	       ((cpu->guest.rflags & RFLAGS_IF) && has_interrupt(svm));
}

static void doze(struct cpu *cpu)
{
	WRITE_ONCE(cpu->host_vector, 0);
	svm_doze(&cpu->host_nmi);
	note_vector(cpu);
}

/* The window for an interrupt is one for NMIs, SMIs and INITs, too. */
bool svm_event_ends_halt(struct cpu *cpu, bool sleeps)
{
	bool takes_interrupts = cpu->guest.rflags & RFLAGS_IF;

	if (has_reason_to_wake(cpu))
		return true;
	if (takes_interrupts && sleeps)
		doze(cpu);
	else if (takes_interrupts)
		svm_event_forward_interrupt(cpu);
	else if (sleeps)
		svm_sleep(&cpu->host_nmi);
	else
		svm_take_nmi_smi_and_init();
	return has_reason_to_wake(cpu);
}

/* -1: there is none. */
static int highest_interrupt(const struct svm_cpu *svm)
{
	if (!has_interrupt(svm))
		return -1;
	for (int word = 3; word >= 0; word--)
		if (svm->acknowledged[word])
			return 64 * word + 63 -
			       __builtin_clzll(svm->acknowledged[word]);
	return -1;
}

/* Over an IRET, the flags that a delivery would save are not the guest's. */
static bool takes_interrupts(const struct cpu *cpu)
{
	const struct svm_cpu *svm = svm_of(cpu);

	return !svm->inject && !svm->is_stepping &&
	       (cpu->guest.rflags & RFLAGS_IF) && !svm->vmcb->interrupt_shadow;
}

/*
 * One that can be taken is, at once. The rest is for later: a virtual
 * interrupt waits for the guest's flag to be set, and in Bochs 2.7 does so
 * even when it is set already. To the guest both are the same, but QEMU 7.2
 * delivers an injected one a second time, whatever the flag says, when its
 * device thread wants something just then: a processor as old as not to tell
 * the next RIP, as that one is, is left to take all by itself.
 */
static void inject_interrupt(struct cpu *cpu)
{
	struct svm_cpu *svm = svm_of(cpu);
	int vector = highest_interrupt(svm);

	if (vector < 0 || !svm_has_next_rip || !takes_interrupts(cpu))
		return;
	set_inject(svm, SVM_EVENT_VALID | vector |
		   FIELD_PREP(SVM_EVENT_TYPE, SVM_EVENT_INTR));
	svm->acknowledged[vector / 64] &= ~BIT(vector % 64);
}

/* Puts the highest one into the VMCB; -1: there is none. */
static int offer_interrupt(struct svm_cpu *svm)
{
	int vector = highest_interrupt(svm);

	svm->vmcb->interrupt_control = 0;
	if (vector < 0)
		return -1;
	svm->vmcb->interrupt_control =
		SVM_VIRQ_PENDING | SVM_VIRQ_PRIORITY | SVM_VIRQ_IGNORE_TPR |
		FIELD_PREP(SVM_VIRQ_VECTOR, vector);
	return vector;
}

/* After an exit: has the guest taken it? */
static void note_interrupt(struct svm_cpu *svm)
{
	int vector = svm->offered;

	if (vector >= 0 && !(svm->vmcb->interrupt_control & SVM_VIRQ_PENDING))
		svm->acknowledged[vector / 64] &= ~BIT(vector % 64);
}

/* More than the one that is offered, which is the highest? */
static bool has_more_interrupts(const struct svm_cpu *svm)
{
	int word = svm->offered / 64;
	u64 others;

	if (svm->offered < 0)
		return false;
	others = svm->acknowledged[word] & ~BIT(svm->offered % 64);
	while (word--)
		others |= svm->acknowledged[word];
	return others;
}

/*
 * With one on offer the next comes to us, too: the higher of them is to go
 * first, and QEMU drops a virtual interrupt that a real one overtakes.
 */
static bool wants_interrupt_exit(const struct svm_cpu *svm)
{
	return svm->interrupts_exit || svm->offered >= 0;
}

/* At the end of a handler, when something waits for that. */
static bool wants_iret_exit(const struct svm_cpu *svm)
{
	return !svm->iret_is_running &&
	       (svm->nmi_is_blocked || has_more_interrupts(svm));
}

/*
 * An event whose delivery was cut short by the exit is delivered again.
 * INT n, INT3 and INTO are not: rip still points at them (15.7.2). An
 * "exception" above 31 can only have been an interrupt.
 */
static u64 event_to_repeat(u64 info)
{
	u8 vector = FIELD_GET(SVM_EVENT_VECTOR, info);
	unsigned type = FIELD_GET(SVM_EVENT_TYPE, info);

	if (type == SVM_EVENT_SOFTWARE)
		return 0;
	if (type == SVM_EVENT_EXCEPTION && (vector == 3 || vector == 4))
		return 0;
	if (type == SVM_EVENT_EXCEPTION && vector > 31)
		return FIELD_SET(SVM_EVENT_TYPE, info, SVM_EVENT_INTR);
	return info;
}

void svm_event_iret_exited(struct cpu *cpu)
{
	struct svm_cpu *svm = svm_of(cpu);

	svm->iret_is_running = true;
	svm->iret_rip = cpu->guest.rip;
	svm->has_events = true;
}

/* None at all is the rule, once what is in the VMCB of earlier ones is gone. */
void svm_event_offer(struct cpu *cpu)
{
	struct svm_cpu *svm = svm_of(cpu);
	struct vmcb *vmcb = svm->vmcb;

	if (svm->iret_is_running && svm->nmi_is_pending)
		svm_step_begin(cpu);
	inject_pending_nmi(svm);
	inject_interrupt(cpu);
	vmcb->event_inject = svm->inject;
	svm->offered = offer_interrupt(svm);
	set_intercept3(vmcb, SVM_INTERCEPT_INTR, wants_interrupt_exit(svm));
	set_intercept3(vmcb, SVM_INTERCEPT_IRET, wants_iret_exit(svm));
	svm->has_events = svm->inject || svm->offered >= 0 ||
			  svm->nmi_is_blocked || svm->iret_is_running;
}

void svm_event_note(struct cpu *cpu)
{
	struct svm_cpu *svm = svm_of(cpu);

	svm->inject = 0;
	note_interrupt(svm);
	if (svm->is_stepping && svm_step_end(cpu))
		svm_event_inject_exception(cpu, VECTOR_DB, false, 0);
	/* Else this exit came before it. */
	if (svm->iret_is_running && cpu->guest.rip != svm->iret_rip) {
		svm->iret_is_running = false;
		svm->nmi_is_blocked = false;
	}
}

void svm_event_repeat(struct cpu *cpu, u64 info)
{
	set_inject(svm_of(cpu), event_to_repeat(info));
}
