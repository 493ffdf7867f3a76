/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Seeing interrupts. Normally every interrupt goes straight to the guest.
 * While somebody watches, an arriving interrupt first exits: the listeners
 * run (they read completion queues), then the guest gets the very interrupt
 * that came. Sluice never makes an interrupt up.
 */
#ifndef SLUICE_IRQ_H
#define SLUICE_IRQ_H

#include "list.h"
#include "types.h"

/*
 * Counted. When irq_watch_get() returns, an interrupt on any CPU exits
 * before the guest sees it. After the last put, CPUs stop exiting by
 * themselves a few milliseconds later. Cheap when already watching. May
 * wait for other CPUs to acknowledge: hold no lock that an exit of another
 * CPU could spin on for long.
 */
void irq_watch_get(void);
void irq_watch_put(void);

struct irq_listener {
	struct list node;
	void (*interrupt)(struct irq_listener *listener);
};

/* Called on every interrupt exit, on the CPU it came to. At set-up time or in
 * the attach() of a device: one caller at a time. */
void irq_listen(struct irq_listener *listener);

#endif
