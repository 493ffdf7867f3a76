/* SPDX-License-Identifier: BSD-2-Clause */
/* See fake_svm.h. */
#include <string.h>

#include "../../core/x86/slat.h"
#include "../../core/x86/svm.h"
#include "fake_svm.h"
#include "log.h"
#include "page.h"
#include "spec/x86.h"
#include "test.h"

struct fake_svm fake;

/* ---- The processor ------------------------------------------------------- */

static void take(u8 vector)
{
	CHECK(fake.taken_count < sizeof(fake.taken));
	fake.taken[fake.taken_count++] = vector;
	fake.guest_if = false;
}

void svm_exited(struct cpu *of, struct vt_exit *exit);

/* EVENTINJ first (15.20), then a virtual interrupt if IF allows (15.21.4). */
void svm_run(struct cpu *of, struct vt_exit *exit, hpa_t address)
{
	struct vmcb *now = fake.vmcb;

	CHECK(of == &fake.cpu && address.v == page_hpa(now).v);
	fake.stepped = (now->rflags & RFLAGS_TF) &&
		       (now->intercept_exception & BIT(VECTOR_DB));
	if (now->event_inject & SVM_EVENT_VALID)
		take(FIELD_GET(SVM_EVENT_VECTOR, now->event_inject));
	if ((now->interrupt_control & SVM_VIRQ_PENDING) && fake.guest_if) {
		take(FIELD_GET(SVM_VIRQ_VECTOR, now->interrupt_control));
		now->interrupt_control &= ~SVM_VIRQ_PENDING;
	}
	now->rip++;
	now->rflags = fake.guest_rflags;
	now->exit_code = fake.next_exit;
	now->exit_info1 = fake.next_info1;
	now->exit_info2 = fake.next_info2;
	now->exit_interrupt_info = fake.next_event;
	svm_exited(of, exit);
}

void svm_take_interrupt(void)
{
	fake.cpu.host_vector = fake.pending_vector;
	fake.pending_vector = 0;
}

/* With GIF set (15.17): an INIT that is not redirected ends everything. */
void svm_take_nmi_smi_and_init(void)
{
	CHECK(!fake.init_is_pending || (fake.vm_cr & VM_CR_R_INIT));
	if (fake.init_is_pending)
		fake.cpu.host_init = 1;
	else
		fake.cpu.host_nmi = 1;
	fake.init_is_pending = false;
}

/* What comes at last. */
void svm_sleep(const u32 *host_nmi)
{
	fake.cpu.host_nmi = 1;
}

void svm_doze(const u32 *host_nmi)
{
	fake.cpu.host_vector = 0x46 | CPU_VECTOR_VALID;
}

void cpuid(u32 leaf, u32 subleaf, u32 regs[4])
{
	memcpy(regs, fake.cpuid_regs, sizeof(fake.cpuid_regs));
	if (leaf == 0x80000000)
		regs[CPUID_EAX] = 0x8000001f;
}

u64 rdmsr(u32 index)
{
	return index == MSR_VM_CR ? fake.vm_cr : fake.msr_value;
}

void wrmsr(u32 index, u64 value)
{
	CHECK_EQ(index, MSR_VM_CR);
	fake.vm_cr = (fake.vm_cr & ~fake.vm_cr_bits) |
		     (value & fake.vm_cr_bits);
}

bool msr_read_safe(u32 index, u64 *value)
{
	*value = fake.msr_value;
	return fake.msr_is_there;
}

bool msr_write_safe(u32 index, u64 value)
{
	fake.msr_value = value;
	return fake.msr_is_there;
}

u64 read_cr0(void) { return 0; }
u64 read_cr2(void) { return 0; }
void write_cr2(u64 value) { CHECK_EQ(value, fake.vmcb->cr2); }
u64 read_cr3(void) { return 0; }
u64 read_cr4(void) { return 0; }
u64 read_dr6(void) { return 0; }
u64 read_dr7(void) { return 0; }

/* ---- The rest of the machine --------------------------------------------- */

size_t linear_fetch(struct cpu *of, u8 bytes[LINEAR_FETCH_SIZE])
{
	memcpy(bytes, fake.code, sizeof(fake.code));
	return sizeof(fake.code);
}

bool cpu_has_1g_pages(void)
{
	return true;
}

hpa_t slat_root(void)
{
	return hpa(0x1000);
}

static u8 arena[16][PAGE_SIZE] __attribute__((aligned(4096)));
static size_t arena_used;	/* pages; fake_svm_start() takes all back */

void *page_alloc(size_t count)
{
	void *pages = arena[arena_used];

	arena_used += count;
	CHECK(arena_used <= ARRAY_COUNT(arena));
	return memset(pages, 0, count * PAGE_SIZE);
}

hpa_t page_hpa(const void *memory)
{
	return hpa((u64)memory);
}

void log_line(enum log_level level, const char *format, ...)
{
}

bool log_allowed(struct log_limit *limit)
{
	return true;
}

void fake_svm_start(void)
{
	memset(&fake.cpu, 0, sizeof(fake.cpu));
	arena_used = fake.taken_count = 0;
	fake.next_exit = SVM_EXIT_SMI;
	fake.next_event = 0;
	fake.guest_if = true;
	fake.guest_rflags = 0;
	fake.init_is_pending = false;
	CHECK_EQ(svm.init(), 0);
	CHECK_EQ(svm.cpu_init(&fake.cpu), 0);
	fake.vmcb = ((struct svm_cpu *)fake.cpu.vendor)->vmcb;
}

enum vt_exit_reason fake_svm_run(u32 code)
{
	fake.next_exit = code;
	svm.run(&fake.cpu, &fake.last);
	return fake.last.reason;
}

void fake_svm_forward(u8 vector)
{
	fake.pending_vector = vector | CPU_VECTOR_VALID;
	svm.forward_interrupt(&fake.cpu);
}
