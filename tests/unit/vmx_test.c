/* SPDX-License-Identifier: BSD-2-Clause */
/* Intel's back end: what it needs, its guest's state, exits and what is
 * hidden. */
#include <string.h>

#include "../../core/x86/mtrr.h"
#include "../../core/x86/slat.h"
#include "../../core/x86/vmx.h"
#include "fake_log.h"
#include "fake_panic.h"
#include "fake_vmx.h"
#include "page.h"
#include "spec/x86.h"
#include "test.h"

extern u8 vmx_exited[];

/* ---- What is needed ---- */

TEST(what_is_missing_is_told)
{
	fake_vmx_start();
	CHECK(vmx.is_there());
	fake.has_vmx = false;
	CHECK(!vmx.is_there());
	fake.feature_control = FEATURE_CONTROL_LOCK;
	CHECK(strstr(vmx.probe(), "firmware setup"));
	fake.feature_control |= FEATURE_CONTROL_VMX;
	CHECK(!vmx.probe());
	fake.ept_capability &= ~VMX_EPT_INVEPT;
	CHECK(strstr(vmx.probe(), "no EPT with"));
}

TEST(an_older_processor_is_told_what_it_lacks)
{
	fake_vmx_start();
	fake.processor2_may = ~(u32)VMX_PROCESSOR2_UNRESTRICTED;
	CHECK_STR(vmx.probe(),
		  "this processor's VMX has no unrestricted guest");
	fake.processor2_may = ~(u32)VMX_PROCESSOR2_VPID;
	CHECK_STR(vmx.probe(), "this processor's VMX has no VPID");
	fake.processor2_may = 0;
	CHECK_STR(vmx.probe(), "this processor's VMX has no EPT");
	fake.processor2_may = ~0u;
	fake.pin_may &= ~(u32)VMX_PIN_VIRTUAL_NMI;
	CHECK_STR(vmx.probe(), "this processor's VMX has no virtual NMIs");
}

TEST(without_1_gib_pages_there_are_smaller_ones)
{
	fake_vmx_start();
	CHECK(vmx.slat_has_1g_pages());
	fake.ept_capability &= ~VMX_EPT_1G;
	CHECK(!vmx.probe());
	CHECK(!vmx.slat_has_1g_pages());
}

TEST(a_register_that_firmware_left_unlocked_is_locked)
{
	fake_vmx_start();
	CHECK_EQ(fake.feature_control,
		 FEATURE_CONTROL_LOCK | FEATURE_CONTROL_VMX);
}

TEST(a_register_that_firmware_has_locked_is_left_alone)
{
	fake_vmx_start();
	fake.feature_control = FEATURE_CONTROL_LOCK | FEATURE_CONTROL_VMX;
	CHECK(!vmx.probe());
	vmx.capture(&fake.cpu);	/* its wrmsr() insists on no lock */
}

TEST(what_only_some_processors_have_is_used_where_it_is)
{
	fake_vmx_start();
	CHECK(fake.vmcs[VMCS_PROCESSOR2] & VMX_PROCESSOR2_XSAVES);
	fake.processor2_may = VMX_PROCESSOR2_EPT | VMX_PROCESSOR2_VPID |
			 VMX_PROCESSOR2_UNRESTRICTED;
	CHECK(!vmx.probe());
	vmx.capture(&fake.cpu);
	CHECK_EQ(fake.vmcs[VMCS_PROCESSOR2], fake.processor2_may);
}

/* ---- The guest's state ---- */

TEST(at_launch_the_guest_is_what_the_processor_was)
{
	fake_vmx_start();
	CHECK_EQ(fake.vmcs[VMCS_GUEST_CR3], 0x5000);
	CHECK(fake.vmcs[VMCS_ENTRY] & VMX_ENTRY_GUEST_64);
	CHECK_EQ(fake.vmcs[VMCS_LINK], VMCS_LINK_NONE);
	/* Firmware has no TSS; an entry insists on a busy one. */
	CHECK_EQ(fake.vmcs[VMCS_RIGHTS(VMCS_TR)], 0x8b);
	CHECK_EQ(fake.vmcs[VMCS_RIGHTS(VMCS_LDTR)], VMX_SEGMENT_UNUSABLE);
	/* Bits 8-11 of the rights are reserved (25.4.1). */
	CHECK_EQ(fake.vmcs[VMCS_RIGHTS(VMCS_CS)] & 0xf00, 0);
	CHECK(fake.vmcs[VMCS_RIGHTS(VMCS_CS)] & BIT(13));
}

static struct vt_paging start_64bit(void)
{
	fake_vmx_start();
	fake.vmcs[VMCS_GUEST_EFER] = EFER_LME | EFER_LMA;
	fake.vmcs[VMCS_RIGHTS(VMCS_CS)] = SEGMENT_LONG << 4;
	vmx.load_context(&fake.cpu);
	CHECK(vmx.is_64bit_under(&fake.cpu, &fake.cpu.paging));
	return fake.cpu.paging;
}

TEST(sixty_four_bit_code_has_its_mode_and_paging)
{
	static const enum vmcs_field words[] = {
		VMCS_GUEST_CR0, VMCS_GUEST_CR3, VMCS_GUEST_CR4,
		VMCS_GUEST_EFER,
	};
	struct vt_paging paging;

	for (size_t i = 0; i < ARRAY_COUNT(words); i++) {
		paging = start_64bit();
		fake.vmcs[words[i]] ^= BIT(12);
		CHECK(!vmx.is_64bit_under(&fake.cpu, &paging));
	}
	paging = start_64bit();
	fake.vmcs[VMCS_RIGHTS(VMCS_SS)] |= SEGMENT_DPL;
	CHECK(!vmx.is_64bit_under(&fake.cpu, &paging));
	paging.is_user = true;
	CHECK(vmx.is_64bit_under(&fake.cpu, &paging));
	fake.vmcs[VMCS_RIGHTS(VMCS_CS)] = SEGMENT_DEFAULT_32 << 4;
	CHECK(!vmx.is_64bit_under(&fake.cpu, &paging));
}

TEST(the_host_is_known_before_the_first_entry)
{
	fake_vmx_start();
	fake_vmx_run(VMX_REASON_NMI_WINDOW);
	CHECK_EQ(fake.vmcs[VMCS_HOST_RIP], (u64)vmx_exited);
	CHECK(fake.vmcs[VMCS_HOST_TR]);
	CHECK(fake.vmcs[VMCS_HOST_CR4] & CR4_OSXSAVE);
}

/* 27.2 and 27.3: all that an entry looks at, and an exit loads. */
TEST(no_field_that_is_used_is_left_undefined)
{
	static const struct {
		u32 first, count;
	} ranges[] = {
		{ VMCS_VPID, 1 }, { VMCS_GUEST_ES, 8 }, { VMCS_HOST_ES, 7 },
		{ VMCS_IO_MAP_A, 3 }, { VMCS_EPTP, 1 }, { VMCS_LINK, 4 },
		{ VMCS_HOST_PAT, 2 }, { VMCS_PIN, 12 },
		{ VMCS_PROCESSOR2, 1 }, { VMCS_GUEST_ES_LIMIT, 18 },
		{ VMCS_GUEST_INTERRUPTIBILITY, 2 },
		{ VMCS_GUEST_SYSENTER_CS, 1 }, { VMCS_HOST_SYSENTER_CS, 1 },
		{ VMCS_CR0_MASK, 4 }, { VMCS_GUEST_CR0, 20 },
		{ VMCS_HOST_CR0, 10 }, { VMCS_HOST_RIP, 1 },
	};

	fake_vmx_start();
	fake_vmx_run(VMX_REASON_CPUID);
	for (size_t i = 0; i < ARRAY_COUNT(ranges); i++)
		for (u32 j = 0; j < ranges[i].count; j++)
			CHECK(fake.vmcs[ranges[i].first + 2 * j] !=
			      FAKE_VMX_UNDEFINED);
}

TEST(an_init_leaves_the_state_of_table_10_1)
{
	fake_vmx_start();
	fake.vmcs[VMCS_GUEST_CR0] |= CR0_CD;
	fake.vmcs[VMCS_GUEST_EFER] = EFER_LME | EFER_LMA;
	vmx.reset(&fake.cpu);
	CHECK_EQ(fake.vmcs[VMCS_CR0_SHADOW], CR0_CD | CR0_ET);
	CHECK(fake.vmcs[VMCS_GUEST_CR0] & CR0_NE);
	CHECK_EQ(fake.vmcs[VMCS_GUEST_EFER], 0);
	CHECK(!(fake.vmcs[VMCS_ENTRY] & VMX_ENTRY_GUEST_64));
	CHECK_EQ(fake.vmcs[VMCS_SELECTOR(VMCS_CS)], 0xf000);
	CHECK_EQ(fake.vmcs[VMCS_RIGHTS(VMCS_CS)], 0x9b);
	CHECK_EQ(fake.vmcs[VMCS_RIGHTS(VMCS_SS)], 0x93);
	CHECK_EQ(fake.vmcs[VMCS_RIGHTS(VMCS_LDTR)], 0x82);
	CHECK_EQ(fake.cpu.guest.rip, 0xfff0);
	CHECK_EQ(fake.cpu.guest.gpr[INSN_RDX], 0x806c1);
	CHECK_EQ(fake.vmcs[VMCS_GUEST_ACTIVITY], VMX_ACTIVE);
	vmx.wait_for_startup(&fake.cpu);
	CHECK_EQ(fake.vmcs[VMCS_GUEST_ACTIVITY], VMX_WAIT_STARTUP);
	fake.vmcs[VMCS_GUEST_INTERRUPTIBILITY] = BIT(2);
	vmx.start(&fake.cpu, 0x9f);
	CHECK_EQ(fake.vmcs[VMCS_GUEST_INTERRUPTIBILITY], 0);
	CHECK_EQ(fake.vmcs[VMCS_GUEST_ACTIVITY], VMX_ACTIVE);
	CHECK_EQ(fake.vmcs[VMCS_SELECTOR(VMCS_CS)], 0x9f00);
	CHECK_EQ(fake.vmcs[VMCS_BASE(VMCS_CS)], 0x9f000);
	CHECK_EQ(fake.cpu.guest.rip, 0);
}

TEST(an_init_and_a_sipi_exit)
{
	fake_vmx_start();
	CHECK_EQ(fake_vmx_run(VMX_REASON_INIT), VT_EXIT_INIT);
	fake.next_qualification = 0x9f;
	CHECK_EQ(fake_vmx_run(VMX_REASON_STARTUP), VT_EXIT_STARTUP);
	CHECK_EQ(fake.last.startup_vector, 0x9f);
}

/* ---- Exits ---- */

TEST(a_nested_fault_tells_where_and_what)
{
	fake_vmx_start();
	fake.vmcs[VMCS_GUEST_PHYSICAL] = 0xfee00300;
	fake.next_qualification = VMX_EPT_WRITE | VMX_EPT_FINAL |
				  VMX_EPT_LINEAR;
	CHECK_EQ(fake_vmx_run(VMX_REASON_EPT_VIOLATION), VT_EXIT_SLAT);
	CHECK_EQ(fake.last.slat.address.v, 0xfee00300);
	CHECK(fake.last.slat.is_write);
	CHECK_EQ(fake.last.slat.whose, VT_ACCESS_INSTRUCTION);
	/* Of a load of PDPTEs by MOV to CR3 that bit says nothing. */
	fake.next_qualification = VMX_EPT_FINAL;
	fake_vmx_run(VMX_REASON_EPT_VIOLATION);
	CHECK_EQ(fake.last.slat.whose, VT_ACCESS_WALK);
}

/* Bits above the basic reason tell more of it: here, that an enclave ran. */
TEST(an_exit_from_an_enclave_is_one_like_others)
{
	fake_vmx_start();
	CHECK_EQ(fake_vmx_run(VMX_REASON_ENCLAVE | VMX_REASON_CPUID),
		 VT_EXIT_CPUID);
}

TEST(port_exits_tell_port_size_and_direction)
{
	fake_vmx_start();
	fake.next_qualification = 0xcf8ull << 16 | 3;
	CHECK_EQ(fake_vmx_run(VMX_REASON_IO), VT_EXIT_IO);
	CHECK_EQ(fake.last.io.port, 0xcf8);
	CHECK_EQ(fake.last.io.size, 4);
	CHECK(fake.last.io.is_write && !fake.last.io.is_string);
	CHECK_EQ(fake.last.length, 3);
	fake.next_qualification = 0xcfcull << 16 | VMX_IO_IN | VMX_IO_REP;
	fake_vmx_run(VMX_REASON_IO);
	CHECK(!fake.last.io.is_write && fake.last.io.is_string);
}

TEST(instructions_of_vmx_are_hidden)
{
	fake_vmx_start();
	for (u32 reason = VMX_REASON_VMCALL; reason <= VMX_REASON_VMXON;
	     reason++)
		CHECK_EQ(fake_vmx_run(reason), VT_EXIT_HIDDEN);
	CHECK_EQ(fake_vmx_run(VMX_REASON_INVEPT), VT_EXIT_HIDDEN);
	CHECK_EQ(fake_vmx_run(VMX_REASON_INVVPID), VT_EXIT_HIDDEN);
	CHECK_EQ(fake_vmx_run(VMX_REASON_GETSEC), VT_EXIT_HIDDEN);
	CHECK_EQ(fake_vmx_run(VMX_REASON_SEAMCALL), VT_EXIT_HIDDEN);
	CHECK_EQ(fake_vmx_run(VMX_REASON_TDCALL), VT_EXIT_HIDDEN);
}

static void misconfigure(void)
{
	fake_vmx_run(VMX_REASON_EPT_MISCONFIGURATION);
}

static void exit_for_nothing(void)
{
	fake_vmx_run(VMX_REASON_HLT);
}

static void enter_badly(void)
{
	fake_vmx_run(VMX_REASON_ENTRY_FAILED | 33);
}

TEST(what_only_a_mistake_of_ours_brings_about_is_a_panic)
{
	fake_vmx_start();
	CHECK_PANICS(misconfigure);
	CHECK_PANICS(exit_for_nothing);
	CHECK_PANICS(enter_badly);
}

TEST(a_refused_entry_leaves_the_vmcs_in_the_log)
{
	fake_vmx_start();
	fake.vmcs[VMCS_SELECTOR(VMCS_CS)] = 0xf000;
	fake.vmcs[VMCS_BASE(VMCS_CS)] = 0xffff0000;
	fake.vmcs[VMCS_LIMIT(VMCS_CS)] = 0xffff;
	fake.vmcs[VMCS_RIGHTS(VMCS_CS)] = 0x9b;
	CHECK_PANICS(enter_badly);
	CHECK(fake_log_has("vmcs: REASON                 0x80000021\n"));
	CHECK(fake_log_has("vmcs: GUEST_CR3              0x5000\n"));
	CHECK(fake_log_has("vmcs: CS   0xf000 base 0xffff0000 limit 0xffff "
			   "rights 0x9b\n"));
}

TEST(a_task_switch_fails_as_one_to_an_invalid_tss)
{
	fake_vmx_start();
	fake.next_qualification = 2ull << 30 | 0x28;	/* a far JMP */
	CHECK_EQ(fake_vmx_run(VMX_REASON_TASK_SWITCH), VT_EXIT_HANDLED);
	fake_vmx_run(VMX_REASON_CPUID);
	CHECK_EQ(fake.taken[0], VECTOR_TS);
	CHECK_EQ(fake.vmcs[VMCS_ENTRY_ERROR], 0x28);
}

TEST(a_task_switch_for_a_double_fault_is_a_shutdown)
{
	fake_vmx_start();
	fake.next_qualification = 3ull << 30 | 0x28;
	fake.next_vectoring = VMX_EVENT_VALID | VMX_EVENT_HAS_ERROR |
			 FIELD_PREP(VMX_EVENT_TYPE, VMX_EVENT_EXCEPTION) |
			 VECTOR_DF;
	CHECK_EQ(fake_vmx_run(VMX_REASON_TASK_SWITCH), VT_EXIT_SHUTDOWN);
}

TEST(vmx_is_in_no_cpuid_and_no_msr)
{
	u32 regs[4] = { 0, 0, ~0u, 0 };
	u64 value;

	fake_vmx_start();
	vmx.hide_cpuid(&fake.cpu, 1, regs);
	CHECK(!(regs[CPUID_ECX] & (CPUID_1_ECX_VMX | CPUID_1_ECX_SMX)));
	CHECK(vmx.msr_read(&fake.cpu, MSR_FEATURE_CONTROL, &value));
	CHECK_EQ(value, FEATURE_CONTROL_LOCK);
	/* What else is in there is the guest's: local machine checks, SGX. */
	fake.feature_control |= BIT(20) | BIT(18) | BIT(15) | BIT(1);
	CHECK(vmx.msr_read(&fake.cpu, MSR_FEATURE_CONTROL, &value));
	CHECK_EQ(value, FEATURE_CONTROL_LOCK | BIT(20) | BIT(18));
	CHECK(!vmx.msr_write(&fake.cpu, MSR_FEATURE_CONTROL, 5));
	CHECK(!vmx.msr_read(&fake.cpu, MSR_VMX_BASIC, &value));
	CHECK(!vmx.msr_write(&fake.cpu, MSR_VMX_BASIC, 0));
}

TEST(the_bits_vmx_needs_look_as_the_guest_has_set_them)
{
	fake_vmx_start();
	CHECK(fake.vmcs[VMCS_GUEST_CR4] & CR4_VMXE);
	CHECK(!(fake.vmcs[VMCS_CR4_SHADOW] & CR4_VMXE));
	CHECK(fake.vmcs[VMCS_GUEST_CR0] & CR0_NE);
	CHECK(!(fake.vmcs[VMCS_CR0_SHADOW] & CR0_NE));
	/* It sets NE: the same instruction is run again and does the rest. */
	fake.cpu.guest.gpr[INSN_RBX] = CR0_PE | CR0_NE;
	fake.cpu.guest.rip = 0x1000;
	fake.next_qualification = FIELD_PREP(VMX_CR_GPR, INSN_RBX);
	CHECK_EQ(fake_vmx_run(VMX_REASON_CR_ACCESS), VT_EXIT_HANDLED);
	CHECK(fake.vmcs[VMCS_CR0_SHADOW] & CR0_NE);
	CHECK_EQ(fake.cpu.guest.rip, 0x1000);
	fake_vmx_run(VMX_REASON_CPUID);
	CHECK_EQ(fake.taken_count, 0);
}

TEST(a_guest_cannot_switch_vmx_on)
{
	fake_vmx_start();
	fake.next_qualification = 4;
	fake_vmx_run(VMX_REASON_CR_ACCESS);
	fake.next_qualification = 0;
	fake_vmx_run(VMX_REASON_CPUID);
	CHECK_EQ(fake.taken[0], VECTOR_GP);
}

TEST(the_processor_judges_xcr0)
{
	fake_vmx_start();
	fake.cpu.guest.rip = 0x1000;
	fake.cpu.guest.gpr[INSN_RAX] = 7;
	fake_vmx_run(VMX_REASON_XSETBV);
	CHECK_EQ(fake.xcr0, 7);
	CHECK_EQ(fake.cpu.guest.rip, 0x1003);
	fake.cpu.guest.gpr[INSN_RAX] = 0;
	fake_vmx_run(VMX_REASON_XSETBV);
	fake_vmx_run(VMX_REASON_CPUID);
	CHECK_EQ(fake.xcr0, 7);
	CHECK_EQ(fake.taken[0], VECTOR_GP);
}

TEST(a_new_memory_type_reaches_the_nested_tables)
{
	fake_vmx_start();
	CHECK(vmx.msr_write(&fake.cpu, MSR_MTRR_DEFAULT, 0xc06));
	CHECK_EQ(fake.type_updates, 1);
	CHECK_EQ(vmx.slat->type(0), FIELD_PREP(EPT_MEMORY_TYPE, 6));
}

TEST(a_flush_comes_with_the_next_entry)
{
	fake_vmx_start();
	fake_vmx_run(VMX_REASON_CPUID);
	fake.flush_count = 0;
	vmx.flush(&fake.cpu);
	fake_vmx_run(VMX_REASON_CPUID);
	CHECK_EQ(fake.flush_count, 1);
	fake_vmx_run(VMX_REASON_CPUID);
	CHECK_EQ(fake.flush_count, 1);
}

TEST(trapped_ports_stand_in_the_bitmaps)
{
	fake_vmx_start();
	vmx.trap_port(0xcf8);
	CHECK(((u8 *)fake.vmcs[VMCS_IO_MAP_A])[0xcf8 / 8] & BIT(0xcf8 % 8));
	vmx.trap_port(0x8001);
	CHECK(((u8 *)fake.vmcs[VMCS_IO_MAP_B])[1 / 8] & BIT(1));
}
