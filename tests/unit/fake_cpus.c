/* SPDX-License-Identifier: BSD-2-Clause */
/* See fake_cpus.h. */
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
#include "fake_cpus.h"
#include "log.h"
#include "mmio.h"
#include "spec/x86.h"
#include "test.h"
#include "vt.h"

struct fake_cpus fake;
__thread struct cpu *cpus_current;

/* ---- The processors ------------------------------------------------------ */

struct apic *cpus_apic(const struct cpu *cpu)
{
	return &fake.apics[cpu->index];
}

static u32 *reg(u64 offset)
{
	return &cpus_apic(cpus_current)->registers[offset / 16];
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
void cpus_leave(struct cpu *cpu)
{
	if (take(&cpus_apic(cpu)->init))
		cpu->host_init = 1;
	if (take(&cpus_apic(cpu)->nmi))
		smp_take_kick(cpu);
	smp_left_guest(cpu);
}

static void send_one(struct cpu *target, u32 low)
{
	switch (FIELD_GET(ICR_MODE, low)) {
	case ICR_MODE_INIT:
		set(&cpus_apic(target)->init);
		break;
	case ICR_MODE_NMI:
		set(&cpus_apic(target)->nmi);
		if (!fake.is_storm && target->state == CPU_RUNNING)
			cpus_leave(target);
		break;
	case ICR_MODE_STARTUP:
		__atomic_add_fetch(&fake.dropped_sipis, 1, __ATOMIC_SEQ_CST);
	}
}

static void send(u32 low)
{
	bool to_others = FIELD_GET(ICR_SHORTHAND, low) == ICR_TO_OTHERS;
	u32 destination = *reg(APIC_ICR_HIGH) >> 24;

	for (u32 i = 0; i < CPUS_COUNT; i++)
		if (to_others ? cpus_current->index != i : destination == i)
			send_one(&fake.cpus[i], low);
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
	fake.region = registered;
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
	size_t length = strlen(fake.done);

	if (fake.is_storm)
		return;
	CHECK(length < sizeof(fake.done) - 1);
	fake.done[length] = what;
}

static void reset(struct cpu *cpu)
{
	note('0' + cpu->index);
}

static void start_cpu(struct cpu *cpu, u8 vector)
{
	note('S');
	__atomic_store_n(&fake.start_vector, vector, __ATOMIC_SEQ_CST);
}

static void flush(struct cpu *cpu)
{
	cpus_apic(cpu)->is_open =
		READ_ONCE(fake.region->traps) == MMIO_TRAPS_NOTHING;
}

static void wait_for_nmi(struct cpu *cpu)
{
	void (*once)(void) = fake.on_sleep;

	fake.on_sleep = NULL;
	if (once)
		once();
	cpus_current = cpu;
	CHECK(fake.is_storm || cpus_apic(cpu)->init || cpus_apic(cpu)->nmi);
	while (!cpu->host_init && !cpu->host_nmi) {
		cpu->host_init = take(&cpus_apic(cpu)->init);
		cpu->host_nmi = take(&cpus_apic(cpu)->nmi);
	}
}

static const char *init_escapes(void)
{
	return fake.escapes;
}

static const struct vt fake_vt = {
	.reset = reset, .start = start_cpu, .flush = flush,
	.wait_for_nmi = wait_for_nmi, .init_escapes = init_escapes,
};
const struct vt *vt = &fake_vt;

struct cpu *cpu_this(void)
{
	return cpus_current;
}

u32 cpu_count(void)
{
	return CPUS_COUNT;
}

struct cpu *cpu_get(u32 index)
{
	return &fake.cpus[index];
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

	if (fake.is_storm)
		clock_gettime(CLOCK_MONOTONIC, &now);
	return READ_ONCE(fake.now_us) + 1000000ull * now.tv_sec +
	       now.tv_nsec / 1000;
}

void log_line(enum log_level level, const char *format, ...)
{
	fake.warnings += level == LOG_WARN;
}

bool log_allowed(struct log_limit *limit)
{
	return true;
}

/* ---- The guest ----------------------------------------------------------- */

void cpus_enter(struct cpu *cpu)
{
	cpus_current = cpu;
	smp_enter_guest(cpu);
	cpus_current = &fake.cpus[0];
}

void cpus_write(struct cpu *cpu, u64 offset, u32 value)
{
	struct mmio_access access = {
		.offset = offset, .size = 4, .is_write = true, .value = value,
	};

	cpus_current = cpu;
	if (!cpu->in_guest)
		cpus_enter(cpu);
	cpus_current = cpu;
	if (cpus_apic(cpu)->is_open) {
		mmio_write32(hpa(APIC_DEFAULT_BASE + offset), value);
	} else {
		cpus_leave(cpu);
		fake.region->access(fake.region, &access);
		cpus_enter(cpu);
	}
	cpus_current = &fake.cpus[0];
}

void cpus_command(struct cpu *cpu, u32 destination, u32 low)
{
	cpus_write(cpu, APIC_ICR_HIGH, destination << 24);
	cpus_write(cpu, APIC_ICR_LOW, low);
}

void cpus_end_interrupt(struct cpu *cpu)
{
	cpus_write(cpu, APIC_EOI, 0);
}

bool cpus_page_is_open(void)
{
	return fake.region->traps == MMIO_TRAPS_NOTHING;
}

void cpus_start(enum apic_policy policy, const char *init_escapes)
{
	memset(fake.apics, 0, sizeof(fake.apics));
	for (u32 i = 0; i < CPUS_COUNT; i++) {
		fake.cpus[i] = (struct cpu){
			.index = i, .apic_id = i, .apic_dfr = APIC_DFR_FLAT,
			.is_virtualized = true, .is_bsp = !i,
			.guest.rip = CPUS_FIRMWARE,
		};
		fake.apics[i].registers[APIC_ID / 16] = i << 24;
		fake.apics[i].registers[APIC_DFR / 16] = APIC_DFR_FLAT;
	}
	fake.escapes = init_escapes;
	if (fake.region)		/* one machine after the other */
		fake.region->traps = MMIO_TRAPS_WRITES;
	CHECK_EQ(apic_init(policy), 0);
	for (u32 i = 0; i < CPUS_COUNT; i++)
		cpus_enter(&fake.cpus[i]);
}

/* The page is open, and every CPU knows. */
void cpus_start_open(void)
{
	cpus_start(APIC_AUTO, NULL);
	cpus_end_interrupt(&fake.cpus[0]);
	for (u32 i = 0; i < CPUS_COUNT; i++)
		cpus_enter(&fake.cpus[i]);
	CHECK(fake.apics[0].is_open && fake.apics[2].is_open);
}

/* The exit that the processor makes of an INIT. */
void cpus_take_init(struct cpu *cpu)
{
	CHECK(cpus_apic(cpu)->init || cpu->host_init);
	cpus_leave(cpu);
	cpus_enter(cpu);
}
