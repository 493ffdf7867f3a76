/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Intel VMX behind include/vt.h: running the guest and telling why it came
 * out. What it runs with is vmx_control.c's, the guest's state at launch and
 * after INIT vmx_state.c's, what is injected vmx_event.c's, MSRs, CPUID and
 * control registers vmx_hide.c's.
 * Sections: Intel SDM vol. 3.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "log.h"
#include "mtrr.h"
#include "page.h"
#include "slat.h"
#include "spec/x86.h"
#include "vmx.h"
#include "vmx_cpu.h"

#define VPID 1		/* one guest; 0 is the host's (29.1) */

enum vmx_entry {
	VMX_ENTRY_EXITED,
	VMX_ENTRY_FAILED,
	VMX_ENTRY_MISSED,	/* an NMI came first: see cpu->host_nmi */
};

enum vmx_entry vmx_run(struct cpu *cpu, bool is_launched, const u32 *host_nmi);
void vmx_unblock_nmi(void);
void vmx_sleep(const u32 *host_nmi);

static struct vmx_controls controls;
static u8 *io_map;

/* ---- Switching on ---- */

static bool is_there(void)
{
	u32 regs[4];

	cpuid(1, 0, regs);
	return regs[CPUID_ECX] & CPUID_1_ECX_VMX;
}

static const char *probe(void)
{
	u64 feature_control = rdmsr(MSR_FEATURE_CONTROL);
	static char why_not[80];
	const char *missing;

	if ((feature_control & FEATURE_CONTROL_LOCK) &&
	    !(feature_control & FEATURE_CONTROL_VMX))
		return "VMX (VT-x) is disabled: switch it on in the firmware setup";
	missing = vmx_control_init(&controls);
	if (!missing)
		return NULL;
	snprintf(why_not, sizeof(why_not), "this processor's VMX has no %s",
		 missing);
	return why_not;
}

static int init(void)
{
	log_debug("vmx: pin %#x, processor %#x %#x, exit %#x, entry %#x%s%s",
		  controls.pin, controls.processor, controls.processor2,
		  controls.exit, controls.entry,
		  controls.has_1g_pages ? ", 1 GiB pages" : "",
		  controls.has_timer ? ", preemption timer" : "");
	vmx_timer_init(&controls);
	io_map = page_alloc(VMX_IO_MAP_PAGES);
	if (!io_map)
		return -ENOMEM;
	return vmx_hide_init();
}

/* A region that begins with the revision the processor asks for (25.2). */
static void *alloc_region(void)
{
	u32 *region = page_alloc(1);

	if (region)
		*region = FIELD_GET(VMX_BASIC_REVISION, rdmsr(MSR_VMX_BASIC));
	return region;
}

static int vcpu_init(struct cpu *cpu)
{
	struct vmx_cpu *vmx_cpu = page_alloc(1);

	if (!vmx_cpu)
		return -ENOMEM;
	vmx_cpu->vmxon = alloc_region();
	vmx_cpu->vmcs = alloc_region();
	if (!vmx_cpu->vmxon || !vmx_cpu->vmcs)
		return -ENOMEM;
	cpu->vendor = vmx_cpu;
	return 0;
}

/* 24.7: firmware that has not locked the register leaves that to us. */
static void switch_on(struct vmx_cpu *vmx_cpu)
{
	u64 feature_control = rdmsr(MSR_FEATURE_CONTROL);

	if (!(feature_control & FEATURE_CONTROL_LOCK))
		wrmsr(MSR_FEATURE_CONTROL,
		      feature_control | FEATURE_CONTROL_VMX |
			      FEATURE_CONTROL_LOCK);
	write_cr0(read_cr0() | rdmsr(MSR_VMX_CR0_FIXED0));
	write_cr4(read_cr4() | rdmsr(MSR_VMX_CR4_FIXED0));
	vmxon(page_hpa(vmx_cpu->vmxon));
	vmclear(page_hpa(vmx_cpu->vmcs));
	vmptrld(page_hpa(vmx_cpu->vmcs));
}

/* A VMCS begins with undefined fields, and these are looked at even where
 * nothing is to come of them (25.11.3). */
static void clear_unused(void)
{
	static const enum vmcs_field unused[] = {
		VMCS_EXCEPTIONS, VMCS_PAGE_FAULT_MASK, VMCS_PAGE_FAULT_MATCH,
		VMCS_CR3_TARGET_COUNT, VMCS_EXIT_MSR_STORE_COUNT,
		VMCS_EXIT_MSR_LOAD_COUNT, VMCS_ENTRY_MSR_LOAD_COUNT,
	};

	for (size_t i = 0; i < ARRAY_COUNT(unused); i++)
		vmwrite(unused[i], 0);
}

static void set_controls(struct vmx_cpu *vmx_cpu)
{
	clear_unused();
	vmx_cpu->pin = controls.pin;
	vmx_cpu->processor = controls.processor;
	vmwrite(VMCS_PIN, controls.pin);
	vmwrite(VMCS_PROCESSOR, controls.processor);
	vmwrite(VMCS_PROCESSOR2, controls.processor2);
	vmwrite(VMCS_EXIT, controls.exit);
	vmwrite(VMCS_ENTRY, controls.entry);
	vmwrite(VMCS_VPID, VPID);
	vmwrite(VMCS_EPTP, slat_root().v | VMX_EPTP_WALK_4 |
				   VMX_EPTP_WRITE_BACK);
	vmwrite(VMCS_IO_MAP_A, page_hpa(io_map).v);
	vmwrite(VMCS_IO_MAP_B, page_hpa(io_map).v + PAGE_SIZE);
	vmwrite(VMCS_MSR_MAP, vmx_hide_msr_map().v);
	if (controls.has_xsaves)
		vmwrite(VMCS_XSS_EXITING, 0);
}

static void capture(struct cpu *cpu)
{
	struct vmx_cpu *vmx_cpu = vmx_of(cpu);
	u64 cr0 = read_cr0(), cr4 = read_cr4();

	switch_on(vmx_cpu);
	set_controls(vmx_cpu);
	vmx_capture_guest(cpu);
	vmwrite(VMCS_GUEST_CR0, cr0);
	vmwrite(VMCS_GUEST_CR4, cr4);
	vmx_hide_registers();
	/* What the caches hold of an earlier life (29.4.3.3). */
	invept_all();
	invvpid_single(VPID);
}

/* ---- Exits ---- */

static void decode_slat(struct cpu *cpu, struct vt_exit *exit)
{
	u64 qualification = vmread(VMCS_QUALIFICATION);

	vmx_event_after_iret(cpu, qualification);
	exit->reason = VT_EXIT_SLAT;
	exit->slat.address = gpa(vmread(VMCS_GUEST_PHYSICAL));
	exit->slat.is_write = qualification & VMX_EPT_WRITE;
	exit->slat.whose = VT_ACCESS_INSTRUCTION;
	if (!(qualification & VMX_EPT_LINEAR) ||
	    !(qualification & VMX_EPT_FINAL))
		exit->slat.whose = VT_ACCESS_WALK;
	else if (vmx_of(cpu)->was_delivering)
		exit->slat.whose = VT_ACCESS_DELIVERY;
}

static void decode_io(struct vt_exit *exit)
{
	u64 qualification = vmread(VMCS_QUALIFICATION);

	exit->reason = VT_EXIT_IO;
	exit->io.port = FIELD_GET(VMX_IO_PORT, qualification);
	exit->io.size = FIELD_GET(VMX_IO_SIZE, qualification) + 1;
	exit->io.is_write = !(qualification & VMX_IO_IN);
	exit->io.is_string = qualification & (VMX_IO_STRING | VMX_IO_REP);
}

static void decode_msr(const struct cpu *cpu, bool is_write,
		       struct vt_exit *exit)
{
	exit->reason = VT_EXIT_MSR;
	exit->msr.index = cpu->guest.gpr[INSN_RCX];
	exit->msr.is_write = is_write;
}

/*
 * A switch of tasks by hardware, which no 64-bit mode has, always exits
 * (26.4.2) and is not emulated: it fails as one to a TSS that is none. For a
 * double fault that is one fault too many.
 */
static void task_switch_exited(struct cpu *cpu, struct vt_exit *exit)
{
	u32 vectoring = vmread(VMCS_VECTORING);
	u32 selector = FIELD_GET(VMX_TASK_SELECTOR, vmread(VMCS_QUALIFICATION));

	log_limited(LOG_WARN, "cpu%u: task switch to %#x at %#llx: #TS",
		    cpu->index, selector, (unsigned long long)cpu->guest.rip);
	if ((vectoring & VMX_EVENT_VALID) &&
	    FIELD_GET(VMX_EVENT_TYPE, vectoring) == VMX_EVENT_EXCEPTION &&
	    FIELD_GET(VMX_EVENT_VECTOR, vectoring) == VECTOR_DF)
		exit->reason = VT_EXIT_SHUTDOWN;
	else
		vmx_event_inject_exception(cpu, VECTOR_TS, true, selector);
}

/* What no control asks for, and no instruction makes on its own. */
static _Noreturn void unexpected(u64 reason)
{
	vmx_dump();
	panic("VMX: exit %#llx, at %#llx", (unsigned long long)reason,
	      (unsigned long long)vmread(VMCS_GUEST_PHYSICAL));
}

/* The exit has it no more, and neither has the guest seen it (28.5.5). */
static void nmi_exited(struct cpu *cpu)
{
	cpu->host_nmi = 1;
	vmx_unblock_nmi();
}

static void skip(struct cpu *cpu, unsigned length);

static void register_written(struct cpu *cpu)
{
	if (!vmx_hide_register_write(cpu, vmread(VMCS_QUALIFICATION)))
		vmx_event_inject_exception(cpu, VECTOR_GP, true, 0);
}

/* Always exits; the processor itself judges the value (26.1.2). */
static void xsetbv_exited(struct cpu *cpu, unsigned length)
{
	const u64 *gpr = cpu->guest.gpr;

	if (xsetbv_safe(gpr[INSN_RCX],
			gpr[INSN_RDX] << 32 | (u32)gpr[INSN_RAX]))
		skip(cpu, length);
	else
		vmx_event_inject_exception(cpu, VECTOR_GP, true, 0);
}

static void decode(struct cpu *cpu, struct vt_exit *exit)
{
	u32 reason = FIELD_GET(VMX_REASON_BASIC, vmread(VMCS_REASON));

	exit->reason = VT_EXIT_HANDLED;
	exit->length = vmread(VMCS_EXIT_LENGTH);
	switch (reason) {
	case VMX_REASON_EPT_VIOLATION:
		decode_slat(cpu, exit);
		break;
	case VMX_REASON_INTERRUPT:
		exit->reason = VT_EXIT_INTERRUPT;
		break;
	case VMX_REASON_EXCEPTION_OR_NMI:
		nmi_exited(cpu);
		break;
	case VMX_REASON_INTERRUPT_WINDOW:
	case VMX_REASON_NMI_WINDOW:
		break;		/* open: what waits is offered again */
	case VMX_REASON_TIMER:
		break;		/* every exit looks at the timers */
	case VMX_REASON_MWAIT:
		skip(cpu, exit->length);
		break;
	case VMX_REASON_INIT:
		exit->reason = VT_EXIT_INIT;
		break;
	case VMX_REASON_STARTUP:
		exit->reason = VT_EXIT_STARTUP;
		exit->startup_vector = vmread(VMCS_QUALIFICATION);
		break;
	case VMX_REASON_TASK_SWITCH:
		task_switch_exited(cpu, exit);
		break;
	case VMX_REASON_CPUID:
		exit->reason = VT_EXIT_CPUID;
		break;
	case VMX_REASON_RDMSR:
	case VMX_REASON_WRMSR:
		decode_msr(cpu, reason == VMX_REASON_WRMSR, exit);
		break;
	case VMX_REASON_IO:
		decode_io(exit);
		break;
	case VMX_REASON_CR_ACCESS:
		register_written(cpu);
		break;
	case VMX_REASON_XSETBV:
		xsetbv_exited(cpu, exit->length);
		break;
	case VMX_REASON_INVD:
		exit->reason = VT_EXIT_INVD;
		break;
	case VMX_REASON_TRIPLE_FAULT:
		exit->reason = VT_EXIT_SHUTDOWN;
		break;
	case VMX_REASON_GETSEC:
	case VMX_REASON_VMCALL ... VMX_REASON_VMXON:
	case VMX_REASON_INVEPT:
	case VMX_REASON_INVVPID:
	case VMX_REASON_SEAMCALL:
	case VMX_REASON_TDCALL:
		exit->reason = VT_EXIT_HIDDEN;
		break;
	default:
		unexpected(reason);
	}
}

static void load_guest(const struct cpu *cpu, struct vmx_cpu *vmx_cpu)
{
	vmwrite(VMCS_GUEST_RSP, cpu->guest.gpr[INSN_RSP]);
	vmwrite(VMCS_GUEST_RIP, cpu->guest.rip);
	vmwrite(VMCS_GUEST_RFLAGS, cpu->guest.rflags);
	vmwrite(VMCS_ENTRY_EVENT, vmx_cpu->inject);
	if (vmx_cpu->inject & VMX_EVENT_HAS_ERROR)
		vmwrite(VMCS_ENTRY_ERROR, vmx_cpu->inject_error);
	write_cr2(vmx_cpu->cr2);
	if (vmx_cpu->needs_flush) {
		invept_all();
		invvpid_single(VPID);
		vmx_cpu->needs_flush = false;
	}
}

static void save_guest(struct cpu *cpu, struct vmx_cpu *vmx_cpu)
{
	vmx_cpu->is_launched = true;
	vmx_cpu->cr2 = read_cr2();
	cpu->guest.gpr[INSN_RSP] = vmread(VMCS_GUEST_RSP);
	cpu->guest.rip = vmread(VMCS_GUEST_RIP);
	cpu->guest.rflags = vmread(VMCS_GUEST_RFLAGS);
	vmx_event_repeat(cpu);
}

/* 27.8: the instruction failed, or the guest's state cannot be run. */
static void check_entry(enum vmx_entry entry)
{
	if (entry != VMX_ENTRY_FAILED &&
	    !(vmread(VMCS_REASON) & VMX_REASON_ENTRY_FAILED))
		return;
	vmx_dump();
	panic("VMX entry: reason %#llx, error %llu",
	      (unsigned long long)vmread(VMCS_REASON),
	      (unsigned long long)vmread(VMCS_INSTRUCTION_ERROR));
}

static void run(struct cpu *cpu, struct vt_exit *exit)
{
	struct vmx_cpu *vmx_cpu = vmx_of(cpu);
	enum vmx_entry entry;

	if (!vmx_cpu->has_host)
		vmx_set_host();
	vmx_cpu->has_host = true;
	vmx_event_offer(cpu);
	vmx_timer_load(vmx_cpu);
	load_guest(cpu, vmx_cpu);
	entry = vmx_run(cpu, vmx_cpu->is_launched, &cpu->host_nmi);
	exit->reason = VT_EXIT_HANDLED;
	if (entry == VMX_ENTRY_MISSED)
		return;
	check_entry(entry);
	save_guest(cpu, vmx_cpu);
	decode(cpu, exit);
}

/* After an instruction that Sluice has executed: no interrupt shadow, and
 * the trap that single-stepping would have made (27.7.3). */
static void skip(struct cpu *cpu, unsigned length)
{
	cpu->guest.rip += length;
	if (vmx_mode() != INSN_MODE_64)
		cpu->guest.rip = (u32)cpu->guest.rip;
	cpu->guest.rflags &= ~RFLAGS_RF;
	vmwrite(VMCS_GUEST_INTERRUPTIBILITY,
		vmread(VMCS_GUEST_INTERRUPTIBILITY) &
			~(VMX_BLOCKED_BY_STI | VMX_BLOCKED_BY_MOV_SS));
	if ((cpu->guest.rflags & RFLAGS_TF) &&
	    !(vmread(VMCS_GUEST_DEBUGCTL) & DEBUGCTL_BTF))
		vmwrite(VMCS_GUEST_PENDING_DEBUG,
			vmread(VMCS_GUEST_PENDING_DEBUG) | VMX_PENDING_BS);
}

static void flush(struct cpu *cpu)
{
	vmx_of(cpu)->needs_flush = true;
}

static void trap_port(u16 port)
{
	io_map[port / 8] |= BIT(port % 8);
}

/* Blocked in the host, an exit in the guest (26.2). */
static const char *init_escapes(void)
{
	return NULL;
}

static void wait_for_nmi(struct cpu *cpu)
{
	vmx_sleep(&cpu->host_nmi);
}

static unsigned slat_levels(void)
{
	return 4;
}

static bool slat_has_1g_pages(void)
{
	return controls.has_1g_pages;
}

static u64 slat_memory_type(u64 base)
{
	return FIELD_PREP(EPT_MEMORY_TYPE, mtrr_type(base));
}

/* 29.3.2; leaves carry the memory type besides (29.3.7.2). */
static const struct slat_format format = {
	.table = EPT_READ | EPT_WRITE | EPT_EXECUTE,
	.leaf = {
		[SLAT_NONE] = 0,
		[SLAT_READ] = EPT_READ | EPT_EXECUTE,
		[SLAT_ALL] = EPT_READ | EPT_WRITE | EPT_EXECUTE,
	},
	.large = EPT_LARGE,
	.present_mask = EPT_READ | EPT_WRITE | EPT_EXECUTE,
	.type_mask = EPT_MEMORY_TYPE,
	.type = slat_memory_type,
};

const struct vt vmx = {
	.name = "Intel VMX",
	.means = "VMX with EPT and unrestricted guest",
	.slat = &format,
	.slat_levels = slat_levels,
	.slat_has_1g_pages = slat_has_1g_pages,
	.is_there = is_there,
	.probe = probe,
	.init = init,
	.init_escapes = init_escapes,
	.cpu_init = vcpu_init,
	.capture = capture,
	.run = run,
	.load_context = vmx_load_context,
	.load_segments = vmx_load_segments,
	.is_64bit_under = vmx_is_64bit_under,
	.skip = skip,
	.inject_exception = vmx_event_inject_exception,
	.set_page_fault_address = vmx_event_set_page_fault_address,
	.inject_nmi = vmx_event_inject_nmi,
	.forward_interrupt = vmx_event_forward_interrupt,
	.set_interrupt_exits = vmx_event_set_interrupt_exits,
	.reset = vmx_reset,
	.start = vmx_start,
	.wait_for_startup = vmx_wait_for_startup,
	.trap_port = trap_port,
	.flush = flush,
	.msr_read = vmx_hide_msr_read,
	.msr_write = vmx_hide_msr_write,
	.hide_cpuid = vmx_hide_cpuid,
	.wait_for_nmi = wait_for_nmi,
};
