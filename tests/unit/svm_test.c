/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Events into the guest, exits out of it and what it may know of SVM,
 * against a VMRUN that does with the VMCB what the APM says a processor does.
 */
#include <string.h>

#include "../../core/x86/linear.h"
#include "../../core/x86/slat.h"
#include "../../core/x86/svm.h"
#include "../../core/x86/svm_cpu.h"
#include "log.h"
#include "page.h"
#include "spec/x86.h"
#include "test.h"

static struct cpu cpu;
static struct vt_exit last;

/* ---- The processor ------------------------------------------------------- */

static u32 next_exit;		/* what the guest does next */
static u64 next_info1, next_info2, next_event;
static u64 guest_rflags;	/* as what it executes leaves them */
static bool guest_if;		/* may it take an interrupt now? */
static bool stepped;		/* it ran for one instruction */
static u32 pending_vector;	/* at the APIC, for the host's window */
static u8 taken[16];		/* vectors that the guest's handlers saw */
static size_t taken_count;
static u8 code[LINEAR_FETCH_SIZE];
static u64 msr_value;
static bool msr_is_there;
static u32 cpuid_regs[4];
static u64 vm_cr, vm_cr_bits;	/* those it keeps */
static bool init_is_pending;

static struct vmcb *vmcb(void)
{
	return ((struct svm_cpu *)cpu.vendor)->vmcb;
}

static void take(u8 vector)
{
	CHECK(taken_count < sizeof(taken));
	taken[taken_count++] = vector;
	guest_if = false;
}

/* EVENTINJ first (15.20), then a virtual interrupt if IF allows (15.21.4). */
void svm_run(struct cpu *of, hpa_t address)
{
	struct vmcb *now = vmcb();

	CHECK(of == &cpu && address.v == page_hpa(now).v);
	stepped = (now->rflags & RFLAGS_TF) &&
		  (now->intercept_exception & BIT(VECTOR_DB));
	if (now->event_inject & SVM_EVENT_VALID)
		take(FIELD_GET(SVM_EVENT_VECTOR, now->event_inject));
	if ((now->interrupt_control & SVM_VIRQ_PENDING) && guest_if) {
		take(FIELD_GET(SVM_VIRQ_VECTOR, now->interrupt_control));
		now->interrupt_control &= ~SVM_VIRQ_PENDING;
	}
	now->rip++;
	now->rflags = guest_rflags;
	now->exit_code = next_exit;
	now->exit_info1 = next_info1;
	now->exit_info2 = next_info2;
	now->exit_interrupt_info = next_event;
}

void svm_take_interrupt(void)
{
	cpu.host_vector = pending_vector;
	pending_vector = 0;
}

/* With GIF set (15.17): an INIT that is not redirected ends everything. */
void svm_take_nmi_smi_and_init(void)
{
	CHECK(!init_is_pending || (vm_cr & VM_CR_R_INIT));
	if (init_is_pending)
		cpu.host_init = 1;
	else
		cpu.host_nmi = 1;
	init_is_pending = false;
}

/* What comes at last. */
void svm_sleep(const u32 *host_nmi)
{
	cpu.host_nmi = 1;
}

void svm_doze(const u32 *host_nmi)
{
	cpu.host_vector = 0x46 | CPU_VECTOR_VALID;
}

size_t linear_fetch(struct cpu *of, u8 bytes[LINEAR_FETCH_SIZE])
{
	memcpy(bytes, code, sizeof(code));
	return sizeof(code);
}

bool cpu_has_1g_pages(void)
{
	return true;
}

hpa_t slat_root(void)
{
	return hpa(0x1000);
}

static u8 arena[16][PAGE_SIZE] __attribute__((aligned(4096)));
static size_t arena_used;	/* pages; start() takes all back */

void *page_alloc(size_t count)
{
	void *pages = arena[arena_used];

	arena_used += count;
	CHECK(arena_used <= ARRAY_COUNT(arena));
	return memset(pages, 0, count * PAGE_SIZE);
}

hpa_t page_hpa(const void *memory)
{
	return hpa((u64)memory);
}

void cpuid(u32 leaf, u32 subleaf, u32 regs[4])
{
	memcpy(regs, cpuid_regs, sizeof(cpuid_regs));
	if (leaf == 0x80000000)
		regs[CPUID_EAX] = 0x8000001f;
}

u64 rdmsr(u32 index)
{
	return index == MSR_VM_CR ? vm_cr : msr_value;
}

void wrmsr(u32 index, u64 value)
{
	CHECK_EQ(index, MSR_VM_CR);
	vm_cr = (vm_cr & ~vm_cr_bits) | (value & vm_cr_bits);
}

bool msr_read_safe(u32 index, u64 *value)
{
	*value = msr_value;
	return msr_is_there;
}

bool msr_write_safe(u32 index, u64 value)
{
	msr_value = value;
	return msr_is_there;
}

u64 read_cr0(void) { return 0; }
u64 read_cr2(void) { return 0; }
void write_cr2(u64 value) { CHECK_EQ(value, vmcb()->cr2); }
u64 read_cr3(void) { return 0; }
u64 read_cr4(void) { return 0; }
u64 read_dr6(void) { return 0; }
u64 read_dr7(void) { return 0; }

void log_line(enum log_level level, const char *format, ...)
{
}

bool log_allowed(struct log_limit *limit)
{
	return true;
}

static void start(void)
{
	memset(&cpu, 0, sizeof(cpu));
	arena_used = taken_count = 0;
	next_exit = SVM_EXIT_SMI;
	next_event = 0;
	guest_if = true;
	guest_rflags = 0;
	init_is_pending = false;
	CHECK_EQ(svm.init(), 0);
	CHECK_EQ(svm.cpu_init(&cpu), 0);
}

static enum vt_exit_reason run(u32 code_of_exit)
{
	next_exit = code_of_exit;
	svm.run(&cpu, &last);
	return last.reason;
}

static void forward(u8 vector)
{
	pending_vector = vector | CPU_VECTOR_VALID;
	svm.forward_interrupt(&cpu);
}

static bool exits_at_iret(void)
{
	return vmcb()->intercept3 & BIT(SVM_INTERCEPT_IRET);
}

/* ---- Interrupts ------------------------------------------------------------ */

TEST(an_interrupt_reaches_the_guest_once)
{
	start();
	CHECK_EQ(run(SVM_EXIT_INTR), VT_EXIT_INTERRUPT);
	forward(0xec);
	for (int i = 0; i < 3; i++) {
		run(SVM_EXIT_SMI);
		guest_if = true;
	}
	CHECK_EQ(taken_count, 1);
	CHECK_EQ(taken[0], 0xec);
}

TEST(an_interrupt_is_taken_after_an_exit_for_something_else)
{
	start();
	guest_if = true;
	run(SVM_EXIT_SMI);
	pending_vector = 0;
	CHECK(!svm.take_interrupt(&cpu));
	pending_vector = 0xec | CPU_VECTOR_VALID;
	CHECK(svm.take_interrupt(&cpu));
	run(SVM_EXIT_SMI);
	CHECK_EQ(taken_count, 1);
	CHECK_EQ(taken[0], 0xec);
}

TEST(an_interrupt_waits_until_the_guest_can_take_it)
{
	start();
	guest_if = false;
	forward(0x31);
	run(SVM_EXIT_SMI);
	CHECK_EQ(taken_count, 0);
	guest_if = true;
	run(SVM_EXIT_SMI);
	CHECK_EQ(taken_count, 1);
}

TEST(an_interrupt_that_can_be_taken_is_injected)
{
	start();
	svm_has_next_rip = true;
	cpu.guest.rflags = RFLAGS_IF;
	forward(0x31);
	forward(0xec);
	run(SVM_EXIT_SMI);
	CHECK_EQ(vmcb()->event_inject, SVM_EVENT_VALID | 0xec);
	CHECK_EQ(taken_count, 1);
	CHECK_EQ(FIELD_GET(SVM_VIRQ_VECTOR, vmcb()->interrupt_control), 0x31);
	guest_if = true;
	run(SVM_EXIT_SMI);
	CHECK_EQ(taken_count, 2);
	CHECK_EQ(taken[1], 0x31);
}

TEST(an_old_processor_takes_it_by_itself)
{
	start();
	svm_has_next_rip = false;
	cpu.guest.rflags = RFLAGS_IF;
	forward(0x31);
	run(SVM_EXIT_SMI);
	CHECK_EQ(vmcb()->event_inject, 0);
	CHECK_EQ(taken_count, 1);
}

TEST(nothing_is_injected_into_an_interrupt_shadow)
{
	start();
	svm_has_next_rip = true;
	cpu.guest.rflags = RFLAGS_IF;
	vmcb()->interrupt_shadow = 1;
	guest_if = false;
	forward(0x31);
	run(SVM_EXIT_SMI);
	CHECK_EQ(vmcb()->event_inject, 0);
	CHECK_EQ(taken_count, 0);
}

TEST(of_two_interrupts_the_higher_goes_first_and_the_other_after_its_iret)
{
	start();
	forward(0x41);
	forward(0xec);
	run(SVM_EXIT_SMI);
	CHECK_EQ(taken_count, 1);
	CHECK_EQ(taken[0], 0xec);
	run(SVM_EXIT_IRET);
	CHECK(taken_count == 1);
	guest_if = true;	/* the IRET has run */
	run(SVM_EXIT_SMI);
	CHECK_EQ(taken_count, 2);
	CHECK_EQ(taken[1], 0x41);
	run(SVM_EXIT_SMI);
	CHECK(!exits_at_iret());
}

TEST(no_iret_exits_for_a_single_interrupt)
{
	start();
	forward(0x41);
	run(SVM_EXIT_SMI);
	CHECK(!exits_at_iret());
}

TEST(nothing_of_an_event_stays_in_the_vmcb)
{
	start();
	forward(0x41);
	forward(0xec);
	svm.inject_nmi(&cpu);
	for (int i = 0; i < 4; i++) {
		run(exits_at_iret() ? SVM_EXIT_IRET : SVM_EXIT_SMI);
		guest_if = true;
		run(SVM_EXIT_SMI);
	}
	CHECK_EQ(taken_count, 3);
	CHECK_EQ(vmcb()->event_inject, 0);
	CHECK(!(vmcb()->interrupt_control & SVM_VIRQ_PENDING));
	CHECK(!exits_at_iret());
}

static bool interrupts_exit(void)
{
	return vmcb()->intercept3 & BIT(SVM_INTERCEPT_INTR);
}

TEST(while_an_interrupt_is_on_offer_the_next_one_exits)
{
	start();
	run(SVM_EXIT_SMI);
	CHECK(!interrupts_exit());
	guest_if = false;
	forward(0x31);
	run(SVM_EXIT_SMI);
	CHECK(interrupts_exit());
	forward(0xec);
	guest_if = true;
	run(SVM_EXIT_INTR);
	CHECK_EQ(taken[0], 0xec);
	guest_if = true;
	run(SVM_EXIT_SMI);
	CHECK_EQ(taken[1], 0x31);
	run(SVM_EXIT_SMI);
	CHECK(!interrupts_exit());
}

TEST(interrupts_exit_while_somebody_watches)
{
	start();
	svm.set_interrupt_exits(&cpu, true);
	run(SVM_EXIT_SMI);
	CHECK(interrupts_exit());
	svm.set_interrupt_exits(&cpu, false);
	run(SVM_EXIT_SMI);
	CHECK(!interrupts_exit());
}

TEST(an_interrupt_that_was_withdrawn_is_none)
{
	start();
	pending_vector = 0;
	svm.forward_interrupt(&cpu);
	run(SVM_EXIT_SMI);
	CHECK_EQ(taken_count, 0);
}

/* ---- NMIs and exceptions ------------------------------------------------------ */

TEST(a_second_nmi_waits_for_the_end_of_the_first)
{
	start();
	svm.inject_nmi(&cpu);
	run(SVM_EXIT_SMI);
	CHECK_EQ(taken_count, 1);
	CHECK(exits_at_iret());
	svm.inject_nmi(&cpu);
	run(SVM_EXIT_SMI);
	CHECK_EQ(taken_count, 1);
	run(SVM_EXIT_IRET);
	CHECK_EQ(taken_count, 1);
	run(SVM_EXIT_SMI);	/* the IRET itself runs here */
	run(SVM_EXIT_SMI);
	CHECK_EQ(taken_count, 2);
	CHECK_EQ(taken[1], VECTOR_NMI);
}

/* The guest runs into an exit of its own much later, if ever. */
TEST(a_second_nmi_comes_at_once_after_the_iret_of_the_first)
{
	start();
	svm.inject_nmi(&cpu);
	run(SVM_EXIT_SMI);
	svm.inject_nmi(&cpu);
	run(SVM_EXIT_IRET);
	vmcb()->dr6 = DR6_INIT;
	cpu.guest.rflags = guest_rflags = RFLAGS_IF;
	CHECK_EQ(run(SVM_EXIT_DB), VT_EXIT_HANDLED);
	CHECK_EQ(taken_count, 1);
	CHECK(stepped);
	CHECK_EQ(cpu.guest.rflags, RFLAGS_IF);
	CHECK_EQ(vmcb()->dr6, DR6_INIT);
	run(SVM_EXIT_SMI);
	CHECK_EQ(taken_count, 2);
	CHECK(!stepped);
}

TEST(a_step_that_something_else_ends_leaves_no_trace_and_goes_on)
{
	start();
	svm.inject_nmi(&cpu);
	run(SVM_EXIT_SMI);
	svm.inject_nmi(&cpu);
	run(SVM_EXIT_IRET);
	guest_rflags = RFLAGS_TF;	/* it has not been executed */
	cpu.guest.rip--;
	run(SVM_EXIT_NPF);
	CHECK(!(cpu.guest.rflags & RFLAGS_TF));
	CHECK_EQ(taken_count, 1);
	run(SVM_EXIT_DB);
	CHECK(stepped);
	run(SVM_EXIT_SMI);
	CHECK_EQ(taken_count, 2);
}

TEST(a_guest_that_steps_over_its_iret_gets_its_trap)
{
	start();
	svm.inject_nmi(&cpu);
	run(SVM_EXIT_SMI);
	svm.inject_nmi(&cpu);
	run(SVM_EXIT_IRET);
	cpu.guest.rflags = RFLAGS_TF;
	run(SVM_EXIT_DB);
	run(SVM_EXIT_SMI);
	CHECK_EQ(taken_count, 2);
	CHECK_EQ(taken[1], VECTOR_DB);
	run(SVM_EXIT_SMI);
	CHECK_EQ(taken[2], VECTOR_NMI);
}

TEST(an_event_cut_short_by_an_exit_is_delivered_again)
{
	static const struct {
		u64 info;
		bool again;
	} rows[] = {
		{ 0, false },
		{ SVM_EVENT_VALID | 14 | 3 << 8, true },
		{ SVM_EVENT_VALID | 0x41, true },
		{ SVM_EVENT_VALID | 2 | 2 << 8, true },
		/* INT n, INT3 and INTO run again by themselves. */
		{ SVM_EVENT_VALID | 0x80 | 4 << 8, false },
		{ SVM_EVENT_VALID | 3 | 3 << 8, false },
		{ SVM_EVENT_VALID | 4 | 3 << 8, false },
	};

	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		start();
		next_event = rows[i].info;
		run(SVM_EXIT_NPF);
		CHECK_EQ(svm.was_delivering(&cpu), rows[i].info != 0);
		next_event = 0;
		run(SVM_EXIT_SMI);
		CHECK_EQ(taken_count, rows[i].again);
		run(SVM_EXIT_SMI);
		CHECK_EQ(taken_count, rows[i].again);
	}
}

TEST(stepping_over_an_emulated_instruction_traps)
{
	start();
	cpu.guest.rip = 0x1000;
	cpu.guest.rflags = RFLAGS_TF | RFLAGS_RF;
	vmcb()->interrupt_shadow = 1;
	vmcb()->efer = EFER_LMA;
	vmcb()->cs.attributes = SEGMENT_LONG;
	svm.skip(&cpu, 3);
	CHECK_EQ(cpu.guest.rip, 0x1003);
	CHECK(!(cpu.guest.rflags & RFLAGS_RF));
	CHECK_EQ(vmcb()->interrupt_shadow, 0);
	CHECK(vmcb()->dr6 & DR6_BS);
	run(SVM_EXIT_SMI);
	CHECK_EQ(taken[0], VECTOR_DB);
}

/* ---- Exits ------------------------------------------------------------------------ */

TEST(instructions_of_svm_are_hidden)
{
	start();
	for (u32 exit = SVM_EXIT_VMRUN; exit <= SVM_EXIT_SKINIT; exit++)
		CHECK_EQ(run(exit), VT_EXIT_HIDDEN);
	CHECK_EQ(run(SVM_EXIT_INVLPGA), VT_EXIT_HIDDEN);
	CHECK_EQ(run(SVM_EXIT_INVALID), VT_EXIT_UNKNOWN);
}

TEST(prefixes_count_into_the_length)
{
	start();
	vmcb()->efer = EFER_LMA;
	vmcb()->cs.attributes = SEGMENT_LONG;
	memcpy(code, "\x66\xf3\x48\x0f\xa2", 5);
	CHECK_EQ(run(SVM_EXIT_CPUID), VT_EXIT_CPUID);
	CHECK_EQ(last.length, 5);
	/* 48h is DEC outside of long mode: no prefix. */
	vmcb()->cs.attributes = SEGMENT_DEFAULT_32;
	memcpy(code, "\x0f\xa2\x48", 3);
	run(SVM_EXIT_CPUID);
	CHECK_EQ(last.length, 2);
}

TEST(an_i_o_exit_names_port_size_and_direction)
{
	start();
	cpu.guest.rip = 0x2000;
	next_info1 = 0xcfcull << 16 | 2 << 4;
	next_info2 = 0x2003;	/* one was executed before */
	CHECK_EQ(run(SVM_EXIT_IOIO), VT_EXIT_IO);
	CHECK_EQ(last.io.port, 0xcfc);
	CHECK_EQ(last.io.size, 2);
	CHECK(last.io.is_write && !last.io.is_string);
	CHECK_EQ(last.length, 2);
}

/* ---- INIT ----------------------------------------------------------------------- */

static const struct {
	u64 bits;		/* of VM_CR that stick */
	u32 ecx;		/* of CPUID 1 */
	bool escapes;
} processors[] = {
	{ VM_CR_R_INIT, 0, false },
	{ 0, 0, true },
	{ 0, CPUID_1_ECX_HYPERVISOR, true },
	/* KVM keeps every bit, and acts on two of them. */
	{ BITS(4, 0), CPUID_1_ECX_HYPERVISOR, true },
};

TEST(inits_are_intercepted_where_the_processor_redirects_them)
{
	for (size_t i = 0; i < ARRAY_COUNT(processors); i++) {
		vm_cr = VM_CR_LOCK;
		vm_cr_bits = processors[i].bits;
		cpuid_regs[CPUID_ECX] = processors[i].ecx;
		start();
		CHECK_EQ(svm.init_escapes() != NULL, processors[i].escapes);
		CHECK_EQ(!!(vmcb()->intercept3 & BIT(SVM_INTERCEPT_INIT)),
			 !processors[i].escapes);
		/* Until this CPU is ours, an #SX would be the firmware's. */
		CHECK_EQ(vm_cr, VM_CR_LOCK);
		svm_redirect_enable();
		CHECK_EQ(vm_cr, VM_CR_LOCK | (processors[i].escapes
					      ? 0 : VM_CR_R_INIT));
	}
}

TEST(an_init_that_exits_is_noted_and_no_longer_pending)
{
	vm_cr_bits = VM_CR_R_INIT;
	start();
	svm_redirect_enable();
	init_is_pending = true;
	CHECK_EQ(run(SVM_EXIT_INIT), VT_EXIT_HANDLED);
	CHECK_EQ(cpu.host_init, 1);
	CHECK_EQ(cpu.host_nmi, 0);
	CHECK(!init_is_pending);
}

TEST(an_init_that_the_exit_has_used_up_is_noted_too)
{
	vm_cr_bits = VM_CR_R_INIT;
	start();
	CHECK_EQ(run(SVM_EXIT_INIT), VT_EXIT_HANDLED);
	CHECK_EQ(cpu.host_init, 1);
}

/* ---- Halts ------------------------------------------------------------------------ */

TEST(halts_exit_when_asked_for_and_say_what_they_are)
{
	start();
	svm.set_halt_exits(&cpu, true);
	CHECK(vmcb()->intercept3 & BIT(SVM_INTERCEPT_HLT));
	CHECK(vmcb()->intercept4 & BIT(SVM_INTERCEPT_MWAIT));
	CHECK_EQ(run(SVM_EXIT_HLT), VT_EXIT_HALT);
	CHECK(!last.halt.is_mwait);
	CHECK_EQ(last.length, 1);
	CHECK_EQ(run(SVM_EXIT_MWAIT), VT_EXIT_HALT);
	CHECK(last.halt.is_mwait);
	CHECK_EQ(last.length, 3);
	svm.set_halt_exits(&cpu, false);
	CHECK(!(vmcb()->intercept3 & BIT(SVM_INTERCEPT_HLT)));
	CHECK(!(vmcb()->intercept4 & BIT(SVM_INTERCEPT_MWAIT)));
	CHECK(vmcb()->intercept4 & BIT(SVM_INTERCEPT_VMRUN));
}

TEST(an_interrupt_ends_a_halt_that_lets_it_in)
{
	start();
	cpu.guest.rflags = RFLAGS_IF;
	CHECK(!svm.ends_halt(&cpu, false));
	pending_vector = 0x45 | CPU_VECTOR_VALID;
	CHECK(svm.ends_halt(&cpu, false));
	CHECK(svm.ends_halt(&cpu, false));
	guest_if = true;
	run(SVM_EXIT_SMI);
	CHECK_EQ(taken[0], 0x45);
}

TEST(with_interrupts_off_only_an_nmi_ends_a_halt)
{
	start();
	cpu.guest.rflags = 0;
	pending_vector = 0x45 | CPU_VECTOR_VALID;
	/* The double's window always finds one. */
	CHECK(svm.ends_halt(&cpu, false));
	CHECK(cpu.host_nmi);
	CHECK_EQ(pending_vector, 0x45 | CPU_VECTOR_VALID);
}

TEST(a_halt_is_slept_through_in_the_host)
{
	start();
	cpu.guest.rflags = RFLAGS_IF;
	CHECK(svm.ends_halt(&cpu, true));
	guest_if = true;
	run(SVM_EXIT_SMI);
	CHECK_EQ(taken[0], 0x46);
	cpu.host_nmi = 0;
	cpu.guest.rflags = 0;
	CHECK(svm.ends_halt(&cpu, true));
	CHECK(cpu.host_nmi);
}

/* ---- What is hidden ------------------------------------------------------------------ */

static bool is_trapped(u32 index, bool is_write)
{
	static const u32 bases[] = { 0, 0xc0000000, 0xc0010000 };
	const u8 *map = (const u8 *)svm_hide_msr_map().v;

	for (unsigned i = 0; i < ARRAY_COUNT(bases); i++)
		if (index - bases[i] < 0x2000)
			return map[0x800 * i + (index - bases[i]) / 4] >>
				((index - bases[i]) % 4 * 2 + is_write) & 1;
	return true;
}

TEST(only_the_msrs_that_must_be_are_trapped)
{
	u32 writes = 0, reads = 0;

	start();
	for (u32 i = 0; i < 0x2000; i++) {
		writes += is_trapped(i, true) +
			is_trapped(0xc0000000 + i, true) +
			is_trapped(0xc0010000 + i, true);
		reads += is_trapped(i, false) +
			is_trapped(0xc0000000 + i, false) +
			is_trapped(0xc0010000 + i, false);
	}
	/* EFER, five of SVM; APIC_BASE, x2APIC ICR, the base of ECAM. */
	CHECK_EQ(reads, 6);
	CHECK_EQ(writes, 9);
	CHECK(is_trapped(MSR_EFER, true) && is_trapped(MSR_EFER, false));
	CHECK(is_trapped(MSR_VM_HSAVE_PA, true));
	CHECK(is_trapped(MSR_APIC_BASE, true));
	CHECK(!is_trapped(MSR_APIC_BASE, false));
}

TEST(svm_looks_switched_off_for_good)
{
	u64 value;

	start();
	CHECK(svm.msr_read(&cpu, MSR_VM_CR, &value));
	CHECK_EQ(value, VM_CR_SVMDIS | VM_CR_LOCK);
	CHECK(!svm.msr_write(&cpu, MSR_VM_CR, 0));
	CHECK(!svm.msr_read(&cpu, MSR_VM_HSAVE_PA, &value));
	CHECK(!svm.msr_write(&cpu, MSR_VM_HSAVE_PA, 0x1000));
	CHECK(!svm.msr_write(&cpu, MSR_SVM_KEY, 0));
}

TEST(efer_keeps_svme_and_shows_none)
{
	u64 value;

	start();
	cpuid_regs[CPUID_EDX] = BIT(20);	/* NX */
	vmcb()->efer = EFER_SVME | EFER_LME | EFER_LMA;
	vmcb()->cr0 = CR0_PG;
	CHECK(svm.msr_read(&cpu, MSR_EFER, &value));
	CHECK_EQ(value, EFER_LME | EFER_LMA);
	CHECK(svm.msr_write(&cpu, MSR_EFER, EFER_LME | EFER_NXE | EFER_SCE));
	CHECK_EQ(vmcb()->efer, EFER_SVME | EFER_LME | EFER_LMA | EFER_NXE |
		 EFER_SCE);
	CHECK_EQ(vmcb()->tlb_control, SVM_TLB_FLUSH_ALL);
	/* Turning SVM on, an absent feature, leaving long mode while paging. */
	CHECK(!svm.msr_write(&cpu, MSR_EFER, EFER_LME | EFER_SVME));
	CHECK(!svm.msr_write(&cpu, MSR_EFER, EFER_LME | EFER_TCE));
	CHECK(!svm.msr_write(&cpu, MSR_EFER, EFER_SCE));
}

TEST(msrs_beyond_the_map_are_the_machines)
{
	u64 value;

	start();
	msr_is_there = true;
	msr_value = 42;
	CHECK(svm.msr_read(&cpu, 0xc0002001, &value));
	CHECK_EQ(value, 42);
	CHECK(svm.msr_write(&cpu, 0xc0002001, 7));
	CHECK_EQ(msr_value, 7);
	msr_is_there = false;
	CHECK(!svm.msr_read(&cpu, 0xc0002001, &value));
	CHECK(!svm.msr_write(&cpu, 0xc0002001, 7));
}

TEST(cpuid_denies_svm_and_what_goes_with_it)
{
	u32 regs[4] = { ~0u, ~0u, ~0u, ~0u };

	svm.hide_cpuid(&cpu, 0x80000001, regs);
	CHECK_EQ(regs[CPUID_ECX], ~(u32)(CPUID_80000001_ECX_SVM |
					 CPUID_80000001_ECX_SKINIT));
	CHECK_EQ(regs[CPUID_EDX], ~0u);
	svm.hide_cpuid(&cpu, CPUID_SVM, regs);
	CHECK(!(regs[0] | regs[1] | regs[2] | regs[3]));
}
