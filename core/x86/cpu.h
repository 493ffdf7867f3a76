/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One processor: its area of memory (its stack, then this structure), its
 * guest, and the instructions that only assembly can say: all of them
 * functions, so that a test can stand in for the processor.
 */
#ifndef SLUICE_CPU_H
#define SLUICE_CPU_H

#include "bits.h"
#include "insn_cache.h"
#include "linear.h"
#include "site.h"
#include "types.h"
#include "vt.h"

/*
 * A power of two: cpu_this() masks rsp. The stack ends where struct cpu
 * begins, so that what every exit needs of either is on one page.
 */
#define CPU_AREA_SIZE 0x8000

#define CPU_VECTOR_VALID 0x100u

enum cpu_run_state {
	CPU_RUNNING,
	CPU_WAIT_STARTUP,	/* INIT was received: only a SIPI helps */
	CPU_WAIT_INSIDE,	/* the same, the guest itself waits for it */
};

struct cpu {
	struct insn_cpu guest;		/* first: svm_run.S counts on it */
	void *vendor;			/* struct svm_cpu */
	u64 vendor_area[16];		/* for that, if it is no larger */
	u32 index;
	u32 apic_id;
	u32 apic_ldr, apic_dfr;		/* as the guest last wrote them */
	bool has_kernel;		/* apic_page.c: since its last INIT */
	bool is_bsp;
	bool is_virtualized;		/* launched; set once */

	/* smp.c: what others ask of this CPU. Atomic accesses only. */
	u32 state;			/* enum cpu_run_state; its own CPU sets it */
	u32 in_guest;
	u32 kick_pending;		/* one NMI of ours is on its way */
	u32 init_pending;
	u32 startup_pending;		/* SIPI vector | CPU_VECTOR_VALID */
	u32 flush_requested;		/* counts */
	u32 flush_done;

	/* irq.c */
	bool interrupts_exit;
	bool halts_exit;

	/* idt.c: what arrived while the host let it in. */
	u32 host_vector;		/* | CPU_VECTOR_VALID; 0: none */
	u32 host_nmi;
	u32 host_init;			/* also by an exit */

	u32 unknown_exits;		/* exit.c: in a row */
	u64 exits[VT_EXITS];		/* counts, read by others */
	struct site_list sites;		/* site.c */

	/* What only a longer way needs. */
	struct insn_cache insns;	/* emulate.c */
	struct vt_paging paging;	/* see load_context() */
	struct linear_walk walks[LINEAR_WALKS];	/* linear.c */
} __attribute__((aligned(64)));

static inline struct cpu *cpu_in_area(u64 area)
{
	return (struct cpu *)(area + CPU_AREA_SIZE) - 1;
}

/* The CPU this code runs on; only on a stack of ours, after launch. */
struct cpu *cpu_this(void);

/* Makes the areas for `count` CPUs. -ENOMEM. */
int cpu_init(u32 count);
u32 cpu_count(void);
struct cpu *cpu_get(u32 index);

/* What the loader's call left on its stack, in the order of entry.S. */
struct cpu_caller {
	u64 rflags, r15, r14, r13, r12, rbp, rbx, rip;
};

/*
 * BOOT_LAUNCH on this CPU: the call returns to the loader as the guest.
 * -ENODEV when there is no area left for it.
 */
long cpu_launch(const struct cpu_caller *caller);

/* native.c */
u64 rdmsr(u32 index);
void wrmsr(u32 index, u64 value);

/* entry.S: false where the processor answers with #GP. */
bool msr_read_safe(u32 index, u64 *value);
bool msr_write_safe(u32 index, u64 value);
bool xsetbv_safe(u32 index, u64 value);

enum { CPUID_EAX, CPUID_EBX, CPUID_ECX, CPUID_EDX };
void cpuid(u32 leaf, u32 subleaf, u32 regs[4]);

#define CPU_VENDOR_SIZE 13

/* "GenuineIntel". */
void cpu_vendor(char name[CPU_VENDOR_SIZE]);

u64 rdtsc(void);

/* To memory, where a reset does not reach. */
void cpu_write_back_caches(void);

u64 read_cr0(void);
u64 read_cr2(void);
u64 read_cr3(void);
u64 read_cr4(void);
void write_cr0(u64 value);
void write_cr2(u64 value);
void write_cr3(u64 value);
void write_cr4(u64 value);
void write_dr6(u64 value);
u64 read_dr6(void);
u64 read_dr7(void);

/* Highest physical address + 1 that this processor and we can reach. */
u64 cpu_physical_limit(void);

bool cpu_has_1g_pages(void);

_Noreturn void cpu_halt(void);

#endif
