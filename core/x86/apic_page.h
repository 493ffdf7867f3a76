/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * When the APIC's page is trapped: always, or (apic=intercept) only while a
 * CPU may be waiting for its SIPI. Trapped, every EOI is an exit; open,
 * nothing is, and an INIT goes to its CPU by itself.
 */
#ifndef SLUICE_APIC_PAGE_H
#define SLUICE_APIC_PAGE_H

#include "boot_info.h"
#include "cpu.h"
#include "mmio.h"

/* Trapped to begin with; says in the log what was chosen and why. */
int apic_page_init(enum apic_policy policy,
		   void (*access)(struct mmio_region *region,
				  struct mmio_access *access));

/*
 * From the return of apic_page_hold() on, every CPU's writes are trapped,
 * and stay so until apic_page_release(), and then as long as a CPU waits and
 * a while longer. What was an INIT's or a SIPI's to do is done between them.
 * May wait for CPUs to leave their guests; not inside smp_enter_guest().
 */
void apic_page_hold(void);
void apic_page_release(void);

/* After a trapped write of this CPU: is it time to open the page? */
void apic_page_written(struct cpu *cpu);

/* May the guest have used its APIC unseen? */
bool apic_page_opens(void);

#endif
