/* SPDX-License-Identifier: BSD-2-Clause */
/* The whole VMCS for the log, when the processor has refused it. */
#include "log.h"
#include "vmx_cpu.h"

#define FIELD(name) { #name, VMCS_##name }

static const struct {
	const char *name;
	enum vmcs_field field;
} fields[] = {
	FIELD(REASON), FIELD(QUALIFICATION), FIELD(INSTRUCTION_ERROR),
	FIELD(EXIT_EVENT), FIELD(VECTORING), FIELD(GUEST_PHYSICAL),
	FIELD(PIN), FIELD(PROCESSOR), FIELD(PROCESSOR2), FIELD(EXIT),
	FIELD(ENTRY), FIELD(ENTRY_EVENT), FIELD(ENTRY_ERROR),
	FIELD(ENTRY_LENGTH), FIELD(IO_MAP_A), FIELD(IO_MAP_B),
	FIELD(MSR_MAP), FIELD(EPTP), FIELD(VPID), FIELD(LINK),
	FIELD(CR0_MASK), FIELD(CR0_SHADOW), FIELD(CR4_MASK),
	FIELD(CR4_SHADOW), FIELD(GUEST_CR0), FIELD(GUEST_CR3),
	FIELD(GUEST_CR4), FIELD(GUEST_EFER), FIELD(GUEST_PAT),
	FIELD(GUEST_DR7), FIELD(GUEST_RSP), FIELD(GUEST_RIP),
	FIELD(GUEST_RFLAGS), FIELD(GUEST_INTERRUPTIBILITY),
	FIELD(GUEST_ACTIVITY), FIELD(GUEST_PENDING_DEBUG),
	FIELD(GUEST_DEBUGCTL), FIELD(GUEST_SYSENTER_CS),
	FIELD(GUEST_SYSENTER_ESP), FIELD(GUEST_SYSENTER_EIP),
	FIELD(GUEST_GDTR_BASE), FIELD(GUEST_GDTR_LIMIT),
	FIELD(GUEST_IDTR_BASE), FIELD(GUEST_IDTR_LIMIT), FIELD(HOST_CR0),
	FIELD(HOST_CR3), FIELD(HOST_CR4), FIELD(HOST_EFER), FIELD(HOST_PAT),
	FIELD(HOST_CS), FIELD(HOST_SS), FIELD(HOST_DS), FIELD(HOST_TR),
	FIELD(HOST_TR_BASE), FIELD(HOST_GDTR_BASE), FIELD(HOST_IDTR_BASE),
	FIELD(HOST_RSP), FIELD(HOST_RIP),
};

static const char *const segments[] = {
	[VMCS_ES] = "ES", [VMCS_CS] = "CS",     [VMCS_SS] = "SS",
	[VMCS_DS] = "DS", [VMCS_FS] = "FS",     [VMCS_GS] = "GS",
	[VMCS_TR] = "TR", [VMCS_LDTR] = "LDTR",
};

void vmx_dump(void)
{
	for (size_t i = 0; i < ARRAY_COUNT(fields); i++)
		log_error("vmcs: %-22s %#llx", fields[i].name,
			  (unsigned long long)vmread(fields[i].field));
	for (unsigned i = 0; i < ARRAY_COUNT(segments); i++)
		log_error("vmcs: %-4s %#llx base %#llx limit %#llx rights %#llx",
			  segments[i],
			  (unsigned long long)vmread(VMCS_SELECTOR(i)),
			  (unsigned long long)vmread(VMCS_BASE(i)),
			  (unsigned long long)vmread(VMCS_LIMIT(i)),
			  (unsigned long long)vmread(VMCS_RIGHTS(i)));
}
