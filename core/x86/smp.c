/* SPDX-License-Identifier: BSD-2-Clause */
/* Requests between CPUs, and INIT and SIPI as two of them. */
#include "smp.h"
#include "apic.h"
#include "apic_page.h"
#include "barrier.h"
#include "clock.h"
#include "irq_exit.h"
#include "log.h"
#include "machine.h"
#include "panic.h"
#include "vt.h"

/* Far longer than any firmware keeps a CPU in system management mode. */
#define LEAVE_DEADLINE_US 10000000

static u32 load(const u32 *word)
{
	return __atomic_load_n(word, __ATOMIC_SEQ_CST);
}

static void store(u32 *word, u32 value)
{
	__atomic_store_n(word, value, __ATOMIC_SEQ_CST);
}

static u32 take(u32 *word)
{
	return __atomic_exchange_n(word, 0, __ATOMIC_SEQ_CST);
}

void smp_kick(struct cpu *cpu)
{
	/* One NMI for each flag: more would be taken for the guest's. */
	if (!__atomic_exchange_n(&cpu->kick_pending, 1, __ATOMIC_SEQ_CST))
		apic_send_nmi(cpu);
}

bool smp_take_kick(struct cpu *cpu)
{
	return take(&cpu->kick_pending);
}

static void enter_wait(struct cpu *cpu, enum cpu_run_state state)
{
	/* A bootstrap processor starts at the reset vector (APM 14.1.5). */
	store(&cpu->state, cpu->is_bsp ? CPU_RUNNING : state);
	vt->reset(cpu);
	apic_reset(cpu);
	/* Last, so that smp_awaits_startup() is true throughout. */
	store(&cpu->init_pending, 0);
}

bool smp_awaits_startup(const struct cpu *cpu)
{
	return load(&cpu->init_pending) ||
	       load(&cpu->state) == CPU_WAIT_STARTUP;
}

static void start(struct cpu *cpu, u8 vector)
{
	vt->start(cpu, vector);
	store(&cpu->state, CPU_RUNNING);
}

void smp_init_exited(struct cpu *cpu)
{
	enter_wait(cpu, CPU_WAIT_INSIDE);
	if (cpu->state == CPU_WAIT_INSIDE)
		vt->wait_for_startup(cpu);
}

void smp_startup_exited(struct cpu *cpu, u8 vector)
{
	if (cpu->state == CPU_WAIT_INSIDE)
		start(cpu, vector);
}

/*
 * A SIPI to a running CPU is not taken but left for the next INIT to drop:
 * an INIT may have come since this CPU looked for one, and then it is its
 * SIPI.
 */
static void handle_startup(struct cpu *cpu)
{
	u32 startup;

	if (cpu->state != CPU_WAIT_STARTUP)
		return;
	startup = take(&cpu->startup_pending);
	if (startup)
		start(cpu, startup);
}

/* True when something was done and others may have asked meanwhile. */
static bool handle_requests(struct cpu *cpu)
{
	u32 flush = load(&cpu->flush_requested);
	bool worked = false;

	if (panic_is_on())
		cpu_halt();
	if (flush != cpu->flush_done) {
		vt->flush(cpu);
		store(&cpu->flush_done, flush);
		apic_look_back(cpu);
		worked = true;
	}
	if (load(&cpu->init_pending)) {
		enter_wait(cpu, CPU_WAIT_STARTUP);
		worked = true;
	}
	handle_startup(cpu);
	if (cpu->state == CPU_WAIT_STARTUP) {
		vt->wait_for_nmi(cpu);
		if (READ_ONCE(cpu->host_nmi))
			smp_take_kick(cpu);
		WRITE_ONCE(cpu->host_nmi, 0);
		worked = true;
	}
	return irq_sync_exits(cpu) || worked;
}

/* One that came by itself, not through smp_send_init(): a SIPI that was sent
 * after it may be here already, and is kept. */
static void init_arrived(struct cpu *cpu)
{
	apic_page_hold();
	WRITE_ONCE(cpu->host_init, 0);
	store(&cpu->init_pending, 1);
	apic_page_release();
}

/* Of all that handle_requests() is for, what comes from elsewhere. */
static inline bool is_asked(const struct cpu *cpu)
{
	u32 asked = READ_ONCE(cpu->flush_requested) ^ cpu->flush_done;

	asked |= READ_ONCE(cpu->init_pending);
	asked |= READ_ONCE(cpu->host_init);
	asked |= cpu->state;	/* but CPU_RUNNING, which is 0 */
	return asked || panic_is_on();
}

static COLD __attribute__((noinline)) void answer(struct cpu *cpu)
{
	for (;;) {
		store(&cpu->in_guest, 0);
		if (READ_ONCE(cpu->host_init))
			init_arrived(cpu);
		store(&cpu->in_guest, 1);
		if (!handle_requests(cpu))
			break;
	}
	/* No NMI ends that waiting, and nobody has to end it: the SIPI's exit
	 * comes here before a guest instruction is executed. */
	if (cpu->state == CPU_WAIT_INSIDE)
		store(&cpu->in_guest, 0);
}

/*
 * in_guest is set before the flags are looked at, and askers set a flag
 * before they look at in_guest: one of the two sees the other.
 */
HOT void smp_enter_guest(struct cpu *cpu)
{
	store(&cpu->in_guest, 1);
	if (is_asked(cpu) || irq_sync_exits(cpu))
		answer(cpu);
}

/* Nothing is looked at after it: who asks may see it a little later. */
HOT void smp_left_guest(struct cpu *cpu)
{
	__atomic_store_n(&cpu->in_guest, 0, __ATOMIC_RELEASE);
}

/*
 * Kicks reach every CPU but one whose APIC the guest has switched off. What
 * was promised to the asker cannot be kept then, and going on without it
 * would let the guest past us.
 */
static _Noreturn void give_up(const struct cpu *cpu)
{
	log_error("cpu%u: does not leave its guest: reset", cpu->index);
	machine_reset();
}

static bool must_wait(struct cpu *cpu, bool (*done)(struct cpu *cpu))
{
	return load(&cpu->in_guest) && !done(cpu);
}

/* Waits until `cpu` is out of its guest or `done` says it has seen. */
static void wait_for(struct cpu *cpu, bool (*done)(struct cpu *cpu))
{
	u64 deadline;

	if (!must_wait(cpu, done))
		return;
	deadline = clock_deadline_us(LEAVE_DEADLINE_US);
	do {
		smp_kick(cpu);
		cpu_relax();
		if (clock_is_past(deadline))
			give_up(cpu);
	} while (must_wait(cpu, done));
}

static bool flush_is_done(struct cpu *cpu)
{
	return load(&cpu->flush_done) == load(&cpu->flush_requested);
}

/* The other CPUs that are guests by now; none before the first launch, when
 * cpu_this() could not be asked. */
static bool others_next(u32 *index, struct cpu **cpu)
{
	for (; *index < cpu_count(); ++*index) {
		*cpu = cpu_get(*index);
		if ((*cpu)->is_virtualized && *cpu != cpu_this()) {
			++*index;
			return true;
		}
	}
	return false;
}

void smp_flush_later(void)
{
	for (u32 index = 0; index < cpu_count(); index++)
		__atomic_add_fetch(&cpu_get(index)->flush_requested, 1,
				   __ATOMIC_SEQ_CST);
}

void smp_flush_all(void)
{
	struct cpu *cpu;

	smp_flush_later();
	for (u32 index = 0; others_next(&index, &cpu);)
		wait_for(cpu, flush_is_done);
}

static bool interrupts_exit(struct cpu *cpu)
{
	return READ_ONCE(cpu->interrupts_exit);
}

void smp_sync_interrupt_exits(void)
{
	struct cpu *cpu;

	for (u32 index = 0; others_next(&index, &cpu);)
		wait_for(cpu, interrupts_exit);
}

void smp_send_init(struct cpu *cpu)
{
	/* A SIPI from before the INIT must not start the CPU after it. */
	store(&cpu->startup_pending, 0);
	store(&cpu->init_pending, 1);
	if (cpu != cpu_this())
		smp_kick(cpu);
}

void smp_send_startup(struct cpu *cpu, u8 vector)
{
	store(&cpu->startup_pending, vector | CPU_VECTOR_VALID);
	if (cpu != cpu_this())
		smp_kick(cpu);
}

void smp_forget_startups(void)
{
	for (u32 index = 0; index < cpu_count(); index++)
		store(&cpu_get(index)->startup_pending, 0);
}

void smp_stop_others(void)
{
	struct cpu *cpu;

	for (u32 index = 0; others_next(&index, &cpu);)
		smp_kick(cpu);
}
