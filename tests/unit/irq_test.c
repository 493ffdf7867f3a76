/* SPDX-License-Identifier: BSD-2-Clause */
/* When interrupts exit: from the first watcher to a while after the last. */
#include <string.h>

#include "../../core/x86/irq_exit.h"
#include "../../core/x86/smp.h"
#include "clock.h"
#include "irq.h"
#include "spec/x86.h"
#include "test.h"
#include "timer.h"
#include "vt.h"

#define GRACE_US 5000

static struct cpu cpu;
static u64 now_us;
static bool exits;		/* as the back end was told last */
static u32 switch_count, sync_count, forward_count;
static bool was_watched_at_sync;
static bool timer_waits, halts_exit;
static bool is_pending;		/* an interrupt, at the back end */

u64 clock_now_us(void)
{
	return now_us;
}

bool timer_is_pending(void)
{
	return timer_waits;
}

/* The waiting CPU's look: would it switch on what it was asked for? */
void smp_sync_interrupt_exits(void)
{
	sync_count++;
	irq_sync_exits(&cpu);
	was_watched_at_sync = cpu.interrupts_exit;
}

static void set_interrupt_exits(struct cpu *of, bool on)
{
	CHECK(of == &cpu);
	exits = on;
	switch_count++;
}

static void forward_interrupt(struct cpu *of)
{
	CHECK(of == &cpu);
	forward_count++;
}

static bool take_interrupt(struct cpu *of)
{
	bool was_pending = is_pending;

	CHECK(of == &cpu);
	is_pending = false;
	forward_count += was_pending;
	return was_pending;
}

static void set_halt_exits(struct cpu *of, bool on)
{
	CHECK(of == &cpu);
	CHECK(halts_exit != on);
	halts_exit = on;
}

static const struct vt fake_vt = {
	.set_halt_exits = set_halt_exits,
	.set_interrupt_exits = set_interrupt_exits,
	.forward_interrupt = forward_interrupt,
	.take_interrupt = take_interrupt,
};
const struct vt *vt = &fake_vt;

static void start(void)
{
	cpu = (struct cpu){ .guest.rflags = RFLAGS_IF };
	exits = halts_exit = timer_waits = is_pending = false;
	switch_count = sync_count = forward_count = 0;
	now_us += 1000000;
}

TEST(nobody_watches_and_nothing_exits)
{
	start();
	CHECK(!irq_sync_exits(&cpu));
	CHECK_EQ(switch_count, 0);
}

TEST(when_get_returns_every_cpu_has_been_told)
{
	start();
	irq_watch_get();
	CHECK_EQ(sync_count, 1);
	CHECK(was_watched_at_sync && exits);
	CHECK(!irq_sync_exits(&cpu));
	CHECK_EQ(switch_count, 1);
	irq_watch_put();
}

TEST(exits_outlast_the_last_watcher_by_the_grace_period)
{
	start();
	irq_watch_get();
	irq_watch_put();
	now_us += GRACE_US - 1;
	CHECK(!irq_sync_exits(&cpu));
	CHECK(exits && cpu.interrupts_exit);
	now_us += 1;
	CHECK(irq_sync_exits(&cpu));
	CHECK(!exits && !cpu.interrupts_exit);
	CHECK(!irq_sync_exits(&cpu));
}

TEST(the_grace_period_begins_with_the_last_put)
{
	start();
	irq_watch_get();
	irq_watch_get();
	irq_watch_put();
	now_us += 10 * GRACE_US;
	CHECK(!irq_sync_exits(&cpu));
	irq_watch_put();
	now_us += GRACE_US - 1;
	CHECK(!irq_sync_exits(&cpu));
	now_us += 1;
	CHECK(irq_sync_exits(&cpu));
}

TEST(a_steady_load_switches_once)
{
	start();
	for (int i = 0; i < 100; i++) {
		irq_watch_get();
		irq_sync_exits(&cpu);
		irq_watch_put();
		now_us += GRACE_US / 2;
		irq_sync_exits(&cpu);
	}
	CHECK_EQ(switch_count, 1);
}

TEST(while_a_timer_waits_interrupts_and_halts_exit)
{
	start();
	timer_waits = true;
	CHECK(irq_sync_exits(&cpu));
	CHECK(exits && halts_exit);
	CHECK(!irq_sync_exits(&cpu));
	timer_waits = false;
	CHECK(irq_sync_exits(&cpu));
	CHECK(!exits && !halts_exit);
	CHECK(!irq_sync_exits(&cpu));
}

TEST(one_cpu_is_enough_to_wait_for_timers)
{
	static struct cpu other;

	start();
	timer_waits = true;
	CHECK(irq_begin_timekeeping(&other));
	CHECK(!irq_begin_timekeeping(&cpu));
	irq_end_timekeeping();
	CHECK(irq_begin_timekeeping(&cpu));
}

TEST(a_timer_that_ends_leaves_the_watchers_their_exits)
{
	start();
	irq_watch_get();
	timer_waits = true;
	irq_sync_exits(&cpu);
	timer_waits = false;
	CHECK(irq_sync_exits(&cpu));
	CHECK(exits && !halts_exit);
	irq_watch_put();
}

/* ---- Listeners ----------------------------------------------------------- */

static char heard[8];

static void hear(char who)
{
	heard[strlen(heard)] = who;
	/* Off the APIC already: a second one would be pending anew. */
	CHECK_EQ(forward_count, 1);
}

static void hear_a(struct irq_listener *listener)
{
	hear('a');
}

static void hear_b(struct irq_listener *listener)
{
	hear('b');
}

TEST(all_listeners_hear_of_an_interrupt_that_was_taken)
{
	static struct irq_listener a = { .interrupt = hear_a };
	static struct irq_listener b = { .interrupt = hear_b };

	start();
	irq_listen(&a);
	irq_listen(&b);
	irq_exit(&cpu);
	CHECK_STR(heard, "ab");
	CHECK_EQ(forward_count, 1);
}

TEST(one_that_came_during_another_exit_is_taken_where_interrupts_exit)
{
	static struct irq_listener a = { .interrupt = hear_a };

	start();
	irq_listen(&a);
	is_pending = true;
	irq_take(&cpu);
	CHECK(is_pending);
	irq_watch_get();
	irq_take(&cpu);
	CHECK(!is_pending);
	CHECK_STR(heard, "a");
	irq_take(&cpu);
	CHECK_STR(heard, "a");
	irq_watch_put();
}

TEST(one_that_the_guest_cannot_take_yet_stays_in_the_apic)
{
	start();
	irq_watch_get();
	is_pending = true;
	cpu.guest.rflags = 0;
	irq_take(&cpu);
	CHECK(is_pending);
	cpu.guest.rflags = RFLAGS_IF;
	irq_take(&cpu);
	CHECK(!is_pending);
	irq_watch_put();
}
