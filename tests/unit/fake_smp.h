/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What surrounds smp.c, with everything that can come between: a processor
 * that sleeps, flushes or gets an NMI calls the test, which may ask for more.
 */
#ifndef FAKE_SMP_H
#define FAKE_SMP_H

#include <setjmp.h>

#include "../../core/x86/cpu.h"
#include "vt.h"

#define SMP_CPUS 3

enum end { CAME_BACK, RESET_MACHINE, HALTED };

struct fake_smp {
	struct cpu cpus[SMP_CPUS];
	struct cpu *current;
	char done[32];		/* in order: one letter each */
	u8 start_vector;
	u32 nmis[SMP_CPUS];
	void (*on_sleep)(void);		/* else nobody would wake it */
	void (*on_flush)(void);
	void (*on_sync)(void);	/* then exits were changed */
	void (*on_nmi)(struct cpu *cpu);
	bool is_panicking;
	u64 now_us;
	jmp_buf end;		/* with what became of it */
};

extern struct fake_smp fake;
extern const struct vt fake_smp_vt;

void fake_smp_start(void);

/* The CPU's side: it comes out by a kick, or for any reason, and goes on. */
void fake_smp_leave(struct cpu *cpu);
void fake_smp_enter(struct cpu *cpu);

#endif
