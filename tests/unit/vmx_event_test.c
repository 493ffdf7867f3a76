/* SPDX-License-Identifier: BSD-2-Clause */
/* What reaches a guest of Intel's back end, and when: interrupts, NMIs,
 * exceptions, single steps; and the timers that end its run. */
#include "../../core/x86/vmx.h"
#include "fake_vmx.h"
#include "spec/x86.h"
#include "test.h"

/* ---- Interrupts and NMIs ---- */

TEST(an_interrupt_reaches_the_guest_once)
{
	fake_vmx_start();
	fake_vmx_interrupt(0xec);
	for (int i = 0; i < 3; i++) {
		fake_vmx_run(VMX_REASON_CPUID);
		fake_vmx_enable_interrupts();
	}
	CHECK_EQ(fake.taken_count, 1);
	CHECK_EQ(fake.taken[0], 0xec);
}

TEST(an_interrupt_waits_until_the_guest_can_take_it)
{
	fake_vmx_start();
	fake.cpu.guest.rflags &= ~RFLAGS_IF;
	fake_vmx_interrupt(0x31);
	fake_vmx_run(VMX_REASON_CPUID);
	CHECK_EQ(fake.taken_count, 0);
	CHECK(fake.vmcs[VMCS_PROCESSOR] & VMX_PROCESSOR_INTERRUPT_WINDOW);
	fake_vmx_enable_interrupts();
	fake.vmcs[VMCS_GUEST_INTERRUPTIBILITY] = VMX_BLOCKED_BY_STI;
	fake_vmx_run(VMX_REASON_CPUID);
	CHECK_EQ(fake.taken_count, 0);
	fake.vmcs[VMCS_GUEST_INTERRUPTIBILITY] = 0;
	fake_vmx_enable_interrupts();
	CHECK_EQ(fake_vmx_run(VMX_REASON_INTERRUPT_WINDOW), VT_EXIT_HANDLED);
	CHECK_EQ(fake.taken_count, 1);
	CHECK(!(fake.vmcs[VMCS_PROCESSOR] & VMX_PROCESSOR_INTERRUPT_WINDOW));
}

TEST(of_two_interrupts_the_higher_goes_first)
{
	fake_vmx_start();
	fake.cpu.guest.rflags &= ~RFLAGS_IF;
	fake_vmx_interrupt(0x41);
	fake_vmx_interrupt(0xec);
	fake_vmx_enable_interrupts();
	fake_vmx_run(VMX_REASON_CPUID);
	CHECK_EQ(fake.taken_count, 1);
	CHECK_EQ(fake.taken[0], 0xec);
	CHECK(fake.vmcs[VMCS_PROCESSOR] & VMX_PROCESSOR_INTERRUPT_WINDOW);
	fake_vmx_run(VMX_REASON_CPUID);
	CHECK_EQ(fake.taken_count, 1);
	fake_vmx_enable_interrupts();
	fake_vmx_run(VMX_REASON_CPUID);
	CHECK_EQ(fake.taken[1], 0x41);
}

TEST(interrupts_exit_only_when_asked_for)
{
	fake_vmx_start();
	CHECK(!(fake.vmcs[VMCS_PIN] & VMX_PIN_INTERRUPT));
	vmx.set_interrupt_exits(&fake.cpu, true);
	CHECK(fake.vmcs[VMCS_PIN] & VMX_PIN_INTERRUPT);
	vmx.set_interrupt_exits(&fake.cpu, false);
	CHECK(!(fake.vmcs[VMCS_PIN] & VMX_PIN_INTERRUPT));
}

TEST(an_nmi_that_exits_is_noted_and_blocks_no_other)
{
	fake_vmx_start();
	CHECK_EQ(fake_vmx_run(VMX_REASON_EXCEPTION_OR_NMI), VT_EXIT_HANDLED);
	CHECK_EQ(fake.cpu.host_nmi, 1);
	CHECK_EQ(fake.iret_count, 1);
	CHECK_EQ(fake.taken_count, 0);
}

TEST(an_nmi_before_the_entry_loses_nothing)
{
	fake_vmx_start();
	fake_vmx_interrupt(0x31);
	fake.nmi_comes_first = true;
	CHECK_EQ(fake_vmx_run(VMX_REASON_CPUID), VT_EXIT_HANDLED);
	CHECK_EQ(fake.taken_count, 0);
	fake_vmx_run(VMX_REASON_CPUID);
	CHECK_EQ(fake.taken_count, 1);
}

TEST(a_second_nmi_waits_for_the_end_of_the_first)
{
	fake_vmx_start();
	vmx.inject_nmi(&fake.cpu);
	fake_vmx_run(VMX_REASON_CPUID);
	CHECK_EQ(fake.taken_count, 1);
	vmx.inject_nmi(&fake.cpu);
	fake_vmx_run(VMX_REASON_CPUID);
	CHECK_EQ(fake.taken_count, 1);
	CHECK(fake.vmcs[VMCS_PROCESSOR] & VMX_PROCESSOR_NMI_WINDOW);
	fake_vmx_iret_of_nmi();
	fake_vmx_run(VMX_REASON_NMI_WINDOW);
	CHECK_EQ(fake.taken_count, 2);
	CHECK(!(fake.vmcs[VMCS_PROCESSOR] & VMX_PROCESSOR_NMI_WINDOW));
}

/* An entry that injected it would fail (27.3.1.5). */
TEST(an_nmi_waits_until_a_waiting_processor_is_started)
{
	fake_vmx_start();
	vmx.reset(&fake.cpu);
	vmx.wait_for_startup(&fake.cpu);
	vmx.inject_nmi(&fake.cpu);
	fake_vmx_run(VMX_REASON_STARTUP);
	CHECK_EQ(fake.taken_count, 0);
	vmx.start(&fake.cpu, 0x9f);
	fake_vmx_run(VMX_REASON_CPUID);
	CHECK_EQ(fake.taken_count, 1);
}

/* Not blocked: nothing would end what is taken for it. */
TEST(an_nmi_reaches_an_enclave)
{
	fake_vmx_start();
	fake.vmcs[VMCS_GUEST_INTERRUPTIBILITY] = VMX_IN_ENCLAVE;
	vmx.inject_nmi(&fake.cpu);
	fake_vmx_run(VMX_REASON_CPUID);
	CHECK_EQ(fake.taken_count, 1);
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
		fake_vmx_start();
		fake.next_vectoring = rows[i].info;
		fake.next_qualification = VMX_EPT_LINEAR | VMX_EPT_FINAL;
		fake.vmcs[VMCS_GUEST_INTERRUPTIBILITY] =
			i == 3 ? VMX_BLOCKED_BY_NMI : 0;
		fake_vmx_run(VMX_REASON_EPT_VIOLATION);
		CHECK_EQ(fake.last.slat.whose, rows[i].info ?
			 VT_ACCESS_DELIVERY : VT_ACCESS_INSTRUCTION);
		fake.next_vectoring = 0;
		fake_vmx_run(VMX_REASON_CPUID);
		CHECK_EQ(fake.taken_count, rows[i].again);
		fake_vmx_run(VMX_REASON_CPUID);
		CHECK_EQ(fake.taken_count, rows[i].again);
	}
}

TEST(an_iret_that_faults_leaves_nmis_blocked)
{
	fake_vmx_start();
	fake.next_qualification = VMX_EVENT_NMI_UNBLOCKED;
	fake_vmx_run(VMX_REASON_EPT_VIOLATION);
	CHECK(fake_vmx_is_blocked(VMX_BLOCKED_BY_NMI));
}

TEST(exceptions_carry_their_error_code_but_not_in_real_mode)
{
	fake_vmx_start();
	vmx.inject_exception(&fake.cpu, VECTOR_GP, true, 7);
	fake_vmx_run(VMX_REASON_CPUID);
	CHECK_EQ(fake.taken[0], VECTOR_GP);
	CHECK(fake.vmcs[VMCS_ENTRY_EVENT] & VMX_EVENT_HAS_ERROR);
	CHECK_EQ(fake.vmcs[VMCS_ENTRY_ERROR], 7);
	/* As a fault's frame has it; an entry does not see to that (27.6.1.2). */
	CHECK(fake.vmcs[VMCS_GUEST_RFLAGS] & RFLAGS_RF);
	fake.vmcs[VMCS_GUEST_CR0] &= ~CR0_PE;
	vmx.inject_exception(&fake.cpu, VECTOR_GP, true, 0);
	fake_vmx_run(VMX_REASON_CPUID);
	CHECK(!(fake.vmcs[VMCS_ENTRY_EVENT] & VMX_EVENT_HAS_ERROR));
}

TEST(the_guests_cr2_survives_faults_of_the_host)
{
	fake_vmx_start();
	fake.cr2 = 0x1234;
	vmx.set_page_fault_address(&fake.cpu, 0x5678);
	fake_vmx_run(VMX_REASON_CPUID);
	CHECK_EQ(fake.cr2, 0x5678);
	fake.cr2 = 0x9999;
	fake_vmx_run(VMX_REASON_CPUID);
	CHECK_EQ(fake.cr2, 0x5678);
}

TEST(stepping_over_an_emulated_instruction_traps)
{
	fake_vmx_start();
	fake.cpu.guest.rip = 0x1000;
	fake.cpu.guest.rflags = RFLAGS_TF | RFLAGS_RF;
	fake.vmcs[VMCS_GUEST_INTERRUPTIBILITY] = VMX_BLOCKED_BY_STI;
	vmx.skip(&fake.cpu, 3);
	CHECK_EQ(fake.cpu.guest.rip, 0x1003);
	CHECK(!(fake.cpu.guest.rflags & RFLAGS_RF));
	CHECK(!fake_vmx_is_blocked(VMX_BLOCKED_BY_STI));
	CHECK(fake.vmcs[VMCS_GUEST_PENDING_DEBUG] & VMX_PENDING_BS);
}

TEST(stepping_from_branch_to_branch_does_not)
{
	fake_vmx_start();
	fake.cpu.guest.rflags = RFLAGS_TF;
	fake.vmcs[VMCS_GUEST_DEBUGCTL] = DEBUGCTL_BTF;
	vmx.skip(&fake.cpu, 3);
	CHECK_EQ(fake.vmcs[VMCS_GUEST_PENDING_DEBUG], 0);
}

/* ---- Timers ---- */

static bool timer_is_on(void)
{
	return fake.vmcs[VMCS_PIN] & VMX_PIN_TIMER;
}

TEST(a_timer_ends_the_guests_run)
{
	fake_vmx_start();
	fake_vmx_run(VMX_REASON_CPUID);
	CHECK(!timer_is_on());
	fake.timer_us = 1500;
	CHECK_EQ(fake_vmx_run(VMX_REASON_TIMER), VT_EXIT_HANDLED);
	CHECK(timer_is_on());
	/* 500 us of 3200 ticks, in units of 2^5 ticks. */
	CHECK_EQ(fake.vmcs[VMCS_TIMER], 500 * 100 + 1);
	fake.timer_us = ~0ull;
	fake_vmx_run(VMX_REASON_CPUID);
	CHECK(!timer_is_on());
}

TEST(a_timer_that_is_due_or_far_away_fits)
{
	fake_vmx_start();
	fake.timer_us = 999;
	fake_vmx_run(VMX_REASON_CPUID);
	CHECK_EQ(fake.vmcs[VMCS_TIMER], 1);
	fake.timer_us = ~0ull - 1;
	fake_vmx_run(VMX_REASON_CPUID);
	CHECK(timer_is_on());
	CHECK(fake.vmcs[VMCS_TIMER] <= ~0u);
}

/* In whose deeper states that timer would stand still (26.5.1). */
TEST(mwait_exits_while_a_timer_is_set)
{
	fake_vmx_start();
	CHECK(!(fake.vmcs[VMCS_PROCESSOR] & VMX_PROCESSOR_MWAIT));
	fake.timer_us = 1500;
	fake.cpu.guest.rip = 0x1000;
	CHECK_EQ(fake_vmx_run(VMX_REASON_MWAIT), VT_EXIT_HANDLED);
	CHECK(fake.vmcs[VMCS_PROCESSOR] & VMX_PROCESSOR_MWAIT);
	CHECK_EQ(fake.cpu.guest.rip, 0x1003);
	fake.timer_us = ~0ull;
	fake_vmx_run(VMX_REASON_CPUID);
	CHECK(!(fake.vmcs[VMCS_PROCESSOR] & VMX_PROCESSOR_MWAIT));
}

TEST(without_a_preemption_timer_the_guest_just_runs)
{
	fake_vmx_start();
	fake.pin_may &= ~(u32)VMX_PIN_TIMER;
	CHECK(!vmx.probe());
	CHECK_EQ(vmx.init(), 0);
	fake.timer_us = 1500;
	fake_vmx_run(VMX_REASON_CPUID);
	CHECK(!timer_is_on());
	CHECK(!(fake.vmcs[VMCS_PROCESSOR] & VMX_PROCESSOR_MWAIT));
}
