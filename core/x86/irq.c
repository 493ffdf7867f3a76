/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Interrupts that exit only while somebody watches. Switching them on in
 * another CPU costs a kick, so they stay on for a grace period after the
 * last watcher: under a steady load nobody is ever kicked.
 */
#include "irq.h"
#include "barrier.h"
#include "clock.h"
#include "irq_exit.h"
#include "smp.h"
#include "spec/x86.h"
#include "timer.h"
#include "vt.h"

#define GRACE_US 5000

static HOT_DATA u32 watch_count;
static u64 last_put_us;
static struct list listeners = LIST_INIT(listeners);
static struct cpu *timekeeper;	/* waits for timers in the host; or NULL */

static bool is_watched(void)
{
	return __atomic_load_n(&watch_count, __ATOMIC_SEQ_CST);
}

void irq_watch_get(void)
{
	__atomic_add_fetch(&watch_count, 1, __ATOMIC_SEQ_CST);
	smp_sync_interrupt_exits();
}

void irq_watch_put(void)
{
	WRITE_ONCE(last_put_us, clock_now_us());
	__atomic_sub_fetch(&watch_count, 1, __ATOMIC_SEQ_CST);
}

void irq_listen(struct irq_listener *listener)
{
	list_add_tail(&listeners, &listener->node);
}

static void set_exits(struct cpu *cpu, bool on)
{
	vt->set_interrupt_exits(cpu, on);
	__atomic_store_n(&cpu->interrupts_exit, on, __ATOMIC_SEQ_CST);
}

/* A CPU that is busy with the guest sees a due timer at its ticks. */
static bool is_wanted(void)
{
	return is_watched() || timer_is_pending();
}

bool irq_begin_timekeeping(struct cpu *cpu)
{
	struct cpu *nobody = NULL;

	return __atomic_compare_exchange_n(&timekeeper, &nobody, cpu, false,
					   __ATOMIC_ACQUIRE, __ATOMIC_RELAXED);
}

void irq_end_timekeeping(void)
{
	__atomic_store_n(&timekeeper, NULL, __ATOMIC_RELEASE);
}

static bool sync_halts(struct cpu *cpu)
{
	bool on = timer_is_pending();

	if (cpu->halts_exit == on || !vt->set_halt_exits)
		return false;
	cpu->halts_exit = on;
	vt->set_halt_exits(cpu, on);
	return true;
}

/*
 * Off happens in two looks at watch_count: a watcher that comes between sees
 * interrupts_exit still on and waits for nobody, but is seen by the second.
 */
static bool sync_interrupts(struct cpu *cpu)
{
	if (is_wanted()) {
		if (cpu->interrupts_exit)
			return false;
		set_exits(cpu, true);
		return true;
	}
	if (!cpu->interrupts_exit ||
	    !clock_is_past(READ_ONCE(last_put_us) + GRACE_US))
		return false;
	set_exits(cpu, false);
	return true;
}

static COLD __attribute__((noinline)) bool sync(struct cpu *cpu)
{
	bool has_changed = sync_halts(cpu);

	return sync_interrupts(cpu) || has_changed;
}

HOT bool irq_sync_exits(struct cpu *cpu)
{
	/* The rule: no timers, and nothing has changed. */
	if (!timer_is_pending() && !cpu->halts_exit &&
	    cpu->interrupts_exit == is_watched())
		return false;
	return sync(cpu);
}

void irq_poll(void)
{
	struct list *node;

	list_for_each(node, &listeners) {
		struct irq_listener *listener =
			container_of(node, struct irq_listener, node);

		listener->interrupt(listener);
	}
}

/*
 * What the guest cannot take yet stays in the APIC: there it keeps its place
 * among those that come meanwhile, and exits when it can be taken.
 */
HOT void irq_take(struct cpu *cpu)
{
	if (cpu->interrupts_exit && (cpu->guest.rflags & RFLAGS_IF) &&
	    vt->take_interrupt && vt->take_interrupt(cpu))
		irq_poll();
}

void irq_exit(struct cpu *cpu)
{
	/*
	 * Taken from the APIC before the listeners look: a message of the same
	 * vector that comes while they do is then pending anew, and not lost
	 * in this one.
	 */
	vt->forward_interrupt(cpu);
	irq_poll();
}
