/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Over the IRET that ends an NMI's handler, in a single step: the next NMI
 * follows it at once, and not at the next exit, which may be far. Sections:
 * APM vol. 2.
 */
#include "svm_cpu.h"
#include "spec/x86.h"

void svm_step_begin(struct cpu *cpu)
{
	struct svm_cpu *svm = svm_of(cpu);

	svm->is_stepping = true;
	svm->step_is_guests = cpu->guest.rflags & RFLAGS_TF;
	svm->step_dr6 = svm->vmcb->dr6;
	svm->vmcb->intercept_exception |= BIT(VECTOR_DB);
	cpu->guest.rflags |= RFLAGS_TF;
}

/*
 * The trap comes with the flags that the IRET has loaded (13.1.4), which are
 * the guest's again. Something else may have come before it was through.
 */
bool svm_step_end(struct cpu *cpu)
{
	struct svm_cpu *svm = svm_of(cpu);
	bool is_through = svm->vmcb->exit_code == SVM_EXIT_DB;

	svm->is_stepping = false;
	svm->vmcb->intercept_exception &= ~BIT(VECTOR_DB);
	if (is_through && !svm->step_is_guests)
		svm->vmcb->dr6 = svm->step_dr6;
	if (!is_through && !svm->step_is_guests)
		cpu->guest.rflags &= ~RFLAGS_TF;
	return is_through && svm->step_is_guests;
}
