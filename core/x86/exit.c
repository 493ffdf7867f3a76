/* SPDX-License-Identifier: BSD-2-Clause */
/* Every exit and what is done about it. */
#include "exit.h"
#include "apic.h"
#include "barrier.h"
#include "emulate.h"
#include "ioport.h"
#include "irq_exit.h"
#include "log.h"
#include "machine.h"
#include "site.h"
#include "smp.h"
#include "spec/x86.h"
#include "timer.h"
#include "vt.h"

#define UNKNOWN_EXITS_MAX 100	/* in a row */

static void inject_gp(struct cpu *cpu)
{
	vt->inject_exception(cpu, VECTOR_GP, true, 0);
}

static void exit_cpuid(struct cpu *cpu, const struct vt_exit *exit)
{
	u64 *gpr = cpu->guest.gpr;
	u32 leaf = gpr[INSN_RAX];
	u32 regs[4];

	cpuid(leaf, gpr[INSN_RCX], regs);
	vt->load_context(cpu);
	/* These two mirror the guest's CR4, not ours. */
	if (leaf == 1) {
		regs[CPUID_ECX] &= ~CPUID_1_ECX_OSXSAVE;
		if (cpu->paging.cr4 & CR4_OSXSAVE)
			regs[CPUID_ECX] |= CPUID_1_ECX_OSXSAVE;
	}
	if (leaf == 7 && !(u32)gpr[INSN_RCX]) {
		regs[CPUID_ECX] &= ~CPUID_7_ECX_OSPKE;
		if (cpu->paging.cr4 & CR4_PKE)
			regs[CPUID_ECX] |= CPUID_7_ECX_OSPKE;
	}
	vt->hide_cpuid(cpu, leaf, regs);
	gpr[INSN_RAX] = regs[CPUID_EAX];
	gpr[INSN_RBX] = regs[CPUID_EBX];
	gpr[INSN_RCX] = regs[CPUID_ECX];
	gpr[INSN_RDX] = regs[CPUID_EDX];
	vt->skip(cpu, exit->length);
}

static bool msr_write(struct cpu *cpu, u32 index, u64 value)
{
	if (index == MSR_APIC_BASE || index == MSR_X2APIC_ICR)
		return apic_msr_write(cpu, index, value);
	return vt->msr_write(cpu, index, value);
}

static bool msr_access(struct cpu *cpu, const struct vt_exit *exit)
{
	u64 *gpr = cpu->guest.gpr;
	u64 value = gpr[INSN_RDX] << 32 | (u32)gpr[INSN_RAX];

	if (exit->msr.is_write)
		return msr_write(cpu, exit->msr.index, value);
	if (!vt->msr_read(cpu, exit->msr.index, &value))
		return false;
	gpr[INSN_RAX] = (u32)value;
	gpr[INSN_RDX] = value >> 32;
	return true;
}

static void exit_msr(struct cpu *cpu, const struct vt_exit *exit)
{
	if (msr_access(cpu, exit))
		vt->skip(cpu, exit->length);
	else
		inject_gp(cpu);
}

static void exit_io(struct cpu *cpu, const struct vt_exit *exit)
{
	u64 *rax = &cpu->guest.gpr[INSN_RAX];
	u64 mask = BITS(8 * exit->io.size - 1, 0);
	u32 value = *rax;

	if (exit->io.is_string) {
		log_limited(LOG_WARN, "cpu%u: string I/O to port %#x: #GP",
			    cpu->index, exit->io.port);
		inject_gp(cpu);
		return;
	}
	ioport_access(exit->io.port, exit->io.size, exit->io.is_write, &value);
	if (!exit->io.is_write)
		*rax = exit->io.size == 4 ? value
					  : (*rax & ~mask) | (value & mask);
	vt->skip(cpu, exit->length);
}

static void exit_interrupt(struct cpu *cpu, const struct vt_exit *exit)
{
	(void)exit;
	irq_exit(cpu);
}

/* INVD would throw away what our caches have not written back. */
static void exit_invd(struct cpu *cpu, const struct vt_exit *exit)
{
	cpu_write_back_caches();
	vt->skip(cpu, exit->length);
}

static void exit_init(struct cpu *cpu, const struct vt_exit *exit)
{
	(void)exit;
	smp_init_exited(cpu);
}

static void exit_startup(struct cpu *cpu, const struct vt_exit *exit)
{
	smp_startup_exited(cpu, exit->startup_vector);
}

/*
 * The guest waits in the host, one CPU looking at the time. What has ended
 * may also be a wait of ours, for a kick: to wake up for nothing is allowed.
 */
static bool wait_once(struct cpu *cpu, bool is_mwait)
{
	bool keeps_time = timer_is_pending() && irq_begin_timekeeping(cpu);
	bool is_over = vt->ends_halt(cpu, !keeps_time && !is_mwait);

	irq_poll();
	if (keeps_time) {
		timer_run();
		irq_end_timekeeping();
	}
	cpu_relax();
	return is_over || is_mwait;
}

static void exit_halt(struct cpu *cpu, const struct vt_exit *exit)
{
	while (!wait_once(cpu, exit->halt.is_mwait))
		;
	vt->skip(cpu, exit->length);
}

static void exit_hidden(struct cpu *cpu, const struct vt_exit *exit)
{
	(void)exit;
	vt->inject_exception(cpu, VECTOR_UD, false, 0);
}

static void exit_shutdown(struct cpu *cpu, const struct vt_exit *exit)
{
	(void)exit;
	log_warn("cpu%u: triple fault of the guest at %#llx: reset", cpu->index,
		 (unsigned long long)cpu->guest.rip);
	machine_reset();
}

/*
 * A state that the guest has brought about and that cannot be run: answered
 * like a bad register write, and when that does not help as a shutdown.
 */
static void exit_unknown(struct cpu *cpu, const struct vt_exit *exit)
{
	log_limited(LOG_WARN, "cpu%u: exit %#llx info %#llx %#llx at %#llx: #GP",
		    cpu->index, (unsigned long long)exit->raw[0],
		    (unsigned long long)exit->raw[1],
		    (unsigned long long)exit->raw[2],
		    (unsigned long long)cpu->guest.rip);
	if (++cpu->unknown_exits > UNKNOWN_EXITS_MAX)
		exit_shutdown(cpu, exit);
	inject_gp(cpu);
}

static void exit_handled(struct cpu *cpu, const struct vt_exit *exit)
{
	(void)cpu;
	(void)exit;
}

static void (*const handlers[VT_EXITS])(struct cpu *, const struct vt_exit *) = {
	[VT_EXIT_HANDLED] = exit_handled,
	[VT_EXIT_CPUID] = exit_cpuid,
	[VT_EXIT_MSR] = exit_msr,
	[VT_EXIT_IO] = exit_io,
	[VT_EXIT_INTERRUPT] = exit_interrupt,
	[VT_EXIT_INVD] = exit_invd,
	[VT_EXIT_INIT] = exit_init,
	[VT_EXIT_STARTUP] = exit_startup,
	[VT_EXIT_HALT] = exit_halt,
	[VT_EXIT_HIDDEN] = exit_hidden,
	[VT_EXIT_SHUTDOWN] = exit_shutdown,
	[VT_EXIT_UNKNOWN] = exit_unknown,
};

/* An NMI came while the host let it in: a kick, or the guest's. */
static void nmi_arrived(struct cpu *cpu)
{
	cpu->host_nmi = 0;
	if (!smp_take_kick(cpu))
		vt->inject_nmi(cpu);
}

static inline void count(struct cpu *cpu, enum vt_exit_reason reason)
{
	WRITE_ONCE(cpu->exits[reason], cpu->exits[reason] + 1);
}

/* Takes the longest: what a device was told may be done by then. */
static inline void exit_slat(struct cpu *cpu, const struct vt_exit *exit)
{
	count(cpu, VT_EXIT_SLAT);
	cpu->unknown_exits = 0;
	if (!site_execute(cpu, exit))
		emulate_slat_exit(cpu, exit);
	irq_take(cpu);
}

static __attribute__((noinline)) void
exit_other(struct cpu *cpu, const struct vt_exit *exit)
{
	count(cpu, exit->reason);
	if (exit->reason != VT_EXIT_UNKNOWN)
		cpu->unknown_exits = 0;
	handlers[exit->reason](cpu, exit);
}

HOT void exit_loop(struct cpu *cpu)
{
	struct vt_exit exit;

	for (;;) {
		smp_enter_guest(cpu);
		vt->run(cpu, &exit);
		smp_left_guest(cpu);
		if (exit.reason == VT_EXIT_SLAT)
			exit_slat(cpu, &exit);
		else
			exit_other(cpu, &exit);
		timer_run();
		if (cpu->host_nmi)
			nmi_arrived(cpu);
	}
}
