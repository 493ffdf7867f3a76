/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Intel's back end against an entry that refuses what the SDM says a
 * processor refuses (vol. 3, chapter 27), and does with the VMCS what it says
 * a processor does.
 */
#include <string.h>

#include "../../core/x86/mtrr.h"
#include "../../core/x86/segment.h"
#include "../../core/x86/slat.h"
#include "../../core/x86/smp.h"
#include "../../core/x86/vmx.h"
#include "../../core/x86/vmx_cpu.h"
#include "fake_panic.h"
#include "log.h"
#include "page.h"
#include "spec/x86.h"
#include "test.h"

static struct cpu cpu;
static struct vt_exit last;

/* ---- The processor --------------------------------------------------------- */

#define UNDEFINED 0xa5a5a5a5a5a5a5a5
static u64 vmcs[0x7000];
static u32 next_reason;		/* what the guest does next */
static u64 next_qualification, next_event, next_vectoring;
static bool nmi_comes_first;
static u8 taken[16];		/* vectors that the guest's handlers saw */
static size_t taken_count;
static size_t flush_count, iret_count;
static u64 xcr0;
static u64 msr_value, feature_control, cr2;
static u64 ept_capability;
static u32 pin_may, processor2_may;
static bool has_vmx;
static u64 timer_us;		/* of the next timer, or ~0 */

u64 vmread(enum vmcs_field field)
{
	return vmcs[field];
}

void vmwrite(enum vmcs_field field, u64 value)
{
	vmcs[field] = value;
}

static bool is_blocked(u32 bits)
{
	return vmcs[VMCS_GUEST_INTERRUPTIBILITY] & bits;
}

/* 27.3.1.5 */
static void take(u32 event)
{
	unsigned type = FIELD_GET(VMX_EVENT_TYPE, event);

	CHECK(taken_count < sizeof(taken));
	taken[taken_count++] = FIELD_GET(VMX_EVENT_VECTOR, event);
	if (type == VMX_EVENT_INTERRUPT) {
		CHECK(vmcs[VMCS_GUEST_RFLAGS] & RFLAGS_IF);
		CHECK(!is_blocked(VMX_BLOCKED_BY_STI | VMX_BLOCKED_BY_MOV_SS));
		vmcs[VMCS_GUEST_RFLAGS] &= ~RFLAGS_IF;
	}
	if (type == VMX_EVENT_NMI) {
		CHECK(!is_blocked(VMX_BLOCKED_BY_NMI | VMX_BLOCKED_BY_MOV_SS));
		vmcs[VMCS_GUEST_INTERRUPTIBILITY] |= VMX_BLOCKED_BY_NMI;
	}
}

enum { EXITED, FAILED, MISSED };

int vmx_run(struct cpu *of, bool is_launched, const u32 *host_nmi);

int vmx_run(struct cpu *of, bool is_launched, const u32 *host_nmi)
{
	CHECK(of == &cpu && host_nmi == &cpu.host_nmi);
	if (nmi_comes_first) {
		nmi_comes_first = false;
		return MISSED;
	}
	if (vmcs[VMCS_ENTRY_EVENT] & VMX_EVENT_VALID)
		take(vmcs[VMCS_ENTRY_EVENT]);
	vmcs[VMCS_ENTRY_EVENT] &= ~VMX_EVENT_VALID;
	vmcs[VMCS_REASON] = next_reason;
	vmcs[VMCS_QUALIFICATION] = next_qualification;
	vmcs[VMCS_EXIT_EVENT] = next_event;
	vmcs[VMCS_VECTORING] = next_vectoring;
	vmcs[VMCS_EXIT_LENGTH] = 3;
	return EXITED;
}

void vmx_unblock_nmi(void) { iret_count++; }
void vmx_sleep(const u32 *host_nmi) { FAIL("nobody sleeps here"); }
void vmxon(hpa_t region) { }
void vmclear(hpa_t region) { }
void vmptrld(hpa_t region) { }
void invept_all(void) { flush_count++; }
void invvpid_single(u16 vpid) { CHECK(vpid); }
u8 vmx_exited[1];

bool xsetbv_safe(u32 index, u64 value)
{
	if (index || !(value & 1))
		return false;
	xcr0 = value;
	return true;
}

/* As a processor with everything has them (appendix A). */
u64 rdmsr(u32 index)
{
	switch (index) {
	case MSR_FEATURE_CONTROL:
		return feature_control;
	case MSR_VMX_BASIC:
		return VMX_BASIC_TRUE | 6ull << 50 | 0x2b;
	case MSR_VMX_TRUE_PIN:
		return (u64)pin_may << 32 | 0x16;
	case MSR_VMX_TRUE_PROCESSOR:
		return 0xfff9fffe04006172;
	case MSR_VMX_PROCESSOR2:
		return (u64)processor2_may << 32;
	case MSR_VMX_TRUE_EXIT:
		return 0x1ffffff00036dfb;
	case MSR_VMX_TRUE_ENTRY:
		return 0x3ffff000011fb;
	case MSR_VMX_EPT:
		return ept_capability;
	case MSR_VMX_MISC:
		return 5;
	case MSR_VMX_CR0_FIXED0:
		return CR0_PE | CR0_NE | CR0_PG;
	case MSR_VMX_CR4_FIXED0:
		return CR4_VMXE;
	default:
		return msr_value;
	}
}

void wrmsr(u32 index, u64 value)
{
	CHECK_EQ(index, MSR_FEATURE_CONTROL);
	CHECK(!(feature_control & FEATURE_CONTROL_LOCK));
	feature_control = value;
}

bool msr_read_safe(u32 index, u64 *value)
{
	*value = msr_value;
	return true;
}

bool msr_write_safe(u32 index, u64 value)
{
	msr_value = value;
	return true;
}

void cpuid(u32 leaf, u32 subleaf, u32 regs[4])
{
	memset(regs, 0, 4 * sizeof(*regs));
	if (leaf == 1) {
		regs[CPUID_EAX] = 0x806c1;
		regs[CPUID_ECX] = CPUID_1_ECX_XSAVE |
				  (has_vmx ? CPUID_1_ECX_VMX : 0);
	}
}

u64 read_cr0(void) { return CR0_PE | CR0_PG | CR0_ET; }
u64 read_cr2(void) { return cr2; }
u64 read_cr3(void) { return 0x5000; }
u64 read_cr4(void) { return CR4_PAE; }
u64 read_dr7(void) { return DR7_INIT; }
void write_cr0(u64 value) { CHECK(value & CR0_NE); }
void write_cr2(u64 value) { cr2 = value; }
void write_cr4(u64 value) { }
void write_dr6(u64 value) { CHECK_EQ(value, DR6_INIT); }

/* ---- The rest of the machine ------------------------------------------------- */

static u8 arena[16][PAGE_SIZE] __attribute__((aligned(4096)));
static size_t arena_used;	/* pages; start() takes all back */
static size_t type_updates;

void *page_alloc(size_t count)
{
	void *pages = arena[arena_used];

	arena_used += count;
	CHECK(arena_used <= ARRAY_COUNT(arena));
	return memset(pages, 0, count * PAGE_SIZE);
}

hpa_t page_hpa(const void *memory) { return hpa((u64)memory); }
hpa_t slat_root(void) { return hpa(0x1000); }
void slat_update_types(void) { type_updates++; }
void smp_flush_all(void) { CHECK(type_updates); }
void mtrr_init(void) { }
enum mtrr_type mtrr_type(u64 address) { return MTRR_WRITE_BACK; }
bool mtrr_is_msr(u32 index) { return index == MSR_MTRR_DEFAULT; }

u64 clock_now_us(void) { return 1000; }
u64 clock_ticks(u64 us) { return 3200 * us; }
bool timer_is_pending(void) { return timer_us != ~0ull; }
u64 timer_next_us(void) { return timer_us; }

struct segment segment_gdtr(void)
{
	return (struct segment){ .base = 0x7000, .limit = 0x47 };
}

struct segment segment_idtr(void)
{
	return (struct segment){ .base = 0x8000, .limit = 0xfff };
}

struct segment segment_of(u16 selector)
{
	return (struct segment){
		.selector = selector, .limit = ~0u,
		.attributes = SEGMENT_PRESENT | SEGMENT_S | SEGMENT_LONG | 0xa,
	};
}

struct segment segment_of_system(u16 selector)
{
	return (struct segment){ .selector = selector };
}

static void start(void)
{
	memset(&cpu, 0, sizeof(cpu));
	memset(vmcs, (u8)UNDEFINED, sizeof(vmcs));
	arena_used = taken_count = flush_count = iret_count = 0;
	next_reason = VMX_REASON_NMI_WINDOW;
	next_qualification = next_event = next_vectoring = 0;
	nmi_comes_first = false;
	feature_control = xcr0 = type_updates = 0;
	has_vmx = true;
	pin_may = 0x7f;
	processor2_may = ~0u;
	timer_us = ~0ull;
	ept_capability = 0xf0106334141;
	CHECK(!vmx.probe());
	CHECK_EQ(vmx.init(), 0);
	CHECK_EQ(vmx.cpu_init(&cpu), 0);
	vmx.capture(&cpu);
	cpu.guest.rflags = RFLAGS_FIXED | RFLAGS_IF;
}

static enum vt_exit_reason run(u32 reason)
{
	next_reason = reason;
	vmx.run(&cpu, &last);
	return last.reason;
}

static void iret_of_nmi(void)
{
	vmcs[VMCS_GUEST_INTERRUPTIBILITY] &= ~VMX_BLOCKED_BY_NMI;
}

static void enable_interrupts(void)
{
	cpu.guest.rflags |= RFLAGS_IF;
}

static void interrupt(u8 vector)
{
	next_event = VMX_EVENT_VALID | vector;
	CHECK_EQ(run(VMX_REASON_INTERRUPT), VT_EXIT_INTERRUPT);
	vmx.forward_interrupt(&cpu);
	next_event = 0;
}

/* ---- What is needed ------------------------------------------------------------- */

TEST(what_is_missing_is_told)
{
	start();
	CHECK(vmx.is_there());
	has_vmx = false;
	CHECK(!vmx.is_there());
	feature_control = FEATURE_CONTROL_LOCK;
	CHECK(strstr(vmx.probe(), "firmware setup"));
	feature_control |= FEATURE_CONTROL_VMX;
	CHECK(!vmx.probe());
	ept_capability &= ~VMX_EPT_INVEPT;
	CHECK(strstr(vmx.probe(), "no EPT with"));
}

TEST(an_older_processor_is_told_what_it_lacks)
{
	start();
	processor2_may = ~(u32)VMX_PROCESSOR2_UNRESTRICTED;
	CHECK_STR(vmx.probe(),
		  "this processor's VMX has no unrestricted guest");
	processor2_may = ~(u32)VMX_PROCESSOR2_VPID;
	CHECK_STR(vmx.probe(), "this processor's VMX has no VPID");
	processor2_may = 0;
	CHECK_STR(vmx.probe(), "this processor's VMX has no EPT");
	processor2_may = ~0u;
	pin_may &= ~(u32)VMX_PIN_VIRTUAL_NMI;
	CHECK_STR(vmx.probe(), "this processor's VMX has no virtual NMIs");
}

TEST(without_1_gib_pages_there_are_smaller_ones)
{
	start();
	CHECK(vmx.slat_has_1g_pages());
	ept_capability &= ~VMX_EPT_1G;
	CHECK(!vmx.probe());
	CHECK(!vmx.slat_has_1g_pages());
}

TEST(a_register_that_firmware_left_unlocked_is_locked)
{
	start();
	CHECK_EQ(feature_control, FEATURE_CONTROL_LOCK | FEATURE_CONTROL_VMX);
}

TEST(a_register_that_firmware_has_locked_is_left_alone)
{
	start();
	feature_control = FEATURE_CONTROL_LOCK | FEATURE_CONTROL_VMX;
	CHECK(!vmx.probe());
	vmx.capture(&cpu);	/* its wrmsr() insists on no lock */
}

TEST(what_only_some_processors_have_is_used_where_it_is)
{
	start();
	CHECK(vmcs[VMCS_PROCESSOR2] & VMX_PROCESSOR2_XSAVES);
	processor2_may = VMX_PROCESSOR2_EPT | VMX_PROCESSOR2_VPID |
			 VMX_PROCESSOR2_UNRESTRICTED;
	CHECK(!vmx.probe());
	vmx.capture(&cpu);
	CHECK_EQ(vmcs[VMCS_PROCESSOR2], processor2_may);
}

/* ---- The guest's state ------------------------------------------------------------ */

TEST(at_launch_the_guest_is_what_the_processor_was)
{
	start();
	CHECK_EQ(vmcs[VMCS_GUEST_CR3], 0x5000);
	CHECK(vmcs[VMCS_ENTRY] & VMX_ENTRY_GUEST_64);
	CHECK_EQ(vmcs[VMCS_LINK], VMCS_LINK_NONE);
	/* Firmware has no TSS; an entry insists on a busy one. */
	CHECK_EQ(vmcs[VMCS_RIGHTS(VMCS_TR)], 0x8b);
	CHECK_EQ(vmcs[VMCS_RIGHTS(VMCS_LDTR)], VMX_SEGMENT_UNUSABLE);
	/* Bits 8-11 of the rights are reserved (25.4.1). */
	CHECK_EQ(vmcs[VMCS_RIGHTS(VMCS_CS)] & 0xf00, 0);
	CHECK(vmcs[VMCS_RIGHTS(VMCS_CS)] & BIT(13));
}

TEST(the_host_is_known_before_the_first_entry)
{
	start();
	run(VMX_REASON_NMI_WINDOW);
	CHECK_EQ(vmcs[VMCS_HOST_RIP], (u64)vmx_exited);
	CHECK(vmcs[VMCS_HOST_TR]);
	CHECK(vmcs[VMCS_HOST_CR4] & CR4_OSXSAVE);
}

/* 27.2 and 27.3: all that an entry looks at, and an exit loads. */
TEST(no_field_that_is_used_is_left_undefined)
{
	static const struct {
		u32 first, count;
	} ranges[] = {
		{ VMCS_VPID, 1 }, { VMCS_GUEST_ES, 8 }, { VMCS_HOST_ES, 7 },
		{ VMCS_IO_MAP_A, 3 }, { VMCS_EPTP, 1 }, { VMCS_LINK, 4 },
		{ VMCS_HOST_PAT, 2 }, { VMCS_PIN, 12 },
		{ VMCS_PROCESSOR2, 1 }, { VMCS_GUEST_ES_LIMIT, 18 },
		{ VMCS_GUEST_INTERRUPTIBILITY, 2 },
		{ VMCS_GUEST_SYSENTER_CS, 1 }, { VMCS_HOST_SYSENTER_CS, 1 },
		{ VMCS_CR0_MASK, 4 }, { VMCS_GUEST_CR0, 20 },
		{ VMCS_HOST_CR0, 10 }, { VMCS_HOST_RIP, 1 },
	};

	start();
	run(VMX_REASON_CPUID);
	for (size_t i = 0; i < ARRAY_COUNT(ranges); i++)
		for (u32 j = 0; j < ranges[i].count; j++)
			CHECK(vmcs[ranges[i].first + 2 * j] != UNDEFINED);
}

TEST(an_init_leaves_the_state_of_table_10_1)
{
	start();
	vmcs[VMCS_GUEST_CR0] |= CR0_CD;
	vmcs[VMCS_GUEST_EFER] = EFER_LME | EFER_LMA;
	vmx.reset(&cpu);
	CHECK_EQ(vmcs[VMCS_CR0_SHADOW], CR0_CD | CR0_ET);
	CHECK(vmcs[VMCS_GUEST_CR0] & CR0_NE);
	CHECK_EQ(vmcs[VMCS_GUEST_EFER], 0);
	CHECK(!(vmcs[VMCS_ENTRY] & VMX_ENTRY_GUEST_64));
	CHECK_EQ(vmcs[VMCS_SELECTOR(VMCS_CS)], 0xf000);
	CHECK_EQ(vmcs[VMCS_RIGHTS(VMCS_CS)], 0x9b);
	CHECK_EQ(vmcs[VMCS_RIGHTS(VMCS_SS)], 0x93);
	CHECK_EQ(vmcs[VMCS_RIGHTS(VMCS_LDTR)], 0x82);
	CHECK_EQ(cpu.guest.rip, 0xfff0);
	CHECK_EQ(cpu.guest.gpr[INSN_RDX], 0x806c1);
	CHECK_EQ(vmcs[VMCS_GUEST_ACTIVITY], VMX_ACTIVE);
	vmx.wait_for_startup(&cpu);
	CHECK_EQ(vmcs[VMCS_GUEST_ACTIVITY], VMX_WAIT_STARTUP);
	vmcs[VMCS_GUEST_INTERRUPTIBILITY] = BIT(2);
	vmx.start(&cpu, 0x9f);
	CHECK_EQ(vmcs[VMCS_GUEST_INTERRUPTIBILITY], 0);
	CHECK_EQ(vmcs[VMCS_GUEST_ACTIVITY], VMX_ACTIVE);
	CHECK_EQ(vmcs[VMCS_SELECTOR(VMCS_CS)], 0x9f00);
	CHECK_EQ(vmcs[VMCS_BASE(VMCS_CS)], 0x9f000);
	CHECK_EQ(cpu.guest.rip, 0);
}

TEST(an_init_and_a_sipi_exit)
{
	start();
	CHECK_EQ(run(VMX_REASON_INIT), VT_EXIT_INIT);
	next_qualification = 0x9f;
	CHECK_EQ(run(VMX_REASON_STARTUP), VT_EXIT_STARTUP);
	CHECK_EQ(last.startup_vector, 0x9f);
}

/* ---- Interrupts and NMIs ------------------------------------------------------------ */

TEST(an_interrupt_reaches_the_guest_once)
{
	start();
	interrupt(0xec);
	for (int i = 0; i < 3; i++) {
		run(VMX_REASON_CPUID);
		enable_interrupts();
	}
	CHECK_EQ(taken_count, 1);
	CHECK_EQ(taken[0], 0xec);
}

TEST(an_interrupt_waits_until_the_guest_can_take_it)
{
	start();
	cpu.guest.rflags &= ~RFLAGS_IF;
	interrupt(0x31);
	run(VMX_REASON_CPUID);
	CHECK_EQ(taken_count, 0);
	CHECK(vmcs[VMCS_PROCESSOR] & VMX_PROCESSOR_INTERRUPT_WINDOW);
	enable_interrupts();
	vmcs[VMCS_GUEST_INTERRUPTIBILITY] = VMX_BLOCKED_BY_STI;
	run(VMX_REASON_CPUID);
	CHECK_EQ(taken_count, 0);
	vmcs[VMCS_GUEST_INTERRUPTIBILITY] = 0;
	enable_interrupts();
	CHECK_EQ(run(VMX_REASON_INTERRUPT_WINDOW), VT_EXIT_HANDLED);
	CHECK_EQ(taken_count, 1);
	CHECK(!(vmcs[VMCS_PROCESSOR] & VMX_PROCESSOR_INTERRUPT_WINDOW));
}

TEST(of_two_interrupts_the_higher_goes_first)
{
	start();
	cpu.guest.rflags &= ~RFLAGS_IF;
	interrupt(0x41);
	interrupt(0xec);
	enable_interrupts();
	run(VMX_REASON_CPUID);
	CHECK_EQ(taken_count, 1);
	CHECK_EQ(taken[0], 0xec);
	CHECK(vmcs[VMCS_PROCESSOR] & VMX_PROCESSOR_INTERRUPT_WINDOW);
	run(VMX_REASON_CPUID);
	CHECK_EQ(taken_count, 1);
	enable_interrupts();
	run(VMX_REASON_CPUID);
	CHECK_EQ(taken[1], 0x41);
}

TEST(interrupts_exit_only_when_asked_for)
{
	start();
	CHECK(!(vmcs[VMCS_PIN] & VMX_PIN_INTERRUPT));
	vmx.set_interrupt_exits(&cpu, true);
	CHECK(vmcs[VMCS_PIN] & VMX_PIN_INTERRUPT);
	vmx.set_interrupt_exits(&cpu, false);
	CHECK(!(vmcs[VMCS_PIN] & VMX_PIN_INTERRUPT));
}

TEST(an_nmi_that_exits_is_noted_and_blocks_no_other)
{
	start();
	CHECK_EQ(run(VMX_REASON_EXCEPTION_OR_NMI), VT_EXIT_HANDLED);
	CHECK_EQ(cpu.host_nmi, 1);
	CHECK_EQ(iret_count, 1);
	CHECK_EQ(taken_count, 0);
}

TEST(an_nmi_before_the_entry_loses_nothing)
{
	start();
	interrupt(0x31);
	nmi_comes_first = true;
	CHECK_EQ(run(VMX_REASON_CPUID), VT_EXIT_HANDLED);
	CHECK_EQ(taken_count, 0);
	run(VMX_REASON_CPUID);
	CHECK_EQ(taken_count, 1);
}

TEST(a_second_nmi_waits_for_the_end_of_the_first)
{
	start();
	vmx.inject_nmi(&cpu);
	run(VMX_REASON_CPUID);
	CHECK_EQ(taken_count, 1);
	vmx.inject_nmi(&cpu);
	run(VMX_REASON_CPUID);
	CHECK_EQ(taken_count, 1);
	CHECK(vmcs[VMCS_PROCESSOR] & VMX_PROCESSOR_NMI_WINDOW);
	iret_of_nmi();
	run(VMX_REASON_NMI_WINDOW);
	CHECK_EQ(taken_count, 2);
	CHECK(!(vmcs[VMCS_PROCESSOR] & VMX_PROCESSOR_NMI_WINDOW));
}

TEST(an_event_cut_short_by_an_exit_is_delivered_again)
{
	static const struct {
		u64 info;
		bool again;
	} rows[] = {
		{ 0, false },
		{ VMX_EVENT_VALID | 14 | 3 << 8 | VMX_EVENT_HAS_ERROR, true },
		{ VMX_EVENT_VALID | 0x41, true },
		{ VMX_EVENT_VALID | 2 | 2 << 8, true },
		/* INT n, INT1, INT3 and INTO run again by themselves. */
		{ VMX_EVENT_VALID | 0x80 | 4 << 8, false },
		{ VMX_EVENT_VALID | 1 | 5 << 8, false },
		{ VMX_EVENT_VALID | 3 | 6 << 8, false },
	};

	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		start();
		next_vectoring = rows[i].info;
		vmcs[VMCS_GUEST_INTERRUPTIBILITY] =
			i == 3 ? VMX_BLOCKED_BY_NMI : 0;
		run(VMX_REASON_EPT_VIOLATION);
		CHECK_EQ(vmx.was_delivering(&cpu), rows[i].info != 0);
		next_vectoring = 0;
		run(VMX_REASON_CPUID);
		CHECK_EQ(taken_count, rows[i].again);
		run(VMX_REASON_CPUID);
		CHECK_EQ(taken_count, rows[i].again);
	}
}

TEST(an_iret_that_faults_leaves_nmis_blocked)
{
	start();
	next_qualification = VMX_EVENT_NMI_UNBLOCKED;
	run(VMX_REASON_EPT_VIOLATION);
	CHECK(is_blocked(VMX_BLOCKED_BY_NMI));
}

TEST(exceptions_carry_their_error_code_but_not_in_real_mode)
{
	start();
	vmx.inject_exception(&cpu, VECTOR_GP, true, 7);
	run(VMX_REASON_CPUID);
	CHECK_EQ(taken[0], VECTOR_GP);
	CHECK(vmcs[VMCS_ENTRY_EVENT] & VMX_EVENT_HAS_ERROR);
	CHECK_EQ(vmcs[VMCS_ENTRY_ERROR], 7);
	vmcs[VMCS_GUEST_CR0] &= ~CR0_PE;
	vmx.inject_exception(&cpu, VECTOR_GP, true, 0);
	run(VMX_REASON_CPUID);
	CHECK(!(vmcs[VMCS_ENTRY_EVENT] & VMX_EVENT_HAS_ERROR));
}

TEST(the_guests_cr2_survives_faults_of_the_host)
{
	start();
	cr2 = 0x1234;
	vmx.set_page_fault_address(&cpu, 0x5678);
	run(VMX_REASON_CPUID);
	CHECK_EQ(cr2, 0x5678);
	cr2 = 0x9999;
	run(VMX_REASON_CPUID);
	CHECK_EQ(cr2, 0x5678);
}

TEST(stepping_over_an_emulated_instruction_traps)
{
	start();
	cpu.guest.rip = 0x1000;
	cpu.guest.rflags = RFLAGS_TF | RFLAGS_RF;
	vmcs[VMCS_GUEST_INTERRUPTIBILITY] = VMX_BLOCKED_BY_STI;
	vmx.skip(&cpu, 3);
	CHECK_EQ(cpu.guest.rip, 0x1003);
	CHECK(!(cpu.guest.rflags & RFLAGS_RF));
	CHECK(!is_blocked(VMX_BLOCKED_BY_STI));
	CHECK(vmcs[VMCS_GUEST_PENDING_DEBUG] & VMX_PENDING_BS);
}

TEST(stepping_from_branch_to_branch_does_not)
{
	start();
	cpu.guest.rflags = RFLAGS_TF;
	vmcs[VMCS_GUEST_DEBUGCTL] = DEBUGCTL_BTF;
	vmx.skip(&cpu, 3);
	CHECK_EQ(vmcs[VMCS_GUEST_PENDING_DEBUG], 0);
}

/* ---- Timers -------------------------------------------------------------------------- */

static bool timer_is_on(void)
{
	return vmcs[VMCS_PIN] & VMX_PIN_TIMER;
}

TEST(a_timer_ends_the_guests_run)
{
	start();
	run(VMX_REASON_CPUID);
	CHECK(!timer_is_on());
	timer_us = 1500;
	CHECK_EQ(run(VMX_REASON_TIMER), VT_EXIT_HANDLED);
	CHECK(timer_is_on());
	/* 500 us of 3200 ticks, in units of 2^5 ticks. */
	CHECK_EQ(vmcs[VMCS_TIMER], 500 * 100 + 1);
	timer_us = ~0ull;
	run(VMX_REASON_CPUID);
	CHECK(!timer_is_on());
}

TEST(a_timer_that_is_due_or_far_away_fits)
{
	start();
	timer_us = 999;
	run(VMX_REASON_CPUID);
	CHECK_EQ(vmcs[VMCS_TIMER], 1);
	timer_us = ~0ull - 1;
	run(VMX_REASON_CPUID);
	CHECK(timer_is_on());
	CHECK(vmcs[VMCS_TIMER] <= ~0u);
}

/* In whose deeper states that timer would stand still (26.5.1). */
TEST(mwait_exits_while_a_timer_is_set)
{
	start();
	CHECK(!(vmcs[VMCS_PROCESSOR] & VMX_PROCESSOR_MWAIT));
	timer_us = 1500;
	cpu.guest.rip = 0x1000;
	CHECK_EQ(run(VMX_REASON_MWAIT), VT_EXIT_HANDLED);
	CHECK(vmcs[VMCS_PROCESSOR] & VMX_PROCESSOR_MWAIT);
	CHECK_EQ(cpu.guest.rip, 0x1003);
	timer_us = ~0ull;
	run(VMX_REASON_CPUID);
	CHECK(!(vmcs[VMCS_PROCESSOR] & VMX_PROCESSOR_MWAIT));
}

TEST(without_a_preemption_timer_the_guest_just_runs)
{
	start();
	pin_may &= ~(u32)VMX_PIN_TIMER;
	CHECK(!vmx.probe());
	CHECK_EQ(vmx.init(), 0);
	timer_us = 1500;
	run(VMX_REASON_CPUID);
	CHECK(!timer_is_on());
	CHECK(!(vmcs[VMCS_PROCESSOR] & VMX_PROCESSOR_MWAIT));
}

/* ---- Exits --------------------------------------------------------------------------- */

TEST(a_nested_fault_tells_where_and_what)
{
	start();
	vmcs[VMCS_GUEST_PHYSICAL] = 0xfee00300;
	next_qualification = VMX_EPT_WRITE | VMX_EPT_FINAL;
	CHECK_EQ(run(VMX_REASON_EPT_VIOLATION), VT_EXIT_SLAT);
	CHECK_EQ(last.slat.address.v, 0xfee00300);
	CHECK(last.slat.is_write && last.slat.is_final);
}

TEST(port_exits_tell_port_size_and_direction)
{
	start();
	next_qualification = 0xcf8ull << 16 | 3;
	CHECK_EQ(run(VMX_REASON_IO), VT_EXIT_IO);
	CHECK_EQ(last.io.port, 0xcf8);
	CHECK_EQ(last.io.size, 4);
	CHECK(last.io.is_write && !last.io.is_string);
	CHECK_EQ(last.length, 3);
	next_qualification = 0xcfcull << 16 | VMX_IO_IN | VMX_IO_REP;
	run(VMX_REASON_IO);
	CHECK(!last.io.is_write && last.io.is_string);
}

TEST(instructions_of_vmx_are_hidden)
{
	start();
	for (u32 reason = VMX_REASON_VMCALL; reason <= VMX_REASON_VMXON;
	     reason++)
		CHECK_EQ(run(reason), VT_EXIT_HIDDEN);
	CHECK_EQ(run(VMX_REASON_INVEPT), VT_EXIT_HIDDEN);
	CHECK_EQ(run(VMX_REASON_INVVPID), VT_EXIT_HIDDEN);
	CHECK_EQ(run(VMX_REASON_GETSEC), VT_EXIT_HIDDEN);
	CHECK_EQ(run(VMX_REASON_SEAMCALL), VT_EXIT_HIDDEN);
	CHECK_EQ(run(VMX_REASON_TDCALL), VT_EXIT_HIDDEN);
}

static void misconfigure(void)
{
	run(VMX_REASON_EPT_MISCONFIGURATION);
}

static void exit_for_nothing(void)
{
	run(VMX_REASON_HLT);
}

static void enter_badly(void)
{
	run(VMX_REASON_ENTRY_FAILED | 33);
}

TEST(what_only_a_mistake_of_ours_brings_about_is_a_panic)
{
	start();
	CHECK_PANICS(misconfigure);
	CHECK_PANICS(exit_for_nothing);
	CHECK_PANICS(enter_badly);
}

TEST(a_task_switch_fails_as_one_to_an_invalid_tss)
{
	start();
	next_qualification = 2ull << 30 | 0x28;		/* a far JMP */
	CHECK_EQ(run(VMX_REASON_TASK_SWITCH), VT_EXIT_HANDLED);
	run(VMX_REASON_CPUID);
	CHECK_EQ(taken[0], VECTOR_TS);
	CHECK_EQ(vmcs[VMCS_ENTRY_ERROR], 0x28);
}

TEST(a_task_switch_for_a_double_fault_is_a_shutdown)
{
	start();
	next_qualification = 3ull << 30 | 0x28;
	next_vectoring = VMX_EVENT_VALID | VMX_EVENT_HAS_ERROR |
			 FIELD_PREP(VMX_EVENT_TYPE, VMX_EVENT_EXCEPTION) |
			 VECTOR_DF;
	CHECK_EQ(run(VMX_REASON_TASK_SWITCH), VT_EXIT_SHUTDOWN);
}

TEST(vmx_is_in_no_cpuid_and_no_msr)
{
	u32 regs[4] = { 0, 0, ~0u, 0 };
	u64 value;

	start();
	vmx.hide_cpuid(&cpu, 1, regs);
	CHECK(!(regs[CPUID_ECX] & (CPUID_1_ECX_VMX | CPUID_1_ECX_SMX)));
	CHECK(vmx.msr_read(&cpu, MSR_FEATURE_CONTROL, &value));
	CHECK_EQ(value, FEATURE_CONTROL_LOCK);
	CHECK(!vmx.msr_write(&cpu, MSR_FEATURE_CONTROL, 5));
	CHECK(!vmx.msr_read(&cpu, MSR_VMX_BASIC, &value));
	CHECK(!vmx.msr_write(&cpu, MSR_VMX_BASIC, 0));
}

TEST(the_bits_vmx_needs_look_as_the_guest_has_set_them)
{
	start();
	CHECK(vmcs[VMCS_GUEST_CR4] & CR4_VMXE);
	CHECK(!(vmcs[VMCS_CR4_SHADOW] & CR4_VMXE));
	CHECK(vmcs[VMCS_GUEST_CR0] & CR0_NE);
	CHECK(!(vmcs[VMCS_CR0_SHADOW] & CR0_NE));
	/* It sets NE: the same instruction is run again and does the rest. */
	cpu.guest.gpr[INSN_RBX] = CR0_PE | CR0_NE;
	cpu.guest.rip = 0x1000;
	next_qualification = FIELD_PREP(VMX_CR_GPR, INSN_RBX);
	CHECK_EQ(run(VMX_REASON_CR_ACCESS), VT_EXIT_HANDLED);
	CHECK(vmcs[VMCS_CR0_SHADOW] & CR0_NE);
	CHECK_EQ(cpu.guest.rip, 0x1000);
	run(VMX_REASON_CPUID);
	CHECK_EQ(taken_count, 0);
}

TEST(a_guest_cannot_switch_vmx_on)
{
	start();
	next_qualification = 4;
	run(VMX_REASON_CR_ACCESS);
	next_qualification = 0;
	run(VMX_REASON_CPUID);
	CHECK_EQ(taken[0], VECTOR_GP);
}

TEST(the_processor_judges_xcr0)
{
	start();
	cpu.guest.rip = 0x1000;
	cpu.guest.gpr[INSN_RAX] = 7;
	run(VMX_REASON_XSETBV);
	CHECK_EQ(xcr0, 7);
	CHECK_EQ(cpu.guest.rip, 0x1003);
	cpu.guest.gpr[INSN_RAX] = 0;
	run(VMX_REASON_XSETBV);
	run(VMX_REASON_CPUID);
	CHECK_EQ(xcr0, 7);
	CHECK_EQ(taken[0], VECTOR_GP);
}

TEST(a_new_memory_type_reaches_the_nested_tables)
{
	start();
	CHECK(vmx.msr_write(&cpu, MSR_MTRR_DEFAULT, 0xc06));
	CHECK_EQ(type_updates, 1);
	CHECK_EQ(vmx.slat->type(0), FIELD_PREP(EPT_MEMORY_TYPE, 6));
}

TEST(a_flush_comes_with_the_next_entry)
{
	start();
	run(VMX_REASON_CPUID);
	flush_count = 0;
	vmx.flush(&cpu);
	run(VMX_REASON_CPUID);
	CHECK_EQ(flush_count, 1);
	run(VMX_REASON_CPUID);
	CHECK_EQ(flush_count, 1);
}

TEST(trapped_ports_stand_in_the_bitmaps)
{
	start();
	vmx.trap_port(0xcf8);
	CHECK(((u8 *)vmcs[VMCS_IO_MAP_A])[0xcf8 / 8] & BIT(0xcf8 % 8));
	vmx.trap_port(0x8001);
	CHECK(((u8 *)vmcs[VMCS_IO_MAP_B])[1 / 8] & BIT(1));
}
