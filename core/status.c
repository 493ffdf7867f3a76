/* SPDX-License-Identifier: BSD-2-Clause */
/* See status.h. */
#include <stdio.h>

#include "bits.h"
#include "boot_info.h"
#include "clock.h"
#include "log.h"
#include "page.h"
#include "status.h"
#include "status_init.h"
#include "vt.h"
#include "x86/cpu.h"

static const u8 exits_as_told[VT_EXITS] = {
	[VT_EXIT_HANDLED] = CONTROL_EXIT_OTHER,
	[VT_EXIT_SLAT] = CONTROL_EXIT_MEMORY,
	[VT_EXIT_CPUID] = CONTROL_EXIT_CPUID,
	[VT_EXIT_MSR] = CONTROL_EXIT_MSR,
	[VT_EXIT_IO] = CONTROL_EXIT_IO,
	[VT_EXIT_INTERRUPT] = CONTROL_EXIT_INTERRUPT,
	[VT_EXIT_INVD] = CONTROL_EXIT_INVD,
	[VT_EXIT_HIDDEN] = CONTROL_EXIT_HIDDEN,
	[VT_EXIT_SHUTDOWN] = CONTROL_EXIT_SHUTDOWN,
	[VT_EXIT_UNKNOWN] = CONTROL_EXIT_UNKNOWN,
};

static char version[BOOT_VERSION_MAX];
static u64 memory_size;
static bool fails_closed;

void status_init(const struct boot_info *info)
{
	snprintf(version, sizeof(version), "%s", info->version);
	memory_size = info->memory_size;
	fails_closed = info->config.fail_closed;
}

const char *status_version(void)
{
	return version;
}

void status_get(struct control_status *status)
{
	status->uptime_us = clock_now_us();
	status->memory_size = memory_size;
	status->memory_free = page_free_count() * PAGE_SIZE;
	status->log_first = log_first();
	status->log_end = log_end();
	status->cpu_count = cpu_count();
	status->fails_closed = fails_closed;
}

bool status_get_cpu(u32 index, struct control_cpu *cpu)
{
	const struct cpu *from;

	if (index >= cpu_count())
		return false;
	from = cpu_get(index);
	cpu->index = index;
	cpu->apic_id = from->apic_id;
	for (u32 i = 0; i < VT_EXITS; i++)
		cpu->exits[exits_as_told[i]] =
			__atomic_load_n(&from->exits[i], __ATOMIC_RELAXED);
	return true;
}
