/* SPDX-License-Identifier: BSD-2-Clause */
/* See fake_vmx.h. */
#include <string.h>

#include "../../core/x86/mtrr.h"
#include "../../core/x86/segment.h"
#include "../../core/x86/slat.h"
#include "../../core/x86/smp.h"
#include "../../core/x86/vmx.h"
#include "fake_vmx.h"
#include "page.h"
#include "spec/x86.h"
#include "test.h"

struct fake_vmx fake;

/* ---- The processor ---- */

u64 vmread(enum vmcs_field field)
{
	return fake.vmcs[field];
}

void vmwrite(enum vmcs_field field, u64 value)
{
	fake.vmcs[field] = value;
}

bool fake_vmx_is_blocked(u32 bits)
{
	return fake.vmcs[VMCS_GUEST_INTERRUPTIBILITY] & bits;
}

/* 27.3.1.5 */
static void take(u32 event)
{
	unsigned type = FIELD_GET(VMX_EVENT_TYPE, event);

	CHECK(fake.taken_count < sizeof(fake.taken));
	CHECK(fake.vmcs[VMCS_GUEST_ACTIVITY] != VMX_WAIT_STARTUP);
	fake.taken[fake.taken_count++] = FIELD_GET(VMX_EVENT_VECTOR, event);
	if (type == VMX_EVENT_INTERRUPT) {
		CHECK(fake.vmcs[VMCS_GUEST_RFLAGS] & RFLAGS_IF);
		CHECK(!fake_vmx_is_blocked(VMX_BLOCKED_BY_STI |
					   VMX_BLOCKED_BY_MOV_SS));
		fake.vmcs[VMCS_GUEST_RFLAGS] &= ~RFLAGS_IF;
	}
	if (type == VMX_EVENT_NMI) {
		CHECK(!fake_vmx_is_blocked(VMX_BLOCKED_BY_NMI |
					   VMX_BLOCKED_BY_MOV_SS));
		fake.vmcs[VMCS_GUEST_INTERRUPTIBILITY] |= VMX_BLOCKED_BY_NMI;
	}
}

enum { EXITED, FAILED, MISSED };

int vmx_run(struct cpu *of, bool is_launched, const u32 *host_nmi);

int vmx_run(struct cpu *of, bool is_launched, const u32 *host_nmi)
{
	CHECK(of == &fake.cpu && host_nmi == &fake.cpu.host_nmi);
	if (fake.nmi_comes_first) {
		fake.nmi_comes_first = false;
		return MISSED;
	}
	if (fake.vmcs[VMCS_ENTRY_EVENT] & VMX_EVENT_VALID)
		take(fake.vmcs[VMCS_ENTRY_EVENT]);
	fake.vmcs[VMCS_ENTRY_EVENT] &= ~VMX_EVENT_VALID;
	fake.vmcs[VMCS_REASON] = fake.next_reason;
	fake.vmcs[VMCS_QUALIFICATION] = fake.next_qualification;
	fake.vmcs[VMCS_EXIT_EVENT] = fake.next_event;
	fake.vmcs[VMCS_VECTORING] = fake.next_vectoring;
	fake.vmcs[VMCS_EXIT_LENGTH] = 3;
	return EXITED;
}

void vmx_unblock_nmi(void) { fake.iret_count++; }
void vmx_sleep(const u32 *host_nmi) { FAIL("nobody sleeps here"); }
void vmxon(hpa_t region) { }
void vmclear(hpa_t region) { }
void vmptrld(hpa_t region) { }
void invept_all(void) { fake.flush_count++; }
void invvpid_single(u16 vpid) { CHECK(vpid); }
u8 vmx_exited[1];

bool xsetbv_safe(u32 index, u64 value)
{
	if (index || !(value & 1))
		return false;
	fake.xcr0 = value;
	return true;
}

/* As a processor with everything has them (appendix A). */
u64 rdmsr(u32 index)
{
	switch (index) {
	case MSR_FEATURE_CONTROL:
		return fake.feature_control;
	case MSR_VMX_BASIC:
		return VMX_BASIC_TRUE | 6ull << 50 | 0x2b;
	case MSR_VMX_TRUE_PIN:
		return (u64)fake.pin_may << 32 | 0x16;
	case MSR_VMX_TRUE_PROCESSOR:
		return 0xfff9fffe04006172;
	case MSR_VMX_PROCESSOR2:
		return (u64)fake.processor2_may << 32;
	case MSR_VMX_TRUE_EXIT:
		return 0x1ffffff00036dfb;
	case MSR_VMX_TRUE_ENTRY:
		return 0x3ffff000011fb;
	case MSR_VMX_EPT:
		return fake.ept_capability;
	case MSR_VMX_MISC:
		return 5;
	case MSR_VMX_CR0_FIXED0:
		return CR0_PE | CR0_NE | CR0_PG;
	case MSR_VMX_CR4_FIXED0:
		return CR4_VMXE;
	default:
		return fake.msr_value;
	}
}

void wrmsr(u32 index, u64 value)
{
	CHECK_EQ(index, MSR_FEATURE_CONTROL);
	CHECK(!(fake.feature_control & FEATURE_CONTROL_LOCK));
	fake.feature_control = value;
}

bool msr_read_safe(u32 index, u64 *value)
{
	*value = fake.msr_value;
	return true;
}

bool msr_write_safe(u32 index, u64 value)
{
	fake.msr_value = value;
	return true;
}

void cpuid(u32 leaf, u32 subleaf, u32 regs[4])
{
	memset(regs, 0, 4 * sizeof(*regs));
	if (leaf == 1) {
		regs[CPUID_EAX] = 0x806c1;
		regs[CPUID_ECX] = CPUID_1_ECX_XSAVE |
				  (fake.has_vmx ? CPUID_1_ECX_VMX : 0);
	}
}

u64 read_cr0(void) { return CR0_PE | CR0_PG | CR0_ET; }
u64 read_cr2(void) { return fake.cr2; }
u64 read_cr3(void) { return 0x5000; }
u64 read_cr4(void) { return CR4_PAE; }
u64 read_dr7(void) { return DR7_INIT; }
void write_cr0(u64 value) { CHECK(value & CR0_NE); }
void write_cr2(u64 value) { fake.cr2 = value; }
void write_cr4(u64 value) { }
void write_dr6(u64 value) { CHECK_EQ(value, DR6_INIT); }

/* ---- The rest of the machine ---- */

static u8 arena[16][PAGE_SIZE] __attribute__((aligned(4096)));
static size_t arena_used;	/* pages; fake_vmx_start() takes all back */

void *page_alloc(size_t count)
{
	void *pages = arena[arena_used];

	arena_used += count;
	CHECK(arena_used <= ARRAY_COUNT(arena));
	return memset(pages, 0, count * PAGE_SIZE);
}

hpa_t page_hpa(const void *memory) { return hpa((u64)memory); }
hpa_t slat_root(void) { return hpa(0x1000); }
void slat_update_types(void) { fake.type_updates++; }
void smp_flush_all(void) { CHECK(fake.type_updates); }
void mtrr_init(void) { }
enum mtrr_type mtrr_type(u64 address) { return MTRR_WRITE_BACK; }
bool mtrr_is_msr(u32 index) { return index == MSR_MTRR_DEFAULT; }

u64 clock_now_us(void) { return 1000; }
u64 clock_ticks(u64 us) { return 3200 * us; }
bool timer_is_pending(void) { return fake.timer_us != ~0ull; }
u64 timer_next_us(void) { return fake.timer_us; }

struct segment segment_gdtr(void)
{
	return (struct segment){ .base = 0x7000, .limit = 0x47 };
}

struct segment segment_idtr(void)
{
	return (struct segment){ .base = 0x8000, .limit = 0xfff };
}

struct segment segment_of(u16 selector)
{
	return (struct segment){
		.selector = selector, .limit = ~0u,
		.attributes = SEGMENT_PRESENT | SEGMENT_S | SEGMENT_LONG | 0xa,
	};
}

struct segment segment_of_system(u16 selector)
{
	return (struct segment){ .selector = selector };
}

void fake_vmx_start(void)
{
	memset(&fake.cpu, 0, sizeof(fake.cpu));
	memset(fake.vmcs, (u8)FAKE_VMX_UNDEFINED, sizeof(fake.vmcs));
	arena_used = fake.taken_count = fake.flush_count = fake.iret_count = 0;
	fake.next_reason = VMX_REASON_NMI_WINDOW;
	fake.next_qualification = fake.next_event = fake.next_vectoring = 0;
	fake.nmi_comes_first = false;
	fake.feature_control = fake.xcr0 = fake.type_updates = 0;
	fake.has_vmx = true;
	fake.pin_may = 0x7f;
	fake.processor2_may = ~0u;
	fake.timer_us = ~0ull;
	fake.ept_capability = 0xf0106334141;
	CHECK(!vmx.probe());
	CHECK_EQ(vmx.init(), 0);
	CHECK_EQ(vmx.cpu_init(&fake.cpu), 0);
	vmx.capture(&fake.cpu);
	fake.cpu.guest.rflags = RFLAGS_FIXED | RFLAGS_IF;
}

enum vt_exit_reason fake_vmx_run(u32 reason)
{
	fake.next_reason = reason;
	vmx.run(&fake.cpu, &fake.last);
	return fake.last.reason;
}

void fake_vmx_iret_of_nmi(void)
{
	fake.vmcs[VMCS_GUEST_INTERRUPTIBILITY] &= ~VMX_BLOCKED_BY_NMI;
}

void fake_vmx_enable_interrupts(void)
{
	fake.cpu.guest.rflags |= RFLAGS_IF;
}

void fake_vmx_interrupt(u8 vector)
{
	fake.next_event = VMX_EVENT_VALID | vector;
	CHECK_EQ(fake_vmx_run(VMX_REASON_INTERRUPT), VT_EXIT_INTERRUPT);
	vmx.forward_interrupt(&fake.cpu);
	fake.next_event = 0;
}
