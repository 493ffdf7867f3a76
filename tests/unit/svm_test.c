/* SPDX-License-Identifier: BSD-2-Clause */
/* Exits of AMD's back end, INIT and HLT among them, and what its guest may
 * know of SVM. */
#include <string.h>

#include "../../core/x86/svm.h"
#include "fake_svm.h"
#include "spec/x86.h"
#include "test.h"

/* ---- Its code ------------------------------------------------------------ */

static struct vt_paging start_64bit(void)
{
	fake_svm_start();
	fake.vmcb->cr0 = CR0_PG | CR0_PE;
	fake.vmcb->cr3 = 0x5000;
	fake.vmcb->cr4 = CR4_PAE;
	fake.vmcb->efer = EFER_LME | EFER_LMA;
	fake.vmcb->cs.attributes = SEGMENT_LONG;
	fake.vmcb->cpl = 0;
	svm.load_context(&fake.cpu);
	CHECK(svm.is_64bit_under(&fake.cpu, &fake.cpu.paging));
	return fake.cpu.paging;
}

TEST(sixty_four_bit_code_has_its_mode_and_paging)
{
	static const size_t words[] = {
		offsetof(struct vmcb, cr0), offsetof(struct vmcb, cr3),
		offsetof(struct vmcb, cr4), offsetof(struct vmcb, efer),
	};
	struct vt_paging paging;

	for (size_t i = 0; i < ARRAY_COUNT(words); i++) {
		paging = start_64bit();
		*(u64 *)((u8 *)fake.vmcb + words[i]) ^= BIT(12);
		CHECK(!svm.is_64bit_under(&fake.cpu, &paging));
	}
	paging = start_64bit();
	fake.vmcb->cpl = 3;
	CHECK(!svm.is_64bit_under(&fake.cpu, &paging));
	paging.is_user = true;
	CHECK(svm.is_64bit_under(&fake.cpu, &paging));
	fake.vmcb->cs.attributes = SEGMENT_DEFAULT_32;
	CHECK(!svm.is_64bit_under(&fake.cpu, &paging));
	paging = start_64bit();
	fake.vmcb->efer = paging.efer = 0;
	CHECK(!svm.is_64bit_under(&fake.cpu, &paging));
}

/* ---- Exits --------------------------------------------------------------- */

TEST(instructions_of_svm_are_hidden)
{
	fake_svm_start();
	for (u32 exit = SVM_EXIT_VMRUN; exit <= SVM_EXIT_SKINIT; exit++)
		CHECK_EQ(fake_svm_run(exit), VT_EXIT_HIDDEN);
	CHECK_EQ(fake_svm_run(SVM_EXIT_INVLPGA), VT_EXIT_HIDDEN);
	CHECK_EQ(fake_svm_run(SVM_EXIT_INVALID), VT_EXIT_UNKNOWN);
}

TEST(prefixes_count_into_the_length)
{
	fake_svm_start();
	fake.vmcb->efer = EFER_LMA;
	fake.vmcb->cs.attributes = SEGMENT_LONG;
	memcpy(fake.code, "\x66\xf3\x48\x0f\xa2", 5);
	CHECK_EQ(fake_svm_run(SVM_EXIT_CPUID), VT_EXIT_CPUID);
	CHECK_EQ(fake.last.length, 5);
	/* 48h is DEC outside of long mode: no prefix. */
	fake.vmcb->cs.attributes = SEGMENT_DEFAULT_32;
	memcpy(fake.code, "\x0f\xa2\x48", 3);
	fake_svm_run(SVM_EXIT_CPUID);
	CHECK_EQ(fake.last.length, 2);
}

TEST(an_i_o_exit_names_port_size_and_direction)
{
	fake_svm_start();
	fake.cpu.guest.rip = 0x2000;
	fake.next_info1 = 0xcfcull << 16 | 2 << 4;
	fake.next_info2 = 0x2003;	/* one was executed before */
	CHECK_EQ(fake_svm_run(SVM_EXIT_IOIO), VT_EXIT_IO);
	CHECK_EQ(fake.last.io.port, 0xcfc);
	CHECK_EQ(fake.last.io.size, 2);
	CHECK(fake.last.io.is_write && !fake.last.io.is_string);
	CHECK_EQ(fake.last.length, 2);
}

/* ---- INIT ---------------------------------------------------------------- */

static const struct {
	u64 bits;		/* of VM_CR that stick */
	u32 ecx;		/* of CPUID 1 */
	bool escapes;
} processors[] = {
	{ VM_CR_R_INIT, 0, false },
	{ 0, 0, true },
	{ 0, CPUID_1_ECX_HYPERVISOR, true },
	/* KVM keeps every bit, and acts on two of them. */
	{ BITS(4, 0), CPUID_1_ECX_HYPERVISOR, true },
};

TEST(inits_are_intercepted_where_the_processor_redirects_them)
{
	for (size_t i = 0; i < ARRAY_COUNT(processors); i++) {
		fake.vm_cr = VM_CR_LOCK;
		fake.vm_cr_bits = processors[i].bits;
		fake.cpuid_regs[CPUID_ECX] = processors[i].ecx;
		fake_svm_start();
		CHECK_EQ(svm.init_escapes() != NULL, processors[i].escapes);
		CHECK_EQ(!!(fake.vmcb->intercept3 & BIT(SVM_INTERCEPT_INIT)),
			 !processors[i].escapes);
		/* Until this CPU is ours, an #SX would be the firmware's. */
		CHECK_EQ(fake.vm_cr, VM_CR_LOCK);
		svm_redirect_enable();
		CHECK_EQ(fake.vm_cr, VM_CR_LOCK | (processors[i].escapes
					      ? 0 : VM_CR_R_INIT));
	}
}

TEST(an_init_that_exits_is_noted_and_no_longer_pending)
{
	fake.vm_cr_bits = VM_CR_R_INIT;
	fake_svm_start();
	svm_redirect_enable();
	fake.init_is_pending = true;
	CHECK_EQ(fake_svm_run(SVM_EXIT_INIT), VT_EXIT_HANDLED);
	CHECK_EQ(fake.cpu.host_init, 1);
	CHECK_EQ(fake.cpu.host_nmi, 0);
	CHECK(!fake.init_is_pending);
}

TEST(an_init_that_the_exit_has_used_up_is_noted_too)
{
	fake.vm_cr_bits = VM_CR_R_INIT;
	fake_svm_start();
	CHECK_EQ(fake_svm_run(SVM_EXIT_INIT), VT_EXIT_HANDLED);
	CHECK_EQ(fake.cpu.host_init, 1);
}

/* ---- Halts --------------------------------------------------------------- */

TEST(halts_exit_when_asked_for_and_say_what_they_are)
{
	fake_svm_start();
	svm.set_halt_exits(&fake.cpu, true);
	CHECK(fake.vmcb->intercept3 & BIT(SVM_INTERCEPT_HLT));
	CHECK(fake.vmcb->intercept4 & BIT(SVM_INTERCEPT_MWAIT));
	CHECK_EQ(fake_svm_run(SVM_EXIT_HLT), VT_EXIT_HALT);
	CHECK(!fake.last.halt.is_mwait);
	CHECK_EQ(fake.last.length, 1);
	CHECK_EQ(fake_svm_run(SVM_EXIT_MWAIT), VT_EXIT_HALT);
	CHECK(fake.last.halt.is_mwait);
	CHECK_EQ(fake.last.length, 3);
	svm.set_halt_exits(&fake.cpu, false);
	CHECK(!(fake.vmcb->intercept3 & BIT(SVM_INTERCEPT_HLT)));
	CHECK(!(fake.vmcb->intercept4 & BIT(SVM_INTERCEPT_MWAIT)));
	CHECK(fake.vmcb->intercept4 & BIT(SVM_INTERCEPT_VMRUN));
}

TEST(an_interrupt_ends_a_halt_that_lets_it_in)
{
	fake_svm_start();
	fake.cpu.guest.rflags = RFLAGS_IF;
	CHECK(!svm.ends_halt(&fake.cpu, false));
	fake.pending_vector = 0x45 | CPU_VECTOR_VALID;
	CHECK(svm.ends_halt(&fake.cpu, false));
	CHECK(svm.ends_halt(&fake.cpu, false));
	fake.guest_if = true;
	fake_svm_run(SVM_EXIT_SMI);
	CHECK_EQ(fake.taken[0], 0x45);
}

TEST(with_interrupts_off_only_an_nmi_ends_a_halt)
{
	fake_svm_start();
	fake.cpu.guest.rflags = 0;
	fake.pending_vector = 0x45 | CPU_VECTOR_VALID;
	/* The double's window always finds one. */
	CHECK(svm.ends_halt(&fake.cpu, false));
	CHECK(fake.cpu.host_nmi);
	CHECK_EQ(fake.pending_vector, 0x45 | CPU_VECTOR_VALID);
}

TEST(a_halt_is_slept_through_in_the_host)
{
	fake_svm_start();
	fake.cpu.guest.rflags = RFLAGS_IF;
	CHECK(svm.ends_halt(&fake.cpu, true));
	fake.guest_if = true;
	fake_svm_run(SVM_EXIT_SMI);
	CHECK_EQ(fake.taken[0], 0x46);
	fake.cpu.host_nmi = 0;
	fake.cpu.guest.rflags = 0;
	CHECK(svm.ends_halt(&fake.cpu, true));
	CHECK(fake.cpu.host_nmi);
}

/* ---- What is hidden ------------------------------------------------------ */

static bool is_trapped(u32 index, bool is_write)
{
	static const u32 bases[] = { 0, 0xc0000000, 0xc0010000 };
	const u8 *map = (const u8 *)svm_hide_msr_map().v;

	for (unsigned i = 0; i < ARRAY_COUNT(bases); i++)
		if (index - bases[i] < 0x2000)
			return map[0x800 * i + (index - bases[i]) / 4] >>
				((index - bases[i]) % 4 * 2 + is_write) & 1;
	return true;
}

TEST(only_the_msrs_that_must_be_are_trapped)
{
	u32 writes = 0, reads = 0;

	fake_svm_start();
	for (u32 i = 0; i < 0x2000; i++) {
		writes += is_trapped(i, true) +
			is_trapped(0xc0000000 + i, true) +
			is_trapped(0xc0010000 + i, true);
		reads += is_trapped(i, false) +
			is_trapped(0xc0000000 + i, false) +
			is_trapped(0xc0010000 + i, false);
	}
	/* EFER, five of SVM; APIC_BASE, x2APIC ICR, the base of ECAM. */
	CHECK_EQ(reads, 6);
	CHECK_EQ(writes, 9);
	CHECK(is_trapped(MSR_EFER, true) && is_trapped(MSR_EFER, false));
	CHECK(is_trapped(MSR_VM_HSAVE_PA, true));
	CHECK(is_trapped(MSR_APIC_BASE, true));
	CHECK(!is_trapped(MSR_APIC_BASE, false));
}

TEST(svm_looks_switched_off_for_good)
{
	u64 value;

	fake_svm_start();
	CHECK(svm.msr_read(&fake.cpu, MSR_VM_CR, &value));
	CHECK_EQ(value, VM_CR_SVMDIS | VM_CR_LOCK);
	CHECK(!svm.msr_write(&fake.cpu, MSR_VM_CR, 0));
	CHECK(!svm.msr_read(&fake.cpu, MSR_VM_HSAVE_PA, &value));
	CHECK(!svm.msr_write(&fake.cpu, MSR_VM_HSAVE_PA, 0x1000));
	CHECK(!svm.msr_write(&fake.cpu, MSR_SVM_KEY, 0));
}

TEST(efer_keeps_svme_and_shows_none)
{
	u64 value;

	fake_svm_start();
	fake.cpuid_regs[CPUID_EDX] = BIT(20);	/* NX */
	fake.vmcb->efer = EFER_SVME | EFER_LME | EFER_LMA;
	fake.vmcb->cr0 = CR0_PG;
	CHECK(svm.msr_read(&fake.cpu, MSR_EFER, &value));
	CHECK_EQ(value, EFER_LME | EFER_LMA);
	CHECK(svm.msr_write(&fake.cpu, MSR_EFER,
			    EFER_LME | EFER_NXE | EFER_SCE));
	CHECK_EQ(fake.vmcb->efer, EFER_SVME | EFER_LME | EFER_LMA | EFER_NXE |
		 EFER_SCE);
	CHECK_EQ(fake.vmcb->tlb_control, SVM_TLB_FLUSH_ALL);
	/* Turning SVM on, an absent feature, leaving long mode while paging. */
	CHECK(!svm.msr_write(&fake.cpu, MSR_EFER, EFER_LME | EFER_SVME));
	CHECK(!svm.msr_write(&fake.cpu, MSR_EFER, EFER_LME | EFER_TCE));
	CHECK(!svm.msr_write(&fake.cpu, MSR_EFER, EFER_SCE));
}

TEST(msrs_beyond_the_map_are_the_machines)
{
	u64 value;

	fake_svm_start();
	fake.msr_is_there = true;
	fake.msr_value = 42;
	CHECK(svm.msr_read(&fake.cpu, 0xc0002001, &value));
	CHECK_EQ(value, 42);
	CHECK(svm.msr_write(&fake.cpu, 0xc0002001, 7));
	CHECK_EQ(fake.msr_value, 7);
	fake.msr_is_there = false;
	CHECK(!svm.msr_read(&fake.cpu, 0xc0002001, &value));
	CHECK(!svm.msr_write(&fake.cpu, 0xc0002001, 7));
}

TEST(cpuid_denies_svm_and_what_goes_with_it)
{
	u32 regs[4] = { ~0u, ~0u, ~0u, ~0u };

	svm.hide_cpuid(&fake.cpu, 0x80000001, regs);
	CHECK_EQ(regs[CPUID_ECX], ~(u32)(CPUID_80000001_ECX_SVM |
					 CPUID_80000001_ECX_SKINIT));
	CHECK_EQ(regs[CPUID_EDX], ~0u);
	svm.hide_cpuid(&fake.cpu, CPUID_SVM, regs);
	CHECK(!(regs[0] | regs[1] | regs[2] | regs[3]));
}
