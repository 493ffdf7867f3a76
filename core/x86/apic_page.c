/* SPDX-License-Identifier: BSD-2-Clause */
/* The APIC's page between trapped and open. */
#include "apic_page.h"
#include "clock.h"
#include "lock.h"
#include "log.h"
#include "smp.h"
#include "spec/x86.h"
#include "vt.h"

/* An INIT's SIPI comes within 10 ms and a second one 200 us later
 * (MultiProcessor Specification 1.4, B.4): neither may find the page open. */
#define OPEN_AFTER_US 100000

static struct mmio_region region = {
	.name = "apic",
	.base = { APIC_DEFAULT_BASE },
	.size = PAGE_SIZE,
	.traps = MMIO_TRAPS_WRITES,
};

/* From looking for CPUs that wait until the page is opened or closed, so
 * that none begins to wait in between. */
static struct lock lock;
static bool opens, init_escapes;
static u64 open_at_us;

static void choose(enum apic_policy policy)
{
	const char *why = vt->init_escapes();

	init_escapes = why;
	opens = policy == APIC_INTERCEPT || (policy == APIC_AUTO && !why);
	if (!opens)
		log_info("apic: every write trapped: %s",
			 policy == APIC_TRAP ? "apic = trap" : why);
	else if (!why)
		log_info("apic: open but while a CPU waits for its SIPI: INIT is intercepted");
	else
		log_warn("apic: open once the system has started every CPU, as apic = intercept asks, but %s: any INIT after that takes its CPU out of Sluice",
			 why);
}

int apic_page_init(enum apic_policy policy,
		   void (*access)(struct mmio_region *region,
				  struct mmio_access *access))
{
	choose(policy);
	region.access = access;
	return mmio_register(&region);
}

bool apic_page_opens(void)
{
	return opens;
}

void apic_page_hold(void)
{
	lock_acquire(&lock);
	if (region.traps != MMIO_TRAPS_NOTHING)
		return;
	/* SIPIs to CPUs that ran: no INIT was there to drop them. */
	smp_forget_startups();
	mmio_set_traps(&region, MMIO_TRAPS_WRITES);
	log_debug("apic: closed");
}

void apic_page_release(void)
{
	open_at_us = clock_deadline_us(OPEN_AFTER_US);
	lock_release(&lock);
}

/*
 * Where an INIT would be the end of a CPU, the guest has to be past all of
 * them: each CPU runs a kernel that has its APIC. Firmware, boot loaders and
 * the way of a kernel to its own address space are in the lower half of the
 * addresses, 64-bit kernels in the upper.
 */
static bool is_settled(const struct cpu *cpu)
{
	return !smp_awaits_startup(cpu) && (cpu->has_kernel || !init_escapes);
}

static bool may_open(void)
{
	if (region.traps == MMIO_TRAPS_NOTHING || !clock_is_past(open_at_us))
		return false;
	for (u32 i = 0; i < cpu_count(); i++)
		if (!is_settled(cpu_get(i)))
			return false;
	return true;
}

void apic_page_written(struct cpu *cpu)
{
	if (cpu->guest.rip >> 63)
		WRITE_ONCE(cpu->has_kernel, true);
	if (!opens || !lock_try(&lock))
		return;
	if (may_open()) {
		mmio_set_traps(&region, MMIO_TRAPS_NOTHING);
		log_debug("apic: open");
	}
	lock_release(&lock);
}
