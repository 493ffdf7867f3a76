/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What CPUs ask of each other. A request is a flag in the other's struct
 * cpu; an NMI (a kick) brings that CPU out of its guest to see it. NMIs exit
 * always, so a kick reaches a guest that has interrupts off.
 */
#ifndef SLUICE_SMP_H
#define SLUICE_SMP_H

#include "cpu.h"

/*
 * Around the guest, on its CPU. smp_enter_guest() handles what others have
 * asked for and returns when the guest may run; from then on it is reached
 * by kicks.
 */
void smp_enter_guest(struct cpu *cpu);
/* On the CPU itself, whose guest they have left. */
void smp_init_exited(struct cpu *cpu);
void smp_startup_exited(struct cpu *cpu, u8 vector);

void smp_left_guest(struct cpu *cpu);

/* An NMI has come: was it a kick (then it is used up), or the guest's? */
bool smp_take_kick(struct cpu *cpu);

/* Makes `cpu` leave its guest; does not wait. */
void smp_kick(struct cpu *cpu);

/*
 * Returns when no CPU uses a nested translation from before the call: each
 * has flushed, or will before it runs its guest again.
 */
void smp_flush_all(void);
/* The same without waiting: each at its next entry of the guest. */
void smp_flush_later(void);

/* Returns when every CPU in its guest has taken note of irq_watch_get(). */
void smp_sync_interrupt_exits(void);

void smp_send_init(struct cpu *cpu);
void smp_send_startup(struct cpu *cpu, u8 vector);

/* Has it been sent an INIT and not yet been started? */
bool smp_awaits_startup(const struct cpu *cpu);
/* SIPIs that no CPU has waited for so far are nobody's. */
void smp_forget_startups(void);

/* panic.c: no CPU runs its guest again. */
void smp_stop_others(void);

#endif
