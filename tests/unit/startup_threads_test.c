/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * INIT and SIPI from the guest's write to the started CPU, where the APIC's
 * page is open.
 */
#include <pthread.h>
#include <time.h>

#include "../../core/x86/smp.h"
#include "barrier.h"
#include "fake_cpus.h"
#include "spec/x86.h"
#include "test.h"

static struct cpu *const bsp = &fake.cpus[0], *const ap = &fake.cpus[1],
		  *const ap2 = &fake.cpus[2];

#define KERNEL 0xffffffff81000000

#define INIT 0x4500
#define SIPI(vector) (0x600 | (vector))
#define OTHERS 0xc0000
#define LOGICAL 0x800

/* ---- Which policy -------------------------------------------------------- */

static const struct {
	enum apic_policy policy;
	const char *escapes;
	bool opens, warns;
} choices[] = {
	{ APIC_AUTO, NULL, true, false },
	{ APIC_AUTO, "it escapes", false, false },
	{ APIC_TRAP, NULL, false, false },
	{ APIC_TRAP, "it escapes", false, false },
	{ APIC_INTERCEPT, NULL, true, false },
	{ APIC_INTERCEPT, "it escapes", true, true },
};

TEST(auto_opens_the_page_where_no_init_escapes)
{
	for (size_t i = 0; i < ARRAY_COUNT(choices); i++) {
		fake.warnings = 0;
		cpus_start(choices[i].policy, choices[i].escapes);
		for (u32 j = 0; j < CPUS_COUNT; j++) {
			fake.cpus[j].guest.rip = KERNEL;
			cpus_end_interrupt(&fake.cpus[j]);
		}
		CHECK_EQ(cpus_page_is_open(), choices[i].opens);
		CHECK_EQ(fake.warnings, choices[i].warns);
	}
}

/* ---- Where the processor holds an INIT ----------------------------------- */

static void sipi_to_ap(void)
{
	CHECK(!cpus_page_is_open());
	CHECK_EQ(ap->state, CPU_WAIT_STARTUP);
	cpus_command(bsp, 1, SIPI(0x99));
}

TEST(an_init_parks_its_cpu_and_closes_the_page_for_the_sipi)
{
	cpus_start_open();
	cpus_command(bsp, 1, INIT);
	CHECK(cpus_page_is_open());
	fake.on_sleep = sipi_to_ap;
	cpus_take_init(ap);
	CHECK_STR(fake.done, "1S");
	CHECK_EQ(fake.start_vector, 0x99);
	CHECK_EQ(fake.dropped_sipis, 0);
}

TEST(the_second_sipi_finds_the_page_closed_and_later_writes_find_it_open)
{
	cpus_start_open();
	cpus_command(bsp, 1, INIT);
	fake.on_sleep = sipi_to_ap;
	cpus_take_init(ap);
	fake.now_us += 300;
	cpus_command(bsp, 1, SIPI(0x99));
	cpus_end_interrupt(ap);
	CHECK_EQ(fake.dropped_sipis, 0);
	CHECK(!cpus_page_is_open());
	fake.now_us += 100000;
	cpus_end_interrupt(ap);
	CHECK(cpus_page_is_open());
	CHECK_STR(fake.done, "1S");
}

static void let_time_pass(void)
{
	for (int i = 0; i < 10; i++) {
		fake.now_us += 1000000;
		cpus_end_interrupt(bsp);
		CHECK(!cpus_page_is_open());
	}
	sipi_to_ap();
}

TEST(the_page_stays_closed_as_long_as_a_cpu_waits)
{
	cpus_start_open();
	cpus_command(bsp, 1, INIT);
	fake.on_sleep = let_time_pass;
	cpus_take_init(ap);
	CHECK_STR(fake.done, "1S");
	CHECK(!cpus_page_is_open());
}

static void go_on(void)
{
	cpus_enter(bsp);
}

/* As Linux does on these processors: no pause, and one CPU. */
TEST(a_sipi_that_is_faster_than_the_page_closes_is_found)
{
	cpus_start_open();
	cpus_command(bsp, 1, INIT);
	cpus_command(bsp, 1, SIPI(0x98));
	CHECK_EQ(fake.dropped_sipis, 1);
	fake.on_sleep = go_on;
	cpus_take_init(ap);
	CHECK_STR(fake.done, "1S");
	CHECK_EQ(fake.start_vector, 0x98);
}

TEST(a_sipi_that_was_found_is_not_found_again)
{
	cpus_start_open();
	cpus_command(bsp, 1, INIT);
	cpus_command(bsp, 1, SIPI(0x98));
	fake.on_sleep = go_on;
	cpus_take_init(ap);
	fake.now_us += 100000;
	cpus_end_interrupt(bsp);
	CHECK(cpus_page_is_open());
	cpus_enter(ap2);
	cpus_command(ap2, 1, INIT);
	fake.on_sleep = sipi_to_ap;
	cpus_take_init(ap);
	CHECK_STR(fake.done, "1S1S");
	CHECK_EQ(fake.start_vector, 0x99);
}

static void sipi_to_others(void)
{
	cpus_command(bsp, 0, SIPI(0x9f) | OTHERS);
}

static void other_takes_init(void)
{
	CHECK_EQ(ap->state, CPU_WAIT_STARTUP);
	fake.on_sleep = sipi_to_others;
	cpus_take_init(ap2);
}

TEST(two_cpus_wait_for_one_sipi)
{
	cpus_start_open();
	cpus_command(bsp, 0, INIT | OTHERS);
	fake.on_sleep = other_takes_init;
	cpus_take_init(ap);
	CHECK_STR(fake.done, "12SS");
	CHECK_EQ(fake.dropped_sipis, 0);
	CHECK_EQ(ap->state + ap2->state, CPU_RUNNING);
}

/* The first has closed the page, so its SIPI is here before its INIT. */
TEST(a_sipi_may_come_before_the_second_cpu_has_seen_its_init)
{
	cpus_start_open();
	cpus_command(bsp, 0, INIT | OTHERS);
	fake.on_sleep = sipi_to_others;
	cpus_take_init(ap);
	cpus_take_init(ap2);
	CHECK_STR(fake.done, "1S2S");
}

static void another_init(void)
{
	cpus_apic(ap)->init = 1;
	fake.on_sleep = sipi_to_ap;
}

TEST(an_init_to_a_waiting_cpu_begins_the_wait_again)
{
	cpus_start_open();
	cpus_command(bsp, 1, INIT);
	fake.on_sleep = another_init;
	cpus_take_init(ap);
	CHECK_STR(fake.done, "11S");
}

TEST(a_sipi_to_a_running_cpu_does_not_start_it_after_its_next_init)
{
	cpus_start_open();
	cpus_command(bsp, 1, INIT);
	fake.on_sleep = sipi_to_ap;
	cpus_take_init(ap);
	cpus_command(bsp, 1, SIPI(0x55));
	fake.now_us += 100000;
	cpus_end_interrupt(bsp);
	cpus_enter(ap);
	cpus_command(bsp, 1, INIT);
	fake.on_sleep = sipi_to_ap;
	cpus_take_init(ap);
	CHECK_STR(fake.done, "1S1S");
	CHECK_EQ(fake.start_vector, 0x99);
}

TEST(a_bootstrap_processor_that_gets_an_init_does_not_wait)
{
	cpus_start_open();
	cpus_command(ap, 0, INIT);
	cpus_take_init(bsp);
	CHECK_STR(fake.done, "0");
	CHECK_EQ(bsp->state, CPU_RUNNING);
	fake.now_us += 100000;
	cpus_end_interrupt(bsp);
	CHECK(cpus_page_is_open());
}

TEST(identities_that_were_written_unseen_are_known_when_they_matter)
{
	cpus_start_open();
	cpus_write(ap2, APIC_LDR, 0x40000000);
	cpus_command(bsp, 1, INIT);
	fake.on_sleep = sipi_to_ap;
	cpus_take_init(ap);
	cpus_enter(ap2);
	cpus_command(bsp, 0x40, INIT | LOGICAL);
	CHECK_EQ(ap2->init_pending, 1);
	CHECK_EQ(cpus_apic(ap2)->init, 0);
}

/* ---- Where an INIT would escape ------------------------------------------ */

static void start_forced(void)
{
	cpus_start(APIC_INTERCEPT, "it escapes");
	bsp->guest.rip = KERNEL;
}

TEST(before_every_cpu_runs_a_kernel_no_init_reaches_a_processor)
{
	start_forced();
	cpus_end_interrupt(bsp);
	cpus_end_interrupt(ap);		/* still the firmware's */
	CHECK(!cpus_page_is_open());
	cpus_command(bsp, 0, INIT | OTHERS);
	CHECK_EQ(cpus_apic(ap)->init + cpus_apic(ap2)->init, 0);
	cpus_command(bsp, 0, SIPI(0x9a) | OTHERS);
	cpus_enter(ap);
	cpus_enter(ap2);
	CHECK_STR(fake.done, "1S2S");
	ap->guest.rip = ap2->guest.rip = KERNEL;
	fake.now_us += 100000;
	cpus_end_interrupt(ap);
	CHECK(!cpus_page_is_open());
	cpus_end_interrupt(ap2);
	CHECK(cpus_page_is_open());
}

TEST(a_cpu_that_is_started_anew_has_no_kernel_yet)
{
	start_forced();
	ap->guest.rip = ap2->guest.rip = KERNEL;
	cpus_end_interrupt(ap);
	cpus_command(bsp, 1, INIT);
	cpus_command(bsp, 1, SIPI(0x9a));
	cpus_enter(ap);
	fake.now_us += 100000;
	cpus_end_interrupt(ap2);
	CHECK(!cpus_page_is_open());
	cpus_end_interrupt(ap);
	CHECK(cpus_page_is_open());
}

/* ---- As fast as they can come -------------------------------------------- */

#define ROUNDS 1000

static u32 round_of_ap(void)
{
	return __atomic_load_n(&fake.start_vector, __ATOMIC_SEQ_CST);
}

/* A guest that does nothing, but takes what comes to its processor. */
static void run_guest(struct cpu *cpu)
{
	const struct apic *apic = cpus_apic(cpu);

	if (READ_ONCE(apic->init) || READ_ONCE(apic->nmi)) {
		cpus_leave(cpu);
		smp_enter_guest(cpu);
	}
}

static void *run_ap(void *unused)
{
	cpus_current = ap;
	smp_enter_guest(ap);
	while (round_of_ap() != 0xff)
		run_guest(ap);
	return NULL;
}

static void run_bsp_until_started(u8 vector)
{
	time_t deadline = time(NULL) + 20;

	while (round_of_ap() != vector) {
		cpus_current = bsp;
		run_guest(bsp);
		if (time(NULL) > deadline)
			FAIL("SIPI %u was lost", vector);
	}
}

static void open_page(void)
{
	while (!cpus_apic(bsp)->is_open) {
		fake.now_us += 100000;
		cpus_end_interrupt(bsp);
	}
}

/* The page closes anywhere between INIT and SIPI, or after. */
TEST(no_sipi_is_lost_however_soon_it_follows_an_init_that_is_not_seen)
{
	pthread_t thread;

	cpus_start(APIC_AUTO, NULL);
	smp_left_guest(ap);
	smp_left_guest(ap2);	/* for good */
	fake.is_storm = true;
	CHECK(!pthread_create(&thread, NULL, run_ap, NULL));
	for (u32 i = 0; i <= ROUNDS; i++) {
		u8 vector = i < ROUNDS ? 1 + i % 0xfe : 0xff;

		open_page();
		cpus_command(bsp, 1, INIT);
		cpus_write(bsp, APIC_ICR_LOW, SIPI(vector));
		run_bsp_until_started(vector);
	}
	CHECK(!pthread_join(thread, NULL));
}
