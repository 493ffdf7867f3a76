/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Sluice's timers end a run of the guest by the VMX-preemption timer, whether
 * the guest is busy or halted. Sections: Intel SDM vol. 3.
 */
#include "bits.h"
#include "clock.h"
#include "cpu.h"
#include "timer.h"
#include "vmx_cpu.h"

#define WAIT_MAX_US 1000000	/* fits 32 bits at any rate (A.6) */

static bool is_there;
static unsigned rate;

void vmx_timer_init(const struct vmx_controls *controls)
{
	is_there = controls->has_timer;
	rate = FIELD_GET(VMX_MISC_TIMER_RATE, rdmsr(MSR_VMX_MISC));
}

static u64 wait_us(void)
{
	u64 now_us = clock_now_us(), next_us = timer_next_us();

	return next_us > now_us ? MIN(next_us - now_us, WAIT_MAX_US) : 0;
}

/*
 * It stands still in states deeper than C2 (26.5.1), which only MWAIT enters:
 * that exits meanwhile, and ends at once.
 */
void vmx_timer_load(struct vmx_cpu *vmx_cpu)
{
	bool on = is_there && timer_is_pending();

	vmx_set_pin(vmx_cpu, VMX_PIN_TIMER, on);
	vmx_set_processor(vmx_cpu, VMX_PROCESSOR_MWAIT, on);
	if (on)
		vmwrite(VMCS_TIMER, (clock_ticks(wait_us()) >> rate) + 1);
}
