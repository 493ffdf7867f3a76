/* SPDX-License-Identifier: BSD-2-Clause */
/* INIT and SIPI from one CPU to another, whatever comes between. */
#include <pthread.h>
#include <time.h>

#include "../../core/x86/smp.h"
#include "fake_smp.h"
#include "test.h"

static struct cpu *const bsp = &fake.cpus[0], *const ap = &fake.cpus[1];

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
	fake.on_sleep = send_sipi_08;
}

static void flush_others(void)
{
	fake.on_nmi = fake_smp_leave;
	smp_flush_all();
	fake.on_nmi = NULL;
	fake.on_sleep = send_sipi_08;
}

TEST(after_init_a_cpu_sleeps_until_its_sipi)
{
	fake_smp_start();
	fake_smp_enter(ap);
	smp_send_init(ap);
	CHECK_EQ(fake.nmis[1], 1);
	fake_smp_leave(ap);
	fake.on_sleep = send_sipi_08;
	fake_smp_enter(ap);
	CHECK_STR(fake.done, "RAwS");
	CHECK_EQ(fake.start_vector, 0x08);
	CHECK_EQ(ap->state, CPU_RUNNING);
}

/* No kick ends that, and nobody may wait for one that does. */
TEST(a_guest_that_waits_for_its_sipi_inside_counts_as_out)
{
	fake_smp_start();
	smp_init_exited(ap);
	smp_enter_guest(ap);
	CHECK_EQ(ap->in_guest, 0);
	smp_startup_exited(ap, 0x08);
	CHECK_STR(fake.done, "RAiS");
	fake_smp_enter(ap);
}

TEST(vector_0_is_a_sipi_like_any_other)
{
	fake_smp_start();
	smp_send_init(ap);
	fake_smp_leave(ap);
	fake.on_sleep = send_sipi_00;
	fake_smp_enter(ap);
	CHECK_STR(fake.done, "RAwS");
	CHECK_EQ(fake.start_vector, 0);
}

TEST(a_sipi_may_come_before_the_init_was_seen)
{
	fake_smp_start();
	fake_smp_enter(ap);
	smp_send_init(ap);
	smp_send_startup(ap, 0x9f);
	fake_smp_leave(ap);
	fake_smp_enter(ap);
	CHECK_STR(fake.done, "RAS");
	CHECK_EQ(fake.start_vector, 0x9f);
}

TEST(a_second_sipi_is_ignored)
{
	fake_smp_start();
	smp_send_init(ap);
	smp_send_startup(ap, 0x08);
	fake_smp_leave(ap);
	fake_smp_enter(ap);
	smp_send_startup(ap, 0x99);
	fake_smp_leave(ap);
	fake_smp_enter(ap);
	CHECK_STR(fake.done, "RAS");
	CHECK_EQ(fake.start_vector, 0x08);
}

TEST(a_sipi_to_a_running_cpu_does_not_start_it_after_a_later_init)
{
	fake_smp_start();
	fake_smp_enter(ap);
	smp_send_startup(ap, 0x99);
	fake_smp_leave(ap);
	fake_smp_enter(ap);
	CHECK_STR(fake.done, "");
	smp_send_startup(ap, 0x99);
	smp_send_init(ap);
	fake_smp_leave(ap);
	fake.on_sleep = send_sipi_08;
	fake_smp_enter(ap);
	CHECK_STR(fake.done, "RAwS");
	CHECK_EQ(fake.start_vector, 0x08);
}

TEST(a_second_init_begins_the_wait_again)
{
	fake_smp_start();
	smp_send_init(ap);
	fake_smp_leave(ap);
	fake.on_sleep = send_init;
	fake_smp_enter(ap);
	CHECK_STR(fake.done, "RAwRAwS");
}

TEST(two_inits_before_the_first_was_seen_are_one)
{
	fake_smp_start();
	fake_smp_enter(ap);
	smp_send_init(ap);
	smp_send_init(ap);
	smp_send_startup(ap, 0x08);
	fake_smp_leave(ap);
	fake_smp_enter(ap);
	CHECK_STR(fake.done, "RAS");
}

TEST(the_bootstrap_processor_runs_on_from_its_reset_vector)
{
	fake_smp_start();
	smp_send_init(bsp);
	CHECK_EQ(fake.nmis[0], 0);
	fake_smp_enter(bsp);
	CHECK_STR(fake.done, "RA");
	CHECK_EQ(bsp->state, CPU_RUNNING);
	smp_send_startup(bsp, 0x08);
	fake_smp_leave(bsp);
	fake_smp_enter(bsp);
	CHECK_STR(fake.done, "RA");
}

/* The processor's own, where it is intercepted. */
static void take_init(void)
{
	ap->host_init = 1;
	fake.on_sleep = send_sipi_08;
}

TEST(an_init_that_came_by_itself_is_one_like_any_other)
{
	fake_smp_start();
	fake_smp_enter(ap);
	ap->host_init = 1;
	smp_left_guest(ap);
	fake.on_sleep = send_sipi_08;
	fake_smp_enter(ap);
	CHECK_STR(fake.done, "hRAwS");
	CHECK_EQ(ap->host_init, 0);
	CHECK_EQ(ap->state, CPU_RUNNING);
}

TEST(the_sipi_of_an_init_that_came_by_itself_may_be_faster)
{
	fake_smp_start();
	fake_smp_enter(ap);
	ap->host_init = 1;
	smp_send_startup(ap, 0x9f);
	fake_smp_leave(ap);
	fake_smp_enter(ap);
	CHECK_STR(fake.done, "hRAS");
	CHECK_EQ(fake.start_vector, 0x9f);
}

TEST(an_init_to_a_cpu_that_waits_begins_the_wait_again)
{
	fake_smp_start();
	smp_send_init(ap);
	fake_smp_leave(ap);
	fake.on_sleep = take_init;
	fake_smp_enter(ap);
	CHECK_STR(fake.done, "RAwhRAwS");
}

TEST(an_init_while_the_host_works_is_seen_before_the_guest_runs)
{
	fake_smp_start();
	ap->flush_requested++;
	fake.on_flush = take_init;
	fake_smp_enter(ap);
	CHECK_STR(fake.done, "FhRAwS");
}

TEST(an_init_to_oneself_needs_no_kick)
{
	fake_smp_start();
	fake.current = ap;
	smp_send_init(ap);
	CHECK_EQ(fake.nmis[1], 0);
	fake.on_sleep = send_sipi_08;
	smp_enter_guest(ap);
	CHECK_STR(fake.done, "RAwS");
}

TEST(a_waiting_cpu_that_is_kicked_for_something_else_waits_on)
{
	fake_smp_start();
	smp_send_init(ap);
	fake_smp_leave(ap);
	fake.on_sleep = flush_others;
	fake_smp_enter(ap);
	CHECK_STR(fake.done, "RAwFwS");
}

TEST(a_request_that_comes_while_another_is_handled_is_seen)
{
	fake_smp_start();
	ap->flush_requested++;
	fake.on_flush = send_init;
	fake_smp_enter(ap);
	CHECK_STR(fake.done, "FRAwS");
}

/* ---- As fast as they can come -------------------------------------------- */

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
		fake_smp_leave(ap);
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

	fake_smp_start();
	vt = &threaded_vt;
	CHECK(!pthread_create(&thread, NULL, run_ap, NULL));
	while (sent < ROUNDS) {
		__atomic_add_fetch(&sent, 1, __ATOMIC_SEQ_CST);
		smp_send_init(ap);
		smp_send_startup(ap, sent);
		wait_started();
	}
	CHECK(!pthread_join(thread, NULL));
	vt = &fake_smp_vt;
}
