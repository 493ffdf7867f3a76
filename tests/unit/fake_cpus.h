/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Three processors that hold an INIT until the host lets it in, and that go
 * on using old translations until they flush; and the guest on them.
 */
#ifndef FAKE_CPUS_H
#define FAKE_CPUS_H

#include "../../core/x86/apic.h"
#include "../../core/x86/cpu.h"
#include "mmio.h"

#define CPUS_COUNT 3
#define CPUS_FIRMWARE 0x3f001000	/* where the guest runs at first */

struct apic {
	u32 registers[0x400 / 16];
	u32 init, nmi;		/* on their way to the processor */
	bool is_open;		/* its page, as this processor knows it */
};

struct fake_cpus {
	struct cpu cpus[CPUS_COUNT];
	struct apic apics[CPUS_COUNT];
	struct mmio_region *region;
	const char *escapes;	/* as vt->init_escapes() has it */
	u32 dropped_sipis;	/* by APICs: nobody waits behind them */
	void (*on_sleep)(void);	/* else the host waits for an event */
	char done[32];		/* a CPU's number: reset; S: started */
	u8 start_vector;
	u64 now_us;
	bool is_storm;		/* CPUs are threads: real time, no notes */
	u32 warnings;
};

extern struct fake_cpus fake;
extern __thread struct cpu *cpus_current;	/* who calls */

void cpus_start(enum apic_policy policy, const char *init_escapes);
/* The page is open, and every CPU knows. */
void cpus_start_open(void);
struct apic *cpus_apic(const struct cpu *cpu);
bool cpus_page_is_open(void);

/* Of a guest: it goes on, and it comes out with what waits for it. */
void cpus_enter(struct cpu *cpu);
void cpus_leave(struct cpu *cpu);
/* The exit that the processor makes of an INIT. */
void cpus_take_init(struct cpu *cpu);

/* Writes to the APIC, which exit where this CPU knows the page closed. */
void cpus_write(struct cpu *cpu, u64 offset, u32 value);
void cpus_command(struct cpu *cpu, u32 destination, u32 low);
void cpus_end_interrupt(struct cpu *cpu);

#endif
