/* SPDX-License-Identifier: BSD-2-Clause */
/* What CPUs ask of each other: kicks, flushes, to stop. */
#include "../../core/x86/smp.h"
#include "fake_smp.h"
#include "test.h"

static struct cpu *const bsp = &fake.cpus[0], *const ap = &fake.cpus[1];

TEST(a_kick_is_one_nmi_until_it_is_taken)
{
	fake_smp_start();
	fake_smp_enter(ap);
	smp_kick(ap);
	smp_kick(ap);
	CHECK_EQ(fake.nmis[1], 1);
	CHECK(smp_take_kick(ap));
	CHECK(!smp_take_kick(ap));
	smp_kick(ap);
	CHECK_EQ(fake.nmis[1], 2);
}

TEST(a_flush_waits_for_those_in_their_guest_and_for_nobody_else)
{
	fake_smp_start();
	fake_smp_enter(ap);
	fake.on_nmi = fake_smp_leave;
	smp_flush_all();
	CHECK_EQ(fake.nmis[0], 0);
	CHECK_EQ(fake.nmis[1], 1);
	CHECK_EQ(fake.nmis[2], 0);
	fake_smp_enter(ap);
	CHECK_STR(fake.done, "F");
	fake_smp_enter(&fake.cpus[2]);
	CHECK_STR(fake.done, "FF");
	fake_smp_enter(bsp);
	CHECK_STR(fake.done, "FFF");
}

static void leave_and_enter(struct cpu *cpu)
{
	struct cpu *asker = fake.current;

	fake_smp_leave(cpu);
	fake_smp_enter(cpu);
	fake.current = asker;
}

TEST(a_cpu_that_has_flushed_and_is_back_in_its_guest_is_not_waited_for)
{
	fake_smp_start();
	fake_smp_enter(ap);
	fake.on_nmi = leave_and_enter;
	smp_flush_all();
	CHECK_STR(fake.done, "F");
	CHECK_EQ(fake.nmis[1], 1);
	CHECK(ap->in_guest);
}

TEST(what_is_asked_while_exits_are_changed_is_done_before_the_guest_runs)
{
	fake_smp_start();
	fake.on_sync = smp_flush_later;
	fake_smp_enter(ap);
	CHECK_STR(fake.done, "F");
}

TEST(flushes_asked_for_meanwhile_are_one)
{
	fake_smp_start();
	smp_flush_all();
	smp_flush_all();
	fake_smp_enter(ap);
	CHECK_STR(fake.done, "F");
}

TEST(who_makes_interrupts_exit_already_is_not_kicked_for_it)
{
	fake_smp_start();
	fake_smp_enter(ap);
	fake_smp_enter(&fake.cpus[2]);
	ap->interrupts_exit = true;
	fake.on_nmi = fake_smp_leave;
	smp_sync_interrupt_exits();
	CHECK_EQ(fake.nmis[1], 0);
	CHECK_EQ(fake.nmis[2], 1);
}

TEST(before_the_first_launch_nobody_is_waited_for)
{
	fake_smp_start();
	for (u32 i = 0; i < SMP_CPUS; i++)
		fake.cpus[i].is_virtualized = false;
	fake.current = NULL;
	smp_flush_all();
	smp_sync_interrupt_exits();
	CHECK_EQ(fake.nmis[0] + fake.nmis[1] + fake.nmis[2], 0);
}

static enum end end_of(void (*run)(void))
{
	switch (setjmp(fake.end)) {
	case CAME_BACK:
		run();
		return CAME_BACK;
	case HALTED:
		return HALTED;
	default:
		return RESET_MACHINE;
	}
}

static void enter_ap(void)
{
	fake_smp_enter(ap);
}

TEST(a_cpu_that_cannot_be_reached_ends_in_a_reset_not_in_a_hang)
{
	u64 before = fake.now_us;

	fake_smp_start();
	fake_smp_enter(ap);
	CHECK_EQ(end_of(smp_flush_all), RESET_MACHINE);
	CHECK(fake.now_us - before < 20000000);
}

TEST(after_a_panic_everybody_is_called_and_nobody_runs)
{
	fake_smp_start();
	fake_smp_enter(ap);
	fake_smp_enter(&fake.cpus[2]);
	fake.is_panicking = true;
	smp_stop_others();
	CHECK_EQ(fake.nmis[0], 0);
	CHECK_EQ(fake.nmis[1] + fake.nmis[2], 2);
	fake_smp_leave(ap);
	CHECK_EQ(end_of(enter_ap), HALTED);
}
