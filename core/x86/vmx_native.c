/* SPDX-License-Identifier: BSD-2-Clause */
/* VMX instructions that C cannot say, one function each. A failure is a
 * mistake of ours. Sections: Intel SDM vol. 3. */
#include "log.h"
#include "vmx_cpu.h"

static void check(bool failed, const char *what, u64 operand)
{
	if (failed)
		panic("%s %#llx failed", what, (unsigned long long)operand);
}

u64 vmread(enum vmcs_field field)
{
	bool failed;
	u64 value;

	__asm__ volatile("vmread %2, %0"
			 : "=rm"(value), "=@ccna"(failed)
			 : "r"((u64)field));
	check(failed, "vmread", field);
	return value;
}

void vmwrite(enum vmcs_field field, u64 value)
{
	bool failed;

	__asm__ volatile("vmwrite %1, %2"
			 : "=@ccna"(failed)
			 : "rm"(value), "r"((u64)field)
			 : "memory");
	check(failed, "vmwrite", field);
}

#define ON_REGION(name)                                                 \
	void name(hpa_t region)                                         \
	{                                                               \
		bool failed;                                            \
                                                                        \
		__asm__ volatile(#name " %1"                            \
				 : "=@ccna"(failed)                     \
				 : "m"(region.v)                        \
				 : "memory");                           \
		check(failed, #name, region.v);                         \
	}

ON_REGION(vmxon)
ON_REGION(vmclear)
ON_REGION(vmptrld)

/* 31.3: type in a register, descriptor in memory */
#define INVALIDATE(name, type, descriptor)                              \
	do {                                                            \
		const u64 operand[2] = { descriptor, 0 };               \
		bool failed;                                            \
                                                                        \
		__asm__ volatile(#name " %1, %2"                        \
				 : "=@ccna"(failed)                     \
				 : "m"(operand), "r"((u64)(type))       \
				 : "memory");                           \
		check(failed, #name, type);                             \
	} while (0)

void invept_all(void)
{
	INVALIDATE(invept, 2, 0);
}

void invvpid_single(u16 vpid)
{
	INVALIDATE(invvpid, 1, vpid);
}
