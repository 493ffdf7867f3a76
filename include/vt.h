/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The seam to the processor's virtualization: AMD's SVM or Intel's VMX.
 * Everything that knows a vendor stands behind `struct vt`; everyone
 * else sees exits by reason and a guest CPU by its registers.
 */
#ifndef SLUICE_VT_H
#define SLUICE_VT_H

#include "types.h"

struct cpu;
struct insn_cpu;

enum vt_exit_reason {
	VT_EXIT_HANDLED,	/* the back end's own affair; just run again */
	VT_EXIT_SLAT,		/* nested page fault */
	VT_EXIT_CPUID,
	VT_EXIT_MSR,
	VT_EXIT_IO,
	VT_EXIT_INTERRUPT,	/* pending, not yet acknowledged */
	VT_EXIT_INVD,
	VT_EXIT_INIT,		/* arrived; has changed nothing yet */
	VT_EXIT_STARTUP,	/* a SIPI, to a guest that waits for it */
	VT_EXIT_HALT,		/* HLT, or MWAIT: see set_halt_exits() */
	VT_EXIT_HIDDEN,		/* an instruction of the hidden feature */
	VT_EXIT_SHUTDOWN,	/* triple fault */
	VT_EXIT_UNKNOWN,
	VT_EXITS,
};

enum vt_access {
	VT_ACCESS_INSTRUCTION,
	VT_ACCESS_WALK,		/* of the guest's tables */
	VT_ACCESS_DELIVERY,	/* of an event; the exit has cut it short */
};

struct vt_exit {
	enum vt_exit_reason reason;
	u8 length;		/* of the instruction, for CPUID, MSR, IO, INVD,
				 * HALT */
	union {
		struct {
			gpa_t address;
			bool is_write;
			enum vt_access whose;
		} slat;
		struct {
			u32 index;
			bool is_write;
		} msr;
		struct {
			u16 port;
			u8 size;
			bool is_write, is_string;
		} io;
		u8 startup_vector;
		struct {
			/* A write of memory would end it, too, which nobody
			 * here sees: it may end at any time. */
			bool is_mwait;
		} halt;
		u64 raw[3];	/* unknown: for the log */
	};
};

/* How the guest translates linear addresses, and who asks. */
struct vt_paging {
	u64 cr0, cr3, cr4, efer;
	bool is_user;
};

/* Permissions of a nested mapping. */
enum slat_access { SLAT_NONE, SLAT_READ, SLAT_ALL };

/* Bits of a nested page table entry; the walk is the same for everyone. */
struct slat_format {
	u64 table;		/* non-leaf entry */
	u64 leaf[3];		/* by enum slat_access */
	u64 large;		/* leaf above the last level */
	u64 present_mask;	/* any of these: an entry is in use */
	/* Bits of a leaf for the memory type at `base`, and where they are.
	 * NULL: the processor looks at the MTRRs itself. */
	u64 (*type)(u64 base);
	u64 type_mask;
};

struct vt {
	const char *name;
	const char *means;	/* what of the processor's it needs, and has */
	const struct slat_format *slat;
	unsigned (*slat_levels)(void);
	bool (*slat_has_1g_pages)(void);

	/* Does the processor say it has this? */
	bool (*is_there)(void);
	/* Then: NULL, or why this CPU cannot be virtualized all the same.
	 * Changes nothing. */
	const char *(*probe)(void);

	/* Once, before any CPU: tables that all CPUs share. -ENOMEM. */
	int (*init)(void);

	/*
	 * After init(). NULL: an INIT to a CPU of ours goes no further than
	 * cpu->host_init or an exit, be it in its guest, in the host or
	 * waiting. Or why it would take the CPU out of Sluice.
	 */
	const char *(*init_escapes)(void);

	/* For each CPU, on the BSP: its control block. -ENOMEM. */
	int (*cpu_init)(struct cpu *cpu);

	/*
	 * On the CPU itself, interrupts off: switch virtualization on and
	 * make the guest's state what the CPU's is now; rip, rsp and rflags
	 * are in cpu->guest. The host's descriptor tables are not loaded yet.
	 */
	void (*capture)(struct cpu *cpu);

	/* Runs the guest with cpu->guest until its next exit. */
	void (*run)(struct cpu *cpu, struct vt_exit *exit);

	/* Fill in, on demand: cpu->guest's mode and where its code is, and
	 * cpu->paging; all other segment bases. */
	void (*load_context)(struct cpu *cpu);
	void (*load_segments)(struct cpu *cpu);

	/* Is it 64-bit code, and is its paging this one? */
	bool (*is_64bit_under)(const struct cpu *cpu,
			       const struct vt_paging *paging);

	/* The guest continues after the exiting instruction. */
	void (*skip)(struct cpu *cpu, unsigned length);

	/* At the next run; replaces what was to be injected. */
	void (*inject_exception)(struct cpu *cpu, u8 vector, bool has_error,
				 u32 error);
	void (*set_page_fault_address)(struct cpu *cpu, u64 linear);
	/* As soon as the guest can take it; several are one, as on hardware. */
	void (*inject_nmi)(struct cpu *cpu);

	/* The interrupt that exited, acknowledged and given to the guest. */
	void (*forward_interrupt)(struct cpu *cpu);
	/*
	 * One that is pending but did not exit, the same way: after any exit,
	 * when the guest's RFLAGS.IF is set. False: there is none. NULL: only
	 * an exit tells.
	 */
	bool (*take_interrupt)(struct cpu *cpu);
	/* Do interrupts exit? */
	void (*set_interrupt_exits)(struct cpu *cpu, bool on);

	/*
	 * Do HLT and MWAIT exit? (VMX: "HLT exiting", "MWAIT exiting".) Then
	 * ends_halt() lets in for a moment what is pending, or sleeps until
	 * something comes, and says whether the guest's wait is over: an
	 * interrupt that it can take is there, acknowledged, or an NMI has
	 * come. NULL, both: run() itself ends when a timer is due, if the
	 * processor can do that.
	 */
	void (*set_halt_exits)(struct cpu *cpu, bool on);
	bool (*ends_halt)(struct cpu *cpu, bool sleeps);

	/* State after INIT (APM vol. 2, 14.1.3), then a SIPI's start. */
	void (*reset)(struct cpu *cpu);
	void (*start)(struct cpu *cpu, u8 startup_vector);
	/* Not NULL: INIT and SIPI exit, and from its next run on the guest
	 * waits for a SIPI inside, where nothing else ends that. Nobody has
	 * to look at what is written to the APIC. */
	void (*wait_for_startup)(struct cpu *cpu);

	/* From the next run on, accesses to this I/O port exit. */
	void (*trap_port)(u16 port);

	/* Translations of the guest are stale on this CPU. */
	void (*flush)(struct cpu *cpu);

	/* An intercepted MSR that is the vendor's. False: #GP. */
	bool (*msr_read)(struct cpu *cpu, u32 index, u64 *value);
	bool (*msr_write)(struct cpu *cpu, u32 index, u64 value);

	/* Takes virtualization out of a CPUID answer: eax..edx. */
	void (*hide_cpuid)(struct cpu *cpu, u32 leaf, u32 regs[4]);

	/*
	 * NMIs always exit, and set cpu->host_nmi. This waits in the host
	 * until that or cpu->host_init is set.
	 */
	void (*wait_for_nmi)(struct cpu *cpu);
};

/* The back end of this machine, set by vt_select(). */
extern const struct vt *vt;

/* NULL, or why this CPU cannot be virtualized and what may help, until the
 * next call. */
const char *vt_select(void);

#endif
