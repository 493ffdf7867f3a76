/* SPDX-License-Identifier: BSD-2-Clause */
/* The CPU's side of include/irq.h. */
#ifndef SLUICE_IRQ_EXIT_H
#define SLUICE_IRQ_EXIT_H

#include "cpu.h"

/* An interrupt exited: listeners have seen what it is about when the guest
 * gets it. */
void irq_exit(struct cpu *cpu);

/* Of an exit for something else: where interrupts exit, one that has come
 * meanwhile is spared an exit of its own. */
void irq_take(struct cpu *cpu);

/* Listeners look, without an interrupt. */
void irq_poll(void);

/* One CPU that waits for timers is enough; false: another one does. */
bool irq_begin_timekeeping(struct cpu *cpu);
void irq_end_timekeeping(void);

/* Makes this CPU's interrupt exits what the watchers want, and the exits
 * of HLT what the timers do; true when that changed something. */
bool irq_sync_exits(struct cpu *cpu);

#endif
