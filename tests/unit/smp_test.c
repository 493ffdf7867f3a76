/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What CPUs ask of each other, with everything that can come between: a
 * processor that sleeps or flushes calls the test, which may ask for more.
 */
#include <pthread.h>
#include <setjmp.h>
#include <string.h>
#include <time.h>

#include "../../core/panic.h"
#include "../../core/x86/apic.h"
#include "../../core/x86/apic_page.h"
#include "../../core/x86/irq_exit.h"
#include "../../core/x86/machine.h"
#include "../../core/x86/smp.h"
#include "clock.h"
#include "log.h"
#include "test.h"
#include "vt.h"

#define CPU_COUNT 3

static struct cpu cpus[CPU_COUNT];
static struct cpu *const bsp = &cpus[0], *const ap = &cpus[1];
static struct cpu *current;

/* What was done, in order: one letter each. */
static char done[32];
static u8 start_vector;
static u32 nmis[CPU_COUNT];

static void (*on_sleep)(void);		/* else nobody would wake it */
static void (*on_flush)(void);
static void (*on_nmi)(struct cpu *cpu);
static bool is_panicking;
static u64 now_us;
static jmp_buf end;
enum end { CAME_BACK, RESET_MACHINE, HALTED };

static void note(char what)
{
	size_t length = strlen(done);

	CHECK(length < sizeof(done) - 1);
	done[length] = what;
}

static void call(void (**hook)(void))
{
	void (*once)(void) = *hook;

	*hook = NULL;
	if (once)
		once();
}

/* ---- Doubles ------------------------------------------------------------- */

static void reset(struct cpu *cpu)
{
	note('R');
}

static void start_cpu(struct cpu *cpu, u8 vector)
{
	note('S');
	start_vector = vector;
}

static void flush(struct cpu *cpu)
{
	note('F');
	call(&on_flush);
}

static void wait_for_nmi(struct cpu *cpu)
{
	note('w');
	CHECK(on_sleep || cpu->kick_pending);
	call(&on_sleep);
	cpu->host_nmi = 1;
}

static const struct vt fake_vt = {
	.reset = reset, .start = start_cpu, .flush = flush,
	.wait_for_nmi = wait_for_nmi,
};
const struct vt *vt = &fake_vt;

void apic_reset(struct cpu *cpu)
{
	if (vt == &fake_vt)
		note('A');
}

void apic_look_back(struct cpu *cpu)
{
}

void apic_page_hold(void)
{
	CHECK(!current->in_guest);
	note('h');
}

void apic_page_release(void)
{
}

void apic_send_nmi(const struct cpu *target)
{
	nmis[target->index]++;
	if (on_nmi)
		on_nmi(&cpus[target->index]);
}

bool irq_sync_exits(struct cpu *cpu)
{
	return false;
}

bool panic_is_on(void)
{
	return is_panicking;
}

void cpu_halt(void)
{
	longjmp(end, HALTED);
}

void machine_reset(void)
{
	longjmp(end, RESET_MACHINE);
}

struct cpu *cpu_this(void)
{
	CHECK(current);
	return current;
}

u32 cpu_count(void)
{
	return CPU_COUNT;
}

struct cpu *cpu_get(u32 index)
{
	return &cpus[index];
}

u64 clock_now_us(void)
{
	return now_us += 10;
}

void log_line(enum log_level level, const char *format, ...)
{
}

static void start(void)
{
	memset(cpus, 0, sizeof(cpus));
	memset(done, 0, sizeof(done));
	memset(nmis, 0, sizeof(nmis));
	for (u32 i = 0; i < CPU_COUNT; i++)
		cpus[i] = (struct cpu){ .index = i, .is_virtualized = true };
	bsp->is_bsp = true;
	on_sleep = on_flush = NULL;
	on_nmi = NULL;
	is_panicking = false;
	start_vector = 0;
	current = bsp;
}

/* The CPU's side: it comes out by a kick, or for any reason, and goes on. */
static void leave(struct cpu *cpu)
{
	smp_take_kick(cpu);
	smp_left_guest(cpu);
}

static void enter(struct cpu *cpu)
{
	current = cpu;
	smp_enter_guest(cpu);
	CHECK(cpu->in_guest);
	current = bsp;
}

/* ---- INIT and SIPI ------------------------------------------------------- */

static void send_sipi_08(void)
{
	smp_send_startup(ap, 0x08);
}

static void send_sipi_00(void)
{
	smp_send_startup(ap, 0x00);
}

static void send_init(void)
{
	smp_send_init(ap);
	on_sleep = send_sipi_08;
}

static void flush_others(void)
{
	on_nmi = leave;
	smp_flush_all();
	on_nmi = NULL;
	on_sleep = send_sipi_08;
}

TEST(after_init_a_cpu_sleeps_until_its_sipi)
{
	start();
	enter(ap);
	smp_send_init(ap);
	CHECK_EQ(nmis[1], 1);
	leave(ap);
	on_sleep = send_sipi_08;
	enter(ap);
	CHECK_STR(done, "RAwS");
	CHECK_EQ(start_vector, 0x08);
	CHECK_EQ(ap->state, CPU_RUNNING);
}

TEST(vector_0_is_a_sipi_like_any_other)
{
	start();
	smp_send_init(ap);
	leave(ap);
	on_sleep = send_sipi_00;
	enter(ap);
	CHECK_STR(done, "RAwS");
	CHECK_EQ(start_vector, 0);
}

TEST(a_sipi_may_come_before_the_init_was_seen)
{
	start();
	enter(ap);
	smp_send_init(ap);
	smp_send_startup(ap, 0x9f);
	leave(ap);
	enter(ap);
	CHECK_STR(done, "RAS");
	CHECK_EQ(start_vector, 0x9f);
}

TEST(a_second_sipi_is_ignored)
{
	start();
	smp_send_init(ap);
	smp_send_startup(ap, 0x08);
	leave(ap);
	enter(ap);
	smp_send_startup(ap, 0x99);
	leave(ap);
	enter(ap);
	CHECK_STR(done, "RAS");
	CHECK_EQ(start_vector, 0x08);
}

TEST(a_sipi_to_a_running_cpu_does_not_start_it_after_a_later_init)
{
	start();
	enter(ap);
	smp_send_startup(ap, 0x99);
	leave(ap);
	enter(ap);
	CHECK_STR(done, "");
	smp_send_startup(ap, 0x99);
	smp_send_init(ap);
	leave(ap);
	on_sleep = send_sipi_08;
	enter(ap);
	CHECK_STR(done, "RAwS");
	CHECK_EQ(start_vector, 0x08);
}

TEST(a_second_init_begins_the_wait_again)
{
	start();
	smp_send_init(ap);
	leave(ap);
	on_sleep = send_init;
	enter(ap);
	CHECK_STR(done, "RAwRAwS");
}

TEST(two_inits_before_the_first_was_seen_are_one)
{
	start();
	enter(ap);
	smp_send_init(ap);
	smp_send_init(ap);
	smp_send_startup(ap, 0x08);
	leave(ap);
	enter(ap);
	CHECK_STR(done, "RAS");
}

TEST(the_bootstrap_processor_runs_on_from_its_reset_vector)
{
	start();
	smp_send_init(bsp);
	CHECK_EQ(nmis[0], 0);
	enter(bsp);
	CHECK_STR(done, "RA");
	CHECK_EQ(bsp->state, CPU_RUNNING);
	smp_send_startup(bsp, 0x08);
	leave(bsp);
	enter(bsp);
	CHECK_STR(done, "RA");
}

/* The processor's own, where it is intercepted. */
static void take_init(void)
{
	ap->host_init = 1;
	on_sleep = send_sipi_08;
}

TEST(an_init_that_came_by_itself_is_one_like_any_other)
{
	start();
	enter(ap);
	ap->host_init = 1;
	smp_left_guest(ap);
	on_sleep = send_sipi_08;
	enter(ap);
	CHECK_STR(done, "hRAwS");
	CHECK_EQ(ap->host_init, 0);
	CHECK_EQ(ap->state, CPU_RUNNING);
}

TEST(the_sipi_of_an_init_that_came_by_itself_may_be_faster)
{
	start();
	enter(ap);
	ap->host_init = 1;
	smp_send_startup(ap, 0x9f);
	leave(ap);
	enter(ap);
	CHECK_STR(done, "hRAS");
	CHECK_EQ(start_vector, 0x9f);
}

TEST(an_init_to_a_cpu_that_waits_begins_the_wait_again)
{
	start();
	smp_send_init(ap);
	leave(ap);
	on_sleep = take_init;
	enter(ap);
	CHECK_STR(done, "RAwhRAwS");
}

TEST(an_init_while_the_host_works_is_seen_before_the_guest_runs)
{
	start();
	ap->flush_requested++;
	on_flush = take_init;
	enter(ap);
	CHECK_STR(done, "FhRAwS");
}

TEST(an_init_to_oneself_needs_no_kick)
{
	start();
	current = ap;
	smp_send_init(ap);
	CHECK_EQ(nmis[1], 0);
	on_sleep = send_sipi_08;
	smp_enter_guest(ap);
	CHECK_STR(done, "RAwS");
}

TEST(a_waiting_cpu_that_is_kicked_for_something_else_waits_on)
{
	start();
	smp_send_init(ap);
	leave(ap);
	on_sleep = flush_others;
	enter(ap);
	CHECK_STR(done, "RAwFwS");
}

TEST(a_request_that_comes_while_another_is_handled_is_seen)
{
	start();
	ap->flush_requested++;
	on_flush = send_init;
	enter(ap);
	CHECK_STR(done, "FRAwS");
}

/* ---- Kicks and waits ----------------------------------------------------- */

TEST(a_kick_is_one_nmi_until_it_is_taken)
{
	start();
	enter(ap);
	smp_kick(ap);
	smp_kick(ap);
	CHECK_EQ(nmis[1], 1);
	CHECK(smp_take_kick(ap));
	CHECK(!smp_take_kick(ap));
	smp_kick(ap);
	CHECK_EQ(nmis[1], 2);
}

TEST(a_flush_waits_for_those_in_their_guest_and_for_nobody_else)
{
	start();
	enter(ap);
	on_nmi = leave;
	smp_flush_all();
	CHECK_EQ(nmis[0], 0);
	CHECK_EQ(nmis[1], 1);
	CHECK_EQ(nmis[2], 0);
	enter(ap);
	CHECK_STR(done, "F");
	enter(&cpus[2]);
	CHECK_STR(done, "FF");
	enter(bsp);
	CHECK_STR(done, "FFF");
}

static void leave_and_enter(struct cpu *cpu)
{
	struct cpu *asker = current;

	leave(cpu);
	enter(cpu);
	current = asker;
}

TEST(a_cpu_that_has_flushed_and_is_back_in_its_guest_is_not_waited_for)
{
	start();
	enter(ap);
	on_nmi = leave_and_enter;
	smp_flush_all();
	CHECK_STR(done, "F");
	CHECK_EQ(nmis[1], 1);
	CHECK(ap->in_guest);
}

TEST(flushes_asked_for_meanwhile_are_one)
{
	start();
	smp_flush_all();
	smp_flush_all();
	enter(ap);
	CHECK_STR(done, "F");
}

TEST(who_makes_interrupts_exit_already_is_not_kicked_for_it)
{
	start();
	enter(ap);
	enter(&cpus[2]);
	ap->interrupts_exit = true;
	on_nmi = leave;
	smp_sync_interrupt_exits();
	CHECK_EQ(nmis[1], 0);
	CHECK_EQ(nmis[2], 1);
}

TEST(before_the_first_launch_nobody_is_waited_for)
{
	start();
	for (u32 i = 0; i < CPU_COUNT; i++)
		cpus[i].is_virtualized = false;
	current = NULL;
	smp_flush_all();
	smp_sync_interrupt_exits();
	CHECK_EQ(nmis[0] + nmis[1] + nmis[2], 0);
}

static enum end end_of(void (*run)(void))
{
	switch (setjmp(end)) {
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
	enter(ap);
}

TEST(a_cpu_that_cannot_be_reached_ends_in_a_reset_not_in_a_hang)
{
	u64 before = now_us;

	start();
	enter(ap);
	CHECK_EQ(end_of(smp_flush_all), RESET_MACHINE);
	CHECK(now_us - before < 20000000);
}

TEST(after_a_panic_everybody_is_called_and_nobody_runs)
{
	start();
	enter(ap);
	enter(&cpus[2]);
	is_panicking = true;
	smp_stop_others();
	CHECK_EQ(nmis[0], 0);
	CHECK_EQ(nmis[1] + nmis[2], 2);
	leave(ap);
	CHECK_EQ(end_of(enter_ap), HALTED);
}

/* ---- INIT and SIPI as fast as they can come ------------------------------ */

#define ROUNDS 2000	/* lost within twenty, when one can be */

static u32 sent, started;

static void count_start(struct cpu *cpu, u8 vector)
{
	CHECK_EQ(vector, sent & 0xff);
	__atomic_store_n(&started, sent, __ATOMIC_SEQ_CST);
}

static void ignore(struct cpu *cpu)
{
}

static const struct vt threaded_vt = {
	.reset = ignore, .start = count_start, .flush = ignore,
	.wait_for_nmi = ignore,
};

/* Exits all the time, as a guest under load does. */
static void *run_ap(void *arg)
{
	while (__atomic_load_n(&started, __ATOMIC_SEQ_CST) < ROUNDS) {
		smp_enter_guest(ap);
		leave(ap);
	}
	return NULL;
}

static void wait_started(void)
{
	time_t deadline = time(NULL) + 10;

	while (__atomic_load_n(&started, __ATOMIC_SEQ_CST) != sent)
		if (time(NULL) > deadline)
			FAIL("SIPI %u was lost", sent);
}

/*
 * Both commands of a round are sent while the other CPU is anywhere between
 * looking for one and looking for the other.
 */
TEST(no_sipi_is_lost_however_soon_it_follows_its_init)
{
	pthread_t thread;

	start();
	vt = &threaded_vt;
	CHECK(!pthread_create(&thread, NULL, run_ap, NULL));
	while (sent < ROUNDS) {
		__atomic_add_fetch(&sent, 1, __ATOMIC_SEQ_CST);
		smp_send_init(ap);
		smp_send_startup(ap, sent);
		wait_started();
	}
	CHECK(!pthread_join(thread, NULL));
	vt = &fake_vt;
}
