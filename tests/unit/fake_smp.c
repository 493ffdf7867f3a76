/* SPDX-License-Identifier: BSD-2-Clause */
/* See fake_smp.h. */
#include <string.h>

#include "../../core/panic.h"
#include "../../core/x86/apic.h"
#include "../../core/x86/apic_page.h"
#include "../../core/x86/irq_exit.h"
#include "../../core/x86/machine.h"
#include "../../core/x86/smp.h"
#include "clock.h"
#include "fake_smp.h"
#include "log.h"
#include "test.h"

struct fake_smp fake;

static void note(char what)
{
	size_t length = strlen(fake.done);

	CHECK(length < sizeof(fake.done) - 1);
	fake.done[length] = what;
}

static void call(void (**hook)(void))
{
	void (*once)(void) = *hook;

	*hook = NULL;
	if (once)
		once();
}

static void reset(struct cpu *cpu)
{
	note('R');
}

static void start_cpu(struct cpu *cpu, u8 vector)
{
	note('S');
	fake.start_vector = vector;
}

static void flush(struct cpu *cpu)
{
	note('F');
	call(&fake.on_flush);
}

static void wait_for_nmi(struct cpu *cpu)
{
	note('w');
	CHECK(fake.on_sleep || cpu->kick_pending);
	call(&fake.on_sleep);
	cpu->host_nmi = 1;
}

static void wait_for_startup(struct cpu *cpu)
{
	note('i');
}

const struct vt fake_smp_vt = {
	.reset = reset, .start = start_cpu, .flush = flush,
	.wait_for_nmi = wait_for_nmi, .wait_for_startup = wait_for_startup,
};
const struct vt *vt = &fake_smp_vt;

void apic_reset(struct cpu *cpu)
{
	if (vt == &fake_smp_vt)
		note('A');
}

void apic_look_back(struct cpu *cpu)
{
}

void apic_page_hold(void)
{
	CHECK(!fake.current->in_guest);
	note('h');
}

void apic_page_release(void)
{
}

void apic_send_nmi(const struct cpu *target)
{
	fake.nmis[target->index]++;
	if (fake.on_nmi)
		fake.on_nmi(&fake.cpus[target->index]);
}

bool irq_sync_exits(struct cpu *cpu)
{
	bool has_changed = fake.on_sync;

	call(&fake.on_sync);
	return has_changed;
}

bool panic_is_on(void)
{
	return fake.is_panicking;
}

void cpu_halt(void)
{
	longjmp(fake.end, HALTED);
}

void machine_reset(void)
{
	longjmp(fake.end, RESET_MACHINE);
}

struct cpu *cpu_this(void)
{
	CHECK(fake.current);
	return fake.current;
}

u32 cpu_count(void)
{
	return SMP_CPUS;
}

struct cpu *cpu_get(u32 index)
{
	return &fake.cpus[index];
}

u64 clock_now_us(void)
{
	return fake.now_us += 10;
}

void log_line(enum log_level level, const char *format, ...)
{
}

void fake_smp_start(void)
{
	memset(fake.cpus, 0, sizeof(fake.cpus));
	memset(fake.done, 0, sizeof(fake.done));
	memset(fake.nmis, 0, sizeof(fake.nmis));
	for (u32 i = 0; i < SMP_CPUS; i++)
		fake.cpus[i] = (struct cpu){
			.index = i, .is_virtualized = true,
		};
	fake.cpus[0].is_bsp = true;
	fake.on_sleep = fake.on_flush = fake.on_sync = NULL;
	fake.on_nmi = NULL;
	fake.is_panicking = false;
	fake.start_vector = 0;
	fake.current = &fake.cpus[0];
}

void fake_smp_leave(struct cpu *cpu)
{
	smp_take_kick(cpu);
	smp_left_guest(cpu);
}

void fake_smp_enter(struct cpu *cpu)
{
	fake.current = cpu;
	smp_enter_guest(cpu);
	CHECK(cpu->in_guest);
	fake.current = &fake.cpus[0];
}
