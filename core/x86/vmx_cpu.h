/* SPDX-License-Identifier: BSD-2-Clause */
/* What the files of the VMX back end share. */
#ifndef SLUICE_VMX_CPU_H
#define SLUICE_VMX_CPU_H

#include "cpu.h"
#include "spec/vmx.h"
#include "vt.h"

struct vmx_cpu {
	void *vmxon;		/* the processor's own, and the VMCS */
	void *vmcs;
	bool has_host;		/* the VMCS knows the host's state */
	bool is_launched;
	bool needs_flush;
	u32 processor;		/* controls as they are in the VMCS */
	u32 pin;
	u64 cr2;		/* the guest's: no field of the VMCS */
	u32 inject;		/* event of the next entry, and its error */
	u32 inject_error;
	u64 acknowledged[4];	/* interrupts the guest is still to get */
	bool was_delivering;	/* an event, when the last exit came */
	bool nmi_is_pending;
};

static inline struct vmx_cpu *vmx_of(const struct cpu *cpu)
{
	return cpu->vendor;
}

/* vmx_native.c: of the VMCS that is current on this CPU. */
u64 vmread(enum vmcs_field field);
void vmwrite(enum vmcs_field field, u64 value);

void vmxon(hpa_t region);
void vmclear(hpa_t vmcs);
void vmptrld(hpa_t vmcs);
/* What was cached of nested tables, and of the guest's own. */
void invept_all(void);
void invvpid_single(u16 vpid);

/* vmx_control.c: what the processor can do, from its capability MSRs. */
struct vmx_controls {
	u32 pin, processor, processor2, exit, entry;
	bool has_1g_pages, has_xsaves;
	bool has_timer;
};

/* NULL, or what is missing. */
const char *vmx_control_init(struct vmx_controls *controls);
/* Bits that come and go. */
void vmx_set_pin(struct vmx_cpu *vmx_cpu, u32 bit, bool on);
void vmx_set_processor(struct vmx_cpu *vmx_cpu, u32 bit, bool on);

/* vmx_state.c */
void vmx_capture_guest(struct cpu *cpu);
void vmx_set_host(void);
void vmx_reset(struct cpu *cpu);
void vmx_start(struct cpu *cpu, u8 startup_vector);
void vmx_wait_for_startup(struct cpu *cpu);
enum insn_mode vmx_mode(void);
void vmx_load_context(struct cpu *cpu);
void vmx_load_segments(struct cpu *cpu);
bool vmx_is_64bit_under(const struct cpu *cpu, const struct vt_paging *paging);

/* vmx_event.c: as in vt.h, and for each run */
void vmx_event_inject_exception(struct cpu *cpu, u8 vector, bool has_error,
				u32 error);
void vmx_event_set_page_fault_address(struct cpu *cpu, u64 linear);
void vmx_event_inject_nmi(struct cpu *cpu);
void vmx_event_forward_interrupt(struct cpu *cpu);
void vmx_event_set_interrupt_exits(struct cpu *cpu, bool on);
/* Before an entry: chooses what it injects. */
void vmx_event_offer(struct cpu *cpu);
/* After an exit: what it has cut short. */
void vmx_event_repeat(struct cpu *cpu);
/* An IRET has faulted, if the qualification says so. */
void vmx_event_after_iret(struct cpu *cpu, u64 qualification);

/* vmx_timer.c */
void vmx_timer_init(const struct vmx_controls *controls);
/* Before an entry. */
void vmx_timer_load(struct vmx_cpu *vmx_cpu);

/* vmx_hide.c */
int vmx_hide_init(void);
hpa_t vmx_hide_msr_map(void);
bool vmx_hide_msr_read(struct cpu *cpu, u32 index, u64 *value);
bool vmx_hide_msr_write(struct cpu *cpu, u32 index, u64 value);
void vmx_hide_cpuid(struct cpu *cpu, u32 leaf, u32 regs[4]);
/* Which bits of CR0 and CR4 the processor keeps for VMX. */
void vmx_hide_registers(void);
/* A write of the guest to one of them. False: #GP. */
bool vmx_hide_register_write(struct cpu *cpu, u64 qualification);

/* vmx_dump.c: all of the VMCS, for the log. */
void vmx_dump(void);

#endif
