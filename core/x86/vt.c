/* SPDX-License-Identifier: BSD-2-Clause */
/* Chooses the back end by what the processor announces. */
#include <stdio.h>

#include "bits.h"
#include "cpu.h"
#include "svm.h"
#include "vmx.h"

HOT_DATA const struct vt *vt = &svm;

const char *vt_select(void)
{
	static const struct vt *const back_ends[] = { &svm, &vmx };
	static char why_not[100];
	char vendor[CPU_VENDOR_SIZE];

	for (size_t i = 0; i < ARRAY_COUNT(back_ends); i++) {
		if (!back_ends[i]->is_there())
			continue;
		vt = back_ends[i];
		return vt->probe();
	}
	cpu_vendor(vendor);
	snprintf(why_not, sizeof(why_not),
		 "this processor has neither AMD SVM nor Intel VMX (VT-x): "
		 "CPUID says %s", vendor);
	return why_not;
}
