/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The VMX controls Sluice runs with: what must be, what helps where it is
 * there, and what the processor insists on. Sections: Intel SDM vol. 3,
 * appendix A.
 */
#include "spec/x86.h"
#include "vmx_cpu.h"

struct wish {
	u32 capability;		/* MSR: may be 0 below, may be 1 above, A.3 */
	u32 needed, welcome;
	u32 *result;
	const char *missing;
};

/* False: a bit that is needed cannot be had. */
static bool choose(const struct wish *wish)
{
	u64 capability = rdmsr(wish->capability);
	u32 must = capability, may = capability >> 32;

	*wish->result |= must | wish->needed | (wish->welcome & may);
	return !(*wish->result & ~may);
}

static const char *choose_controls(struct vmx_controls *controls)
{
	const struct wish wishes[] = {
		{ MSR_VMX_TRUE_PIN, VMX_PIN_NMI | VMX_PIN_VIRTUAL_NMI,
		  VMX_PIN_TIMER, &controls->pin, "virtual NMIs" },
		{ MSR_VMX_TRUE_PROCESSOR,
		  VMX_PROCESSOR_IO_MAPS | VMX_PROCESSOR_MSR_MAPS |
			  VMX_PROCESSOR_SECONDARY | VMX_PROCESSOR_MWAIT, 0,
		  &controls->processor, "I/O and MSR bitmaps" },
		{ MSR_VMX_PROCESSOR2, VMX_PROCESSOR2_EPT, 0,
		  &controls->processor2, "EPT" },
		{ MSR_VMX_PROCESSOR2, VMX_PROCESSOR2_VPID, 0,
		  &controls->processor2, "VPID" },
		{ MSR_VMX_PROCESSOR2, VMX_PROCESSOR2_UNRESTRICTED,
		  VMX_PROCESSOR2_RDTSCP | VMX_PROCESSOR2_INVPCID |
			  VMX_PROCESSOR2_CONCEAL_PT | VMX_PROCESSOR2_XSAVES |
			  VMX_PROCESSOR2_USER_WAIT | VMX_PROCESSOR2_PCONFIG,
		  &controls->processor2, "unrestricted guest" },
		{ MSR_VMX_TRUE_EXIT,
		  VMX_EXIT_SAVE_DEBUG | VMX_EXIT_HOST_64 |
			  VMX_EXIT_ACKNOWLEDGE | VMX_EXIT_SAVE_PAT |
			  VMX_EXIT_LOAD_PAT | VMX_EXIT_SAVE_EFER |
			  VMX_EXIT_LOAD_EFER,
		  VMX_EXIT_CONCEAL_PT, &controls->exit,
		  "exit controls for PAT and EFER" },
		{ MSR_VMX_TRUE_ENTRY,
		  VMX_ENTRY_LOAD_DEBUG | VMX_ENTRY_LOAD_PAT |
			  VMX_ENTRY_LOAD_EFER,
		  VMX_ENTRY_CONCEAL_PT, &controls->entry,
		  "entry controls for PAT and EFER" },
	};

	for (size_t i = 0; i < ARRAY_COUNT(wishes); i++)
		if (!choose(&wishes[i]))
			return wishes[i].missing;
	return NULL;
}

static const char *check_ept(struct vmx_controls *controls)
{
	u64 needed = VMX_EPT_WALK_4 | VMX_EPT_WRITE_BACK | VMX_EPT_2M |
		     VMX_EPT_INVEPT | VMX_EPT_INVEPT_ALL | VMX_EPT_INVVPID |
		     VMX_EPT_INVVPID_SINGLE;
	u64 capability = rdmsr(MSR_VMX_EPT);

	controls->has_1g_pages = capability & VMX_EPT_1G;
	return (capability & needed) == needed
		       ? NULL
		       : "EPT with 2 MiB pages and the means to flush it";
}

const char *vmx_control_init(struct vmx_controls *controls)
{
	u64 basic = rdmsr(MSR_VMX_BASIC);
	const char *missing;

	*controls = (struct vmx_controls){ 0 };
	if (!(basic & VMX_BASIC_TRUE))
		return "controls that can be cleared";
	if (FIELD_GET(VMX_BASIC_TYPE, basic) != VMX_TYPE_WRITE_BACK)
		return "a VMCS in write-back memory";
	missing = choose_controls(controls);
	if (missing)
		return missing;
	/* Now and then, see vmx_timer.c. */
	controls->has_timer = controls->pin & VMX_PIN_TIMER;
	controls->pin &= ~VMX_PIN_TIMER;
	controls->processor &= ~VMX_PROCESSOR_MWAIT;
	controls->has_xsaves = controls->processor2 & VMX_PROCESSOR2_XSAVES;
	return check_ept(controls);
}

static void set_bit(enum vmcs_field field, u32 *controls, u32 bit, bool on)
{
	u32 wanted = on ? *controls | bit : *controls & ~bit;

	if (wanted == *controls)
		return;
	*controls = wanted;
	vmwrite(field, wanted);
}

void vmx_set_pin(struct vmx_cpu *vmx_cpu, u32 bit, bool on)
{
	set_bit(VMCS_PIN, &vmx_cpu->pin, bit, on);
}

void vmx_set_processor(struct vmx_cpu *vmx_cpu, u32 bit, bool on)
{
	set_bit(VMCS_PROCESSOR, &vmx_cpu->processor, bit, on);
}
