/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The x86-64 processor: registers, MSRs, CPUID, page tables and the local
 * APIC. Section numbers: AMD64 Architecture Programmer's Manual, vol. 2,
 * rev. 3.41, if nothing else is said.
 */
#ifndef SLUICE_SPEC_X86_H
#define SLUICE_SPEC_X86_H

#include "bits.h"

/* 3.1.1 */
#define CR0_PE BIT(0)
#define CR0_MP BIT(1)
#define CR0_TS BIT(3)
#define CR0_ET BIT(4)
#define CR0_NE BIT(5)
#define CR0_WP BIT(16)
#define CR0_NW BIT(29)
#define CR0_CD BIT(30)
#define CR0_PG BIT(31)

/* 3.1.3 */
#define CR4_PSE BIT(4)
#define CR4_PAE BIT(5)
#define CR4_MCE BIT(6)
#define CR4_PGE BIT(7)
#define CR4_OSFXSR BIT(9)
#define CR4_LA57 BIT(12)
#define CR4_VMXE BIT(13)
#define CR4_SMXE BIT(14)
#define CR4_OSXSAVE BIT(18)
#define CR4_SMEP BIT(20)
#define CR4_SMAP BIT(21)
#define CR4_PKE BIT(22)
#define CR4_CET BIT(23)

/* 3.1.6 */
#define RFLAGS_FIXED BIT(1)
#define RFLAGS_TF BIT(8)
#define RFLAGS_IF BIT(9)
#define RFLAGS_RF BIT(16)
#define RFLAGS_VM BIT(17)

/* 13.1.1 */
#define DR6_INIT 0xffff0ff0ull
#define DR6_BS BIT(14)
#define DR7_INIT 0x400ull

/* 3.1.7 */
#define EFER_SCE BIT(0)
#define EFER_LME BIT(8)
#define EFER_LMA BIT(10)
#define EFER_NXE BIT(11)
#define EFER_SVME BIT(12)
#define EFER_FFXSR BIT(14)
#define EFER_TCE BIT(15)
#define EFER_MCOMMIT BIT(17)
#define EFER_INTWB BIT(18)
#define EFER_UAIE BIT(20)
#define EFER_AIBRSE BIT(21)

/* Appendix A */
#define MSR_APIC_BASE 0x0000001b
#define MSR_MTRR_CAP 0x000000fe
#define MSR_SYSENTER_CS 0x00000174
#define MSR_SYSENTER_ESP 0x00000175
#define MSR_SYSENTER_EIP 0x00000176
#define MSR_DEBUGCTL 0x000001d9
#define DEBUGCTL_BTF BIT(1)
#define MSR_MTRR_BASE(n) (0x00000200 + 2 * (n))
#define MSR_MTRR_MASK(n) (0x00000201 + 2 * (n))
#define MSR_MTRR_FIXED_64K 0x00000250
#define MSR_MTRR_FIXED_16K 0x00000258
#define MSR_MTRR_FIXED_4K 0x00000268
#define MSR_PAT 0x00000277
#define MSR_MTRR_DEFAULT 0x000002ff
#define MSR_X2APIC_ID 0x00000802
#define MSR_X2APIC_ICR 0x00000830
#define MSR_EFER 0xc0000080
#define MSR_FS_BASE 0xc0000100
#define MSR_GS_BASE 0xc0000101
#define MSR_TOP_MEM 0xc001001a
#define MSR_TOP_MEM2 0xc001001d
#define MSR_MMIO_CONFIG_BASE 0xc0010058

#define MTRR_CAP_COUNT BITS(7, 0)	/* 7.7.3 */
#define MTRR_CAP_FIXED BIT(8)
#define MTRR_BASE_TYPE BITS(7, 0)
#define MTRR_MASK_VALID BIT(11)
#define MTRR_DEFAULT_TYPE BITS(7, 0)
#define MTRR_DEFAULT_FIXED BIT(10)
#define MTRR_DEFAULT_ENABLE BIT(11)

/* 16.3.1 */
#define APIC_BASE_BSP BIT(8)
#define APIC_BASE_X2APIC BIT(10)
#define APIC_BASE_ENABLE BIT(11)
#define APIC_BASE_MODE BITS(11, 10)
#define APIC_BASE_ADDRESS BITS(51, 12)

/* CPUID, vol. 3, appendix E */
#define CPUID_1_ECX_XSAVE BIT(26)
#define CPUID_1_ECX_OSXSAVE BIT(27)
#define CPUID_1_ECX_HYPERVISOR BIT(31)
#define CPUID_1_EDX_PSE BIT(3)
#define CPUID_1_EDX_PGE BIT(13)
#define CPUID_7_EBX_SMEP BIT(7)
#define CPUID_7_EBX_SMAP BIT(20)
#define CPUID_7_ECX_OSPKE BIT(4)
#define CPUID_80000001_ECX_SVM BIT(2)
#define CPUID_80000001_ECX_SKINIT BIT(12)
#define CPUID_80000001_EDX_NX BIT(20)
#define CPUID_80000001_EDX_PAGE1GB BIT(26)
#define CPUID_80000008_EBX_INVLPGB BIT(3)
#define CPUID_ENCRYPTION 0x8000001f
#define CPUID_80000008_EAX_PHYSICAL BITS(7, 0)

/* 8.2 */
#define VECTOR_COUNT 256

enum x86_vector {
	VECTOR_DB = 1,
	VECTOR_NMI = 2,
	VECTOR_UD = 6,
	VECTOR_DF = 8,
	VECTOR_TS = 10,
	VECTOR_GP = 13,
	VECTOR_PF = 14,
	VECTOR_SX = 30,
};

/* 8.4.2 */
#define PF_PRESENT BIT(0)
#define PF_WRITE BIT(1)
#define PF_USER BIT(2)
#define PF_FETCH BIT(4)

#define SX_INIT_REDIRECTED 1	/* error code, 15.28 */

/* Page table entries, 5.3 and 5.4 */
#define PTE_PRESENT BIT(0)
#define PTE_WRITE BIT(1)
#define PTE_USER BIT(2)
#define PTE_WRITE_THROUGH BIT(3)
#define PTE_CACHE_DISABLE BIT(4)
#define PTE_ACCESSED BIT(5)
#define PTE_DIRTY BIT(6)
#define PTE_LARGE BIT(7)
#define PTE_NX BIT(63)
#define PTE_ADDRESS BITS(51, 12)
#define PTE_LEGACY_ADDRESS BITS(31, 12)

/* A segment register with what it hides, 4.7. Attributes as SVM packs them:
 * descriptor bits 55:52 and 47:40, 15.5.1. */
struct segment {
	u16 selector;
	u16 attributes;
	u32 limit;
	u64 base;
};

#define SEGMENT_TYPE BITS(3, 0)
#define SEGMENT_S BIT(4)
#define SEGMENT_ACCESSED BIT(0)
#define SEGMENT_LDT 0x2
#define SEGMENT_BUSY_TSS 0xb
#define SEGMENT_DPL BITS(6, 5)
#define SEGMENT_PRESENT BIT(7)
#define SEGMENT_LONG BIT(9)
#define SEGMENT_DEFAULT_32 BIT(10)
#define SEGMENT_GRANULARITY BIT(11)

/* Local APIC registers, 16.3.2 */
#define APIC_DEFAULT_BASE 0xfee00000ull
#define APIC_ID 0x020
#define APIC_TPR 0x080
#define APIC_EOI 0x0b0
#define APIC_LDR 0x0d0
#define APIC_DFR 0x0e0
#define APIC_SVR 0x0f0
#define APIC_ISR 0x100		/* 32 vectors every 10h */
#define APIC_ISR_END 0x180
#define APIC_ICR_LOW 0x300
#define APIC_ICR_HIGH 0x310
#define APIC_LVT_TIMER 0x320
#define APIC_LVT_THERMAL 0x330
#define APIC_LVT_PERFMON 0x340
#define APIC_LVT_LINT0 0x350
#define APIC_LVT_LINT1 0x360
#define APIC_LVT_ERROR 0x370
#define APIC_TIMER_COUNT 0x380

#define APIC_ID_FIELD BITS(31, 24)
#define APIC_LDR_FIELD BITS(31, 24)
#define APIC_DFR_FLAT 0xffffffffu
#define APIC_SVR_RESET 0xffu
#define APIC_LVT_MASKED 0x10000u

/* Interrupt command register, 16.5 */
#define ICR_VECTOR BITS(7, 0)
#define ICR_MODE BITS(10, 8)
#define ICR_LOGICAL BIT(11)
#define ICR_PENDING BIT(12)
#define ICR_ASSERT BIT(14)
#define ICR_LEVEL BIT(15)
#define ICR_SHORTHAND BITS(19, 18)
#define ICR_XAPIC_DESTINATION BITS(63, 56)
#define ICR_X2APIC_DESTINATION BITS(63, 32)

enum icr_mode { ICR_MODE_NMI = 4, ICR_MODE_INIT = 5, ICR_MODE_STARTUP = 6 };

enum icr_shorthand {
	ICR_TO_DESTINATION, ICR_TO_SELF, ICR_TO_ALL, ICR_TO_OTHERS,
};

/* CPU state after INIT, 14.1.3 */
#define INIT_RIP 0xfff0ull
#define INIT_CS_SELECTOR 0xf000
#define INIT_CS_BASE 0xffff0000ull

#endif
