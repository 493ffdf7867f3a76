/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * AMD SVM behind include/vt.h: running the guest and telling why it came
 * out. What is injected is svm_event.c's, the guest's state at launch and after
 * INIT svm_state.c's, MSRs and CPUID are svm_hide.c's, INIT itself is
 * svm_redirect.c's. Sections: APM vol. 2.
 */
#include <errno.h>
#include <string.h>

#include "barrier.h"
#include "cpu.h"
#include "linear.h"
#include "log.h"
#include "page.h"
#include "slat.h"
#include "spec/svm.h"
#include "spec/x86.h"
#include "svm.h"
#include "svm_cpu.h"

void svm_run(struct cpu *cpu, struct vt_exit *exit, hpa_t vmcb);
void svm_exited(struct cpu *cpu, struct vt_exit *exit);
void svm_take_nmi_smi_and_init(void);
void svm_sleep(const u32 *host_nmi);

static u8 *io_map;
bool svm_has_next_rip;
static u8 flush_control = SVM_TLB_FLUSH_ALL;

static bool is_there(void)
{
	u32 regs[4];

	cpuid(0x80000000, 0, regs);
	if (regs[CPUID_EAX] < CPUID_SVM)
		return false;
	cpuid(0x80000001, 0, regs);
	return regs[CPUID_ECX] & CPUID_80000001_ECX_SVM;
}

static const char *probe(void)
{
	u32 regs[4];

	if (rdmsr(MSR_VM_CR) & VM_CR_SVMDIS)
		return "SVM is disabled: switch it on in the firmware setup";
	cpuid(CPUID_SVM, 0, regs);
	if (!(regs[CPUID_EDX] & CPUID_SVM_EDX_NPT))
		return "this processor's SVM has no nested paging";
	return NULL;
}

static int init(void)
{
	u32 regs[4];

	cpuid(CPUID_SVM, 0, regs);
	svm_has_next_rip = regs[CPUID_EDX] & CPUID_SVM_EDX_NRIPS;
	if (regs[CPUID_EDX] & CPUID_SVM_EDX_FLUSH_BY_ASID)
		flush_control = SVM_TLB_FLUSH_GUEST;
	io_map = page_alloc(SVM_IO_MAP_PAGES);
	if (!io_map)
		return -ENOMEM;
	svm_redirect_init();
	return svm_hide_init();
}

static void set_intercepts(struct vmcb *vmcb)
{
	vmcb->intercept3 = BIT(SVM_INTERCEPT_NMI) | BIT(SVM_INTERCEPT_SMI) |
			   BIT(SVM_INTERCEPT_CPUID) | BIT(SVM_INTERCEPT_INVD) |
			   BIT(SVM_INTERCEPT_INVLPGA) |
			   BIT(SVM_INTERCEPT_IOIO) | BIT(SVM_INTERCEPT_MSR) |
			   BIT(SVM_INTERCEPT_SHUTDOWN);
	vmcb->intercept4 =
		BIT(SVM_INTERCEPT_VMRUN) | BIT(SVM_INTERCEPT_VMMCALL) |
		BIT(SVM_INTERCEPT_VMLOAD) | BIT(SVM_INTERCEPT_VMSAVE) |
		BIT(SVM_INTERCEPT_STGI) | BIT(SVM_INTERCEPT_CLGI) |
		BIT(SVM_INTERCEPT_SKINIT);
	if (!svm_redirect_is_missing())
		vmcb->intercept3 |= BIT(SVM_INTERCEPT_INIT);
}

static int vcpu_init(struct cpu *cpu)
{
	struct svm_cpu *svm = (struct svm_cpu *)cpu->vendor_area;
	struct vmcb *vmcb = page_alloc(1);

	if (!vmcb)
		return -ENOMEM;
	svm->host_save = page_alloc(1);
	if (!svm->host_save)
		return -ENOMEM;
	svm->vmcb = vmcb;
	cpu->vendor = svm;
	set_intercepts(vmcb);
	vmcb->io_map = page_hpa(io_map).v;
	vmcb->msr_map = svm_hide_msr_map().v;
	vmcb->asid = 1;		/* one guest; 0 is the host's (15.5.1) */
	vmcb->tlb_control = SVM_TLB_FLUSH_ALL;
	vmcb->nested_enable = 1;
	vmcb->nested_cr3 = slat_root().v;
	return 0;
}

/* ---- Exits ---- */

static size_t prefix_count(const u8 *bytes, size_t count, enum insn_mode mode)
{
	static const u8 legacy[] = { 0x66, 0x67, 0xf2, 0xf3, 0x2e, 0x36,
				     0x3e, 0x26, 0x64, 0x65, 0xf0 };
	size_t i = 0;

	while (i < count && memchr(legacy, bytes[i], sizeof(legacy)))
		i++;
	if (mode == INSN_MODE_64 && i < count && bytes[i] >> 4 == 4)
		i++;		/* REX */
	return i;
}

/*
 * Length of the exiting instruction where the processor does not tell:
 * prefixes, then `opcode_length` bytes.
 */
static u8 length_of(struct cpu *cpu, u8 opcode_length)
{
	struct vmcb *vmcb = svm_of(cpu)->vmcb;
	u8 bytes[LINEAR_FETCH_SIZE];
	size_t count;

	if (svm_has_next_rip && vmcb->next_rip > vmcb->rip)
		return vmcb->next_rip - vmcb->rip;
	svm_load_context(cpu);
	count = linear_fetch(cpu, bytes);
	return prefix_count(bytes, count, cpu->guest.mode) + opcode_length;
}

static inline void decode_slat(const struct vmcb *vmcb, struct vt_exit *exit)
{
	u64 info = vmcb->exit_info1;

	exit->reason = VT_EXIT_SLAT;
	exit->slat.address = gpa(vmcb->exit_info2);
	exit->slat.is_write = info & SVM_NPF_WRITE;
	exit->slat.whose = VT_ACCESS_INSTRUCTION;
	if (info & SVM_NPF_TABLE)
		exit->slat.whose = VT_ACCESS_WALK;
	else if (vmcb->exit_interrupt_info & SVM_EVENT_VALID)
		exit->slat.whose = VT_ACCESS_DELIVERY;
}

static void decode_io(const struct vmcb *vmcb, struct vt_exit *exit)
{
	u64 info = vmcb->exit_info1;

	exit->reason = VT_EXIT_IO;
	exit->length = vmcb->exit_info2 - vmcb->rip;
	exit->io.port = FIELD_GET(SVM_IOIO_PORT, info);
	exit->io.size = FIELD_GET(SVM_IOIO_SIZE, info);
	exit->io.is_write = !(info & SVM_IOIO_IN);
	exit->io.is_string = info & (SVM_IOIO_STRING | SVM_IOIO_REP);
}

static void decode_msr(struct cpu *cpu, const struct vmcb *vmcb,
		       struct vt_exit *exit)
{
	exit->reason = VT_EXIT_MSR;
	exit->length = length_of(cpu, 2);
	exit->msr.index = cpu->guest.gpr[INSN_RCX];
	exit->msr.is_write = vmcb->exit_info1 & 1;
}

static void decode_unknown(const struct vmcb *vmcb, struct vt_exit *exit)
{
	exit->reason = VT_EXIT_UNKNOWN;
	exit->raw[0] = vmcb->exit_code;
	exit->raw[1] = vmcb->exit_info1;
	exit->raw[2] = vmcb->exit_info2;
}

static __attribute__((noinline)) void
decode_other(struct cpu *cpu, struct vmcb *vmcb, struct vt_exit *exit)
{
	u32 code = vmcb->exit_code;

	exit->reason = VT_EXIT_HANDLED;
	switch (code) {
	case SVM_EXIT_INTR:
		exit->reason = VT_EXIT_INTERRUPT;
		break;
	case SVM_EXIT_INIT:
		/* Should the exit have used it up, no #SX follows. */
		cpu->host_init = 1;
		svm_take_nmi_smi_and_init();
		break;
	case SVM_EXIT_NMI:
	case SVM_EXIT_SMI:
		/* Still pending: take it here (15.13, 15.22). */
		svm_take_nmi_smi_and_init();
		break;
	case SVM_EXIT_IRET:
		svm_event_iret_exited(cpu);
		break;
	case SVM_EXIT_DB:
		break;		/* the step over that */
	case SVM_EXIT_CPUID:
		exit->reason = VT_EXIT_CPUID;
		exit->length = length_of(cpu, 2);
		break;
	case SVM_EXIT_MSR:
		decode_msr(cpu, vmcb, exit);
		break;
	case SVM_EXIT_IOIO:
		decode_io(vmcb, exit);
		break;
	case SVM_EXIT_INVD:
		exit->reason = VT_EXIT_INVD;
		exit->length = length_of(cpu, 2);
		break;
	case SVM_EXIT_HLT:
	case SVM_EXIT_MWAIT:
		exit->reason = VT_EXIT_HALT;
		exit->halt.is_mwait = code == SVM_EXIT_MWAIT;
		exit->length = length_of(cpu, exit->halt.is_mwait ? 3 : 1);
		break;
	case SVM_EXIT_SHUTDOWN:
		exit->reason = VT_EXIT_SHUTDOWN;
		break;
	case SVM_EXIT_INVLPGA:
	case SVM_EXIT_VMRUN ... SVM_EXIT_SKINIT:
		exit->reason = VT_EXIT_HIDDEN;
		break;
	default:
		decode_unknown(vmcb, exit);
	}
}

static HOT void run(struct cpu *cpu, struct vt_exit *exit)
{
	const struct insn_cpu *guest = &cpu->guest;
	struct vmcb *vmcb;

	if (svm_of(cpu)->has_events)
		svm_event_offer(cpu);
	vmcb = svm_of(cpu)->vmcb;
	vmcb->rax = guest->gpr[INSN_RAX];
	vmcb->rsp = guest->gpr[INSN_RSP];
	vmcb->rip = guest->rip;
	vmcb->rflags = guest->rflags;
	svm_run(cpu, exit, page_hpa(vmcb));
}

/* Where svm_run() goes on: neither has to keep anything over the guest. */
HOT void svm_exited(struct cpu *cpu, struct vt_exit *exit)
{
	struct insn_cpu *guest = &cpu->guest;
	struct svm_cpu *svm = svm_of(cpu);
	struct vmcb *vmcb = svm->vmcb;

	guest->gpr[INSN_RAX] = vmcb->rax;
	guest->gpr[INSN_RSP] = vmcb->rsp;
	guest->rip = vmcb->rip;
	guest->rflags = vmcb->rflags;
	vmcb->tlb_control = SVM_TLB_KEEP;
	if (svm->has_events)
		svm_event_note(cpu);
	if (vmcb->exit_interrupt_info & SVM_EVENT_VALID)
		svm_event_repeat(cpu, vmcb->exit_interrupt_info);
	/* Far the commonest; the others take a search. */
	if ((u32)vmcb->exit_code == SVM_EXIT_NPF)
		decode_slat(vmcb, exit);
	else
		decode_other(cpu, vmcb, exit);
}

/* After an instruction that Sluice has executed: no interrupt shadow, and
 * the trap that single-stepping would have made (13.1.4). */
static HOT void skip(struct cpu *cpu, unsigned length)
{
	struct vmcb *vmcb = svm_of(cpu)->vmcb;

	cpu->guest.rip += length;
	if (svm_mode(vmcb) != INSN_MODE_64)
		cpu->guest.rip = (u32)cpu->guest.rip;
	cpu->guest.rflags &= ~RFLAGS_RF;
	vmcb->interrupt_shadow = 0;
	if (cpu->guest.rflags & RFLAGS_TF) {
		vmcb->dr6 |= DR6_BS;
		svm_event_inject_exception(cpu, VECTOR_DB, false, 0);
	}
}

static void flush(struct cpu *cpu)
{
	svm_of(cpu)->vmcb->tlb_control = flush_control;
}

static void trap_port(u16 port)
{
	io_map[port / 8] |= BIT(port % 8);
}

static void wait_for_nmi(struct cpu *cpu)
{
	svm_sleep(&cpu->host_nmi);
}

/* As many as the host's (15.25.3). */
static unsigned slat_levels(void)
{
	return (read_cr4() & CR4_LA57) ? 5 : 4;
}

/* The host's own page table bits: nested paging is ordinary paging, always
 * at user level (15.25.5). Memory types come from the MTRRs (15.25.8). */
static const struct slat_format format = {
	.table = PTE_PRESENT | PTE_WRITE | PTE_USER | PTE_ACCESSED,
	.leaf = {
		[SLAT_NONE] = 0,
		[SLAT_READ] = PTE_PRESENT | PTE_USER | PTE_ACCESSED,
		[SLAT_ALL] = PTE_PRESENT | PTE_WRITE | PTE_USER |
			     PTE_ACCESSED | PTE_DIRTY,
	},
	.large = PTE_LARGE,
	.present_mask = PTE_PRESENT,
};

const struct vt svm = {
	.name = "AMD SVM",
	.means = "SVM with nested paging",
	.slat = &format,
	.slat_levels = slat_levels,
	.slat_has_1g_pages = cpu_has_1g_pages,
	.is_there = is_there,
	.probe = probe,
	.init = init,
	.init_escapes = svm_redirect_is_missing,
	.cpu_init = vcpu_init,
	.capture = svm_capture,
	.run = run,
	.load_context = svm_load_context,
	.load_segments = svm_load_segments,
	.is_64bit_under = svm_is_64bit_under,
	.skip = skip,
	.inject_exception = svm_event_inject_exception,
	.set_page_fault_address = svm_event_set_page_fault_address,
	.inject_nmi = svm_event_inject_nmi,
	.forward_interrupt = svm_event_forward_interrupt,
	.take_interrupt = svm_event_take_interrupt,
	.set_interrupt_exits = svm_event_set_interrupt_exits,
	.set_halt_exits = svm_event_set_halt_exits,
	.ends_halt = svm_event_ends_halt,
	.reset = svm_reset,
	.start = svm_start,
	.trap_port = trap_port,
	.flush = flush,
	.msr_read = svm_hide_msr_read,
	.msr_write = svm_hide_msr_write,
	.hide_cpuid = svm_hide_cpuid,
	.wait_for_nmi = wait_for_nmi,
};
