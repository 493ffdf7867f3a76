/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * AMD Secure Virtual Machine: the VMCB, its intercepts and exits. Section
 * numbers: AMD64 Architecture Programmer's Manual, vol. 2, rev. 3.41.
 */
#ifndef SLUICE_SPEC_SVM_H
#define SLUICE_SPEC_SVM_H

#include "bits.h"
#include "spec/x86.h"

/* 15.30 */
#define MSR_VM_CR 0xc0010114
#define MSR_IGNNE 0xc0010115
#define MSR_SMM_CTL 0xc0010116
#define MSR_VM_HSAVE_PA 0xc0010117
#define MSR_SVM_KEY 0xc0010118
#define VM_CR_R_INIT BIT(1)
#define VM_CR_LOCK BIT(3)
#define VM_CR_SVMDIS BIT(4)

/* CPUID Fn8000_000A, vol. 3, E.4.9 */
#define CPUID_SVM 0x8000000a
#define CPUID_SVM_EDX_NPT BIT(0)
#define CPUID_SVM_EDX_NRIPS BIT(3)
#define CPUID_SVM_EDX_FLUSH_BY_ASID BIT(6)

/* Intercept vectors: appendix B, VMCB offsets 00Ch and 010h */
enum svm_intercept3 {
	SVM_INTERCEPT_INTR = 0,
	SVM_INTERCEPT_NMI = 1,
	SVM_INTERCEPT_SMI = 2,
	SVM_INTERCEPT_INIT = 3,
	SVM_INTERCEPT_CPUID = 18,
	SVM_INTERCEPT_IRET = 20,
	SVM_INTERCEPT_INVD = 22,
	SVM_INTERCEPT_HLT = 24,
	SVM_INTERCEPT_INVLPGA = 26,
	SVM_INTERCEPT_IOIO = 27,
	SVM_INTERCEPT_MSR = 28,
	SVM_INTERCEPT_SHUTDOWN = 31,
};

enum svm_intercept4 {
	SVM_INTERCEPT_VMRUN = 0,
	SVM_INTERCEPT_VMMCALL = 1,
	SVM_INTERCEPT_VMLOAD = 2,
	SVM_INTERCEPT_VMSAVE = 3,
	SVM_INTERCEPT_STGI = 4,
	SVM_INTERCEPT_CLGI = 5,
	SVM_INTERCEPT_SKINIT = 6,
	SVM_INTERCEPT_MWAIT = 11,
};

/* Appendix C */
enum svm_exit_code {
	SVM_EXIT_DB = 0x41,
	SVM_EXIT_INTR = 0x60,
	SVM_EXIT_NMI = 0x61,
	SVM_EXIT_SMI = 0x62,
	SVM_EXIT_INIT = 0x63,
	SVM_EXIT_CPUID = 0x72,
	SVM_EXIT_IRET = 0x74,
	SVM_EXIT_INVD = 0x76,
	SVM_EXIT_HLT = 0x78,
	SVM_EXIT_INVLPGA = 0x7a,
	SVM_EXIT_IOIO = 0x7b,
	SVM_EXIT_MSR = 0x7c,
	SVM_EXIT_SHUTDOWN = 0x7f,
	SVM_EXIT_VMRUN = 0x80,
	SVM_EXIT_SKINIT = 0x86,
	SVM_EXIT_MWAIT = 0x8b,
	SVM_EXIT_NPF = 0x400,
};

#define SVM_EXIT_INVALID 0xffffffffu	/* low half of -1 */

/* EXITINFO1 of a nested page fault, 15.25.6 */
#define SVM_NPF_WRITE BIT(1)
#define SVM_NPF_FETCH BIT(4)
#define SVM_NPF_FINAL BIT(32)
#define SVM_NPF_TABLE BIT(33)

/* EXITINFO1 of IOIO, 15.10.2 */
#define SVM_IOIO_IN BIT(0)
#define SVM_IOIO_STRING BIT(2)
#define SVM_IOIO_REP BIT(3)
#define SVM_IOIO_SIZE BITS(6, 4)	/* one-hot: bytes */
#define SVM_IOIO_PORT BITS(31, 16)

/* Virtual interrupt control, 15.21 and appendix B, offset 060h */
#define SVM_VIRQ_PENDING BIT(8)
#define SVM_VIRQ_PRIORITY BITS(19, 16)
#define SVM_VIRQ_IGNORE_TPR BIT(20)
#define SVM_VIRQ_VECTOR BITS(39, 32)

/* EVENTINJ and EXITINTINFO, 15.20 and 15.7.2 */
#define SVM_EVENT_VECTOR BITS(7, 0)
#define SVM_EVENT_TYPE BITS(10, 8)
#define SVM_EVENT_HAS_ERROR BIT(11)
#define SVM_EVENT_VALID BIT(31)
#define SVM_EVENT_ERROR BITS(63, 32)

enum svm_event_type {
	SVM_EVENT_INTR = 0, SVM_EVENT_NMI = 2, SVM_EVENT_EXCEPTION = 3,
	SVM_EVENT_SOFTWARE = 4,
};

/* TLB_CONTROL, 15.16.1 */
enum svm_tlb_control {
	SVM_TLB_KEEP = 0, SVM_TLB_FLUSH_ALL = 1, SVM_TLB_FLUSH_GUEST = 3,
};

/* 15.11 and 15.10.1 */
#define SVM_MSR_MAP_PAGES 2
#define SVM_IO_MAP_PAGES 3

/* Appendix B */
struct vmcb {
	u32 intercept_cr;		/* 000h */
	u32 intercept_dr;
	u32 intercept_exception;
	u32 intercept3;
	u32 intercept4;			/* 010h */
	u32 intercept5;
	u8 reserved_018[0x40 - 0x18];
	u64 io_map;			/* 040h */
	u64 msr_map;
	u64 tsc_offset;			/* 050h */
	u32 asid;
	u8 tlb_control;
	u8 reserved_05d[3];
	u64 interrupt_control;		/* 060h */
	u64 interrupt_shadow;		/* 068h, bit 0 */
	u64 exit_code;			/* 070h */
	u64 exit_info1;
	u64 exit_info2;			/* 080h */
	u64 exit_interrupt_info;
	u64 nested_enable;		/* 090h, bit 0 */
	u8 reserved_098[0xa8 - 0x98];
	u64 event_inject;		/* 0A8h */
	u64 nested_cr3;			/* 0B0h */
	u64 lbr_control;
	u64 clean;			/* 0C0h */
	u64 next_rip;
	u8 fetched_count;		/* 0D0h */
	u8 fetched_bytes[15];
	u8 reserved_0e0[0x400 - 0xe0];

	struct segment es;		/* 400h */
	struct segment cs;
	struct segment ss;
	struct segment ds;
	struct segment fs;
	struct segment gs;
	struct segment gdtr;
	struct segment ldtr;
	struct segment idtr;
	struct segment tr;
	u8 reserved_4a0[0x2b];
	u8 cpl;				/* 4CBh */
	u32 reserved_4cc;
	u64 efer;			/* 4D0h */
	u8 reserved_4d8[0x548 - 0x4d8];
	u64 cr4;			/* 548h */
	u64 cr3;
	u64 cr0;
	u64 dr7;
	u64 dr6;
	u64 rflags;			/* 570h */
	u64 rip;
	u8 reserved_580[0x5d8 - 0x580];
	u64 rsp;			/* 5D8h */
	u64 s_cet;
	u64 ssp;
	u64 isst_address;
	u64 rax;			/* 5F8h */
	u64 star, lstar, cstar, sfmask, kernel_gs_base;
	u64 sysenter_cs, sysenter_esp, sysenter_eip;
	u64 cr2;			/* 640h */
	u8 reserved_648[0x668 - 0x648];
	u64 pat;			/* 668h */
	u64 debug_control;
	u8 reserved_678[0x1000 - 0x678];
};

_Static_assert(offsetof(struct vmcb, io_map) == 0x40, "io_map");
_Static_assert(offsetof(struct vmcb, asid) == 0x58, "asid");
_Static_assert(offsetof(struct vmcb, exit_code) == 0x70, "exit_code");
_Static_assert(offsetof(struct vmcb, nested_enable) == 0x90, "nested");
_Static_assert(offsetof(struct vmcb, event_inject) == 0xa8, "event");
_Static_assert(offsetof(struct vmcb, clean) == 0xc0, "clean");
_Static_assert(offsetof(struct vmcb, fetched_count) == 0xd0, "fetched");
_Static_assert(offsetof(struct vmcb, es) == 0x400, "es");
_Static_assert(offsetof(struct vmcb, cpl) == 0x4cb, "cpl");
_Static_assert(offsetof(struct vmcb, efer) == 0x4d0, "efer");
_Static_assert(offsetof(struct vmcb, cr4) == 0x548, "cr4");
_Static_assert(offsetof(struct vmcb, rsp) == 0x5d8, "rsp");
_Static_assert(offsetof(struct vmcb, rax) == 0x5f8, "rax");
_Static_assert(offsetof(struct vmcb, cr2) == 0x640, "cr2");
_Static_assert(offsetof(struct vmcb, pat) == 0x668, "pat");
_Static_assert(sizeof(struct vmcb) == 4096, "vmcb");

#endif
