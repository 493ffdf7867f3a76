/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What is injected into a guest under VMX: exceptions, NMIs and interrupts,
 * each when the guest can take it. Sections: Intel SDM vol. 3.
 */
#include "spec/x86.h"
#include "vmx_cpu.h"

void vmx_event_set_interrupt_exits(struct cpu *cpu, bool on)
{
	vmx_set_pin(vmx_of(cpu), VMX_PIN_INTERRUPT, on);
}

#define VMX_BLOCKED                                                    \
	(VMX_BLOCKED_BY_STI | VMX_BLOCKED_BY_MOV_SS | VMX_BLOCKED_BY_NMI)

static u32 event(enum vmx_event_type type, u8 vector)
{
	return VMX_EVENT_VALID | FIELD_PREP(VMX_EVENT_TYPE, type) | vector;
}

void vmx_event_inject_exception(struct cpu *cpu, u8 vector, bool has_error,
				u32 error)
{
	struct vmx_cpu *vmx_cpu = vmx_of(cpu);

	vmx_cpu->inject = event(VMX_EVENT_EXCEPTION, vector);
	/* None in real mode (27.2.1.3). */
	if (has_error && (vmread(VMCS_GUEST_CR0) & CR0_PE))
		vmx_cpu->inject |= VMX_EVENT_HAS_ERROR;
	vmx_cpu->inject_error = error;
	/* All of them are faults (18.3.1.1); an entry leaves that to us. */
	cpu->guest.rflags |= RFLAGS_RF;
}

void vmx_event_set_page_fault_address(struct cpu *cpu, u64 linear)
{
	vmx_of(cpu)->cr2 = linear;
}

void vmx_event_inject_nmi(struct cpu *cpu)
{
	vmx_of(cpu)->nmi_is_pending = true;
}

static bool takes_nmis(void)
{
	return !(vmread(VMCS_GUEST_INTERRUPTIBILITY) & VMX_BLOCKED) &&
	       vmread(VMCS_GUEST_ACTIVITY) != VMX_WAIT_STARTUP;
}

/* When it cannot be taken now, the processor tells when (27.5.5). */
static void offer_nmi(struct vmx_cpu *vmx_cpu)
{
	if (vmx_cpu->nmi_is_pending && !vmx_cpu->inject && takes_nmis()) {
		vmx_cpu->inject = event(VMX_EVENT_NMI, VECTOR_NMI);
		vmx_cpu->nmi_is_pending = false;
	}
	vmx_set_processor(vmx_cpu, VMX_PROCESSOR_NMI_WINDOW,
			  vmx_cpu->nmi_is_pending);
}

/* Acknowledged by the exit: the guest's, as soon as it can take it. A second
 * that comes before that is of higher priority, and goes first. */
void vmx_event_forward_interrupt(struct cpu *cpu)
{
	u32 info = vmread(VMCS_EXIT_EVENT);
	u8 vector = FIELD_GET(VMX_EVENT_VECTOR, info);

	if (info & VMX_EVENT_VALID)
		vmx_of(cpu)->acknowledged[vector / 64] |= BIT(vector % 64);
}

static int highest(const u64 *acknowledged)
{
	for (int word = 3; word >= 0; word--)
		if (acknowledged[word])
			return 64 * word + 63 -
			       __builtin_clzll(acknowledged[word]);
	return -1;
}

static bool takes_interrupts(const struct cpu *cpu)
{
	return (cpu->guest.rflags & RFLAGS_IF) &&
	       !(vmread(VMCS_GUEST_INTERRUPTIBILITY) &
		 (VMX_BLOCKED_BY_STI | VMX_BLOCKED_BY_MOV_SS));
}

static void offer_interrupt(struct cpu *cpu, struct vmx_cpu *vmx_cpu)
{
	int vector = highest(vmx_cpu->acknowledged);

	if (vector >= 0 && !vmx_cpu->inject && takes_interrupts(cpu)) {
		vmx_cpu->inject = event(VMX_EVENT_INTERRUPT, vector);
		vmx_cpu->acknowledged[vector / 64] &= ~BIT(vector % 64);
		vector = highest(vmx_cpu->acknowledged);
	}
	vmx_set_processor(vmx_cpu, VMX_PROCESSOR_INTERRUPT_WINDOW,
			  vector >= 0);
}

void vmx_event_offer(struct cpu *cpu)
{
	struct vmx_cpu *vmx_cpu = vmx_of(cpu);

	offer_nmi(vmx_cpu);
	offer_interrupt(cpu, vmx_cpu);
}

/*
 * An event whose delivery was cut short by the exit is delivered again. INT n
 * and its like are not: rip still points at them (28.2.4).
 */
void vmx_event_repeat(struct cpu *cpu)
{
	struct vmx_cpu *vmx_cpu = vmx_of(cpu);
	u32 info = vmread(VMCS_VECTORING);
	unsigned type = FIELD_GET(VMX_EVENT_TYPE, info);

	vmx_cpu->was_delivering = info & VMX_EVENT_VALID;
	vmx_cpu->inject = 0;
	if (!vmx_cpu->was_delivering || type >= VMX_EVENT_SOFT_INTERRUPT)
		return;
	vmx_cpu->inject = info & (VMX_EVENT_VALID | VMX_EVENT_HAS_ERROR |
				  VMX_EVENT_TYPE | VMX_EVENT_VECTOR);
	if (info & VMX_EVENT_HAS_ERROR)
		vmx_cpu->inject_error = vmread(VMCS_VECTORING_ERROR);
	/* Not blocked until it has been delivered (27.3.1.5). */
	if (type == VMX_EVENT_NMI)
		vmwrite(VMCS_GUEST_INTERRUPTIBILITY,
			vmread(VMCS_GUEST_INTERRUPTIBILITY) &
				~VMX_BLOCKED_BY_NMI);
}

/* An IRET that faults has ended the blocking already (28.2.3). */
void vmx_event_after_iret(struct cpu *cpu, u64 qualification)
{
	if ((qualification & VMX_EVENT_NMI_UNBLOCKED) &&
	    !vmx_of(cpu)->was_delivering)
		vmwrite(VMCS_GUEST_INTERRUPTIBILITY,
			vmread(VMCS_GUEST_INTERRUPTIBILITY) |
				VMX_BLOCKED_BY_NMI);
}
