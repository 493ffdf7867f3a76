/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The local APIC is the guest's; only its interrupt commands are looked at,
 * so that no INIT ever reaches a CPU, which would leave the hypervisor: or,
 * where the processor holds INIT for us, no SIPI passes a CPU that waits.
 */
#ifndef SLUICE_APIC_H
#define SLUICE_APIC_H

#include "boot_info.h"
#include "cpu.h"

/* Traps writes to the APIC page. At BOOT_ATTACH. */
int apic_init(enum apic_policy policy);

/* On the CPU itself, at launch: who it is to interrupt commands. */
void apic_identify(struct cpu *cpu);

/* On the CPU itself: registers as INIT leaves them. */
void apic_reset(struct cpu *cpu);

/* On the CPU itself, after a flush: the page may have been open until now.
 * Sees to what the guest has done there. */
void apic_look_back(struct cpu *cpu);

/* From the CPU this runs on, without disturbing the guest's ICR. */
void apic_send_nmi(const struct cpu *target);

/* Writes of the guest to APIC_BASE and the x2APIC's ICR. False: #GP. */
bool apic_msr_write(struct cpu *cpu, u32 index, u64 value);

#endif
