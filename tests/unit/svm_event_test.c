/* SPDX-License-Identifier: BSD-2-Clause */
/* What reaches a guest of AMD's back end, and when: interrupts, NMIs,
 * exceptions, single steps. */
#include "../../core/x86/svm.h"
#include "fake_svm.h"
#include "spec/x86.h"
#include "test.h"

static bool exits_at_iret(void)
{
	return fake.vmcb->intercept3 & BIT(SVM_INTERCEPT_IRET);
}

/* ---- Interrupts ---------------------------------------------------------- */

TEST(an_interrupt_reaches_the_guest_once)
{
	fake_svm_start();
	CHECK_EQ(fake_svm_run(SVM_EXIT_INTR), VT_EXIT_INTERRUPT);
	fake_svm_forward(0xec);
	for (int i = 0; i < 3; i++) {
		fake_svm_run(SVM_EXIT_SMI);
		fake.guest_if = true;
	}
	CHECK_EQ(fake.taken_count, 1);
	CHECK_EQ(fake.taken[0], 0xec);
}

TEST(an_interrupt_is_taken_after_an_exit_for_something_else)
{
	fake_svm_start();
	fake.guest_if = true;
	fake_svm_run(SVM_EXIT_SMI);
	fake.pending_vector = 0;
	CHECK(!svm.take_interrupt(&fake.cpu));
	fake.pending_vector = 0xec | CPU_VECTOR_VALID;
	CHECK(svm.take_interrupt(&fake.cpu));
	fake_svm_run(SVM_EXIT_SMI);
	CHECK_EQ(fake.taken_count, 1);
	CHECK_EQ(fake.taken[0], 0xec);
}

TEST(an_interrupt_waits_until_the_guest_can_take_it)
{
	fake_svm_start();
	fake.guest_if = false;
	fake_svm_forward(0x31);
	fake_svm_run(SVM_EXIT_SMI);
	CHECK_EQ(fake.taken_count, 0);
	fake.guest_if = true;
	fake_svm_run(SVM_EXIT_SMI);
	CHECK_EQ(fake.taken_count, 1);
}

TEST(an_interrupt_that_can_be_taken_is_injected)
{
	fake_svm_start();
	svm_has_next_rip = true;
	fake.cpu.guest.rflags = RFLAGS_IF;
	fake_svm_forward(0x31);
	fake_svm_forward(0xec);
	fake_svm_run(SVM_EXIT_SMI);
	CHECK_EQ(fake.vmcb->event_inject, SVM_EVENT_VALID | 0xec);
	CHECK_EQ(fake.taken_count, 1);
	CHECK_EQ(FIELD_GET(SVM_VIRQ_VECTOR, fake.vmcb->interrupt_control),
		 0x31);
	fake.guest_if = true;
	fake_svm_run(SVM_EXIT_SMI);
	CHECK_EQ(fake.taken_count, 2);
	CHECK_EQ(fake.taken[1], 0x31);
}

TEST(an_old_processor_takes_it_by_itself)
{
	fake_svm_start();
	svm_has_next_rip = false;
	fake.cpu.guest.rflags = RFLAGS_IF;
	fake_svm_forward(0x31);
	fake_svm_run(SVM_EXIT_SMI);
	CHECK_EQ(fake.vmcb->event_inject, 0);
	CHECK_EQ(fake.taken_count, 1);
}

TEST(nothing_is_injected_into_an_interrupt_shadow)
{
	fake_svm_start();
	svm_has_next_rip = true;
	fake.cpu.guest.rflags = RFLAGS_IF;
	fake.vmcb->interrupt_shadow = 1;
	fake.guest_if = false;
	fake_svm_forward(0x31);
	fake_svm_run(SVM_EXIT_SMI);
	CHECK_EQ(fake.vmcb->event_inject, 0);
	CHECK_EQ(fake.taken_count, 0);
}

TEST(of_two_interrupts_the_higher_goes_first_and_the_other_after_its_iret)
{
	fake_svm_start();
	fake_svm_forward(0x41);
	fake_svm_forward(0xec);
	fake_svm_run(SVM_EXIT_SMI);
	CHECK_EQ(fake.taken_count, 1);
	CHECK_EQ(fake.taken[0], 0xec);
	CHECK(exits_at_iret());
	fake_svm_run(SVM_EXIT_IRET);
	CHECK(fake.taken_count == 1);
	fake.guest_if = true;	/* the IRET has run */
	fake_svm_run(SVM_EXIT_SMI);
	CHECK_EQ(fake.taken_count, 2);
	CHECK_EQ(fake.taken[1], 0x41);
	fake_svm_run(SVM_EXIT_SMI);
	CHECK(!exits_at_iret());
}

TEST(no_iret_exits_for_a_single_interrupt)
{
	fake_svm_start();
	fake_svm_forward(0x41);
	fake_svm_run(SVM_EXIT_SMI);
	CHECK(!exits_at_iret());
}

TEST(nothing_of_an_event_stays_in_the_vmcb)
{
	fake_svm_start();
	fake_svm_forward(0x41);
	fake_svm_forward(0xec);
	svm.inject_nmi(&fake.cpu);
	for (int i = 0; i < 4; i++) {
		fake_svm_run(exits_at_iret() ? SVM_EXIT_IRET : SVM_EXIT_SMI);
		fake.guest_if = true;
		fake_svm_run(SVM_EXIT_SMI);
	}
	CHECK_EQ(fake.taken_count, 3);
	CHECK_EQ(fake.vmcb->event_inject, 0);
	CHECK(!(fake.vmcb->interrupt_control & SVM_VIRQ_PENDING));
	CHECK(!exits_at_iret());
}

static bool interrupts_exit(void)
{
	return fake.vmcb->intercept3 & BIT(SVM_INTERCEPT_INTR);
}

TEST(while_an_interrupt_is_on_offer_the_next_one_exits)
{
	fake_svm_start();
	fake_svm_run(SVM_EXIT_SMI);
	CHECK(!interrupts_exit());
	fake.guest_if = false;
	fake_svm_forward(0x31);
	fake_svm_run(SVM_EXIT_SMI);
	CHECK(interrupts_exit());
	fake_svm_forward(0xec);
	fake.guest_if = true;
	fake_svm_run(SVM_EXIT_INTR);
	CHECK_EQ(fake.taken[0], 0xec);
	fake.guest_if = true;
	fake_svm_run(SVM_EXIT_SMI);
	CHECK_EQ(fake.taken[1], 0x31);
	fake_svm_run(SVM_EXIT_SMI);
	CHECK(!interrupts_exit());
}

TEST(interrupts_exit_while_somebody_watches)
{
	fake_svm_start();
	svm.set_interrupt_exits(&fake.cpu, true);
	fake_svm_run(SVM_EXIT_SMI);
	CHECK(interrupts_exit());
	svm.set_interrupt_exits(&fake.cpu, false);
	fake_svm_run(SVM_EXIT_SMI);
	CHECK(!interrupts_exit());
}

TEST(an_interrupt_that_was_withdrawn_is_none)
{
	fake_svm_start();
	fake.pending_vector = 0;
	svm.forward_interrupt(&fake.cpu);
	fake_svm_run(SVM_EXIT_SMI);
	CHECK_EQ(fake.taken_count, 0);
}

/* ---- NMIs and exceptions ------------------------------------------------- */

TEST(a_second_nmi_waits_for_the_end_of_the_first)
{
	fake_svm_start();
	svm.inject_nmi(&fake.cpu);
	fake_svm_run(SVM_EXIT_SMI);
	CHECK_EQ(fake.taken_count, 1);
	CHECK(exits_at_iret());
	svm.inject_nmi(&fake.cpu);
	fake_svm_run(SVM_EXIT_SMI);
	CHECK_EQ(fake.taken_count, 1);
	fake_svm_run(SVM_EXIT_IRET);
	CHECK_EQ(fake.taken_count, 1);
	fake_svm_run(SVM_EXIT_SMI);	/* the IRET itself runs here */
	fake_svm_run(SVM_EXIT_SMI);
	CHECK_EQ(fake.taken_count, 2);
	CHECK_EQ(fake.taken[1], VECTOR_NMI);
}

/* The guest runs into an exit of its own much later, if ever. */
TEST(a_second_nmi_comes_at_once_after_the_iret_of_the_first)
{
	fake_svm_start();
	svm.inject_nmi(&fake.cpu);
	fake_svm_run(SVM_EXIT_SMI);
	svm.inject_nmi(&fake.cpu);
	fake_svm_run(SVM_EXIT_IRET);
	fake.vmcb->dr6 = DR6_INIT;
	fake.cpu.guest.rflags = fake.guest_rflags = RFLAGS_IF;
	CHECK_EQ(fake_svm_run(SVM_EXIT_DB), VT_EXIT_HANDLED);
	CHECK_EQ(fake.taken_count, 1);
	CHECK(fake.stepped);
	CHECK_EQ(fake.cpu.guest.rflags, RFLAGS_IF);
	CHECK_EQ(fake.vmcb->dr6, DR6_INIT);
	fake_svm_run(SVM_EXIT_SMI);
	CHECK_EQ(fake.taken_count, 2);
	CHECK(!fake.stepped);
}

TEST(a_step_that_something_else_ends_leaves_no_trace_and_goes_on)
{
	fake_svm_start();
	svm.inject_nmi(&fake.cpu);
	fake_svm_run(SVM_EXIT_SMI);
	svm.inject_nmi(&fake.cpu);
	fake_svm_run(SVM_EXIT_IRET);
	fake.guest_rflags = RFLAGS_TF;	/* it has not been executed */
	fake.cpu.guest.rip--;
	fake_svm_run(SVM_EXIT_NPF);
	CHECK(!(fake.cpu.guest.rflags & RFLAGS_TF));
	CHECK_EQ(fake.taken_count, 1);
	fake_svm_run(SVM_EXIT_DB);
	CHECK(fake.stepped);
	fake_svm_run(SVM_EXIT_SMI);
	CHECK_EQ(fake.taken_count, 2);
}

TEST(a_guest_that_steps_over_its_iret_gets_its_trap)
{
	fake_svm_start();
	svm.inject_nmi(&fake.cpu);
	fake_svm_run(SVM_EXIT_SMI);
	svm.inject_nmi(&fake.cpu);
	fake_svm_run(SVM_EXIT_IRET);
	fake.cpu.guest.rflags = RFLAGS_TF;
	fake_svm_run(SVM_EXIT_DB);
	fake_svm_run(SVM_EXIT_SMI);
	CHECK_EQ(fake.taken_count, 2);
	CHECK_EQ(fake.taken[1], VECTOR_DB);
	fake_svm_run(SVM_EXIT_SMI);
	CHECK_EQ(fake.taken[2], VECTOR_NMI);
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
		fake_svm_start();
		fake.next_event = rows[i].info;
		fake_svm_run(SVM_EXIT_NPF);
		CHECK_EQ(fake.last.slat.whose, rows[i].info ?
			 VT_ACCESS_DELIVERY : VT_ACCESS_INSTRUCTION);
		fake.next_event = 0;
		fake_svm_run(SVM_EXIT_SMI);
		CHECK_EQ(fake.taken_count, rows[i].again);
		fake_svm_run(SVM_EXIT_SMI);
		CHECK_EQ(fake.taken_count, rows[i].again);
	}
}

TEST(stepping_over_an_emulated_instruction_traps)
{
	fake_svm_start();
	fake.cpu.guest.rip = 0x1000;
	fake.cpu.guest.rflags = RFLAGS_TF | RFLAGS_RF;
	fake.vmcb->interrupt_shadow = 1;
	fake.vmcb->efer = EFER_LMA;
	fake.vmcb->cs.attributes = SEGMENT_LONG;
	svm.skip(&fake.cpu, 3);
	CHECK_EQ(fake.cpu.guest.rip, 0x1003);
	CHECK(!(fake.cpu.guest.rflags & RFLAGS_RF));
	CHECK_EQ(fake.vmcb->interrupt_shadow, 0);
	CHECK(fake.vmcb->dr6 & DR6_BS);
	fake_svm_run(SVM_EXIT_SMI);
	CHECK_EQ(fake.taken[0], VECTOR_DB);
}
