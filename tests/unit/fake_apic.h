/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Six make-believe processors, one of which sends: its local APIC, what
 * reaches the others, and its guest.
 */
#ifndef FAKE_APIC_H
#define FAKE_APIC_H

#include "../../core/x86/cpu.h"
#include "mmio.h"

#define APIC_CPUS 6
#define APIC_SENDER 1
#define APIC_NEVER (~0u)

struct fake_apic {
	struct cpu cpus[APIC_CPUS];
	u64 now_us;
	/* Of the sender: */
	u32 registers[0x400 / 16];
	u64 apic_base, x2apic_id, x2apic_icr;
	u32 base_writes, icr_writes, register_writes, x2apic_icr_writes;
	u32 pending_reads;	/* ICR says pending so often */
	bool id_writable;
	void (*access_page)(struct mmio_region *, struct mmio_access *);
	/* Of the others: */
	u32 inits, startups;	/* a bit for each CPU */
	u8 startup_vector;
	bool is_held;		/* the page */
	u32 log_count;
};

extern struct fake_apic fake;

/* How CPUs are named. */
enum mode { FLAT, CLUSTER, X2APIC };

void fake_apic_start(enum mode mode);
/* What has been written and sent so far. */
void fake_apic_forget(void);
u32 *fake_apic_at(u64 offset);

/* By the sender's guest: to the page; a command. */
void fake_apic_write(u64 offset, unsigned size, u64 value);
void fake_apic_send(enum mode mode, u32 low, u32 destination);

/* Commands: of the ICR's lower half. */
#define INIT 0x500
#define SIPI(vector) (0x600 | (vector))
#define LOGICAL 0x800
#define ASSERT_ 0x4000
#define LEVEL 0x8000
#define SELF 0x40000
#define TO_ALL 0x80000
#define OTHERS 0xc0000

#endif
