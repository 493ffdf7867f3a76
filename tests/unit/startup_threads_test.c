/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * INIT and SIPI from the guest's write to the started CPU, where the APIC's
 * page is open: three processors that hold an INIT until the host lets it in
 * and that go on using old translations until they flush.
 */
#include <pthread.h>
#include <string.h>
#include <time.h>

#include "../../core/panic.h"
#include "../../core/x86/apic.h"
#include "../../core/x86/apic_page.h"
#include "../../core/x86/irq_exit.h"
#include "../../core/x86/machine.h"
#include "../../core/x86/smp.h"
#include "barrier.h"
#include "clock.h"
#include "log.h"
#include "mmio.h"
#include "spec/x86.h"
#include "test.h"
#include "vt.h"

#define CPU_COUNT 3

static struct cpu cpus[CPU_COUNT];
static struct cpu *const bsp = &cpus[0], *const ap = &cpus[1],
		  *const ap2 = &cpus[2];
static __thread struct cpu *current;

/* ---- The processors -------------------------------------------------------- */

static struct apic {
	u32 registers[0x400 / 16];
	u32 init, nmi;		/* on their way to the processor */
	bool is_open;		/* its page, as this processor knows it */
} apics[CPU_COUNT];

static const char *escapes;
static u32 dropped_sipis;	/* by APICs: nobody waits behind them */
static void (*on_sleep)(void);	/* else the host waits for an event */
static char done[32];		/* a letter each, as in smp_test.c */
static u8 start_vector;
static u64 now_us;
static bool is_storm;
static struct mmio_region *region;
static u32 warnings;

static struct apic *apic_of(const struct cpu *cpu)
{
	return &apics[cpu->index];
}

static u32 *reg(u64 offset)
{
	return &apic_of(current)->registers[offset / 16];
}

static bool take(u32 *event)
{
	return __atomic_exchange_n(event, 0, __ATOMIC_SEQ_CST);
}

static void set(u32 *event)
{
	__atomic_store_n(event, 1, __ATOMIC_SEQ_CST);
}

/* A kick: the guest is out with its next instruction. */
static void leave(struct cpu *cpu)
{
	if (take(&apic_of(cpu)->init))
		cpu->host_init = 1;
	if (take(&apic_of(cpu)->nmi))
		smp_take_kick(cpu);
	smp_left_guest(cpu);
}

static void send_one(struct cpu *target, u32 low)
{
	switch (FIELD_GET(ICR_MODE, low)) {
	case ICR_MODE_INIT:
		set(&apic_of(target)->init);
		break;
	case ICR_MODE_NMI:
		set(&apic_of(target)->nmi);
		if (!is_storm && target->state == CPU_RUNNING)
			leave(target);
		break;
	case ICR_MODE_STARTUP:
		__atomic_add_fetch(&dropped_sipis, 1, __ATOMIC_SEQ_CST);
	}
}

static void send(u32 low)
{
	bool to_others = FIELD_GET(ICR_SHORTHAND, low) == ICR_TO_OTHERS;
	u32 destination = *reg(APIC_ICR_HIGH) >> 24;

	for (u32 i = 0; i < CPU_COUNT; i++)
		if (to_others ? current != &cpus[i] : destination == i)
			send_one(&cpus[i], low);
}

u32 mmio_read32(hpa_t address)
{
	return *reg(address.v - APIC_DEFAULT_BASE);
}

void mmio_write32(hpa_t address, u32 value)
{
	u32 offset = address.v - APIC_DEFAULT_BASE;

	*reg(offset) = value;
	if (offset == APIC_ICR_LOW)
		send(value);
}

int mmio_register(struct mmio_region *registered)
{
	region = registered;
	return 0;
}

void mmio_set_traps(struct mmio_region *of, enum mmio_traps traps)
{
	WRITE_ONCE(of->traps, traps);
	if (traps == MMIO_TRAPS_NOTHING)
		smp_flush_later();
	else
		smp_flush_all();
}

static void note(char what)
{
	size_t length = strlen(done);

	if (is_storm)
		return;
	CHECK(length < sizeof(done) - 1);
	done[length] = what;
}

static void reset(struct cpu *cpu)
{
	note('0' + cpu->index);
}

static void start_cpu(struct cpu *cpu, u8 vector)
{
	note('S');
	__atomic_store_n(&start_vector, vector, __ATOMIC_SEQ_CST);
}

static void flush(struct cpu *cpu)
{
	apic_of(cpu)->is_open = READ_ONCE(region->traps) == MMIO_TRAPS_NOTHING;
}

static void wait_for_nmi(struct cpu *cpu)
{
	void (*once)(void) = on_sleep;

	on_sleep = NULL;
	if (once)
		once();
	current = cpu;
	CHECK(is_storm || apic_of(cpu)->init || apic_of(cpu)->nmi);
	while (!cpu->host_init && !cpu->host_nmi) {
		cpu->host_init = take(&apic_of(cpu)->init);
		cpu->host_nmi = take(&apic_of(cpu)->nmi);
	}
}

static const char *init_escapes(void)
{
	return escapes;
}

static const struct vt fake_vt = {
	.reset = reset, .start = start_cpu, .flush = flush,
	.wait_for_nmi = wait_for_nmi, .init_escapes = init_escapes,
};
const struct vt *vt = &fake_vt;

struct cpu *cpu_this(void)
{
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

u64 rdmsr(u32 index)
{
	CHECK_EQ(index, MSR_APIC_BASE);
	return APIC_DEFAULT_BASE | APIC_BASE_ENABLE;
}

void wrmsr(u32 index, u64 value)
{
	FAIL("wrmsr %#x", index);
}

bool msr_write_safe(u32 index, u64 value)
{
	FAIL("wrmsr %#x", index);
}

bool irq_sync_exits(struct cpu *cpu)
{
	return false;
}

bool panic_is_on(void)
{
	return false;
}

void cpu_halt(void)
{
	FAIL("halted");
}

void machine_reset(void)
{
	FAIL("a CPU does not leave its guest");
}

u64 clock_now_us(void)
{
	struct timespec now = { 0 };

	if (is_storm)
		clock_gettime(CLOCK_MONOTONIC, &now);
	return READ_ONCE(now_us) + 1000000ull * now.tv_sec + now.tv_nsec / 1000;
}

void log_line(enum log_level level, const char *format, ...)
{
	warnings += level == LOG_WARN;
}

bool log_allowed(struct log_limit *limit)
{
	return true;
}

/* ---- The guest ---------------------------------------------------------------- */

#define KERNEL 0xffffffff81000000
#define FIRMWARE 0x3f001000

#define INIT 0x4500
#define SIPI(vector) (0x600 | (vector))
#define OTHERS 0xc0000
#define LOGICAL 0x800

static void enter(struct cpu *cpu)
{
	current = cpu;
	smp_enter_guest(cpu);
	current = bsp;
}

static void write_register(struct cpu *cpu, u64 offset, u32 value)
{
	struct mmio_access access = {
		.offset = offset, .size = 4, .is_write = true, .value = value,
	};

	current = cpu;
	if (!cpu->in_guest)
		enter(cpu);
	current = cpu;
	if (apic_of(cpu)->is_open) {
		mmio_write32(hpa(APIC_DEFAULT_BASE + offset), value);
	} else {
		leave(cpu);
		region->access(region, &access);
		enter(cpu);
	}
	current = bsp;
}

static void command(struct cpu *cpu, u32 destination, u32 low)
{
	write_register(cpu, APIC_ICR_HIGH, destination << 24);
	write_register(cpu, APIC_ICR_LOW, low);
}

static void end_interrupt(struct cpu *cpu)
{
	write_register(cpu, APIC_EOI, 0);
}

static bool is_open(void)
{
	return region->traps == MMIO_TRAPS_NOTHING;
}

static void pass(u64 us)
{
	now_us += us;
}

static void start(enum apic_policy policy, const char *init_escapes)
{
	memset(apics, 0, sizeof(apics));
	for (u32 i = 0; i < CPU_COUNT; i++) {
		cpus[i] = (struct cpu){
			.index = i, .apic_id = i, .apic_dfr = APIC_DFR_FLAT,
			.is_virtualized = true, .is_bsp = !i,
			.guest.rip = FIRMWARE,
		};
		apics[i].registers[APIC_ID / 16] = i << 24;
		apics[i].registers[APIC_DFR / 16] = APIC_DFR_FLAT;
	}
	escapes = init_escapes;
	if (region)		/* one machine after the other */
		region->traps = MMIO_TRAPS_WRITES;
	CHECK_EQ(apic_init(policy), 0);
	for (u32 i = 0; i < CPU_COUNT; i++)
		enter(&cpus[i]);
}

/* The page is open, and every CPU knows. */
static void start_open(void)
{
	start(APIC_AUTO, NULL);
	end_interrupt(bsp);
	for (u32 i = 0; i < CPU_COUNT; i++)
		enter(&cpus[i]);
	CHECK(apic_of(bsp)->is_open && apic_of(ap2)->is_open);
}

/* The exit that the processor makes of an INIT. */
static void take_init(struct cpu *cpu)
{
	CHECK(apic_of(cpu)->init || cpu->host_init);
	leave(cpu);
	enter(cpu);
}

/* ---- Which policy ------------------------------------------------------------- */

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
		warnings = 0;
		start(choices[i].policy, choices[i].escapes);
		for (u32 j = 0; j < CPU_COUNT; j++) {
			cpus[j].guest.rip = KERNEL;
			end_interrupt(&cpus[j]);
		}
		CHECK_EQ(is_open(), choices[i].opens);
		CHECK_EQ(warnings, choices[i].warns);
	}
}

/* ---- Where the processor holds an INIT ------------------------------------------ */

static void sipi_to_ap(void)
{
	CHECK(!is_open());
	CHECK_EQ(ap->state, CPU_WAIT_STARTUP);
	command(bsp, 1, SIPI(0x99));
}

TEST(an_init_parks_its_cpu_and_closes_the_page_for_the_sipi)
{
	start_open();
	command(bsp, 1, INIT);
	CHECK(is_open());
	on_sleep = sipi_to_ap;
	take_init(ap);
	CHECK_STR(done, "1S");
	CHECK_EQ(start_vector, 0x99);
	CHECK_EQ(dropped_sipis, 0);
}

TEST(the_second_sipi_finds_the_page_closed_and_later_writes_find_it_open)
{
	start_open();
	command(bsp, 1, INIT);
	on_sleep = sipi_to_ap;
	take_init(ap);
	pass(300);
	command(bsp, 1, SIPI(0x99));
	end_interrupt(ap);
	CHECK_EQ(dropped_sipis, 0);
	CHECK(!is_open());
	pass(100000);
	end_interrupt(ap);
	CHECK(is_open());
	CHECK_STR(done, "1S");
}

static void let_time_pass(void)
{
	for (int i = 0; i < 10; i++) {
		pass(1000000);
		end_interrupt(bsp);
		CHECK(!is_open());
	}
	sipi_to_ap();
}

TEST(the_page_stays_closed_as_long_as_a_cpu_waits)
{
	start_open();
	command(bsp, 1, INIT);
	on_sleep = let_time_pass;
	take_init(ap);
	CHECK_STR(done, "1S");
	CHECK(!is_open());
}

static void go_on(void)
{
	enter(bsp);
}

/* As Linux does on these processors: no pause, and one CPU. */
TEST(a_sipi_that_is_faster_than_the_page_closes_is_found)
{
	start_open();
	command(bsp, 1, INIT);
	command(bsp, 1, SIPI(0x98));
	CHECK_EQ(dropped_sipis, 1);
	on_sleep = go_on;
	take_init(ap);
	CHECK_STR(done, "1S");
	CHECK_EQ(start_vector, 0x98);
}

TEST(a_sipi_that_was_found_is_not_found_again)
{
	start_open();
	command(bsp, 1, INIT);
	command(bsp, 1, SIPI(0x98));
	on_sleep = go_on;
	take_init(ap);
	pass(100000);
	end_interrupt(bsp);
	CHECK(is_open());
	enter(ap2);
	command(ap2, 1, INIT);
	on_sleep = sipi_to_ap;
	take_init(ap);
	CHECK_STR(done, "1S1S");
	CHECK_EQ(start_vector, 0x99);
}

static void sipi_to_others(void)
{
	command(bsp, 0, SIPI(0x9f) | OTHERS);
}

static void other_takes_init(void)
{
	CHECK_EQ(ap->state, CPU_WAIT_STARTUP);
	on_sleep = sipi_to_others;
	take_init(ap2);
}

TEST(two_cpus_wait_for_one_sipi)
{
	start_open();
	command(bsp, 0, INIT | OTHERS);
	on_sleep = other_takes_init;
	take_init(ap);
	CHECK_STR(done, "12SS");
	CHECK_EQ(dropped_sipis, 0);
	CHECK_EQ(ap->state + ap2->state, CPU_RUNNING);
}

/* The first has closed the page, so its SIPI is here before its INIT. */
TEST(a_sipi_may_come_before_the_second_cpu_has_seen_its_init)
{
	start_open();
	command(bsp, 0, INIT | OTHERS);
	on_sleep = sipi_to_others;
	take_init(ap);
	take_init(ap2);
	CHECK_STR(done, "1S2S");
}

static void another_init(void)
{
	set(&apic_of(ap)->init);
	on_sleep = sipi_to_ap;
}

TEST(an_init_to_a_waiting_cpu_begins_the_wait_again)
{
	start_open();
	command(bsp, 1, INIT);
	on_sleep = another_init;
	take_init(ap);
	CHECK_STR(done, "11S");
}

TEST(a_sipi_to_a_running_cpu_does_not_start_it_after_its_next_init)
{
	start_open();
	command(bsp, 1, INIT);
	on_sleep = sipi_to_ap;
	take_init(ap);
	command(bsp, 1, SIPI(0x55));
	pass(100000);
	end_interrupt(bsp);
	enter(ap);
	command(bsp, 1, INIT);
	on_sleep = sipi_to_ap;
	take_init(ap);
	CHECK_STR(done, "1S1S");
	CHECK_EQ(start_vector, 0x99);
}

TEST(a_bootstrap_processor_that_gets_an_init_does_not_wait)
{
	start_open();
	command(ap, 0, INIT);
	take_init(bsp);
	CHECK_STR(done, "0");
	CHECK_EQ(bsp->state, CPU_RUNNING);
	pass(100000);
	end_interrupt(bsp);
	CHECK(is_open());
}

TEST(identities_that_were_written_unseen_are_known_when_they_matter)
{
	start_open();
	write_register(ap2, APIC_LDR, 0x40000000);
	command(bsp, 1, INIT);
	on_sleep = sipi_to_ap;
	take_init(ap);
	enter(ap2);
	command(bsp, 0x40, INIT | LOGICAL);
	CHECK_EQ(ap2->init_pending, 1);
	CHECK_EQ(apic_of(ap2)->init, 0);
}

/* ---- Where an INIT would escape ---------------------------------------------------- */

static void start_forced(void)
{
	start(APIC_INTERCEPT, "it escapes");
	bsp->guest.rip = KERNEL;
}

TEST(before_every_cpu_runs_a_kernel_no_init_reaches_a_processor)
{
	start_forced();
	end_interrupt(bsp);
	end_interrupt(ap);		/* still the firmware's */
	CHECK(!is_open());
	command(bsp, 0, INIT | OTHERS);
	CHECK_EQ(apic_of(ap)->init + apic_of(ap2)->init, 0);
	command(bsp, 0, SIPI(0x9a) | OTHERS);
	enter(ap);
	enter(ap2);
	CHECK_STR(done, "1S2S");
	ap->guest.rip = ap2->guest.rip = KERNEL;
	pass(100000);
	end_interrupt(ap);
	CHECK(!is_open());
	end_interrupt(ap2);
	CHECK(is_open());
}

TEST(a_cpu_that_is_started_anew_has_no_kernel_yet)
{
	start_forced();
	ap->guest.rip = ap2->guest.rip = KERNEL;
	end_interrupt(ap);
	command(bsp, 1, INIT);
	command(bsp, 1, SIPI(0x9a));
	enter(ap);
	pass(100000);
	end_interrupt(ap2);
	CHECK(!is_open());
	end_interrupt(ap);
	CHECK(is_open());
}

/* ---- As fast as they can come ------------------------------------------------------- */

#define ROUNDS 1000

static u32 round_of_ap(void)
{
	return __atomic_load_n(&start_vector, __ATOMIC_SEQ_CST);
}

/* A guest that does nothing, but takes what comes to its processor. */
static void run_guest(struct cpu *cpu)
{
	const struct apic *apic = apic_of(cpu);

	if (READ_ONCE(apic->init) || READ_ONCE(apic->nmi)) {
		leave(cpu);
		smp_enter_guest(cpu);
	}
}

static void *run_ap(void *unused)
{
	current = ap;
	smp_enter_guest(ap);
	while (round_of_ap() != 0xff)
		run_guest(ap);
	return NULL;
}

static void run_bsp_until_started(u8 vector)
{
	time_t deadline = time(NULL) + 20;

	while (round_of_ap() != vector) {
		current = bsp;
		run_guest(bsp);
		if (time(NULL) > deadline)
			FAIL("SIPI %u was lost", vector);
	}
}

static void open_page(void)
{
	while (!apic_of(bsp)->is_open) {
		now_us += 100000;
		end_interrupt(bsp);
	}
}

/* The page closes anywhere between INIT and SIPI, or after. */
TEST(no_sipi_is_lost_however_soon_it_follows_an_init_that_is_not_seen)
{
	pthread_t thread;

	start(APIC_AUTO, NULL);
	smp_left_guest(ap);
	smp_left_guest(ap2);	/* for good */
	is_storm = true;
	CHECK(!pthread_create(&thread, NULL, run_ap, NULL));
	for (u32 i = 0; i <= ROUNDS; i++) {
		u8 vector = i < ROUNDS ? 1 + i % 0xfe : 0xff;

		open_page();
		command(bsp, 1, INIT);
		write_register(bsp, APIC_ICR_LOW, SIPI(vector));
		run_bsp_until_started(vector);
	}
	CHECK(!pthread_join(thread, NULL));
}
