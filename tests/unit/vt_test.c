/* SPDX-License-Identifier: BSD-2-Clause */
/* Which back end is chosen, and what is said where there is none. */
#include <string.h>

#include "../../core/x86/cpu.h"
#include "../../core/x86/svm.h"
#include "../../core/x86/vmx.h"
#include "test.h"

static bool has_svm, has_vmx;
static const char *trouble;

static bool svm_is_there(void)
{
	return has_svm;
}

static bool vmx_is_there(void)
{
	return has_vmx;
}

static const char *probe(void)
{
	return trouble;
}

const struct vt svm = { .is_there = svm_is_there, .probe = probe };
const struct vt vmx = { .is_there = vmx_is_there, .probe = probe };

void cpu_vendor(char name[CPU_VENDOR_SIZE])
{
	strcpy(name, "CentaurHauls");
}

TEST(the_one_that_the_processor_announces_is_chosen)
{
	has_svm = true;
	CHECK(!vt_select());
	CHECK(vt == &svm);
	has_svm = false;
	has_vmx = true;
	CHECK(!vt_select());
	CHECK(vt == &vmx);
}

TEST(what_it_cannot_is_passed_on)
{
	has_vmx = true;
	trouble = "no";
	CHECK_STR(vt_select(), "no");
}

TEST(where_there_is_none_the_processor_is_named)
{
	CHECK_STR(vt_select(), "this processor has neither AMD SVM nor Intel "
			       "VMX (VT-x): CPUID says CentaurHauls");
}
