/* SPDX-License-Identifier: BSD-2-Clause */
/* The loader's calls (include/boot_info.h), and what each sets up. */
#include <errno.h>
#include <stdio.h>

#include "boot_info.h"
#include "acpi.h"
#include "bits.h"
#include "clock_init.h"
#include "console.h"
#include "iommu/iommu.h"
#include "ioport.h"
#include "last_words_init.h"
#include "log_init.h"
#include "memory.h"
#include "page.h"
#include "pci_bus.h"
#include "pci_config.h"
#include "pci_trap.h"
#include "settings.h"
#include "sleep.h"
#include "status_init.h"
#include "vt.h"
#include "x86/apic.h"
#include "x86/cpu.h"
#include "x86/gmem_init.h"
#include "x86/idt.h"
#include "x86/mtrr.h"
#include "x86/paging.h"
#include "x86/slat.h"

/* Called by sluice_boot in entry.S. */
long boot_called(enum boot_call call, struct boot_info *info,
		 const struct cpu_caller *caller);

static long explain(struct boot_info *info, const char *what, int error)
{
	if (error && !info->error[0])
		snprintf(info->error, sizeof(info->error), "%s (error %d)%s",
			 what, -error,
			 error == -ENOMEM ? ": raise memory= in sluice.conf"
					  : "");
	return error;
}

static long probe(struct boot_info *info)
{
	const char *why_not = vt_select();

	if (!why_not)
		return 0;
	snprintf(info->error, sizeof(info->error), "%s", why_not);
	return -ENODEV;
}

static int prepare_memory(struct boot_info *info)
{
	u64 used = align_up(info->image_size, PAGE_SIZE);

	gmem_init(info);
	mtrr_init();
	/* The last page is for last words. */
	return page_init(info->memory_base + used,
			 info->memory_size - used - PAGE_SIZE);
}

static int prepare_machine(struct boot_info *info)
{
	int error;

	error = vt->init();
	if (!error)
		error = slat_init(info->memory_base, info->memory_size);
	if (!error)
		error = paging_init(info);
	if (!error)
		error = cpu_init(info->cpu_count);
	return error;
}

static long prepare(struct boot_info *info)
{
	char vendor[CPU_VENDOR_SIZE];
	int error;

	clock_init(info->tsc_hz);
	log_init(info->config.log_level);
	status_init(info);
	console_init(info->config.log_sink);
	last_words_init(info);
	vt_select();
	error = prepare_memory(info);
	if (error)
		return explain(info, "memory= is too small", error);
	error = settings_apply(info);
	if (error)
		return error;
	idt_init();
	error = prepare_machine(info);
	if (error)
		return explain(info, "could not prepare the machine", error);
	cpu_vendor(vendor);
	log_info("CPUID says %s, %s", vendor, vt->means);
	log_info("%s, %u CPUs, %u MiB at %#llx", vt->name, info->cpu_count,
		 info->config.memory_mib,
		 (unsigned long long)info->memory_base);
	return 0;
}

static void trap_ports(u16 first, u16 last, void *unused)
{
	(void)unused;
	for (u32 port = first; port <= last; port++)
		vt->trap_port(port);
}

/*
 * With it the operating system would give its devices addresses that mean
 * nothing to Sluice, and its queues would be out of their reach.
 */
static void hide_iommu(void)
{
	bool is_amd = acpi_hide(ACPI_IVRS_SIGNATURE);
	bool is_intel = acpi_hide(ACPI_DMAR_SIGNATURE);

	if (is_amd || is_intel)
		log_info("iommu: hidden");
}

static long attach(struct boot_info *info)
{
	int error;

	error = apic_init(info->config.apic);
	if (error)
		return explain(info, "could not trap the APIC", error);
	acpi_init(info->rsdp);
	iommu_init(info);
	hide_iommu();
	error = sleep_init();
	if (error)
		return explain(info, "could not keep the guest from S3", error);
	pci_config_init();
	error = pci_trap_init();
	if (error)
		return explain(info, "could not trap PCI config space", error);
	if (!pci_bus_attach())
		log_warn("no driver found a device: nothing to stand before");
	ioport_for_each(trap_ports, NULL);
	return 0;
}

long boot_called(enum boot_call call, struct boot_info *info,
		 const struct cpu_caller *caller)
{
	switch (call) {
	case BOOT_PROBE:
		return probe(info);
	case BOOT_PREPARE:
		return prepare(info);
	case BOOT_ATTACH:
		return attach(info);
	case BOOT_LAUNCH:
		return cpu_launch(caller);
	}
	return -ENOSYS;
}
